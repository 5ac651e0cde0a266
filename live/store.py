"""Events on disk: what was acknowledged is there, once, whatever happens to the process. One writer; readers beside it."""

import json
import os
import queue
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from aadc.live.database import UNUSABLE, check_clips, check_kind, connect, unusable
from aadc.live.event import Ending, Event, EventMessage, Kind
from aadc.live.schema import migrate
from aadc.manifests.files import reason
from aadc.manifests.shown import shown

STORE = "events.sqlite"  # in the data folder
MOST_UNSENT = 1000  # notices of a channel that wait; past that updates go first, `end` never
_MOST_WAITING = 10_000  # writes, while the disk takes none
_AT_ONCE = 200
_RETRY_S = 0.5
# Full, locked or failing for now: SQLITE_BUSY, LOCKED, NOMEM, IOERR, FULL, CANTOPEN.
_PASSING = {5, 6, 7, 10, 13, 14}

Job = Callable[[sqlite3.Connection], Any]


class Notice(NamedTuple):
    """A message for a channel that has not been sent yet. `body`: type, before, after and the description."""

    number: int
    event: str
    kind: Kind
    body: dict[str, Any]


class Store:
    """The writing side. Each method gives a `Future` that is done once its change is on the disk, and takes no time itself; it
    has a `UserError` where the file is damaged, or may not be written.

    While the disk is full or locked, or the file away, writes wait (in order, up to 10,000) and are tried again.
    """

    def __init__(self, path: Path, channels: Sequence[str] = (), now_ns: Callable[[], int] = time.time_ns) -> None:
        """Open the file, or make it. `channels`: names of who is told of every event, each with an outbox of its own.

        Raises:
            UserError: it cannot be opened, is damaged or was written by a newer version.
        """
        self.path, self._channels, self._now_ns = path, tuple(channels), now_ns
        self._jobs: queue.Queue[tuple[Job, Future] | None] = queue.Queue(_MOST_WAITING)
        self._closing = threading.Event()
        self._shred = False
        self.problem = ""  # why nothing can be written at the moment
        self.written_ns = 0  # when something was, last (UTC)
        check_kind(path)
        check_clips(path)
        try:
            with suppress(FileExistsError):  # before SQLite makes it, for everyone to read
                # Never opened where it is there: closing it would take this process's locks away (POSIX), and with them, once
                # another process closes the store, what was written last.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            self._db = connect(path)
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
                self._db.execute(f"PRAGMA {pragma}")
            migrate(self._db, path)
            self._file = _identity(path)
        except (OSError, *UNUSABLE) as error:
            raise unusable(path, error) from error
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def write(self, job: Job) -> Future:
        """Have a job done on the writer's thread, within a transaction; the future gives what it gives."""
        future: Future = Future()
        try:
            self._jobs.put_nowait((job, future))
        except queue.Full:
            future.set_exception(OSError(f"{self.path}: too many writes wait ({self.problem})"))
        return future

    def close(self) -> None:
        """Write what waits, unless the disk takes nothing, and close."""
        self._closing.set()
        with suppress(queue.Full):
            self._jobs.put_nowait(None)
        self._thread.join()
        self._db.close()

    # Events

    def put(self, message: EventMessage, description: str = "", how: str = "", also: Sequence[Job] = ()) -> Future:
        """Keep what a message says, and give it to every channel. One that is kept already changes nothing.

        Args:
            description: of an event that ended, and `how` it was made.
            also: what is kept together with it, or not at all.
        """

        def job(db: sqlite3.Connection) -> None:
            if self._put(db, message, description, how):
                for one in also:
                    one(db)

        return self.write(job)

    def describe(self, event: str, description: str, how: str) -> Future:
        """Replace an event's description."""

        return self.write(describing(event, description, how))

    def set_clip(self, event: str, clip: str | None) -> Future:
        """Where an event's clip lies below the data folder; None: it has none (any more). Gives whether there is the event."""

        def job(db: sqlite3.Connection) -> bool:
            known = db.execute("UPDATE events SET clip = ? WHERE id = ?", (clip, event)).rowcount
            _touch(db, event)
            return bool(known)

        return self.write(job)

    def end_interrupted(self) -> Future:
        """End what a killed process left open. Gives the `EventMessage`s; to be called before anything new is put."""

        def job(db: sqlite3.Connection) -> list[EventMessage]:
            messages = []
            for (body,) in db.execute("SELECT body FROM events WHERE ending IS NULL ORDER BY number").fetchall():
                before = Event.model_validate_json(body)
                after = before.model_copy(update={"ending": Ending.interrupted})
                messages.append(EventMessage(Kind.end, before, after))
                self._put(db, messages[-1], "", "")
            return messages

        return self.write(job)

    def decide(self, event: str, what: str, who: str, label: str | None = None) -> Future:
        """Keep what a person says of an event: `confirmed`, `dismissed`, `renamed` to the class `label`, or `open`, which takes
        back whatever was said. Gives whether there is such an event."""
        utc_ns, who, label = self._now_ns(), shown(who)[:200], shown(label)[:200] if label else None
        change = {"renamed": "label = ?1", "open": "label = ?1, verdict = NULL"}.get(what, "verdict = ?2")

        def job(db: sqlite3.Connection) -> bool:
            if not db.execute(f"UPDATE events SET {change} WHERE id = ?3", (label, what, event)).rowcount:
                return False
            decision = (event, what, label, who, utc_ns)
            db.execute("INSERT INTO decisions (event, what, label, who, utc_ns) VALUES (?, ?, ?, ?, ?)", decision)
            _index(db, event)
            _touch(db, event)
            return True

        return self.write(job)

    def forget(self, start_ns: int, end_ns: int, who: str, camera: str | None = None) -> Future:
        """Remove every ended event that touches [start_ns, end_ns), with its words, decisions and notices, and log that (how
        many, not what). Gives the clip of each ("" for none), which is nobody's now; removing them is the caller's."""
        utc_ns, who, camera = self._now_ns(), shown(who)[:200], shown(camera) if camera else None

        def job(db: sqlite3.Connection) -> list[str]:
            rows = db.execute(
                "SELECT number, clip, body FROM events WHERE ending IS NOT NULL AND start_ns < ? AND (? IS NULL OR camera = ?)",
                (end_ns, camera, camera),
            ).fetchall()
            gone = [(number, clip) for number, clip, body in rows if Event.model_validate_json(body).end_ns >= start_ns]
            _remove(db, [number for number, _ in gone])
            span = f"from {_utc(start_ns)} to {_utc(end_ns)}, {f'camera {camera}' if camera else 'every camera'}"
            _log(db, utc_ns, who, f"forgot {len(gone)} events {span}")
            self._shred = True
            return [clip or "" for _, clip in gone]

        return self.write(job)

    def forget_older(self, before_ns: int) -> Future:
        """Remove every ended event that began before; gives how many."""

        def job(db: sqlite3.Connection) -> int:
            rows = db.execute("SELECT number FROM events WHERE ending IS NOT NULL AND start_ns < ?", (before_ns,)).fetchall()
            _remove(db, [number for (number,) in rows])
            return len(rows)

        return self.write(job)

    # The rest

    def log(self, who: str, what: str) -> Future:
        """Keep who did what."""
        utc_ns, who, what = self._now_ns(), shown(who)[:200], shown(what)[:2000]
        return self.write(lambda db: _log(db, utc_ns, who, what))

    def set_camera(self, name: str, state: str, problem: str = "") -> Future:
        """Keep a camera's state. `problem` must hold no address: nothing here may hold a password."""
        row = (name, state, shown(problem)[:2000], self._now_ns())
        return self.write(lambda db: db.execute("INSERT OR REPLACE INTO cameras VALUES (?, ?, ?, ?)", row).rowcount)

    def set_health(self, name: str, ok: bool, told: str = "") -> Future:
        """Keep how a part of the system is. Its time moves only when it is well: it is that of the last success."""
        row = (name, int(ok), shown(told)[:2000], self._now_ns() if ok else 0)
        keep = "ok = excluded.ok, told = excluded.told, utc_ns = max(excluded.utc_ns, iif(excluded.ok, 0, utc_ns))"
        sql = f"INSERT INTO health VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET {keep}"
        return self.write(lambda db: db.execute(sql, row).rowcount)

    def forget_health(self, gone: Callable[[str], bool]) -> Future:
        """Forget how parts were that are no more, as `gone` says of a name: they would stay so for ever."""

        def job(db: sqlite3.Connection) -> None:
            rows = [(name,) for (name,) in db.execute("SELECT name FROM health").fetchall() if gone(name)]
            db.executemany("DELETE FROM health WHERE name = ?", rows)

        return self.write(job)

    def unsent(self, channel: str, most: int = 50, after: int = 0) -> Future:
        """The oldest `Notice`s that a channel has not sent, of those past number `after`."""

        def job(db: sqlite3.Connection) -> list[Notice]:
            sql = "SELECT number, event, kind, body FROM outbox WHERE channel = ? AND number > ? ORDER BY number LIMIT ?"
            return [
                Notice(n, event, Kind(kind), json.loads(body))
                for n, event, kind, body in db.execute(sql, (channel, after, most))
            ]

        return self.write(job)

    def sent(self, notices: Iterable[Notice]) -> Future:
        """A channel's notices have arrived and need not be kept."""
        rows = [(notice.number,) for notice in notices]
        return self.write(lambda db: db.executemany("DELETE FROM outbox WHERE number = ?", rows).rowcount)

    def _put(self, db: sqlite3.Connection, message: EventMessage, description: str, how: str) -> bool:
        """Whether anything was new in it."""
        event = message.after
        known = db.execute("SELECT ending IS NULL FROM events WHERE id = ?", (event.id,)).fetchone()
        if known is None:
            if message.kind is not Kind.new:  # its `new` could not be written: the event is kept all the same
                self._put(db, EventMessage(Kind.new, None, message.before or event), "", "")
                return self._put(db, message, description, how)
            db.execute("INSERT INTO events (id, body) VALUES (?, ?)", (event.id, event.model_dump_json()))
        elif message.kind is Kind.new or not known[0]:
            return False
        else:
            db.execute("UPDATE events SET body = ? WHERE id = ?", (event.model_dump_json(), event.id))
        if description:
            db.execute("UPDATE events SET description = ?, how = ? WHERE id = ?", (description, how, event.id))
        if message.kind is not Kind.update:
            _index(db, event.id)
        _touch(db, event.id)
        body = {
            "type": message.kind.value,
            "before": message.before and message.before.shape(),
            "after": event.shape(),
            "description": description,
        }
        for channel in self._channels:
            _notify(db, channel, event.id, message.kind, json.dumps(body))
        return True

    def _work(self) -> None:
        while True:
            batch = [self._jobs.get()]
            with suppress(queue.Empty):
                while len(batch) < _AT_ONCE and batch[-1] is not None:
                    batch.append(self._jobs.get_nowait())
            jobs = [one for one in batch if one is not None]
            while jobs:
                try:
                    outcomes = self._transaction([job for job, _ in jobs])
                    break
                except sqlite3.Error as error:
                    self.problem = reason(error)
                    if _passes(error) and not self._closing.wait(_RETRY_S):
                        continue
                    outcomes = [(None, error)] * len(jobs)
                    break
            for (_, future), (result, failed) in zip(jobs, outcomes if jobs else [], strict=True):
                if failed is None:
                    future.set_result(result)
                else:
                    future.set_exception(unusable(self.path, failed) if isinstance(failed, UNUSABLE) else failed)
            if batch[-1] is None or (self._closing.is_set() and self._jobs.empty()):
                return

    def _transaction(self, jobs: Sequence[Job]) -> list[tuple[Any, Exception | None]]:
        """All of them in one; a job that fails by itself leaves the others alone."""
        outcomes: list[tuple[Any, Exception | None]] = []
        if _identity(self.path) != self._file:  # SQLite would go on, and what it takes would be gone with this process
            gone = sqlite3.OperationalError(f"{self.path} was removed, or another file is there")
            gone.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
            raise gone
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for job in jobs:
                self._db.execute("SAVEPOINT job")
                try:
                    outcomes.append((job(self._db), None))
                except Exception as error:
                    if isinstance(error, sqlite3.Error) and _passes(error):
                        raise
                    self._db.execute("ROLLBACK TO job")
                    outcomes.append((None, error))
                self._db.execute("RELEASE job")
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # a full disk has rolled it back already
                self._db.execute("ROLLBACK")
            raise
        self.problem, self.written_ns = "", self._now_ns()
        if self._shred:  # what was forgotten is still in the log beside the file
            self._shred = False
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return outcomes


def describing(event: str, description: str, how: str) -> Job:
    """See `Store.describe`."""

    def job(db: sqlite3.Connection) -> None:
        db.execute("UPDATE events SET description = ?, how = ? WHERE id = ?", (description, how, event))
        _index(db, event)
        _touch(db, event)

    return job


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file is there; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _passes(error: sqlite3.Error) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _PASSING


def _index(db: sqlite3.Connection, event: str) -> None:
    """Make an event's words be found."""
    row = db.execute("SELECT number, description, body, label FROM events WHERE id = ?", (event,)).fetchone()
    if row is not None:
        number, description, body, label = row
        kept = json.loads(body)
        db.execute("DELETE FROM words WHERE rowid = ?", (number,))
        category = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label or kept["category"])  # `RoadAccidents` is found by "accidents"
        row = (number, description, category, kept["camera"])
        db.execute("INSERT INTO words (rowid, description, category, camera) VALUES (?, ?, ?, ?)", row)


def _touch(db: sqlite3.Connection, event: str) -> None:
    """Whoever follows the changes is told of this event again."""
    db.execute("UPDATE counter SET changes = changes + 1")
    db.execute("UPDATE events SET changed = (SELECT changes FROM counter) WHERE id = ?", (event,))


def _remove(db: sqlite3.Connection, numbers: Sequence[int]) -> None:
    rows = [(number,) for number in numbers]
    db.executemany("DELETE FROM words WHERE rowid = ?", rows)
    db.executemany("DELETE FROM events WHERE number = ?", rows)
    if rows:
        db.execute("INSERT INTO words (words) VALUES ('optimize')")  # else their words stay in the index until it is merged


def _notify(db: sqlite3.Connection, channel: str, event: str, kind: Kind, body: str) -> None:
    """Put a notice into an outbox. The newest update of an event stands for those that wait; what is too much goes."""
    if kind is not Kind.new:
        db.execute("DELETE FROM outbox WHERE channel = ? AND event = ? AND kind = 'update'", (channel, event))
    db.execute("INSERT INTO outbox (channel, event, kind, body) VALUES (?, ?, ?, ?)", (channel, event, kind.value, body))
    (waiting,) = db.execute("SELECT count(*) FROM outbox WHERE channel = ?", (channel,)).fetchone()
    if waiting > MOST_UNSENT:
        oldest = "SELECT number FROM outbox WHERE channel = ? AND kind != 'end' ORDER BY kind != 'update', number LIMIT ?"
        db.execute(f"DELETE FROM outbox WHERE number IN ({oldest})", (channel, waiting - MOST_UNSENT))


def _log(db: sqlite3.Connection, utc_ns: int, who: str, what: str) -> None:
    db.execute("INSERT INTO log (utc_ns, who, what) VALUES (?, ?, ?)", (utc_ns, who, what))


def _utc(utc_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(max(utc_ns // 10**9, 0)))
