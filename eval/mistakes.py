"""What went wrong in a video, in the words of whoever has to watch it: events missed, false alarms, a wrong name."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aadc.eval.spans import Span

TrueSpan = tuple[int, int, str]  # start_frame, end_frame (half-open), label


@dataclass(frozen=True)
class Verdict:
    """`missed`: true spans that no found span touches; `false_alarms`: found spans that touch no true one; whether the
    category is wrong. `severity` in [0, 1]: how sure the head was of its worst missed event or false alarm."""

    missed: tuple[TrueSpan, ...]
    false_alarms: tuple[Span, ...]
    wrong_category: bool
    severity: float

    @property
    def words(self) -> tuple[str, ...]:
        """Names of what went wrong, none if all is well."""
        named = {"miss": self.missed, "false alarm": self.false_alarms, "wrong category": self.wrong_category}
        return tuple(word for word, there in named.items() if there)

    @property
    def order(self) -> tuple[float, int]:
        """Sorts the worst first."""
        return (-self.severity, -len(self.words))


def judge(
    found: Sequence[Span], true: Sequence[TrueSpan], known: bool, score: np.ndarray, category: tuple[str | None, str | None]
) -> Verdict:
    """Compare found spans with the truth.

    Args:
        true: the anomalous spans of the video; where they are not `known` it is abnormal somewhere: then finding nothing is
            a miss of the whole, and finding anything is no false alarm.
        score: frame scores float (F,).
        category: (true, predicted) class of the video, None where there is nothing to say.
    """
    if known:
        missed = [span for span in true if not any(_touch(span, one) for one in found)]
        false_alarms = [one for one in found if not any(_touch(span, one) for span in true)]
    else:
        missed, false_alarms = [] if found else [(0, len(score), category[0] or "anomaly")], []
    doubts = [1 - float(score[start:end].max()) for start, end, _ in missed] + [one.peak for one in false_alarms]
    wrong = category[0] is not None and category[0] != category[1]
    return Verdict(tuple(missed), tuple(false_alarms), wrong, max(doubts, default=0.0))


def called(found: Sequence[Span], abnormal: bool, likeliest: str | None) -> str:
    """What the head makes of a whole video, in words: normal or anomalous by whether it found a span, never by the truth.

    Args:
        abnormal: the kind of the video, in truth.
        likeliest: the most likely of the classes of that kind (`metrics.categories`), None where there is but one.
    """
    categories = list(dict.fromkeys(span.category for span in found))
    text = f"called anomalous: {', '.join(categories)}" if found else "called normal"
    if likeliest is None or likeliest in categories:
        return text
    return f"{text}; among {'anomalies' if abnormal else 'normal classes'} most like {likeliest}"


def _touch(true: TrueSpan, found: Span) -> bool:
    return true[0] < found.end_frame and found.start_frame < true[1]
