"""What goes when, and what never does."""

import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from aadc.live import retention
from aadc.live.clips import Recorder, clip_path
from aadc.live.data_folder import MARKER, DataFolder
from aadc.live.reader import Reader
from aadc.live.retention import GB, AgeClock, Cleaner, Limits, clean
from aadc.live.store import Store
from aadc.manifests.errors import UserError

sys.path.insert(0, str(Path(__file__).parent))

from made_events import NOON_NS, an_event, messages  # noqa: E402
from pictures import jpeg_of  # noqa: E402
from waiting import wait_until  # noqa: E402

DAY_NS = 86400 * 10**9
KEEP = Limits(days=None, gigabytes=None, free_gigabytes=0.0)


@pytest.fixture
def house(tmp_path):
    """A data folder of ten events, one a day, with clips of 1000 bytes in all; the last one is still open."""
    folder = DataFolder(tmp_path / "data")
    store = Store(folder.path / "events.sqlite")
    for number in range(10):
        told = messages(number, start_ns=NOON_NS + number * DAY_NS, camera=("yard", "garage")[number % 2])
        for message in told[: 3 if number < 9 else 1]:
            store.put(message).result()
        clip = folder.path / clip_path(told[0].after)
        clip.parent.mkdir(parents=True, exist_ok=True)
        for suffix, size in ((".mp4", 700), (".jpg", 200), (".json", 100)):
            clip.with_suffix(suffix).write_bytes(b"x" * size)
        store.set_clip(told[0].after.id, str(clip_path(told[0].after))).result()
    reader = Reader(store.path)
    yield folder, store, reader
    reader.close()
    store.close()


def clips_of(reader):
    return [one.number for one in reversed(reader.events()) if one.clip]


def test_by_days_clips_and_events_go(house):
    folder, store, reader = house
    done = clean(folder, store, KEEP._replace(days=4.5), NOON_NS + 9 * DAY_NS)
    assert (done.clips, done.events, done.bytes) == (5, 5, 4000) and clips_of(reader) == [6, 7, 8, 9, 10]
    assert len(reader.events()) == 5 and len(list(folder.path.glob("clips/*/*/*"))) == 15
    assert len(list(folder.path.glob("clips/*/*"))) == 5  # no empty folder is left


def test_by_gigabytes_the_oldest_clips_go_and_events_stay(house):
    folder, store, reader = house
    done = clean(folder, store, KEEP._replace(gigabytes=3500 / GB), NOON_NS)
    assert (done.clips, done.events, done.bytes, done.problem) == (6, 0, 3000, "")
    assert clips_of(reader) == [7, 8, 9, 10] and len(reader.events()) == 10
    assert clean(folder, store, KEEP._replace(gigabytes=3500 / GB), NOON_NS).clips == 0


def test_a_clock_that_was_set_back_does_not_make_new_clips_the_oldest(house):
    """Row 10. The last two events bear times of two years before all others."""
    folder, store, reader = house
    for number in (10, 11):
        told = messages(number, start_ns=NOON_NS - 700 * DAY_NS + number * DAY_NS, camera="yard")
        for message in told:
            store.put(message).result()
        clip = folder.path / clip_path(told[0].after)
        clip.parent.mkdir(parents=True, exist_ok=True)
        clip.write_bytes(b"x" * 1000)
        store.set_clip(told[0].after.id, str(clip_path(told[0].after))).result()
    done = clean(folder, store, KEEP._replace(gigabytes=3500 / GB), NOON_NS)
    assert done.bytes == 3000 and clips_of(reader) == [9, 10, 11, 12], "the one that is open (10), and the three kept last"


def test_a_clock_set_forward_makes_nothing_too_old_unless_it_stays_so(house):
    """Row 10: an hour and sixty years; minutes go by in between, as the cleaner asks."""
    folder, store, reader = house
    clock = {"monotonic": 5 * 10**9, "off": 0}
    ages = AgeClock(lambda: clock["monotonic"], lambda: NOON_NS + 9 * DAY_NS + clock["monotonic"] + clock["off"])
    minute_ns, limit = 60 * 10**9, KEEP._replace(days=10.0)

    def minutes(count):
        told = []
        for _ in range(count):
            clock["monotonic"] += minute_ns
            told.append(ages.now_ns())
        return told

    told = minutes(60)
    assert told[-1] == NOON_NS + 9 * DAY_NS + clock["monotonic"]
    for off_ns in (3600 * 10**9, 60 * 365 * DAY_NS):
        clock["off"] = off_ns
        told += minutes(600)
        assert told[-1] == NOON_NS + 9 * DAY_NS + clock["monotonic"], "as if nothing was"
        assert clean(folder, store, limit, told[-1]).events == 0 and len(reader.events()) == 10
        clock["off"] = 0
        told += minutes(10)
    assert all(after - before == minute_ns for before, after in zip(told, told[1:], strict=False))
    clock["off"] = -3600 * 10**9
    assert minutes(1)[0] == NOON_NS + 9 * DAY_NS + clock["monotonic"] - 3600 * 10**9, "set back: things are younger"
    clock["off"] = 30 * DAY_NS
    assert minutes(24 * 60)[-1] < NOON_NS + 11 * DAY_NS
    assert minutes(2)[-1] == NOON_NS + 9 * DAY_NS + clock["monotonic"] + clock["off"], "and so it is"
    assert clean(folder, store, limit, ages.now_ns()).events == 9


def test_by_what_is_free_and_what_is_told_where_nothing_helps(house):
    folder, store, reader = house
    free = lambda path: 5000 - sum(one.stat().st_size for one in path.glob("clips/*/*/*")) // 2  # noqa: E731
    done = clean(folder, store, KEEP._replace(free_gigabytes=2000 / GB), NOON_NS, free)
    assert (done.clips, done.problem) == (4, "") and clips_of(reader) == [5, 6, 7, 8, 9, 10]
    done = clean(folder, store, KEEP._replace(free_gigabytes=1.0), NOON_NS, free)
    assert done.clips == 5 and "no clip is left" in done.problem and clips_of(reader) == [10]  # the open one is let be
    assert len(reader.events()) == 10


def test_a_disk_that_is_taken_away(house):
    folder, store, reader = house
    cleaner = Cleaner(folder, store, KEEP, every_s=0.02)
    health = lambda: {one.name: one for one in reader.health()}.get("cleaner")  # noqa: E731
    wait_until(lambda: health() and health().ok)
    assert cleaner.well()
    (folder.path / MARKER).rename(folder.path / "elsewhere")
    assert not cleaner.well()
    wait_until(lambda: not health().ok)
    last = health().utc_ns
    assert "mounted" in health().told and 0 < last <= time.time_ns()
    (folder.path / "elsewhere").rename(folder.path / MARKER)
    wait_until(lambda: health().ok and health().utc_ns > last)
    assert cleaner.well()
    cleaner.close()


def test_a_disk_that_becomes_short_is_cleaned_at_once_and_one_that_has_room_again_is_well_at_once(house, monkeypatch):
    """Cleaning is due in an hour; what is free is looked at meanwhile, and nothing is done where it is as it was."""
    folder, store, reader = house
    free, cleaned = {"others": 0}, []

    def usage(path):
        own = sum(one.stat().st_size for one in folder.path.glob("clips/*/*/*"))
        return SimpleNamespace(free=20_000 - own - free["others"])

    def noting(*asked):
        cleaned.append(clean(*asked))
        return cleaned[-1]

    monkeypatch.setattr(retention, "LOOKS_EVERY_S", 0.02)
    monkeypatch.setattr(retention, "clean", noting)
    monkeypatch.setattr(retention.shutil, "disk_usage", usage)
    cleaner = Cleaner(folder, store, KEEP._replace(free_gigabytes=5000 / GB), every_s=3600)
    wait_until(lambda: cleaned)
    time.sleep(0.2)
    assert len(cleaned) == 1 and cleaner.well() and cleaned[0].clips == 0
    free["others"] = 7500  # 2,500 are free: three clips have to go
    wait_until(lambda: len(cleaned) == 2 and cleaner.well())
    assert clips_of(reader) == [4, 5, 6, 7, 8, 9, 10]
    free["others"] = 17_000  # no clip that goes would help
    wait_until(lambda: len(cleaned) == 3 and not cleaner.well())
    time.sleep(0.2)
    assert len(cleaned) == 3, "it is as short as it was"
    free["others"] = 0
    wait_until(lambda: len(cleaned) == 4 and cleaner.well())
    cleaner.close()


def test_an_empty_folder_without_its_marker_is_not_taken(tmp_path):
    (tmp_path / "mount").mkdir()
    with pytest.raises(UserError, match="Is its disk mounted"):
        DataFolder(tmp_path / "mount")
    (tmp_path / "mount" / MARKER).touch()
    folder = DataFolder(tmp_path / "mount")
    assert folder.there() and DataFolder(tmp_path / "mount").there()
    other = DataFolder(tmp_path / "other")
    shutil.copy(other.path / MARKER, folder.path / MARKER)  # another disk in its place
    assert not folder.there()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="no folder"):
        DataFolder(tmp_path / "file")


def test_clips_that_are_no_folder_are_told_at_the_start(tmp_path):
    folder = DataFolder(tmp_path / "data").path
    (folder / "clips").write_text("x")
    with pytest.raises(UserError, match="clips: is no folder, .*move it away"):
        DataFolder(folder)
    (folder / "clips").rename(folder / "away")
    assert DataFolder(folder).there()


def test_a_disk_of_fifty_megabytes(disk):
    """It fills up twice over: the oldest clips go, events stay, and nothing stops."""
    folder = DataFolder(disk)
    store = Store(disk / "events.sqlite")
    cleaner = Cleaner(folder, store, Limits(days=None, gigabytes=1, free_gigabytes=0.02), every_s=0.05)
    done = []
    recorder = Recorder(disk, lambda event, path, problem: done.append((path, problem)), before_s=0, after_s=0)
    picture = jpeg_of(1)
    for number in range(20):
        first, _, end = messages(number, start_s=number * 10.0, end_s=number * 10.0 + 1.0)
        assert store.put(first).result(30) is None
        recorder.tell(first)
        for frame in range(12):
            recorder.add(picture, number * 10.0 + frame / 10)
        recorder.tell(end)
        assert store.put(end, "words").result(30) is None
        recorder.add(picture, number * 10.0 + 2.0)
        wait_until(lambda n=number: len(done) > n)
        path = done[-1][0]
        if path is not None:  # as large as a clip of a minute is
            with suppress(OSError), (disk / path).open("ab") as file:
                file.write(b"\0" * 5_000_000)
            store.set_clip(first.after.id, str(path))
    wait_until(lambda: shutil.disk_usage(disk).free >= 0.02 * GB and cleaner.well())
    cleaner.close()
    recorder.close()
    reader = Reader(store.path)
    kept = reader.events()
    assert len(kept) == 20 and all(not one.event.open for one in kept)
    clips = [one.number for one in kept if one.clip]
    assert clips and clips == list(range(20, 20 - len(clips), -1))  # the newest ones
    reader.close()
    store.close()


def test_the_marker_says_what_it_is_for(tmp_path):
    assert "unmounted" in (DataFolder(tmp_path / "data").path / MARKER).read_text()
    assert an_event().camera == "yard"
