"""What the projector learns from: training videos, and answers composed from their video-level labels.

Times, counts and confidences in training are made up anew at every step and stand in the facts channel: LLaMA learns to copy
them. What the video tokens have to tell is which classes a video shows. No segment of any split is looked at.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from aadc.eval.describe.checker import faults
from aadc.eval.describe.compose import as_text, compose, compose_without_times
from aadc.eval.describe.facts import Count, Event, Facts, Objects, plain
from aadc.eval.describe.reading import Vocabulary
from aadc.eval.describe.template import MOST_FAULTS, Request

TOKENS_ALONE, BOTH = 0.35, 0.4  # shares of the answers; the rest have facts alone
CUT = 0.15  # share of the numbers that are told as `at least`
AGAIN = 0.2  # share of the answers with facts that follow a wrong one whose faults are named


@dataclass(frozen=True)
class Example:
    """A training video: F of eq. 3 (T, D), anomaly logits (T,), its labels as in the manifest, and by kind."""

    features: Tensor
    logits: Tensor
    labels: tuple[str, ...]
    abnormal_labels: tuple[str, ...]
    normal_labels: tuple[str, ...]

    @property
    def abnormal(self) -> bool:
        return bool(self.abnormal_labels)

    @property
    def said(self) -> tuple[str, ...]:
        """What its video tokens should say: its abnormal classes, or that it is normal."""
        return self.abnormal_labels or ("normal",)


@dataclass(frozen=True)
class Names:
    """Names that made-up facts may use: of abnormal and normal classes, and of the detector's classes."""

    abnormal: Sequence[str]
    normal: Sequence[str]
    objects: Sequence[str]


def draw(example: Example, names: Names, chance: random.Random) -> tuple[Request, str, bool]:
    """A request without its tokens, the right answer, and whether the video is shown."""
    kind = chance.random()
    if kind < TOKENS_ALONE:
        normal = _normal(example, names, chance)
        return Request(), compose_without_times(example.abnormal_labels, normal, chance), True
    shown = kind < TOKENS_ALONE + BOTH
    facts = _facts_like(example, names, chance) if shown else made_up(names, chance)
    request = Request(facts=as_text(facts))
    if chance.random() < AGAIN:
        slip = compose(_with_a_slip(facts, names, chance), chance)
        if wrong := faults(slip, facts, Vocabulary(tuple(map(plain, (*names.abnormal, *names.normal))), tuple(names.objects))):
            request = replace(request, wrong=(slip, wrong[:MOST_FAULTS]))
    return request, compose(facts, chance), shown


def _with_a_slip(facts: Facts, names: Names, chance: random.Random) -> Facts:
    """Facts as a careless reader would tell them: an event left out or said twice, or other ones altogether."""
    if not facts.events:
        return made_up(names, chance)
    events = list(facts.events)
    place = chance.randrange(len(events))
    if len(events) > 1 and chance.random() < 0.5:
        del events[place]
    else:
        other = chance.choice(events)
        events[place] = replace(events[place], start_s=other.start_s + 4, end_s=other.end_s + 4)
    return replace(facts, events=tuple(events))


def _normal(example: Example, names: Names, chance: random.Random) -> str | None:
    """A normal class of the video; None where there is but one, which says no more than `normal`."""
    return chance.choice(example.normal_labels) if len(names.normal) > 1 and example.normal_labels else None


def _facts_like(example: Example, names: Names, chance: random.Random) -> Facts:
    """Facts with the classes of a video, everything else made up."""
    if not example.abnormal:
        normal = _normal(example, names, chance)
        return Facts(chance.uniform(5, 600), (), normal, _objects(names, chance))
    categories = [*example.abnormal_labels]
    categories += chance.choices(categories, k=chance.choice((0, 0, 1, 2)))
    chance.shuffle(categories)
    return _facts(categories, names, chance)


def made_up(names: Names, chance: random.Random) -> Facts:
    """Detections of no video: up to three events of any classes, or none."""
    count = chance.choice((0, 1, 1, 1, 2, 3))
    if not count:
        normal = chance.choice(names.normal) if len(names.normal) > 1 else None
        return Facts(chance.uniform(5, 600), (), normal, _objects(names, chance))
    among = chance.sample(list(names.abnormal), min(len(names.abnormal), chance.choice((1, 2, 3))))  # one often comes twice
    return _facts(chance.choices(among, k=count), names, chance)


def _facts(categories: Sequence[str], names: Names, chance: random.Random) -> Facts:
    at, events = 0.0, []
    longest = chance.choice((10, 30, 200))
    for category in categories:
        start = at + chance.uniform(0, longest)
        at = start + chance.uniform(1.5, longest)
        events.append(Event(start, at, category, chance.uniform(0.4, 1), _objects(names, chance), _share(names, chance)))
        at += 2
    return Facts(at + chance.uniform(0, longest), tuple(events), None, _objects(names, chance))


def _share(names: Names, chance: random.Random) -> float | None:
    return chance.uniform(0.2, 1) if len(names.abnormal) > 1 else None


def _objects(names: Names, chance: random.Random) -> Objects:
    found = chance.sample(list(names.objects), min(len(names.objects), chance.choice((0, 1, 1, 2, 2))))
    counts = (Count(name, chance.choice((1, 1, 2, 3, 5)), chance.random() < CUT) for name in found)
    return tuple(sorted(counts, key=lambda one: (-one.most, one.name)))
