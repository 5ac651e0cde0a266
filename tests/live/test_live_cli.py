"""`aadc-live` as people type it: events, decisions, what is exported and what is forgotten."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from aadc.live.clip_file import ClipFile, frame_times
from aadc.live.clips import clip_path, complete
from aadc.live.export import export, split_of
from aadc.live.reader import Reader
from aadc.live.store import Store
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import read_manifest, write_manifest

sys.path.insert(0, str(Path(__file__).parent))

from made_events import NOON_NS, an_event, messages  # noqa: E402
from pictures import jpeg_of  # noqa: E402
from typed import typed  # noqa: E402

DAY_NS = 86400 * 10**9
CARD = Card.model_validate(
    {
        "title": "a yard",
        "classes": [
            {"name": "walk", "kind": "normal", "prompt": "a walk"},
            {"name": "fall", "kind": "abnormal", "prompt": "a fall"},
            {"name": "RoadAccidents", "kind": "abnormal", "prompt": "an accident"},
        ],
    }
)


@pytest.fixture
def data(tmp_path):
    """Eight events, four a camera, one a day, each with a clip that begins a second before it."""
    data = tmp_path / "live"
    data.mkdir()
    store = Store(data / "events.sqlite")
    for number in range(8):
        camera, start_ns = ("yard", "garage \x1b[2J")[number % 2], NOON_NS + number * DAY_NS
        told = messages(number, camera, start_ns=start_ns, start_s=10.0, end_s=12.0, curve=((10.0, 0.9),))
        for message in told:
            store.put(message, "somebody <b>\x1b[31m falls").result()
        event = told[2].after
        clip = ClipFile(data / clip_path(event))
        for frame in range(40):
            clip.add(jpeg_of(frame), 9.0 + frame * 0.1)
        clip.close()
        store.set_clip(event.id, str(complete(data, event, (), 9.0))).result()
    store.close()
    return data


def ids(data):
    reader = Reader(data / "events.sqlite")
    found = [one.event.id for one in reversed(reader.events())]
    reader.close()
    return found


def test_events_are_listed_newest_first_and_are_text(data):
    code, output = typed("events", "--data", str(data))
    lines = output.splitlines()
    assert code == 0 and len(lines) == 8 and "\x1b" not in output
    assert [line.split("  ")[5] for line in lines] == [one[-10:] for one in reversed(ids(data))]
    assert "2025-06-" in lines[0] and "+00:00" in lines[0] and "RoadAccidents 0.90" in lines[0] and "somebody <b>" in lines[0]
    assert len(typed("events", "--data", str(data), "--camera", "yard", "--top", "3")[1].splitlines()) == 3
    assert len(typed("find", "somebody fall", "--data", str(data), "--camera", "yard")[1].splitlines()) == 4
    assert typed("find", '"; DROP', "--data", str(data)) == (0, "no events with these words\n")


def test_decisions(data):
    one, other, third = ids(data)[:3]
    for words, said in (
        (("confirm", one[-6:]), "confirmed"),
        (("dismiss", other), "dismissed"),
        (("rename", third, "fall"), "fall (yard), renamed"),
    ):
        code, output = typed(*words, "--data", str(data), "--who", "anna")
        assert code == 0 and said in output
    lines = typed("events", "--data", str(data))[1].splitlines()
    assert [line.split("  ")[4] for line in lines[-3:]] == ["renamed", "dismissed", "confirmed"]
    shown = typed("show", third[-8:], "--data", str(data))[1]
    assert "fall (detected: RoadAccidents)" in shown and f"{third}.mp4" in shown and "\x1b" not in shown
    reader = Reader(data / "events.sqlite")
    assert [(one.what, one.label, one.who) for one in reader.decisions()] == [
        ("confirmed", None, "anna"), ("dismissed", None, "anna"), ("renamed", "fall", "anna"),
    ]  # fmt: skip
    reader.close()
    for words in (("show", "nobody"), ("confirm", "Z"), ("events", "--decision", "maybe")):
        with pytest.raises(UserError):
            typed(*words, "--data", str(data))


def test_a_slip_is_no_class_and_what_else_may_be_typed_is_said(data):
    event = ids(data)[0]
    (data / "status.json").write_text('{"classes": ["walk", "fall", "Road <b>"], "cameras": {}}')
    with pytest.raises(UserError, match="'fal' is none of the head's classes, which are walk, fall, Road <b>; --new takes it"):
        typed("rename", event, "fal", "--data", str(data))
    assert typed("rename", event, "walk", "--data", str(data))[0] == 0, "it may have been something normal"
    assert "fal (yard), renamed" in typed("rename", event, "fal", "--new", "--data", str(data))[1]
    (data / "status.json").write_text("[torn")
    assert typed("rename", event, "anything", "--data", str(data))[0] == 0, "where the classes are not known"


def test_forget_removes_clips_and_says_so(data):
    first, last = "2025-06-16T00:00+00:00", "2025-06-18T00:00+00:00"
    with pytest.raises(UserError, match="not after"):
        typed("forget", "--from", last, "--to", first, "--data", str(data))
    with pytest.raises(UserError, match="not a time"):
        typed("forget", "--from", "yesterday", "--to", first, "--data", str(data))
    assert typed("forget", "--from", first, "--to", last, "--data", str(data)) == (0, "2 events forgotten\n")
    assert len(ids(data)) == 6 and len(list(data.glob("clips/*/*/*.mp4"))) == 6 == len(list(data.glob("clips/*/*/*.jpg")))
    reader = Reader(data / "events.sqlite")
    assert "forgot 2 events" in reader.log()[0].what and reader.log()[0].who == "operator"
    reader.close()


def test_words_that_are_no_text_and_times_without_end(data):
    half = "a\udcff\x1b[2J"
    event = ids(data)[0]
    for words in (("events", "--camera", half), ("find", half), ("find", "\udcff")):
        assert typed(*words, "--data", str(data))[0] == 0
    code, output = typed("rename", event, half, "--who", half, "--data", str(data))
    assert code == 0 and "\x1b" not in output and "\udcff" not in output
    for words in (("show", half), ("confirm", "é\udcff")):
        with pytest.raises(UserError, match="there is no event"):
            typed(*words, "--data", str(data))
    assert (
        typed("forget", "--from", "1000-01-01", "--to", "9999-12-31", "--camera", half, "--data", str(data))[1]
        == "0 events forgotten\n"
    )
    ever = ("forget", "--from", "1000-01-01", "--to", "9999-12-31", "--data", str(data))
    assert typed(*ever, "--camera", half)[1] == "0 events forgotten\n"
    assert typed(*ever)[1] == "8 events forgotten\n"
    assert not [one for one in data.rglob("*.mp4")]


def decided(data, decisions):
    store = Store(data / "events.sqlite")
    for event, (what, label) in zip(ids(data), decisions, strict=False):
        if label:
            store.decide(event, "renamed", "anna", label).result()
        store.decide(event, what, "anna").result()
    store.close()
    reader = Reader(data / "events.sqlite")
    found = reader.events()
    reader.close()
    return found


@pytest.mark.parametrize(("share", "split"), [(0.0, "train"), (1.0, "test")])
def test_what_was_decided_becomes_a_manifest(data, tmp_path, share, split):
    said = [("confirmed", None), ("dismissed", None), ("confirmed", "fall"), ("dismissed", "fall"), ("confirmed", "dance")]
    kept = decided(data, said)
    done = export(data, kept, CARD, tmp_path / "out", "walk", 30.0, share)
    assert (done.confirmed, done.dismissed, done.before) == (2, 2, 0) and "'dance' is no class" in done.left_out[0][1]
    manifest = read_manifest(done.manifest)
    labels = {row.video.split("/")[-1][:-4]: row for row in manifest.rows}
    assert [labels[one].labels for one in ids(data)[:4]] == [("RoadAccidents",), ("walk",), ("fall",), ("walk",)]
    for row in manifest.rows:
        assert row.split == split and row.frames == 118 == len(frame_times(tmp_path / "out" / "videos" / row.video))
        spans = [(one.start_frame, one.end_frame) for one in row.segments]
        assert spans == ([(30, 90)] if split == "test" and row.labels != ("walk",) else [])
    tasks = json.loads(done.tasks.read_text())
    (value,) = [one["predictions"][0]["result"][0]["value"] for one in tasks if one["data"]["event"] == ids(data)[2]]
    assert value == {"ranges": [{"start": 31, "end": 90}], "timelinelabels": ["fall"]}
    assert all((tmp_path / "out" / one["data"]["video"]).is_file() for one in tasks)
    # Again, with the last one as the old set: they are the same events.
    again = export(data, kept, CARD, tmp_path / "more", "walk", 30.0, before=manifest)
    assert again.before == 0 and len(read_manifest(again.manifest).rows) == 4
    assert export(data, kept, CARD, tmp_path / "more", "walk", 30.0, before=manifest).before == 0


def test_an_earlier_export_is_a_set_like_any_other_and_brings_no_event_twice(data, tmp_path):
    """Whatever became of its events since: decided otherwise, taken back, their clip or they themselves gone."""
    events = ids(data)
    first = decided(data, [("confirmed", None)] * 6)
    base = tmp_path / "first" / "videos" / "before" / "gym.mp4"
    export(data, first, CARD, tmp_path / "first", "walk", 30.0, 0.0)
    base.parent.mkdir()
    shutil.copy(data / first[0].clip, base)
    manifest = read_manifest(tmp_path / "first" / "feedback.csv")
    gym = manifest.rows[0].model_copy(update={"video": "before/gym.mp4"})
    write_manifest([*manifest.rows, gym], manifest.card, manifest.path)
    manifest = read_manifest(manifest.path)
    said = ["confirmed", "dismissed", "open", "confirmed", "dismissed", "confirmed", "confirmed"]
    kept = decided(data, [(what, None) for what in said])
    for gone in (3, 4):  # of one that is decided as it was, and of one that is not
        (data / next(one for one in kept if one.event.id == events[gone]).clip).unlink()
    kept = [one for one in kept if one.event.id != events[5]]  # forgotten by the store, in the older set still
    done = export(data, kept, CARD, tmp_path / "second", "walk", 30.0, 0.0, before=manifest)
    rows = read_manifest(done.manifest).rows
    assert len({Path(row.video).stem for row in rows}) == len(rows)
    now = {Path(row.video).stem: (row.labels[0], row.video.startswith("before/")) for row in rows}
    assert now == {
        "gym": ("RoadAccidents", True),
        events[0]: ("RoadAccidents", False),
        events[1]: ("walk", False),
        events[3]: ("RoadAccidents", True),
        events[5]: ("RoadAccidents", True),
        events[6]: ("RoadAccidents", False),
    }
    assert sorted(one for one, _ in done.left_out) == sorted([events[2], events[4]])
    assert all((tmp_path / "second" / "videos" / row.video).is_file() for row in rows)
    # A third one, of a set that has events twice, as this made them before.
    twice = [row.model_copy(update={"video": f"before/{row.video}"}) for row in rows]
    for row, more in zip(rows, twice, strict=True):
        target = tmp_path / "second" / "videos" / more.video
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "second" / "videos" / row.video, target)
    write_manifest([*rows, *[row for row in twice if "gym" not in row.video]], manifest.card, done.manifest)
    third = export(data, kept, CARD, tmp_path / "third", "walk", 30.0, 0.0, before=read_manifest(done.manifest))
    videos = [Path(row.video).stem for row in read_manifest(third.manifest).rows]
    assert sorted(videos) == sorted(now)


def test_exports_onto_exports_do_not_nest(data, tmp_path):
    """A video of the first set keeps its name below `before/`; one that would take another's goes deeper, and none is lost."""
    kept = decided(data, [("confirmed", None), ("dismissed", None)])
    clip = data / kept[0].clip
    (tmp_path / "own" / "before").mkdir(parents=True)
    for name in ("gym.mp4", "before/gym.mp4"):
        shutil.copy(clip, tmp_path / "own" / name)
    manifest = read_manifest(export(data, kept, CARD, tmp_path / "none", "walk", 30.0).manifest)
    own = [manifest.rows[0].model_copy(update={"video": name}) for name in ("gym.mp4", "before/gym.mp4")]
    write_manifest(own, manifest.card.model_copy(update={"videos": "own"}), tmp_path / "own.csv")
    before = read_manifest(tmp_path / "own.csv")
    for number in range(3):
        done = export(data, kept, CARD, tmp_path / f"{number}", "walk", 30.0, before=before)
        before = read_manifest(done.manifest)
        old = {row.video for row in before.rows if "gym" in row.video}
        assert done.before == 2 and old == {"before/gym.mp4", "before/before/gym.mp4"}
        assert all((tmp_path / f"{number}" / "videos" / row.video).is_file() for row in before.rows)


def test_an_export_again_leaves_clips_alone_and_takes_no_event_twice(data, tmp_path):
    out = tmp_path / "out"
    kept = decided(data, [("confirmed", None), ("dismissed", None)])
    manifest = read_manifest(export(data, kept, CARD, out, "walk", 30.0).manifest)
    clips = [out / "videos" / row.video for row in manifest.rows]
    os.utime(clips[0], ns=(1, 1))
    clips[1].write_bytes(b"something else")
    whole = clips[0].read_bytes()
    assert export(data, kept, CARD, out, "walk", 30.0).dismissed == 1
    assert clips[0].stat().st_mtime_ns == 1 and clips[0].read_bytes() == whole
    assert len(frame_times(clips[1])) == 118, "what is no longer the clip is written anew"
    assert sorted(out.rglob("*.mp4")) == sorted(clips)
    with pytest.raises(UserError, match="has these events already"):
        export(data, kept, CARD, out, "walk", 30.0, before=manifest)


def test_a_day_of_a_camera_is_never_split():
    """Nor moved by what else is exported; and the share is what was asked for."""
    days = [(f"camera {n % 7}", NOON_NS // DAY_NS * DAY_NS + n // 7 * DAY_NS) for n in range(2000)]
    splits = [{split_of(camera, day + hour * 3600 * 10**9, 0.3) for hour in range(24)} for camera, day in days]
    assert all(len(split) == 1 for split in splits)
    assert 0.25 < sum(split == {"test"} for split in splits) / 2000 < 0.35


def test_what_cannot_be_exported_is_said(data, tmp_path):
    with pytest.raises(UserError, match="no decided event"):
        export(data, decided(data, []), CARD, tmp_path / "out", "walk", 30.0)
    kept = decided(data, [("confirmed", None)])
    with pytest.raises(UserError, match="'fall' is no normal class"):
        export(data, kept, CARD, tmp_path / "out", "fall", 30.0)
    (data / clip_path(an_event(0, start_ns=NOON_NS))).unlink()
    with pytest.raises(UserError, match="1 were left out: its clip is gone"):
        export(data, kept, CARD, tmp_path / "out", "walk", 30.0)


def test_a_file_is_what_is_watched_and_no_store_is_said(tmp_path):
    with pytest.raises(UserError, match=r"nothere\.toml"):
        typed(str(tmp_path / "nothere.toml"))
    forget = ("forget", "--from", "2025-01-01", "--to", "2025-01-02")
    for words in (("events",), ("show", "abcd"), ("confirm", "abcd"), ("find", "x"), forget):
        with pytest.raises(UserError, match="there is no store"):
            typed(*words, "--data", str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_blanks_are_neither_words_nor_a_class(data):
    with pytest.raises(UserError, match="there are no words to look for"):
        typed("find", " \t ", "--data", str(data))
    for new in ((), ("--new",)):
        with pytest.raises(UserError, match="the class has no name"):
            typed("rename", ids(data)[0], "  ", *new, "--data", str(data))
    assert "open" in typed("show", ids(data)[0], "--data", str(data))[1]
