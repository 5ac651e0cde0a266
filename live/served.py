"""What the server shows and asks of the rest of the live part: cameras with their states, events with their clips."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class CameraSource(Protocol):
    """Which cameras there are, and how they are."""

    def names(self) -> list[str]:
        """All cameras, in the order of the configuration."""

    def state(self, camera: str) -> dict[str, Any]:
        """How a camera is, in plain values (`state`: one of `status.STATES`; numbers are exported)."""

    def recent(self, camera: str) -> dict[str, Any]:
        """What is drawn over its live picture: `at_ms` now and `scores` [UTC in ms, score, final] of the last minute or so,
        `open_at`, `close_at`, `boxes` [left, top, right, bottom, name, score] as shares of a picture of `shape` (H, W),
        `zones`; of the camera `state`, `error`, `wrong`; `silent_s` without a sign of life of what scores (None: never one)."""

    def health(self) -> list[dict[str, Any]]:
        """How the parts of the system are: `name`, `ok`, `told` in words, `utc_ns` of the last success (0: never); `camera`
        whose part it is (None: of no camera)."""


class LikeWords(NamedTuple):
    """Events that look like some words, best first, each with its `similarity`; and what there is to know of the search, in a
    sentence, or nothing."""

    events: list[dict[str, Any]]
    note: str


class EventSource(Protocol):
    """Events as the store keeps them, each a dict of plain values with `id` and `camera`. Called from several threads."""

    def newest(
        self,
        cameras: frozenset[str] | None,
        before: str | None,
        limit: int,
        words: str | None,
        category: str | None,
        decision: str | None,
        start_ns: int | None = None,
    ) -> list[dict[str, Any]]:
        """Newest first, of these cameras (None: all), older than the event of that id; that have all the words, are of that
        category, and were decided so (`confirmed`, `dismissed`, `renamed`, `open` for not at all)."""

    def like(
        self,
        words: str,
        cameras: frozenset[str] | None,
        limit: int,
        category: str | None = None,
        decision: str | None = None,
        start_ns: int | None = None,
    ) -> LikeWords:
        """Those whose pictures look most like some words to CLIP, chosen as by `newest`. `UserError` where that cannot be."""

    def one(self, event: str) -> dict[str, Any] | None:
        """One event; None where there is none."""

    def classes(self) -> list[str]:
        """The classes that the head knows; none where that is not known."""

    def decide(self, event: str, decision: str, category: str | None, by: str, new: bool = False) -> dict[str, Any]:
        """Keep a person's decision; gives the event as it is then. `UserError` where it makes no sense, as a `category` that
        the head does not know does, unless it is said to be `new`."""

    def changes(self, after: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """What became of events since change number `after`, oldest first: (number, event)."""

    def file(self, event: str, kind: str) -> Path | None:
        """The event's `clip` (MP4) or `thumbnail` (JPEG); None where there is none."""


class FixedCameras:
    """Cameras of which nothing but the name is known."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)

    def names(self) -> list[str]:
        """All of them."""
        return list(self._names)

    def state(self, camera: str) -> dict[str, Any]:
        """Nothing is known."""
        return {"state": "connecting"}

    def recent(self, camera: str) -> dict[str, Any]:
        """Nothing was scored."""
        return {"at_ms": 0, "scores": [], "boxes": [], "open_at": None, "close_at": None, "shape": None}

    def health(self) -> list[dict[str, Any]]:
        """Nothing is known."""
        return []
