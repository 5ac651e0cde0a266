"""What CLIP sees in an event: the embeddings of the frame with its highest score, kept with it so that words can be looked for.

Whole picture and boxes each have one, as in shards, for a picture is as similar to words as the most similar thing in it
(`eval.likeness`). They are rounded to half precision, as shards round them: some 5 KB an event with five boxes.
"""

import heapq
import sqlite3
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from aadc.eval.likeness import likeness
from aadc.live.event import Event, EventMessage, Kind, State
from aadc.live.store import Job

MOST_THINGS = 101  # the frame and as many boxes as extraction keeps at most
_RECENT = 64  # frames: an event is told of at least every five seconds, some ten snippets
_SLACK_S = 1e-6


class ClipUsed(NamedTuple):
    """Which CLIP made embeddings: its name, for people, and the SHA-256 of its weights, which tells it from others."""

    source: str
    weights: str


class Likely(NamedTuple):
    """An event (its number in the store) and how similar it is to some words, a cosine."""

    number: int
    similarity: float


class EventPictures:
    """Chooses the frame that each event of a camera keeps, from the newest ones."""

    def __init__(self, clip: ClipUsed) -> None:
        self._clip = clip
        self._seconds: deque[float] = deque(maxlen=_RECENT)
        self._things: deque[np.ndarray] = deque(maxlen=_RECENT)
        self._kept: dict[str, float] = {}  # second of the frame that each open event has kept

    def saw(self, second: float, rows: Mapping[str, np.ndarray]) -> None:
        """Embeddings of a frame, of the stream's time `second`.

        Args:
            rows: of `FrameEmbedder`, of one frame: `scene` (1, C), `count` (1,), `crop` (1, N, C).
        """
        if self._seconds and second <= self._seconds[-1]:
            return
        boxes = min(int(rows["count"][0]), MOST_THINGS - 1)
        with np.errstate(over="ignore"):
            things = np.concatenate([rows["scene"], rows["crop"][0, :boxes]]).astype(np.float16)
        if np.isfinite(things).all():
            self._seconds.append(second)
            self._things.append(things)

    def jobs(self, message: EventMessage) -> list[Job]:
        """What is to be kept together with a message of an event: the frame of its highest score so far, where that is another
        than the one it has."""
        event = message.after
        if event.state is State.retracted:
            self._kept.pop(event.id, None)
            return [_forgetting(event)]
        peak_s = max(event.curve, key=lambda point: point[1])[0] if event.curve else event.start_s
        place = bisect_right(self._seconds, peak_s + _SLACK_S) - 1  # a frame stands for those that did not come after it
        before = self._kept.pop(event.id, None)
        found = self._seconds[place] if place >= 0 else None
        if message.kind is not Kind.end and (second := before if found is None else found) is not None:
            self._kept[event.id] = second
        return [] if found is None or found == before else [keeping(event.id, self._clip, found, self._things[place])]


def keeping(event: str, clip: ClipUsed, second: float, things: np.ndarray) -> Job:
    """Keep the embeddings float16 (n, C) of the frame at `second` with an event, in place of what it has."""

    def job(db: sqlite3.Connection) -> None:
        db.execute(
            "INSERT OR REPLACE INTO pictures (event, source, weights, second, width, things) "
            "SELECT number, ?, ?, ?, ?, ? FROM events WHERE id = ?",
            (*clip, second, things.shape[1], np.ascontiguousarray(things, "<f2").tobytes(), event),
        )

    return job


def _forgetting(event: Event) -> Job:
    def job(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM pictures WHERE event = (SELECT number FROM events WHERE id = ?)", (event.id,))

    return job


def likeliest(pictures: Iterable[tuple[int, int, bytes]], text_C: np.ndarray, most: int) -> list[Likely]:
    """The events whose pictures are most similar to words, best first; the newer of equals. What is damaged is left out.

    Args:
        pictures: number, width C and embeddings of each, as `Reader.pictures` gives them.
        text_C: float (C,) of length 1.
    """

    def found() -> Iterable[Likely]:
        for number, width, things in pictures:
            if width != len(text_C) or not things or len(things) % (2 * width):
                continue
            things_NC = np.frombuffer(things, "<f2").reshape(-1, width)
            similarity, _ = likeness(things_NC[None], np.array([len(things_NC) - 1]), text_C)
            if np.isfinite(similarity[0]):
                yield Likely(number, float(similarity[0]))

    return heapq.nlargest(most, found(), key=lambda one: (one.similarity, one.number))
