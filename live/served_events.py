"""The store of events as the web server sees it: events as plain values, and decisions kept."""

import threading
from pathlib import Path
from typing import Any

from aadc.live.reader import KeptEvent, Reader
from aadc.live.store import Store
from aadc.manifests.errors import UserError

_WAIT_S = 30.0


class ServedEvents:
    """`EventSource` over a store that another process writes. Decisions are written from here: rare, a row each, and SQLite
    lets one wait for the other.

    Args:
        data: the data folder, for clips.
        path: the store. It may come later.
    """

    def __init__(self, data: Path, path: Path) -> None:
        self._data = data
        self._path = path
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._store: Store | None = None

    def close(self) -> None:
        """Close what was opened."""
        with self._lock:
            for opened in (self._reader, self._store):
                if opened is not None:
                    opened.close()

    def newest(
        self,
        cameras: frozenset[str] | None,
        before: str | None,
        limit: int,
        words: str | None,
        category: str | None,
        decision: str | None,
    ) -> list[dict[str, Any]]:
        """Newest first; see `EventSource`. `before` is an event's `number`."""
        if before is not None and not (before.isascii() and before.isdigit() and len(before) < 19):
            raise UserError("before must be the number of an event")
        if not self._path.exists():  # scoring makes it, and has not begun
            return []
        number = int(before) if before else None
        found = self._read().events(cameras, words or "", before=number, category=category, decision=decision, most=limit)
        return [_told(event) for event in found]

    def one(self, event: str) -> dict[str, Any] | None:
        """One event."""
        found = self._read().event(event) if self._path.exists() else None
        return _told(found) if found else None

    def decide(self, event: str, decision: str, category: str | None, by: str) -> dict[str, Any]:
        """Keep a decision; it is on the disk when this returns."""
        with self._lock:
            if self._store is None:
                self._store = Store(self._path)
            store = self._store
        if not store.decide(event, decision, by, category).result(_WAIT_S):
            raise UserError("there is no such event")
        changed = self.one(event)
        assert changed is not None
        return changed

    def changes(self, after: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """What became of events since change number `after`."""
        if not self._path.exists():
            return []
        return [(event.changed, _told(event)) for event in self._read().changed(after, limit)]

    def file(self, event: str, kind: str) -> Path | None:
        """The clip or the thumbnail beside it."""
        found = self._read().event(event)
        if found is None or found.clip is None:
            return None
        path = (self._data / found.clip).with_suffix(".mp4" if kind == "clip" else ".jpg")
        return path if path.resolve().is_relative_to(self._data.resolve()) else None

    def _read(self) -> Reader:
        with self._lock:
            if self._reader is None:
                self._reader = Reader(self._path)
            return self._reader


def _told(kept: KeptEvent) -> dict[str, Any]:
    told = kept.event.model_dump(mode="json")
    return {
        **told,
        "number": kept.number,
        "category": kept.category,
        "detected": kept.event.category,
        "description": kept.description,
        "how": kept.how,
        "clip": kept.clip is not None,
        "verdict": kept.verdict,
        "label": kept.label,
        "changed": kept.changed,
    }
