"""Scores and frames in; events with clip, words and notice out, and what is left after a kill."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from aadc.live.camera_state import CameraStatus
from aadc.live.clip_file import frame_times
from aadc.live.config import LiveConfig
from aadc.live.event import Ending, Kind
from aadc.live.event_sink import EventSink
from aadc.live.events import EventMachine
from aadc.live.keeping import Keeping
from aadc.live.kept_events import KeptEvents
from aadc.live.reader import Reader
from aadc.live.retention import Limits
from aadc.live.rules import EventRules
from aadc.live.scored import ScoredSnippet
from aadc.live.seen_boxes import Box
from aadc.live.store import Store
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from made_events import NOON_NS, an_event, messages  # noqa: E402
from pictures import jpeg_of  # noqa: E402
from waiting import wait_until  # noqa: E402

RULES = EventRules(open_for=2, close_after_s=1, merge_gap_s=1)
KEEP = Limits(days=None)  # the events here are old


class Heard:
    """A channel that keeps what it is sent."""

    def __init__(self):
        self.got = []

    def send(self, notice):
        self.got.append((notice.kind, notice.body["description"]))

    def close(self): ...


def stream(keeping, camera, scores, fps=10, step=0.5, blind_s=0.0):
    """A camera's frames and scores in the order in which they come."""
    machine = EventMachine(RULES, ("walk", "fall"), ("normal", "abnormal"))
    for number, score in enumerate(scores):
        while keeping._recorders[camera].waiting > 50:
            time.sleep(0.001)
        for frame in range(round(number * step * fps), round((number + 1) * step * fps)):
            if frame / fps >= blind_s:
                keeping.see(camera, jpeg_of(frame), frame / fps)
        second = number * step
        keeping.see_boxes(camera, second, [Box(0, 0, 1, 1, "person", 0.9)] * (2 if score > 0.5 else 1))
        for final, place in ((False, number), (True, number - 4)):
            if place >= 0:
                at = place * step
                one = ScoredSnippet(
                    camera, 0, place, at, NOON_NS + round(at * 1e9), 0, scores[place], np.array([0.2, 0.8]), final
                )
                for message in machine.push(one):
                    keeping.take(message)
    return machine


def test_an_event_from_its_first_score_to_its_clip(tmp_path):
    heard = Heard()
    keeping = Keeping(tmp_path / "data", ["yard", "gate"], KEEP, channels={"there": heard})
    stream(keeping, "yard", [0.1] * 20 + [0.9] * 10 + [0.1] * 40)
    stream(keeping, "gate", [0.1] * 10)
    keeping.close()
    events = KeptEvents(tmp_path / "data")
    (one,) = events.newest(None, None, 10, None, None, None)
    assert (one["camera"], one["category"], one["decision"], one["clip"], one["ending"]) == (
        "yard",
        "fall",
        "open",
        True,
        "quiet",
    )
    assert one["description"] == "Yes, the video shows abnormal activity: fall from 00:05 to 00:10 with 2 persons."
    assert (one["start_s"], one["duration_s"]) == (10.0, 5.0) and "curve" not in one
    assert len(events.one(one["id"])["curve"]) == 10 and events.one("nobody") is None
    assert events.file(one["id"], "clip").suffix == ".mp4" and events.file(one["id"], "thumbnail").suffix == ".jpg"
    assert events.file("nobody", "clip") is None
    assert heard.got[0][0] is Kind.new and heard.got[-1] == (Kind.end, one["description"])
    assert [kind for kind, _ in heard.got if kind is not Kind.update] == [Kind.new, Kind.end]
    # As the web page asks: changes, decisions, pages.
    ((number, changed),) = events.changes(0, 10)
    assert changed["id"] == one["id"] and events.changes(number, 10) == []
    assert events.decide(one["id"], "confirmed", None, "anna")["decision"] == "confirmed"
    assert events.decide(one["id"], "renamed", "fight", "anna")["category"] == "fight"
    assert events.decide(one["id"], "open", None, "anna")["decision"] == "open"
    with pytest.raises(UserError, match="there is no event"):
        events.decide("nobody", "confirmed", None, "anna")
    assert [found["id"] for _, found in events.changes(number, 10)] == [one["id"]]
    assert events.newest(frozenset({"gate"}), None, 10, None, None, None) == []
    assert events.newest(None, one["id"], 10, None, None, None) == []
    events.close()


def test_what_is_forgotten_while_its_clip_is_made_leaves_no_picture(tmp_path):
    """The clip goes on for seconds after the event has ended, and is complete only then."""
    keeping = Keeping(tmp_path / "data", ["yard"], KEEP)
    stream(keeping, "yard", [0.1] * 10 + [0.9] * 10 + [0.1] * 10)
    keeping.store.write(lambda db: None).result(10)
    (one,) = (reader := Reader(keeping.store.path)).events()
    assert one.event.ending is not None and one.clip is None
    assert keeping.store.forget(0, 2**62, "anna").result(10) == [""]
    keeping.close()
    assert not [path for path in (tmp_path / "data" / "clips").rglob("*") if path.is_file()]
    reader.close()


def test_a_store_that_is_gone_takes_no_clip_along(tmp_path):
    """Whoever moved a damaged one away would find all clips removed at the next start."""
    keeping = Keeping(tmp_path / "data", ["yard"], KEEP)
    stream(keeping, "yard", [0.1] * 10 + [0.9] * 10 + [0.1] * 30)
    keeping.close()
    (clip,) = tmp_path.rglob("*.mp4")
    for file in (tmp_path / "data").glob("events.sqlite*"):
        file.rename(tmp_path / file.name)
    with pytest.raises(UserError, match="all of them would be removed; put it back, or move"):
        Keeping(tmp_path / "data", ["yard"], KEEP)
    assert clip.is_file() and not (tmp_path / "data" / "events.sqlite").exists()
    (tmp_path / "events.sqlite").rename(tmp_path / "data" / "events.sqlite")
    Keeping(tmp_path / "data", ["yard"], KEEP).close()
    assert clip.is_file()


def test_a_store_that_the_disk_emptied_takes_no_clip_along(tmp_path):
    """Nor one that another program's database, or a link to a disk that is away, stands in for."""
    keeping = Keeping(tmp_path / "data", ["yard"], KEEP)
    stream(keeping, "yard", [0.1] * 10 + [0.9] * 10 + [0.1] * 30)
    keeping.close()
    (clip,) = tmp_path.rglob("*.mp4")
    path = tmp_path / "data" / "events.sqlite"
    kept = path.read_bytes()
    for put, told in (
        (path.touch, "all of them would be removed; put it back, or move"),
        (lambda: path.symlink_to(tmp_path / "away" / "events.sqlite"), "is a link to .*away|all of them would be removed"),
        (lambda: shutil.copy(tmp_path / "data" / "theirs.sqlite", path), "holds no events, it is empty or another program's"),
    ):
        path.unlink()
        with closing(sqlite3.connect(tmp_path / "data" / "theirs.sqlite")) as theirs:
            theirs.execute("CREATE TABLE IF NOT EXISTS recipes (cake)")
        put()
        for opener in (Store, lambda _: Keeping(tmp_path / "data", ["yard"], KEEP)):  # the web process opens the store alone
            with pytest.raises(UserError, match=told):
                opener(path)
        assert clip.is_file() and not (tmp_path / "away").exists()
    path.unlink()
    path.write_bytes(kept)
    Keeping(tmp_path / "data", ["yard"], KEEP).close()
    assert clip.is_file()


def test_words_tell_the_times_of_the_clip_as_it_is(tmp_path):
    """Also where pictures came later than scores."""
    keeping = Keeping(tmp_path / "data", ["yard"], KEEP)
    stream(keeping, "yard", [0.1] * 20 + [0.9] * 10 + [0.1] * 40, blind_s=8.0)
    keeping.close()
    events = KeptEvents(tmp_path / "data")
    (one,) = events.newest(None, None, 10, None, None, None)
    assert "fall from 00:02 to 00:07" in one["description"]
    events.close()


def test_the_second_start_after_a_kill(tmp_path):
    """The open event is ended as interrupted, its clip plays, and the channel hears its end once."""
    code = (
        "import sys, time; from pathlib import Path; from aadc.live.keeping import Keeping\n"
        "from test_keeping import stream\n"
        "keeping = Keeping(Path(sys.argv[1]), ['yard'])\n"
        "stream(keeping, 'yard', [0.1] * 4 + [0.9] * 30)\n"
        "print('ready', flush=True); time.sleep(60)\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{HERE}"}
    child = subprocess.Popen([sys.executable, "-c", code, tmp_path / "data"], stdout=subprocess.PIPE, env=environment)
    assert child.stdout.readline() == b"ready\n"
    wait_until(lambda: any(len(frame_times(clip)) > 100 for clip in tmp_path.rglob("*.mp4")), 30)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    heard = Heard()
    keeping = Keeping(tmp_path / "data", ["yard"], KEEP, channels={"there": heard})
    (ended,) = keeping.interrupted
    assert keeping.mended == (1, 0) and ended.after.ending is Ending.interrupted
    wait_until(lambda: heard.got, 10)
    keeping.close()
    assert [kind for kind, _ in heard.got] == [Kind.end]
    events = KeptEvents(tmp_path / "data")
    (one,) = events.newest(None, None, 10, None, None, None)
    assert events.file(one["id"], "clip") and events.file(one["id"], "thumbnail")
    events.close()


def test_the_store_goes_on_while_the_disk_is_away(tmp_path):
    """Clips are not begun then; events are kept."""
    keeping = Keeping(tmp_path / "data", ["yard"], KEEP)
    (tmp_path / "data" / ".aadc-live").unlink()
    stream(keeping, "yard", [0.1] * 20 + [0.9] * 10 + [0.1] * 20)
    keeping.close()
    reader = Reader(tmp_path / "data" / "events.sqlite")
    (one,) = reader.events()
    assert one.clip is None and one.event.ending is Ending.quiet and "switched off" in reader.log()[0].what
    reader.close()


def test_an_event_of_a_camera_that_is_no_more(tmp_path):
    keeping = Keeping(tmp_path / "data", [], KEEP)
    for message in messages(0):
        keeping.take(message).result()
    keeping.close()
    reader = Reader(tmp_path / "data" / "events.sqlite")
    assert reader.events()[0].event.id == an_event(0).id and reader.events()[0].description
    reader.close()


def test_a_camera_that_is_away_does_not_hold_its_event_open(tmp_path):
    card = Card.model_validate(
        {
            "title": "a yard",
            "classes": [
                {"name": "walk", "kind": "normal", "prompt": "a walk"},
                {"name": "fall", "kind": "abnormal", "prompt": "a fall"},
            ],
        }
    )
    config = LiveConfig.model_validate({"data": tmp_path / "data", "camera": [{"name": "yard", "source": "yard.mp4"}]})
    sink = EventSink(config, card, ["yard"])
    for number in range(6):
        sink.take(ScoredSnippet("yard", 0, number, number / 2, time.time_ns(), 0, 0.9, np.array([0.2, 0.8]), True))
    for state in ("online", "stalled", "offline", "offline"):
        sink.heard("yard", CameraStatus(state=state))
        sink.store.write(lambda db: None).result()
        reader = Reader(tmp_path / "data" / "events.sqlite")
        (one,) = reader.events()
        reader.close()
        assert one.event.ending is (Ending.gap if state == "offline" else None)
    sink.close()
