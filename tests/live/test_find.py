"""Events looked for in words by what their pictures look like: the rule of `aadc-find`, never a picture one may not see."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from aadc.eval.moments import embedded_words, similarities
from aadc.extract.clip_model import load_clip
from aadc.live import text_tower
from aadc.live.event import Ending, EventMessage, Kind, State
from aadc.live.event_pictures import ClipUsed, EventPictures, keeping, likeliest
from aadc.live.kept_events import KeptEvents
from aadc.live.reader import Reader
from aadc.live.store import STORE, Store
from aadc.live.text_tower import EmbeddedWords, TextTower, embedded
from aadc.manifests.errors import UserError

sys.path.insert(0, str(Path(__file__).parent))

from made_events import an_event, messages  # noqa: E402
from waiting import wait_until  # noqa: E402

OURS, THEIRS = ClipUsed("ours", "a" * 64), ClipUsed("theirs", "b" * 64)
C = 4
FLOOR = np.array([1, 0, 0, 0], np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """All that a run folder has to say for words to be read: its CLIP."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "run.json").write_text(json.dumps({"models": {"clip": {"source": "miniature", "weights": "then"}}}))
    return folder


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / STORE)
    yield store
    store.close()


def rows_of(*things, boxes=5):
    """Rows of one frame as `FrameEmbedder` gives them: the whole, then its boxes, and what fills the room behind them."""
    crop = np.full((1, boxes, C), 9.0, np.float32)  # what is no box is more like the words than anything
    crop[0, : len(things) - 1] = np.array(things[1:], np.float32).reshape(-1, C)
    return {"scene": np.array(things[:1], np.float32), "count": np.array([len(things) - 1]), "crop": crop}


def kept_in(store, event):
    """(second, embeddings) that an event keeps; None where it keeps nothing."""
    sql = "SELECT second, width, things FROM events JOIN pictures ON event = number WHERE id = ?"
    reader = Reader(store.path)
    rows = reader._rows(sql, event)
    reader.close()
    return (rows[0][0], np.frombuffer(rows[0][2], "<f2").reshape(-1, rows[0][1])) if rows else None


def told(store, pictures, message):
    store.put(message, also=pictures.jobs(message)).result(30)


def a_frame(second):
    """One that tells its second: boxes of 1 and 2 times it."""
    return rows_of([second, 0, 0, 1], [2 * second, 1, 0, 0], [second, 2, 0, 0])


# Which picture an event keeps


def test_the_frame_with_the_highest_score_is_kept_also_after_a_kill(store):
    pictures = EventPictures(OURS)
    event = an_event(0, state=State.provisional, curve=((0.0, 0.6),))
    pictures.saw(0.0, a_frame(0.0))
    told(store, pictures, EventMessage(Kind.new, None, event))
    scores = {0.5: 0.9, 1.0: 0.7, 1.5: 0.8}
    for second in scores:
        pictures.saw(second, a_frame(second))
    peak = event.model_copy(update={"curve": ((0.0, 0.6), *scores.items())})
    told(store, pictures, EventMessage(Kind.update, event, peak))
    second, things = kept_in(store, event.id)  # what a kill would leave
    assert second == 0.5 and things.tolist() == [[0.5, 0, 0, 1], [1.0, 1, 0, 0], [0.5, 2, 0, 0]]
    assert pictures.jobs(EventMessage(Kind.update, peak, peak)) == []  # it has that one
    for second in np.arange(2, 200, 0.5):  # the frame is long gone when it ends
        pictures.saw(second, a_frame(second))
    told(store, pictures, EventMessage(Kind.end, peak, peak.model_copy(update={"ending": Ending.quiet})))
    assert kept_in(store, event.id)[0] == 0.5 and not pictures._kept


def test_a_frame_stands_for_those_that_did_not_come_and_a_retracted_event_keeps_none(store):
    pictures = EventPictures(OURS)
    for second in (0.0, 0.5, 3.0):
        pictures.saw(second, a_frame(second))
    event = an_event(0, curve=((0.0, 0.5), (1.5, 0.9)))
    told(store, pictures, EventMessage(Kind.new, None, event))
    assert kept_in(store, event.id)[0] == 0.5
    told(
        store,
        pictures,
        EventMessage(Kind.end, event, event.model_copy(update={"state": State.retracted, "ending": Ending.retracted})),
    )
    assert kept_in(store, event.id) is None


def test_what_is_no_number_is_not_kept_and_time_does_not_go_back(store):
    pictures = EventPictures(OURS)
    pictures.saw(1.0, rows_of([np.nan, 0, 0, 0]))
    pictures.saw(2.0, rows_of([1e9, 0, 0, 0]))  # more than half precision holds
    event = an_event(0, curve=((3.0, 0.9),))
    assert pictures.jobs(EventMessage(Kind.new, None, event)) == []
    pictures.saw(3.0, a_frame(3.0))
    pictures.saw(2.5, a_frame(2.5))
    (job,) = pictures.jobs(EventMessage(Kind.new, None, event))
    store.put(EventMessage(Kind.new, None, event), also=[job]).result(30)
    assert kept_in(store, event.id)[0] == 3.0


# What is similar


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_events_are_compared_as_snippets_of_videos_are(events, seed):
    """The same numbers as `aadc-find` on shards that hold these frames, whatever lies behind the last box."""
    random = np.random.default_rng(seed)
    count = random.integers(0, 6, events)
    scene, crop = random.normal(size=(events, C)).astype(np.float16), random.normal(size=(events, 5, C)).astype(np.float16)
    text = random.normal(size=C).astype(np.float32)
    text /= np.linalg.norm(text)
    similarity, _ = similarities(SimpleNamespace(scene=scene, crop=crop, count=count), text)
    pictures = [
        (number, C, np.concatenate([scene[number, None], crop[number, : count[number]]]).tobytes()) for number in range(events)
    ]
    found = likeliest(pictures, text, 3)
    assert [one.number for one in found] == sorted(range(events), key=lambda n: (-similarity[n], -n))[:3]
    assert [one.similarity for one in found] == pytest.approx([similarity[one.number] for one in found], abs=1e-6)


def test_likeness_is_the_cosine_of_the_most_similar_thing():
    """Counted by hand, and by nothing of ours: 3-4-5 triangles."""
    whole, box = np.array([3, 4, 0, 0], "<f2"), np.array([0, 4, 3, 0], "<f2")
    (one,) = likeliest([(7, C, np.stack([box, whole]).tobytes())], FLOOR, 5)
    assert one.number == 7 and one.similarity == pytest.approx(0.6)
    (one,) = likeliest([(7, C, np.stack([box, -whole]).tobytes())], FLOOR, 5)
    assert one.similarity == pytest.approx(0.0)
    assert [one.number for one in likeliest([(n, C, whole.tobytes()) for n in (1, 3, 2)], FLOOR, 2)] == [3, 2]


def test_what_is_damaged_is_left_out():
    good = np.ones((2, C), "<f2").tobytes()
    bad = [(1, 3, good), (2, C, good[:-1]), (3, C, b""), (4, C, np.full(C, np.nan, "<f2").tobytes()), (5, 2 * C, good)]
    assert [one.number for one in likeliest([*bad, (6, C, good)], FLOOR, 9)] == [6]


# Whose


def a_house(store, clips=(OURS, OURS, THEIRS, OURS)):
    """Four events of two cameras; the later, the more they are like FLOOR; and one without a picture."""
    for number, clip in enumerate(clips):
        things = np.array([[number + 1, len(clips) - number, 0, 0]], np.float16)
        *first, last = messages(number, ("yard", "door")[number % 2])
        for message in first:
            store.put(message).result(30)
        store.put(last, f"Words {number}.", "composed", [keeping(last.after.id, clip, 1.0, things)]).result(30)
    for message in messages(9, "yard"):
        store.put(message, "Words of one without a picture.").result(30)
    return KeptEvents(store.path.parent, lambda words: EmbeddedWords(OURS, FLOOR))


def test_the_likest_come_first_of_ones_own_cameras_and_of_one_clip(store):
    events = a_house(store)
    found = events.like("a floor", None, 10)
    assert [one["id"] for one in found.events] == [
        an_event(n, camera).id for n, camera in ((3, "door"), (1, "door"), (0, "yard"))
    ]
    cosines = [4 / np.hypot(4, 1), 2 / np.hypot(2, 3), 1 / np.hypot(1, 4)]
    assert [one["similarity"] for one in found.events] == pytest.approx(cosines, abs=1e-3)
    assert found.note == "Pictures of other CLIP models are not compared: 1 of theirs; the words were read by ours."
    door = events.like("a floor", frozenset(["door"]), 10)
    assert {one["camera"] for one in door.events} == {"door"} and len(door.events) == 2
    assert door.note == ""  # nor is said what there is of cameras one may not see
    assert events.like("a floor", frozenset(), 10).events == [] and len(events.like("a floor", None, 1).events) == 1
    events.decide(an_event(1, "door").id, "confirmed", None, "anna")
    assert [one["id"] for one in events.like("a floor", None, 9, decision="confirmed").events] == [an_event(1, "door").id]
    late = an_event(1).start_ns
    assert len(events.like("a floor", None, 9, start_ns=late).events) == 2
    assert events.like("a floor", None, 9, category="fall").events == []
    events.close()
    nothing = KeptEvents(store.path.parent)
    with pytest.raises(UserError, match="cannot be looked through here"):
        nothing.like("a floor", None, 9)
    nothing.close()


def test_a_picture_is_forgotten_with_its_event(store):
    events = a_house(store)
    event = an_event(0, "yard")
    store.forget(event.start_ns, event.start_ns + 1, "anna", "yard").result(30)
    assert len(events.like("a floor", None, 10).events) == 2
    reader = Reader(store.path)
    assert reader._rows("SELECT count(*) FROM pictures") == [(3,)]
    store.forget_older(2**62).result(30)
    assert reader._rows("SELECT count(*) FROM pictures") == [(0,)] and events.like("a floor", None, 10).events == []
    reader.close()
    events.close()


def test_many_pictures_are_read_a_few_at_a_time_and_never_more_than_that(store, monkeypatch):
    monkeypatch.setattr("aadc.live.reader._AT_ONCE", 2)
    a_house(store).close()
    reader = Reader(store.path)
    assert [number for number, *_ in reader.pictures(OURS.weights)] == [4, 2, 1]
    assert [number for number, *_ in reader.pictures(OURS.weights, most=2)] == [4, 2]
    reader.close()


# Who reads the words


def test_words_are_embedded_as_by_the_clip_itself_and_remembered(run):
    clip = load_clip("miniature")
    tower = TextTower(run)
    found = tower("a person  lying\n on the floor ")
    np.testing.assert_allclose(found.text, embedded_words(clip, "a person lying on the floor"), atol=1e-6)
    assert found.clip == ClipUsed("miniature", clip.weights) == embedded(run, "a person").clip
    assert np.linalg.norm(found.text) == pytest.approx(1)
    first = tower.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not tower.pid)
    assert tower("a person lying on the floor") is found and tower.pid is None  # nobody is asked for what is known
    for words in ('" OR "" NEAR(', "\ud800 <b>\x00", "*" * 70, "a bag"):
        assert np.isfinite(tower(words).text).all()
    second = tower.pid
    assert second not in (None, first)
    with pytest.raises(UserError, match="more words than CLIP reads"):
        tower("many " * 100)
    with pytest.raises(UserError, match="no words"):
        tower(" \n")
    with open(f"/proc/{second}/stat") as file:
        assert int(file.read().rpartition(")")[2].split()[16]) > os.nice(0), "it goes behind what scores"
    # One that hangs is killed.
    tower._within_s = 0.3
    os.kill(second, signal.SIGSTOP)
    with pytest.raises(UserError, match="try again"):
        tower("something new")
    assert tower.pid is None
    tower._end()


def test_a_clip_that_is_gone_is_said_in_one_sentence(tmp_path):
    tower = TextTower(tmp_path)
    with pytest.raises(UserError, match="run.json: there is no such file"):
        tower("a bag")
    tower._end()
    (tmp_path / "run.json").write_text(json.dumps({"models": {"clip": {"source": str(tmp_path / "gone"), "weights": ""}}}))
    with pytest.raises(UserError, match="words need the text tower"):
        embedded(tmp_path, "a bag")


def test_only_so_many_wait(run, monkeypatch):
    tower = TextTower(run)
    go = threading.Event()

    def slowly(words):
        go.wait(30)
        return text_tower.Answer(source="x", weights="y", text=[1.0])

    monkeypatch.setattr(tower, "_ask", slowly)
    threads = [threading.Thread(target=tower, args=(f"words {n}",), daemon=True) for n in range(text_tower.MOST_WAITING + 1)]
    for thread in threads:
        thread.start()
    wait_until(lambda: tower._asked.qsize() >= text_tower.MOST_WAITING)
    with pytest.raises(UserError, match="too many look at once"):
        tower("one more")
    go.set()
    for thread in threads:
        thread.join(30)
    assert len(tower._known) == len(threads)


def test_the_server_loads_no_model():
    """Nor does the parent of all."""
    code = (
        "import sys, aadc.live.web, aadc.live.watch; print(sorted({'torch', 'open_clip', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_person_types_it(store, run):
    from aadc.live.cli import app

    clip = embedded(run, "a floor")
    for number, text in enumerate((clip.text, embedded(run, "a bag").text)):
        *first, last = messages(number, "yard")
        for message in first:
            store.put(message).result(30)
        keep = keeping(last.after.id, clip.clip, 1.0, text[None].astype(np.float16))
        store.put(last, f"Words {number}.", "composed", [keep]).result(30)
    typed = ["find", "a floor", "--pictures", "--run", str(run), "--data", str(store.path.parent)]
    done = CliRunner().invoke(app, typed)
    lines = [line for line in done.output.splitlines() if "Words" in line]
    assert done.exit_code == 0 and lines[0].startswith("1.000  2025") and lines[0].endswith("Words 0.") and len(lines) == 2
    assert float(lines[1].split()[0]) < 0.999
    assert "Words" not in CliRunner().invoke(app, [*typed, "--camera", "door"]).output
