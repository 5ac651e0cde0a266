"""Events as plain values, for whoever shows them: each a dict with `id` and `camera`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aadc.live.data_folder import STATUS
from aadc.live.event_pictures import likeliest
from aadc.live.reader import KeptEvent, Reader
from aadc.live.served import LikeWords
from aadc.live.store import STORE, Store
from aadc.live.text_tower import EmbeddedWords
from aadc.manifests.errors import UserError
from aadc.manifests.records import Record, read_record

_WAIT_S = 10.0


class UnknownClassError(UserError):
    """A class that the head does not know: a slip, unless it is said that it is not."""


class _Watched(Record):
    """What `status.json` says of the head."""

    classes: list[str] = []


class KeptEvents:
    """The events of a data folder, to look at and to decide over, from any thread and any process."""

    def __init__(self, data: Path, embed: Callable[[str], EmbeddedWords] | None = None) -> None:
        """`embed`: embeds words for looking through pictures; `UserError` where there is no store of events."""
        self._data, self._reader, self._store = data, Reader(data / STORE), Store(data / STORE)
        self._embed = embed

    def close(self) -> None:
        """Close the store."""
        self._reader.close()
        self._store.close()

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
        category, were decided so (`confirmed`, `dismissed`, `renamed`, `open` for not at all), and began at `start_ns` (UTC) or
        later. `UserError` where words are asked for and there are none: blanks are no wish to see all."""
        if words is not None and not words.strip():
            raise UserError("there are no words to look for")
        number = None
        if before is not None:
            last = self._reader.event(before)
            if last is None or (cameras is not None and last.event.camera not in cameras):
                return []
            number = last.number
        found = self._reader.events(
            cameras,
            words or "",
            before=number,
            start_ns=start_ns,
            category=category,
            decision=decision,
            most=max(limit, 0),
        )
        return [self._plain(one) for one in found]

    def like(
        self,
        words: str,
        cameras: frozenset[str] | None,
        limit: int,
        category: str | None = None,
        decision: str | None = None,
        start_ns: int | None = None,
    ) -> LikeWords:
        """Events whose pictures look most like some words to CLIP, best first, chosen as by `newest`.

        Raises:
            UserError: there are no words, or more than CLIP reads, or no CLIP.
        """
        if self._embed is None:
            raise UserError("pictures cannot be looked through here: there is no run whose CLIP reads words")
        clip, text_C = self._embed(words)
        pictures = self._reader.pictures(clip.weights, cameras, start_ns, category, decision)
        best = likeliest(pictures, text_C, max(limit, 0))
        similarity = dict(best)
        found = self._reader.numbered([one.number for one in best])
        others = self._reader.other_pictures(clip.weights, cameras)
        note = ""
        if others:
            listed = ", ".join(f"{count} of {source}" for source, count in others)
            note = f"Pictures of other CLIP models are not compared: {listed}; the words were read by {clip.source}."
        return LikeWords([self._plain(one) | {"similarity": round(similarity[one.number], 4)} for one in found], note)

    def one(self, event: str) -> dict[str, Any] | None:
        """One event, with its curve; None where there is none."""
        found = self._reader.event(event)
        return None if found is None else self._plain(found, curve=True)

    def one_like(self, event: str) -> dict[str, Any] | None:
        """The only event whose id is, begins or ends so, for whoever may see all of them; None where there is none, or more."""
        found = self._reader.event_like(event)
        return None if found is None else self._plain(found, curve=True)

    def classes(self) -> list[str]:
        """The classes of the head that watches here, or watched last; none where that is not known."""
        try:
            return read_record(self._data / STATUS, _Watched, "").classes
        except UserError:  # nobody ever watched here, or it is being written for the first time
            return []

    def decide(self, event: str, decision: str, category: str | None, by: str, new: bool = False) -> dict[str, Any]:
        """Keep a person's decision; gives the event as it is then.

        Args:
            category: the class that it is `renamed` to; `new`: also one that the head does not know.
        Raises:
            UserError: there is no such event, no such class, a class without a name, or its disk takes nothing.
        """
        if category is not None and not (category := category.strip()):
            raise UserError("the class has no name; an event is renamed to a word")
        classes = self.classes()
        if category is not None and classes and category not in classes and not new:
            raise UnknownClassError(f"{category!r} is none of the head's classes, which are {', '.join(classes)}")
        try:
            known = self._store.decide(event, decision, by, category).result(_WAIT_S)
        except (OSError, TimeoutError) as error:
            raise UserError(f"the decision could not be kept ({error or 'the disk takes nothing'}); try again") from None
        found = self.one(event) if known else None
        if found is None:
            raise UserError(f"there is no event {event}")
        return found

    def changes(self, after: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """What became of events since change number `after`, oldest first: (number, event)."""
        return [(one.changed, self._plain(one)) for one in self._reader.changed(after, limit)]

    def file(self, event: str, kind: str) -> Path | None:
        """The event's `clip` (MP4) or `thumbnail` (JPEG); None where there is none."""
        found = self._reader.event(event)
        if found is None or found.clip is None:
            return None
        path = (self._data / found.clip).with_suffix({"clip": ".mp4", "thumbnail": ".jpg"}[kind])
        return path if os.path.isfile(path) else None

    def health(self) -> list[dict[str, Any]]:
        """How the parts of the system are; `utc_ns`: of the last success; `camera`: whose it is, None for no camera's."""
        return [part._asdict() | {"camera": part.camera} for part in self._reader.health()]

    def _plain(self, one: KeptEvent, curve: bool = False) -> dict[str, Any]:
        return one.event.shape(curve) | {
            "number": one.number,
            "category": one.category,
            "detected": one.event.category,
            "description": one.description,
            "how": one.how,
            "clip": one.clip is not None,
            "verdict": one.verdict,
            "label": one.label,
            "decision": one.verdict or ("renamed" if one.label else "open"),
        }
