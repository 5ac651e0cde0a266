"""The store of events as the server and the dashboard ask it: `EventSource` over `events.sqlite`, read beside its writer."""

from pathlib import Path
from typing import Any

from aadc.live.reader import KeptEvent, Reader
from aadc.live.store import Store
from aadc.manifests.errors import UserError

EVENTS = "events.sqlite"  # in the data folder
_SUFFIX = {"clip": ".mp4", "thumbnail": ".jpg"}


class KeptEvents:
    """Events below a data folder. Decisions are written, all else is read. Threads may share it.

    Raises:
        UserError: the store cannot be read.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._store = Store(data / EVENTS)  # makes it where nothing was watched yet
        self._reader = Reader(data / EVENTS)

    def close(self) -> None:
        """What was decided is on the disk then."""
        self._reader.close()
        self._store.close()

    def newest(
        self,
        cameras: frozenset[str] | None,
        before: str | None = None,
        limit: int = 50,
        words: str | None = None,
        category: str | None = None,
        decision: str | None = None,
        start_ns: int | None = None,
    ) -> list[dict[str, Any]]:
        """See `EventSource`; `start_ns`: that began then (UTC, nanoseconds) or later."""
        number = None
        if before is not None and (kept := self._reader.event(before)) is not None:
            number = kept.number
        found = self._reader.events(
            cameras, words or "", before=number, start_ns=start_ns, category=category, decision=decision, most=limit
        )
        return [self._plain(kept) for kept in found]

    def one(self, event: str) -> dict[str, Any] | None:
        """See `EventSource`."""
        kept = self._reader.event(event)
        return self._plain(kept) if kept is not None and kept.event.id == event else None

    def decide(self, event: str, decision: str, category: str | None, by: str) -> dict[str, Any]:
        """See `EventSource`."""
        there = self._store.decide(event, decision, by, category).result()
        changed = self.one(event) if there else None
        if changed is None:
            raise UserError("this event is no longer kept")
        return changed

    def changes(self, after: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """See `EventSource`."""
        return [(kept.changed, self._plain(kept)) for kept in self._reader.changed(after, limit)]

    def file(self, event: str, kind: str) -> Path | None:
        """See `EventSource`."""
        kept = self._reader.event(event)
        if kept is None or kept.event.id != event or kept.clip is None:
            return None
        path = (self._data / kept.clip).with_suffix(_SUFFIX[kind])
        return path if path.is_file() and path.resolve().is_relative_to(self._data.resolve()) else None

    def health(self) -> list[dict[str, Any]]:
        """How the parts of the system are; `utc_ns`: of the last success."""
        return [part._asdict() for part in self._reader.health()]

    def _plain(self, kept: KeptEvent) -> dict[str, Any]:
        """An event as pages and programs get it: its own values, and what was said of it."""
        return kept.event.shape(curve=True) | {
            "open": kept.event.open,
            "description": kept.description,
            "verdict": kept.verdict,
            "label": kept.label,
            "clip": kept.clip is not None,
            "thumbnail": self.file(kept.event.id, "thumbnail") is not None,
        }
