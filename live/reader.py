"""Events read from the store, beside whoever writes it."""

import json
import os
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from aadc.live.database import UNUSABLE, check_kind, connect, unusable
from aadc.live.event import Event, State
from aadc.live.schema import check_version
from aadc.manifests.errors import UserError


class KeptEvent(NamedTuple):
    """An event as the store has it.

    `number` grows in the order in which events were kept, whatever the clock says; `changed` is the number of its last change,
    of all changes to any event. `verdict`: what a person decided; `label`: the class a person gave it instead of its category;
    `clip`: below the data folder.
    """

    number: int
    event: Event
    description: str
    how: str
    clip: str | None
    verdict: str | None
    label: str | None
    changed: int

    @property
    def category(self) -> str:
        return self.label or self.event.category


class Decision(NamedTuple):
    """What a person said of an event: `confirmed`, `dismissed`, `renamed`; when (UTC, nanoseconds) and who."""

    number: int
    event: str
    what: str
    label: str | None
    who: str
    utc_ns: int


class CameraState(NamedTuple):
    """A camera's state as the engine last told it."""

    name: str
    state: str
    problem: str
    utc_ns: int


PICTURE_OF, CLOCK_OF = "picture of ", "clock of "  # what names of parts begin with that belong to a camera


def camera_of(part: str) -> str | None:
    """The camera that a part of this name belongs to; None for one that belongs to none."""
    return next((part[len(what) :] for what in (PICTURE_OF, CLOCK_OF) if part.startswith(what)), None)


class Health(NamedTuple):
    """How a part of the system is. `utc_ns`: its last success, 0 where there was none."""

    name: str
    ok: bool
    told: str
    utc_ns: int

    @property
    def camera(self) -> str | None:
        """The camera that it is a part of; None for what belongs to none."""
        return camera_of(self.name)


class LogLine(NamedTuple):
    """Who did what, when (UTC, nanoseconds)."""

    number: int
    utc_ns: int
    who: str
    what: str


_AT_ONCE = 500  # pictures, some 10 KB each
_KEPT = "SELECT number, body, description, how, clip, verdict, label, changed FROM events"
_DECIDED = "verdict, iif(label IS NULL, NULL, 'renamed'), iif(coalesce(label, verdict) IS NULL, 'open', NULL)"


class Reader:
    """The reading side, for another process or thread: it can change nothing and never stands in the writer's way.

    Raises (whatever is asked):
        UserError: the file is damaged, or cannot be read any more.
    """

    def __init__(self, path: Path) -> None:
        """Open a store.

        Raises:
            UserError: there is none, it cannot be read, or a newer program wrote it.
        """
        check_kind(path)
        if not os.path.isfile(path):
            raise UserError(f"{path}: there is no store of events; aadc-live CAMERAS.toml makes one")
        self._lock, self._path = threading.Lock(), path
        try:
            # mode=ro is not enough: it cannot open the file after a crash, when the log must be played back first.
            self._db = connect(path)
            self._db.execute("PRAGMA query_only = ON")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            check_version(version, path)
            self._db.execute("SELECT 1 FROM events LIMIT 1")
        except UNUSABLE as error:
            raise unusable(path, error) from error

    def close(self) -> None:
        self._db.close()

    def events(
        self,
        cameras: Collection[str] | None = None,
        words: str = "",
        after: int = 0,
        before: int | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
        category: str | None = None,
        decision: str | None = None,
        retracted: bool = False,
        most: int = 100,
    ) -> list[KeptEvent]:
        """Events, newest first.

        Args:
            cameras: of these; None: of all.
            words: all of them in description, class or camera, or the beginnings of words there; any text may stand there.
            after, before: numbers to lie between, for what is new and for the next page.
            start_ns, end_ns: began within [start_ns, end_ns).
            category: as a person named it, else as it was detected.
            decision: confirmed, dismissed, renamed, or `open`: nothing of these.
            retracted: those that final scores did not bear out, too.
        """
        where = _where(cameras, words, after, before, start_ns, end_ns, category, decision, retracted)
        if where is None:
            return []
        sql, values = where
        return self._kept(f"{_KEPT} WHERE {sql} ORDER BY number DESC LIMIT ?", *values, most)

    def pictures(
        self,
        weights: str,
        cameras: Collection[str] | None = None,
        start_ns: int | None = None,
        category: str | None = None,
        decision: str | None = None,
        most: int = 20_000,
    ) -> Iterator[tuple[int, int, bytes]]:
        """What the CLIP with these weights saw in events (`event_pictures`), of the newest first, as `events` chooses them:
        number, width C, things."""
        below, left = 2**62, most
        while left > 0:
            sql, values = _where(cameras, before=below, start_ns=start_ns, category=category, decision=decision) or ("0", [])
            found = self._rows(
                f"SELECT number, width, things FROM events JOIN pictures ON event = number WHERE {sql} AND weights = ? "
                "ORDER BY number DESC LIMIT ?",
                *values, weights, min(left, _AT_ONCE),
            )  # fmt: skip
            yield from found
            if len(found) < min(left, _AT_ONCE):
                return
            below, left = found[-1][0], left - len(found)

    def other_pictures(self, weights: str, cameras: Collection[str] | None = None) -> list[tuple[str, int]]:
        """Of which other CLIPs there are pictures: source, in how many events."""
        sql, values = _where(cameras) or ("0", [])
        return self._rows(
            f"SELECT source, count(*) FROM events JOIN pictures ON event = number WHERE {sql} AND weights != ? "
            "GROUP BY source ORDER BY source",
            *values, weights,
        )  # fmt: skip

    def numbered(self, numbers: Sequence[int]) -> list[KeptEvent]:
        """The events of these numbers, in their order; those that are gone are left out."""
        found = self._kept(f"{_KEPT} WHERE number IN (SELECT value FROM json_each(?))", json.dumps(list(numbers)))
        known = {one.number: one for one in found}
        return [known[number] for number in numbers if number in known]

    def words_due(self) -> list[tuple[int, str, str, int]]:
        """The event that a language model is to describe next (`words_due`): number, id, facts, how often that was begun."""
        return self._rows(
            "SELECT number, id, facts, begun FROM events JOIN words_due ON event = number ORDER BY tries, number LIMIT 1"
        )

    def changed(self, after: int, most: int = 100) -> list[KeptEvent]:
        """Events that changed since change `after`, by their last change."""
        return self._kept(f"{_KEPT} WHERE changed > ? ORDER BY changed LIMIT ?", after, most)

    def open_events(self) -> list[KeptEvent]:
        """Those that are going on, or were when the program was killed."""
        return self._kept(f"{_KEPT} WHERE ending IS NULL ORDER BY number")

    def numbers(self) -> dict[str, int]:
        """Of every event, by its id: in which order they were kept."""
        return dict(self._rows("SELECT id, number FROM events"))

    def event(self, event: str) -> KeptEvent | None:
        """The event with this id."""
        return next(iter(self._kept(f"{_KEPT} WHERE id = ?", event)), None)

    def event_like(self, event: str) -> KeptEvent | None:
        """The event with this id, or the only one whose id begins or ends so: for who may see all of them, since the answer
        depends on every event."""
        whole = self.event(event)
        if whole is not None or len(event) < 4:
            return whole
        sql = f"{_KEPT} WHERE substr(id, 1, ?1) = ?2 OR substr(id, -?1) = ?2 LIMIT 2"
        found = self._kept(sql, len(event), event)
        return found[0] if len(found) == 1 else None

    def decisions(self, event: str | None = None) -> list[Decision]:
        """What people said, in order."""
        sql = "SELECT number, event, what, label, who, utc_ns FROM decisions WHERE ?1 IS NULL OR event = ?1 ORDER BY number"
        return [Decision(*row) for row in self._rows(sql, event)]

    def cameras(self) -> list[CameraState]:
        """Every camera that was ever watched."""
        return [CameraState(*row) for row in self._rows("SELECT name, state, problem, utc_ns FROM cameras ORDER BY name")]

    def health(self) -> list[Health]:
        """How the parts of the system are."""
        rows = self._rows("SELECT name, ok, told, utc_ns FROM health ORDER BY name")
        return [Health(name, bool(ok), told, utc_ns) for name, ok, told, utc_ns in rows]

    def log(self, most: int = 100) -> list[LogLine]:
        """Who did what, newest first."""
        return [
            LogLine(*row) for row in self._rows("SELECT number, utc_ns, who, what FROM log ORDER BY number DESC LIMIT ?", most)
        ]

    def _kept(self, sql: str, *values: object) -> list[KeptEvent]:
        rows = self._rows(sql, *values)
        try:
            return [KeptEvent(number, Event.model_validate_json(body), *rest) for number, body, *rest in rows]
        except ValueError as error:
            raise unusable(self._path, error) from error

    def _rows(self, sql: str, *values: object) -> list[tuple]:
        # Half a character, as a terminal or JSON may hand it over, is in no event.
        plain = [one.encode(errors="replace").decode() if isinstance(one, str) else one for one in values]
        try:
            with self._lock:
                return self._db.execute(sql, plain).fetchall()
        except UNUSABLE as error:
            raise unusable(self._path, error) from error


def _where(
    cameras: Collection[str] | None = None,
    words: str = "",
    after: int = 0,
    before: int | None = None,
    start_ns: int | None = None,
    end_ns: int | None = None,
    category: str | None = None,
    decision: str | None = None,
    retracted: bool = False,
) -> tuple[str, list[object]] | None:
    """Conditions as SQL, and their values; None where nothing can meet them. See `Reader.events`."""
    asked = {
        "number > ?": after,
        "number < ?": before,
        "camera IN (SELECT value FROM json_each(?))": None if cameras is None else json.dumps(sorted(cameras)),
        "start_ns >= ?": start_ns,
        "start_ns < ?": end_ns,
        "category = ?": category,
        f"? IN ({_DECIDED})": decision,
        "number IN (SELECT rowid FROM words WHERE words MATCH ?)": _match(words) if words.strip() else None,
        "state != ?": None if retracted else State.retracted.value,
    }
    asked = {sql: value for sql, value in asked.items() if value is not None}
    if "" in asked.values():  # words without a letter
        return None
    return " AND ".join(asked), list(asked.values())


def _match(words: str) -> str:
    """Words of a person as FTS5 takes them: each a word to be found or begun with, nothing an operator."""
    cleaned = "".join(char if char.isalnum() else " " for char in words)
    return " ".join(f'"{word}"*' for word in cleaned.split()[:20])
