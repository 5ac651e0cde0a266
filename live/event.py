"""An event: something abnormal that one camera saw, from when to when, and of which kind."""

import hashlib
import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import Field

from aadc.live.timeline import Clock
from aadc.manifests.records import Record


class State(StrEnum):
    """What final scores say of an event: not yet anything, that it was one, or that it was none after all."""

    provisional = "provisional"
    confirmed = "confirmed"
    retracted = "retracted"


class Ending(StrEnum):
    """Why an event ended: the scores fell; final scores did not bear it out; the picture was gone; it was cut at its longest
    and goes on as another; its hour of digest was over; the program was stopped; or it was killed, and found the event open
    when it started again."""

    quiet = "quiet"
    retracted = "retracted"
    gap = "gap"
    cut = "cut"
    hour = "hour"
    stopped = "stopped"
    interrupted = "interrupted"


class Kind(StrEnum):
    """What a message says of an event. There is one `new` and one `end` of each."""

    new = "new"
    update = "update"
    end = "end"


class Event(Record):
    """One event. Seconds are the stream's own, `_ns` UTC in nanoseconds.

    The snippets from `start_s` on belong to it, the one at `end_s` no more (while it is open: the last one that does).
    `end_ns` is `start_ns` and the stream's duration, whatever the wall clock did meanwhile. `opened_ns`, `confirmed_ns`: when
    the frame was captured at which provisional, or final, scores had opened it; `decided_ns`: as `opened_ns`, of the clock that
    is never set (arrival). `category` is the likeliest abnormal class, `share` its part among them over the event's snippets,
    each counted by its score; `probability`: how sure it is that something happens at all (calibrated; None: not known).
    `curve`: (second, score), thinned where it is long. `swallowed`: of a digest, how many events are in it; `continues`: the
    one it was cut from.

    `start`: of which start of the program the seconds are (`start.Start`); they strictly grow within it, so camera, start and
    second name one moment. `arrived_ns`: when the first frame came in (UTC); `clock`: whose time its capture time is, the
    `camera`'s own, or its `arrival`, since the camera told none that could be believed. Events of older versions have neither.
    """

    id: str = Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z-]+$")
    camera: str
    state: State
    ending: Ending | None = None
    start_s: float
    end_s: float
    start_ns: int
    opened_ns: int
    decided_ns: int
    confirmed_ns: int | None = None
    category: str
    share: float = Field(ge=0, le=1)
    probability: float | None = Field(None, ge=0, le=1)
    peak: float = Field(ge=0, le=1)
    mean: float = Field(ge=0, le=1)
    snippets: int = Field(ge=1)
    swallowed: int = Field(0, ge=0)
    continues: str | None = None
    curve: tuple[tuple[float, float], ...] = ()
    start: str = ""
    arrived_ns: int | None = None
    clock: Clock | None = None

    @property
    def open(self) -> bool:
        return self.ending is None

    @property
    def sure(self) -> float:
        """How sure it is that something happens: calibrated, or else the highest score."""
        return self.peak if self.probability is None else self.probability

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def end_ns(self) -> int:
        return self.start_ns + round(self.duration_s * 1e9)

    @property
    def digest(self) -> bool:
        return self.swallowed > 0

    def shape(self, curve: bool = False) -> dict[str, Any]:
        """As JSON has it, for whoever is told of it."""
        plain = json.loads(self.model_dump_json(exclude=None if curve else {"curve"}))
        return plain | {"end_ns": self.end_ns, "duration_s": round(self.duration_s, 3)}


class EventMessage(NamedTuple):
    """What became of an event. `before`: as the last message of it had it, None with the first."""

    kind: Kind
    before: Event | None
    after: Event


def event_id(camera: str, utc_ns: int, number: int) -> str:
    """An id that sorts by time, can name a file, and is the same if the same is scored again.

    Args:
        utc_ns: of the snippet that opened it; number: of the event among the camera's, for clocks that are set back.
    """
    when = datetime.fromtimestamp(utc_ns // 10**9, UTC)
    mark = hashlib.sha256(f"{camera}\0{utc_ns}\0{number}".encode()).hexdigest()[:10]
    return f"{when:%Y%m%dT%H%M%SZ}-{mark}"
