"""What was detected in a video, as the few facts that a description may state."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from aadc.eval.scores import Scored
from aadc.eval.spans import Span, clock
from aadc.extract.video_features import VideoFeatures
from aadc.manifests.card import Card

MOST_EVENTS = 8  # more than that nobody reads in a sentence
ONE_EVENT_S = 5.0  # spans of one class that are no further apart are told as one event: scores flicker


class Count(NamedTuple):
    """The most of one of the detector's classes seen in a frame. `cut`: there may have been more, for frames held more boxes
    than are kept of each; it is told as `at least` so many then."""

    name: str
    most: int
    cut: bool = False


Objects = tuple[Count, ...]  # of each class once, commonest first


@dataclass(frozen=True)
class Event:
    """A detected span: start and end in seconds, abnormal class, how sure it is that something happens (`probability`) and that
    it is this class (`share` among the abnormal ones, None where there is no other), and the most objects of each of the
    detector's classes seen at once in it."""

    start_s: float
    end_s: float
    category: str
    probability: float
    objects: Objects = ()
    share: float | None = None

    @property
    def times(self) -> tuple[str, str]:
        """Start and end as mm:ss."""
        return clock(self.start_s), clock(self.end_s)


@dataclass(frozen=True)
class Facts:
    """All that a description may say of a video. `events`: the `MOST_EVENTS` strongest, in order of time; `normal`: the
    likeliest normal class of a video in which nothing was found; `objects`: in the whole video; `cut`: some frame of it held
    more boxes than are kept, so that an object which is not among those may have been there."""

    duration_s: float
    events: tuple[Event, ...]
    normal: str | None
    objects: Objects = ()
    cut: bool = False

    @property
    def categories(self) -> tuple[str, ...]:
        """Detected abnormal classes, each once, in the order in which they are first seen."""
        return tuple(dict.fromkeys(event.category for event in self.events))


def facts_of(scored: Scored, features: VideoFeatures, card: Card, detector_names: Mapping[str, str]) -> Facts:
    """Facts of a scored video.

    Args:
        features: with `time`, `count`, `seen` and `class` read.
        card: the classes it was scored against.
        detector_names: the detector's classes by id (as text).
    """
    time = features.time
    duration = features.frames / features.fps if features.fps else float(time[-1])
    strongest = sorted(as_one(scored.spans), key=lambda span: -span.peak)[:MOST_EVENTS]
    spans = sorted(strongest, key=lambda span: span.start_s)
    events = tuple(_event(span, features, detector_names) for span in spans)
    return Facts(
        max(duration, *(event.end_s for event in events)) if events else duration,
        events,
        None if events else _normal(scored.snippets.video.classes, card),
        most_at_once(features, slice(None), detector_names),
        bool(unkept(features).any()),
    )


def as_one(spans: Sequence[Span]) -> list[Span]:
    """Spans in order of time, those of one class that follow each other within `ONE_EVENT_S` seconds put together. The
    share of several is their mean, weighed by their length in frames; that something happens is as sure as of the surest."""
    told: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start_s):
        last = told[-1] if told else None
        if last is None or last.category != span.category or span.start_s - last.end_s > ONE_EVENT_S:
            told.append(span)
            continue
        lengths = last.end_frame - last.start_frame, span.end_frame - span.start_frame
        share = None
        if last.share is not None and span.share is not None:
            share = (last.share * lengths[0] + span.share * lengths[1]) / max(sum(lengths), 1)
        told[-1] = replace(
            last,
            end_frame=span.end_frame,
            end_s=span.end_s,
            probability=max(last.probability, span.probability),
            share=share,
            peak=max(last.peak, span.peak),
        )
    return told


def _event(span: Span, features: VideoFeatures, names: Mapping[str, str]) -> Event:
    inside = (features.time >= span.start_s) & (features.time <= span.end_s)
    objects = most_at_once(features, inside, names)
    return Event(span.start_s, span.end_s, span.category, span.probability, objects, span.share)


def _normal(classes_C: np.ndarray, card: Card) -> str | None:
    normal = [place for place, entry in enumerate(card.classes) if entry.kind == "normal"]
    if len(normal) < 2:
        return None  # one class that says no more than `normal`
    return card.names[normal[int(classes_C[normal].argmax())]]


def most_at_once(features: VideoFeatures, rows: slice | np.ndarray, names: Mapping[str, str]) -> Objects:
    """The most objects of each class kept in one frame of these rows, commonest first.

    A number is cut unless no frame can have held more: what was not kept of a frame may be of any class.
    """
    ids_TN = np.where(kept(features), features.class_id, -1)[rows]
    more_T = unkept(features)[rows]
    most: dict[str, Count] = {}
    for number in np.unique(ids_TN[ids_TN >= 0]):
        if name := names.get(str(int(number)), ""):
            here_T = (ids_TN == number).sum(1)
            count = Count(name, int(here_T.max()), bool((here_T + more_T).max() > here_T.max()))
            most[name] = max(most.get(name, count), count)
    return tuple(sorted(most.values(), key=lambda one: (-one.most, one.name)))


def kept(features: VideoFeatures) -> np.ndarray:
    """Which of the N boxes that a row has room for hold one: bool (T, N)."""
    return np.arange(features.class_id.shape[1]) < features.count[:, None]


def unkept(features: VideoFeatures) -> np.ndarray:
    """How many more boxes the detector saw in the frame of each row than are kept: float (T,). Shards of earlier versions do
    not tell: infinite where a row is full."""
    if features.seen is None:
        return np.where(features.count >= features.class_id.shape[1], np.inf, 0.0)
    return np.maximum(features.seen.astype(float) - features.count, 0.0)


_PLURALS = {"knife": "knives", "mouse": "mice", "scissors": "scissors", "skis": "skis", "sheep": "sheep"}  # of COCO's classes


def counted(name: str, count: int) -> str:
    """A detector's class in the number it stands in: 1 person, 2 persons, 2 boxes."""
    if count == 1:
        return name
    return _PLURALS.get(name) or name + ("es" if name.endswith(("s", "x", "ch", "sh")) else "s")


def plain(name: str) -> str:
    """A name out of a file as harmless words (`RoadAccidents` -> `road accidents`): nothing in it can end a line, open a tag or
    look like the template's marks."""
    letters = (
        char if char.isalnum() or unicodedata.category(char)[0] == "M" else " " for char in unicodedata.normalize("NFC", name)
    )
    kept = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", "".join(letters))
    return " ".join(word if word.isupper() else word.lower() for word in kept.split())[:60].strip() or "unnamed"
