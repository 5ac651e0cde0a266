"""What descriptions state: whether it holds, and how near the times in it are to the true ones."""

from collections.abc import Iterable, Mapping, Sequence

from aadc.eval.describe.checker import claims
from aadc.eval.describe.facts import Facts
from aadc.eval.describe.phrases import phrases
from aadc.eval.describe.reading import Vocabulary, read
from aadc.eval.describe.videos import Describer
from aadc.eval.scores import Scored
from aadc.manifests.manifest import Row

Period = tuple[float, float]  # start and end in seconds
LEVELS = (0.3, 0.5)  # of the overlap from which a true span counts as found
_NO_FACTS, _NO_WORDS = Facts(0.0, (), None), Vocabulary((), ())


def stated_figures(
    texts: Sequence[Mapping], scored: Mapping[str, Scored], rows: Iterable[Row], describer: Describer
) -> dict[str, float]:
    """Figures of rows of `descriptions.jsonl`: stated times beside the manifest's spans, and the share of stated facts that the
    detections back, in what goes out (`facts_true`) and in the first words for each video (`facts_true_at_first`)."""
    truth = {row.video: true_periods(row, scored[row.video]) for row in rows if row.video in scored}
    facts = [describer.facts(scored[row["video"]]) for row in texts]
    first = [row["refused"][0]["text"] if row["refused"] else row["text"] for row in texts]
    return (
        time_figures({row["video"]: row["text"] for row in texts}, truth)
        | fact_figures([row["text"] for row in texts], facts, describer.words, "facts_true")
        | fact_figures(first, facts, describer.words, "facts_true_at_first")
    )


def true_periods(row: Row, scored: Scored) -> list[Period]:
    """A row's spans in seconds; none where the video's frame rate is not known."""
    features = scored.features
    if not features.fps:
        return []
    last = features.frames
    return [
        (one.start_frame / features.fps, (last if one.end_frame is None else one.end_frame) / features.fps)
        for one in row.segments
    ]


def stated_periods(text: str) -> list[Period]:
    """The pairs of times that a text gives for what is abnormal: `from 00:05 to 00:12`. Those of a sentence that calls the
    video normal are of what is not."""
    found: list[Period] = []
    own: list[Period] = []
    normal = False
    for phrase in phrases(read(f"{text}.", _NO_WORDS, _NO_FACTS))[0]:
        if phrase.kind == "p" and phrase.until > phrase.value:
            own.append((phrase.value, phrase.until))
        elif phrase.kind == "v":
            normal |= phrase.name == "normal"
        elif phrase.kind == ".":
            found += [] if normal else own
            own, normal = [], False
    return found


def time_figures(texts: Mapping[str, str], truth: Mapping[str, Sequence[Period]]) -> dict[str, float]:
    """Times that texts state beside the true spans, over the videos that have some; nothing where none has.

    `times_tiou`: the mean over these videos of the seconds that both sides have, as a share of those that either has. It says
    nothing of which stated time was meant for which span. `times_recall_30` and `_50`: the share of the true spans for which
    the text states a time whose overlap with it (tIoU) is at least so much. A text without times states none and finds none.
    """
    overlaps, found = [], []
    for video, spans in truth.items():
        if video not in texts or not spans:
            continue
        said = stated_periods(texts[video])
        both = _seconds([(max(a, c), min(b, d)) for a, b in said for c, d in spans])
        overlaps.append(both / _seconds([*said, *spans]))
        found += [max((_tiou(one, span) for one in said), default=0.0) for span in spans]
    if not overlaps:
        return {}
    recalls = {f"times_recall_{100 * level:.0f}": sum(one >= level for one in found) / len(found) for level in LEVELS}
    return {"times_tiou": sum(overlaps) / len(overlaps), **recalls}


def fact_figures(texts: Sequence[str], facts: Sequence[Facts], words: Vocabulary, name: str) -> dict[str, float]:
    """`name`: the share of what texts state (classes, verdicts, times, counts, confidences) that the detections back."""
    every = [holds for text, own in zip(texts, facts, strict=True) for _, holds in claims(read(text, words, own), own)]
    return {name: sum(every) / len(every)} if every else {}


def _tiou(one: Period, other: Period) -> float:
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0])) / _seconds([one, other])


def _seconds(periods: Sequence[Period]) -> float:
    """How many seconds lie in any of these."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(periods):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
