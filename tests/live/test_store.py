"""What was acknowledged is there, once."""

import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import wait
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from aadc.live import schema
from aadc.live.event import Ending, EventMessage, Kind, State
from aadc.live.event_pictures import ClipUsed, keeping
from aadc.live.reader import Reader
from aadc.live.store import Store
from aadc.live.words import facts_of
from aadc.live.words_due import asking
from aadc.manifests.errors import UserError

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from made_events import NOON_NS, an_event, messages  # noqa: E402
from waiting import wait_until  # noqa: E402

HOUR_NS = 3600 * 10**9


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "events.sqlite", ["mqtt"])
    yield store
    store.close()


@pytest.fixture
def reader(store):
    reader = Reader(store.path)
    yield reader
    reader.close()


def put(store, *told, description=""):
    for message in told:
        store.put(message, description).result()


def test_an_event_is_kept_as_it_is_and_told_once(store, reader):
    first, update, end = messages(1)
    put(store, first, first, update, end, end, update, first, description="a car hits a wall")
    (kept,) = reader.events()
    assert kept.event == end.after and kept.description == "a car hits a wall"
    assert [(one.kind, one.body["after"]["id"]) for one in store.unsent("mqtt").result()] == [
        (Kind.new, first.after.id),
        (Kind.end, first.after.id),  # the update waited, and the end says more
    ]
    assert reader.event(kept.event.id) == reader.event_like(kept.event.id[-5:]) == kept and reader.event_like("nobody") is None


def test_killed_at_a_hundred_moments(tmp_path):
    """Every acknowledged event is there, once, in the state that was acknowledged or a later one; nothing stays open."""
    path, acknowledged = tmp_path / "events.sqlite", {}
    later = {"new": 0, "update": 1, "end": 2}
    done = subprocess.run([sys.executable, HERE / "killed_writers.py", path, "100"], capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        name, kind = line.split()
        acknowledged[name] = max(acknowledged.get(name, 0), later[kind])
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store = Store(path, ["mqtt"])
    store.end_interrupted().result()
    store.close()
    reader = Reader(path)
    kept = [one.event for one in reader.events(most=10**6)]
    reader.close()
    assert len({one.id for one in kept}) == len(kept) and len(acknowledged) > 50
    by_id = {one.id: one for one in kept}
    for name, kind in acknowledged.items():
        assert kind < 1 or by_id[name].state is State.confirmed
        assert kind < 2 or by_id[name].ending is Ending.quiet
    assert all(not one.open for one in kept)
    assert sum(one.ending is Ending.interrupted for one in kept) >= 10
    # Exactly one `new` and one `end` of each wait to be told.
    rows = sqlite3.connect(path).execute("SELECT event, kind FROM outbox WHERE kind = 'end'").fetchall()
    assert len(set(rows)) == len(rows) == len(kept)
    assert sqlite3.connect(path).execute("SELECT count(*) FROM words WHERE words MATCH 'yard'").fetchone() == (len(kept),)


def test_many_writes_beside_three_readers(store):
    """Readers are processes of their own, as the web server and the command line are; each looks on until it saw 150 events."""
    code = (
        "import sys; from pathlib import Path; from aadc.live.reader import Reader\n"
        "reader, last, numbers = Reader(Path(sys.argv[1])), 0, []\n"
        "print('ready', flush=True)\n"
        "while len(numbers) < 150:\n"
        "    found = [one.number for one in reader.events(after=last, retracted=True)]\n"
        "    numbers += found[::-1]; last = max(numbers, default=0)\n"
        "    reader.events(words='wall')\n"
        "print(numbers == list(range(1, last + 1)))\n"
    )
    readers = [subprocess.Popen([sys.executable, "-c", code, store.path], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [one.stdout.readline() for one in readers] == ["ready\n"] * 3
    written = 0
    while any(one.poll() is None for one in readers):
        for message in messages(written):
            store.put(message, "a car hits a wall").result()
        written += 1
    assert [(one.wait(), one.stdout.read()) for one in readers] == [(0, "True\n")] * 3 and written >= 150


def test_writers_in_two_processes_take_turns(store, reader):
    """The command line decides while the engine writes."""
    put(store, *messages(0))
    other = Store(store.path)
    futures = [other.decide(an_event(0).id, ("confirmed", "dismissed")[n % 2], "anna") for n in range(50)]
    futures += [store.put(message) for n in range(1, 50) for message in messages(n)]
    assert not wait(futures, 30).not_done and all(one.exception() is None for one in futures)
    assert len(reader.decisions(an_event(0).id)) == 50 and len(reader.events()) == 50
    other.close()


def test_another_process_that_closes_it_takes_nothing_along(store, reader):
    """Whoever closes a store last puts its log into the file. That he is the last he sees by the locks of the others."""
    second = Store(store.path)
    second.put(messages(0)[0]).result()
    look = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT * FROM events').fetchall(); db.close()"
    subprocess.run([sys.executable, "-c", look, str(store.path)], check=True)
    second.put(messages(1)[0]).result()
    fresh = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM events').fetchone()[0])"
    seen = subprocess.run([sys.executable, "-c", fresh, str(store.path)], check=True, capture_output=True, text=True)
    second.close()
    assert seen.stdout.strip() == "2"


def test_readers_can_change_nothing(store, reader):
    put(store, *messages(0))
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._db.execute("DELETE FROM events")


def test_what_a_killed_process_left_open_is_ended_as_interrupted(store, reader):
    put(store, *messages(0)[:2], *messages(1)[:1], *messages(2))
    ended = store.end_interrupted().result()
    assert [one.after.ending for one in ended] == [Ending.interrupted] * 2
    assert store.end_interrupted().result() == []
    assert {one.event.ending for one in reader.events()} == {Ending.interrupted, Ending.quiet}
    assert sum(one.kind is Kind.end for one in store.unsent("mqtt").result()) == 3


def test_who_may_see_some_events_learns_nothing_of_others_by_beginnings_of_ids(store, tmp_path):
    from aadc.live.kept_events import KeptEvents

    put(store, *messages(0, "hidden"), *messages(1, "door"), *messages(2, "door"))
    hidden, first, second = (
        messages(number, camera)[0].after.id for number, camera in ((0, "hidden"), (1, "door"), (2, "door"))
    )
    kept = KeptEvents(tmp_path)
    door = frozenset(["door"])
    for part in (second[:-4], second[-10:], second[:13]):
        assert kept.one(part) is None, "only a whole id names an event, whatever else there is"
    assert kept.one_like(second[-10:])["id"] == second
    assert [one["id"] for one in kept.newest(door, second, 9, None, None, None)] == [first]
    put(store, *messages(3, "door"))
    last = messages(3, "door")[0].after.id
    for before in (hidden, hidden[-10:], last[-10:], "nobody"):
        assert kept.newest(door, before, 9, None, None, None) == [], before
    kept.close()


def test_a_clock_that_is_set_back_hides_nothing(store, reader):
    """New events are found by their number, which no clock moves; an hour that comes twice holds two events."""
    put(store, *messages(0, start_ns=NOON_NS + HOUR_NS))
    seen = reader.events()[0].number
    put(store, *messages(1, start_ns=NOON_NS + 30 * 60 * 10**9))
    (fresh,) = reader.events(after=seen)
    assert fresh.event.start_ns < reader.events()[1].event.start_ns and reader.events()[0] == fresh
    put(store, *messages(2, start_ns=NOON_NS + HOUR_NS))
    assert len({one.event.id for one in reader.events()}) == 3


def test_words_are_found_and_are_never_commands(store, reader):
    put(store, *messages(0), description="A person falls beside two cars")
    put(store, *messages(1, camera="garage"), description="somebody fights")
    found = lambda words: [one.event.camera for one in reader.events(words=words)]  # noqa: E731
    assert found("falling person") == ["yard"] and found("accident") == ["garage", "yard"] and found("GARAGE") == ["garage"]
    assert found("fights falls") == [] and found("car") == ["yard"]
    for hostile in (
        '"',
        "a OR b*",
        "NEAR(",
        "description:",
        "x' ; DROP TABLE events",
        "(((",
        "-",
        "*",
        "\0",
        "^zz",
        "é" * 5000,
    ):
        assert found(hostile) == []
    store.describe(an_event(0).id, "nobody is there", "model").result()
    assert found("falls") == [] and found("nobody") == ["yard"]
    store.decide(an_event(0).id, "renamed", "anna", "Shoplifting").result()
    assert found("shoplifting") == ["yard"] and found("nobody shop") == ["yard"]


def test_filters(store, reader):
    for number in range(6):
        put(
            store,
            *messages(number, camera=("yard", "garage")[number % 2], state=State.retracted if number == 5 else State.confirmed),
        )
    store.decide(an_event(0).id, "dismissed", "anna").result()
    store.decide(an_event(2).id, "renamed", "anna", "fall").result()
    store.decide(an_event(4).id, "confirmed", "anna").result()
    store.decide(an_event(4).id, "open", "bea").result()
    numbers = lambda **asked: [one.number - 1 for one in reader.events(**asked)]  # noqa: E731
    assert numbers() == [4, 3, 2, 1, 0] and numbers(retracted=True) == [5, 4, 3, 2, 1, 0] and numbers(most=2) == [4, 3]
    assert numbers(cameras={"garage"}) == [3, 1] and numbers(cameras=set()) == []
    assert numbers(decision="dismissed") == [0] and numbers(decision="renamed") == [2] and numbers(decision="open") == [4, 3, 1]
    assert numbers(category="fall") == [2] and numbers(category="RoadAccidents") == [4, 3, 1, 0] and numbers(decision="'") == []
    assert numbers(start_ns=an_event(2).start_ns, end_ns=an_event(4).start_ns) == [3, 2] and numbers(before=3) == [1, 0]
    assert not store.decide("nobody", "confirmed", "anna").result()


def test_changes_are_told_in_order_and_once(store, reader):
    put(store, *messages(0)[:2], *messages(1))
    seen = reader.changed(0)
    assert [one.number for one in seen] == [1, 2] and reader.changed(seen[-1].changed) == []
    put(store, messages(0)[2])
    assert [one.event.ending for one in reader.changed(seen[-1].changed)] == [Ending.quiet]
    store.decide(an_event(1).id, "confirmed", "anna").result()
    assert [one.number for one in reader.changed(seen[-1].changed)] == [1, 2] and len(reader.changed(0, 1)) == 1


def test_what_is_forgotten_is_in_no_file(store, reader, tmp_path):
    put(store, *messages(0), *messages(1, camera="garage"), description="somebody wears a zebra costume")
    store.set_clip(an_event(0).id, "clips/yard/zebra.mp4").result()
    assert store.forget(NOON_NS, NOON_NS + 1, "anna", "garage").result() == []  # another camera's
    assert store.forget(NOON_NS, NOON_NS + HOUR_NS, "anna", "yard").result() == ["clips/yard/zebra.mp4"]
    assert [one.event.camera for one in reader.events()] == ["garage"]
    assert "forgot 1 events from 2025-06-15T15:06:40Z to 2025-06-15T16:06:40Z, camera yard" in reader.log()[0].what
    store.forget(0, 2**62, "anna").result()
    store.write(lambda db: None).result()  # the log is cut after the change is acknowledged
    assert reader.events(retracted=True) == [] and store.unsent("mqtt").result() == []
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        assert b"zebra" not in content and an_event(0).id.encode() not in content, file


def test_an_open_event_is_not_forgotten_under_way(store, reader):
    put(store, messages(0)[0])
    assert store.forget(0, 2**62, "anna").result() == [] and len(reader.events()) == 1


def test_an_outbox_is_bounded_and_every_end_stays(store, monkeypatch):
    """A broker that is away for days."""
    monkeypatch.setattr("aadc.live.store.MOST_UNSENT", MOST_UNSENT := 100)  # noqa: N806
    told = [store.put(message) for n in range(MOST_UNSENT) for message in messages(n)[:2]]
    told += [store.put(messages(n)[2]) for n in range(MOST_UNSENT)]
    wait(told)
    waiting = store.unsent("mqtt", 10**6).result()
    assert len(waiting) == MOST_UNSENT and all(one.kind is Kind.end for one in waiting)
    assert [one.event for one in waiting] == [an_event(n).id for n in range(MOST_UNSENT)]
    wait([store.put(message) for n in range(MOST_UNSENT, MOST_UNSENT + 5) for message in messages(n)])
    assert len(store.unsent("mqtt", 10**6).result()) == MOST_UNSENT + 5


def test_what_was_sent_is_remembered(store):
    put(store, *messages(0), *messages(1))
    first = store.unsent("mqtt", 2).result()
    store.sent(first).result()
    assert [one.kind for one in store.unsent("mqtt").result()] == [Kind.new, Kind.end]
    assert store.unsent("mqtt").result()[0].event == an_event(1).id


def test_a_disk_that_is_full_for_a_while_loses_nothing(store, reader):
    (pages,) = store.write(lambda db: db.execute("PRAGMA page_count").fetchone()).result()
    store.write(lambda db: None).result()
    store._db.execute(f"PRAGMA max_page_count = {pages + 12}")  # SQLite then says SQLITE_FULL, as for a full disk
    futures = [store.put(message, "x" * 3000) for n in range(20) for message in messages(n)]
    wait_until(lambda: store.problem)
    assert "full" in store.problem and not futures[-1].done()
    reader.events()  # goes on
    store.write(lambda db: None)
    store._db.execute("PRAGMA max_page_count = 1000000")
    assert not wait(futures, 20).not_done and all(one.exception() is None for one in futures)
    assert len(reader.events()) == 20 and not store.problem


def test_what_is_put_while_the_file_is_away_waits_and_is_never_lost_in_silence(store, reader, tmp_path):
    """SQLite itself would go on with a file that nobody can find any more, and call it done."""
    first, *_ = messages(0)
    put(store, first)
    for away in tmp_path.glob("events.sqlite*"):
        away.rename(tmp_path / f"away-{away.name}")
    waiting = store.put(messages(1)[0])
    with pytest.raises(TimeoutError):
        waiting.result(2)
    assert "was removed" in store.problem
    (tmp_path / "events.sqlite").write_bytes(b"")  # another one in its place
    with pytest.raises(TimeoutError):
        waiting.result(1)
    for back in tmp_path.glob("away-*"):
        back.rename(tmp_path / back.name.removeprefix("away-"))
    waiting.result(10)
    assert len(reader.events()) == 2 and not store.problem


def test_a_full_disk_does_not_keep_the_program_from_ending(tmp_path):
    store = Store(tmp_path / "events.sqlite")
    store._db.execute("PRAGMA max_page_count = 1")
    future = store.put(messages(0)[0], "x" * 10**6)
    store.close()
    assert future.exception() is not None


def test_one_write_that_fails_leaves_the_others_alone(store, reader):
    futures = [store.put(messages(0)[0]), store.write(lambda db: db.execute("nonsense")), store.put(messages(1)[0])]
    wait(futures)
    assert [one.exception() is None for one in futures] == [True, False, True] and len(reader.events()) == 2


def test_health_keeps_the_last_success(store, reader):
    store._now_ns = lambda: 5
    store.set_health("cleaner", True).result()
    store._now_ns = lambda: 9
    store.set_health("cleaner", False, "no space").result()
    (one,) = reader.health()
    assert (one.ok, one.told, one.utc_ns) == (False, "no space", 5)


def test_only_the_owner_may_read_it(store):
    assert oct(store.path.stat().st_mode)[-3:] == "600"


def test_files_that_are_no_store(tmp_path):
    path = tmp_path / "events.sqlite"
    with pytest.raises(UserError, match="there is no store"):
        Reader(path)
    path.write_bytes(b"nonsense" * 1000)
    for opener in (Store, Reader):
        with pytest.raises(UserError, match="not a database"):
            opener(path)
    path.unlink()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    db.close()
    with pytest.raises(UserError, match="newer aadc-net"):
        Store(path)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = -3")
    with pytest.raises(UserError, match="no store of events"):
        Store(path)
    with pytest.raises(UserError, match="cannot be used"):
        Store(tmp_path / "no" / "folder.sqlite")


def test_what_is_damaged_is_said_by_whoever_reads_or_writes(tmp_path):
    """A disk that flips bits: in a text, in what is JSON, in pages, in the names of the tables; found at a start or later."""
    path = tmp_path / "events.sqlite"
    store = Store(path)
    put(store, *messages(0)[:2], *messages(1)[:2])
    store.close()
    whole = path.read_bytes()
    for damaged in (
        whole.replace(b'"camera":"yard"', b'"camera":"\xff\xffrd"'),
        whole.replace(b'{"id":', b"{ id :"),
        whole[:4096] + bytes(255 ^ one for one in whole[4096:]),
        whole.replace(b"CREATE TABLE events", b"CREATE TABLE \xfe\xfe\xb3nts"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"events\.sqlite: .*put a copy of it back"):
            Reader(path).events()
        with pytest.raises(UserError, match=r"events\.sqlite: .*put a copy of it back"), closing(Store(path)) as store:
            store.end_interrupted().result(20)


def test_a_store_that_one_may_not_write_is_said(tmp_path):
    """As of another user: rights do not count for who runs as root, so the connection itself may not."""
    path = tmp_path / "events.sqlite"
    store = Store(path)
    put(store, *messages(0))
    store._db.execute("PRAGMA query_only = ON")
    with pytest.raises(UserError, match="readonly.*do this as the user whose aadc-live watches"):
        store.decide(an_event(0).id, "confirmed", "anna").result(20)
    store.close()


def test_an_older_file_is_brought_up_to_date_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "events.sqlite"
    old = Store(path)
    put(old, *messages(0))
    old.close()
    known = schema.VERSION
    steps = (*schema._STEPS, "CREATE TABLE more (a); INSERT INTO more SELECT id FROM events", "CREATE TABLE nonsense (")
    monkeypatch.setattr(schema, "_STEPS", steps)
    monkeypatch.setattr(schema, "VERSION", known + 2)
    with pytest.raises(UserError, match="cannot be used"):
        Store(path)
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (known + 1,) and db.execute("SELECT a FROM more").fetchall() == [
        (an_event(0).id,)
    ]
    db.close()
    monkeypatch.setattr(schema, "VERSION", known + 1)
    Store(path).close()


def test_a_file_of_the_first_version_keeps_its_events_and_gets_what_is_new(tmp_path, monkeypatch):
    path = tmp_path / "events.sqlite"
    with monkeypatch.context() as before:
        before.setattr(schema, "_STEPS", schema._STEPS[:1])
        before.setattr(schema, "VERSION", 1)
        old = Store(path)
        put(old, *messages(0))
        old.close()
    store = Store(path)
    *_, last = messages(1)
    keep = keeping(last.after.id, ClipUsed("some", "w"), 1.0, np.ones((2, 3), np.float16))
    store.put(last, "Words.", "composed", [keep, asking(last.after.id, facts_of(last.after))]).result(30)
    store.close()
    reader = Reader(path)
    assert [one.event.id for one in reader.events()] == [an_event(1).id, an_event(0).id]
    assert [(number, width) for number, width, _ in reader.pictures("w")] == [(2, 3)]
    assert [event for _, event, _, _ in reader.words_due()] == [an_event(1).id]
    reader.close()


def test_two_that_start_at_once_make_one_store(tmp_path):
    made, errors = [], []

    def make():
        try:
            made.append(Store(tmp_path / "events.sqlite"))
        except UserError as error:
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for store in made:
        store.close()
    assert not errors and len(made) == 6


def test_messages_are_plain_json(store):
    put(store, *messages(0), description='<b>"\n')
    (_, end) = store.unsent("mqtt").result()
    body = json.loads(json.dumps(end.body))
    assert body["type"] == "end" and body["before"]["ending"] is None and body["after"]["ending"] == "quiet"
    assert body["after"]["duration_s"] == 4.0 and "curve" not in body["after"]


def test_an_end_whose_beginning_was_lost_is_kept(store, reader):
    put(store, messages(0)[2])
    assert reader.events()[0].event.ending is Ending.quiet
    kinds = [one.kind for one in store.unsent("mqtt").result()]
    assert kinds == [Kind.new, Kind.end] and not list(itertools.filterfalse(lambda one: isinstance(one, Kind), kinds))
    assert isinstance(messages(0)[0], EventMessage)


def test_what_lies_in_its_place_is_named(tmp_path):
    """SQLite says of all of these that it cannot open them, as if it were for want of rights."""
    path = tmp_path / "events.sqlite"
    for make, told in (
        (path.mkdir, "is a folder, no file; move it away"),
        (lambda: os.mkfifo(path), "is a pipe or device, no file; move it away"),
        (
            lambda: path.symlink_to("gone/events.sqlite"),
            "is a link to gone/events.sqlite, which is not there; is its disk mounted",
        ),
        (lambda: path.symlink_to("events.sqlite"), "is a link to events.sqlite, which is not there"),
    ):
        make()
        for opener in (Store, Reader):
            with pytest.raises(UserError, match=rf"events\.sqlite: {told}"):
                opener(path)
        path.rmdir() if path.is_dir() else path.unlink()


def test_another_program_s_database_stays_as_it_is(tmp_path):
    """Nor does its log, left beside a store, make a new store of it."""
    path = tmp_path / "events.sqlite"
    theirs = sqlite3.connect(path)
    theirs.execute("CREATE TABLE recipes (cake)")
    theirs.close()
    before = path.read_bytes()
    for opener in (Store, Reader):
        with pytest.raises(UserError, match="holds no events, it is empty or another program's; put a copy"):
            opener(path)
    assert sqlite3.connect(path).execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]
    assert len(path.read_bytes()) == len(before)
    path.unlink()
    store = Store(path)
    put(store, *messages(0))
    store.close()
    theirs = sqlite3.connect(tmp_path / "other.sqlite")
    theirs.execute("PRAGMA journal_mode = WAL")
    theirs.execute("CREATE TABLE recipes (cake)")
    shutil.copy(tmp_path / "other.sqlite-wal", tmp_path / "events.sqlite-wal")
    for opener in (Reader, Store):
        with pytest.raises(UserError, match="holds no events"):
            opener(path)
    theirs.close()


def test_a_newer_program_s_store_is_not_read_by_chance(tmp_path):
    path = tmp_path / "events.sqlite"
    store = Store(path)
    put(store, *messages(0))
    store.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    with pytest.raises(UserError, match="newer aadc-net"):
        Reader(path)
