"""Sentences made from facts alone: what goes out where a language model fails, and what the projector learns to say."""

import random
from collections.abc import Sequence

from aadc.eval.describe.facts import Count, Event, Facts, Objects, counted, plain
from aadc.eval.spans import clock, how_sure

_OPENINGS = ("Yes, the video shows {}.", "The video shows {}.", "Yes, the camera saw {}.")
_ABNORMAL = ("abnormal activity: {}", "an abnormal event: {}")
_NORMAL = "normal activities"


def compose(facts: Facts, chance: random.Random | None = None) -> str:
    """A plain sentence that is true of the facts: every event with its times, or that nothing abnormal was found.

    `chance` varies the words, for training; without it the same facts give the same sentence.
    """
    return (chance.choice(_OPENINGS) if chance else _OPENINGS[0]).format(_shown(facts, chance))


def as_text(facts: Facts, length: bool = True) -> str:
    """The facts channel: a few lines that a language model can copy from. `length`: that of the video, too; no description
    needs it, and a small model that was not trained on these lines takes it for the beginning of what was shown."""
    lines = [*([f"Length: {clock(facts.duration_s)}"] if length else []), f"Shown: {_shown(facts)}"]
    if facts.events:
        sure = (f"{plain(event.category)} {how_sure(event.probability, event.share)}" for event in facts.events)
        lines.append(f"How sure: {'; '.join(sure)}")
    return "\n".join(lines)


def _shown(facts: Facts, chance: random.Random | None = None) -> str:
    if not facts.events:
        kind = f" ({plain(facts.normal)})" if facts.normal else ""
        return f"{_NORMAL}{kind} from 00:00 to {clock(facts.duration_s)}{_with(facts.objects)}"
    by_times = {(event.category, *event.times): event for event in reversed(facts.events)}  # what looks alike is said once
    events = joined([_event(event) for event in reversed(by_times.values())])
    return (chance.choice(_ABNORMAL) if chance else _ABNORMAL[0]).format(events)


def compose_without_times(categories: Sequence[str], normal: str | None, chance: random.Random) -> str:
    """What can be said from video-level labels alone, in the words of `compose`."""
    if categories:
        events = joined([plain(name) for name in categories])
        return chance.choice(_OPENINGS).format(chance.choice(_ABNORMAL).format(events))
    kind = f" ({plain(normal)})" if normal else ""
    return chance.choice(_OPENINGS).format(f"{_NORMAL}{kind}")


def _event(event: Event) -> str:
    start, end = event.times
    times = f"at {start}" if start == end else f"from {start} to {end}"
    return f"{plain(event.category)} {times}{_with(event.objects)}"


def _with(objects: Objects) -> str:
    return f" with {joined(list(map(number_of, objects[:3])))}" if objects else ""


def number_of(count: Count) -> str:
    """`2 persons`, or `at least 5 persons` where there may have been more."""
    return f"{'at least ' if count.cut else ''}{count.most} {counted(plain(count.name), count.most)}"


def joined(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
