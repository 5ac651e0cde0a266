"""Figures of a curve (AUC, AP, recall at a rate of false positives) for any draw of videos, from one sort.

A draw of videos is a row of weights, how often it has each video: ones are the figures themselves, other rows the draws of a
bootstrap. So there is one function for each figure, wherever it is wanted. scikit-learn's `roc_auc_score`,
`average_precision_score` and `auc(recall, precision)` give the same numbers (`tests/eval/test_ranked.py`), one sort each.
Shapes: R draws, V videos.
"""

from collections.abc import Sequence

import numpy as np

RATES = (0.02, 0.03, 0.05)  # of false positives, at which recall is told


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Half-open index ranges in which a bool array is True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def recall_name(rate: float) -> str:
    """`recall_at_2_percent_fpr` for 0.02."""
    return f"recall_at_{100 * rate:g}_percent_fpr"


class RankedScores:
    """Scores of many videos in one order, so that a draw of videos costs a cumulated sum and no sort.

    Frames of equal score within a video are kept once, with their number of positives and negatives.

    Args:
        videos: of each, score float (F,) and truth bool (F,).
        index: which columns of the weights these videos are.
    """

    def __init__(self, videos: Sequence[tuple[np.ndarray, np.ndarray]], index: Sequence[int]):
        parts = [_counts(score, truth) for score, truth in videos]
        score, positives, negatives = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(-score, kind="stable")
        score, video = score[order], np.repeat(index, [len(part[0]) for part in parts])[order]
        positives, negatives = positives[order], negatives[order]
        last = np.flatnonzero(np.append(np.diff(score) != 0, True))
        # A level is a distinct score. Levels without positives matter through the negatives above the next one alone.
        self._positives = _Side(video, positives, last)
        self._negatives = _Side(video, negatives, last)
        self._early = _early(videos, index, score[last])

    def __call__(self, weights: np.ndarray, rates: Sequence[float] = RATES) -> dict[str, np.ndarray]:
        """Figures of every draw, each float (R,), nan where a draw has videos of one kind alone.

        Args:
            weights: int (R, V), how often each draw has each video.
            rates: of false positives.
        Returns:
            auc; ap, in steps; ap_trapezoid, by trapezoids, as RTFM and XDVioDet compute it; `recall_name` of each rate, the
            recall while at most that share of the negatives is called positive; ap_early, see `docs/metrics.md`.
        """
        names = ("auc", "ap", "ap_trapezoid", *map(recall_name, rates), "ap_early")
        # One draw at a time: its arrays stay in the processor's cache.
        values = np.array([self._of_draw(draw, rates) for draw in weights]).reshape(len(weights), len(names))
        return dict(zip(names, values.T, strict=True))

    def _of_draw(self, draw: np.ndarray, rates: Sequence[float]) -> list[float]:
        true, false = self._positives.up_to(draw), self._negatives.up_to(draw)
        positives, negatives = int(true[-1]), int(false[-1])
        if not positives or not negatives:
            return [np.nan] * (4 + len(rates))
        found = np.diff(true, prepend=0)
        called = true + false
        precision = np.where(called > 0, true / np.maximum(called, 1), 1.0)
        before = np.concatenate([[1.0], precision[:-1]])
        auc = np.dot(np.diff(false, prepend=0), true - found / 2) / (positives * negatives)
        ap = np.dot(found, precision) / positives
        trapezoid = np.dot(found, precision + before) / 2 / positives
        recalls = []
        for rate in rates:
            allowed = np.searchsorted(false, rate * negatives + 1e-9, side="right")
            recalls.append(true[allowed - 1] / positives if allowed else 0.0)
        video, level, gain, events = self._early
        early = np.dot(draw[video] * gain, precision[level]) / max(int(draw[events].sum()), 1)
        return [float(auc), float(ap), float(trapezoid), *map(float, recalls), float(early)]


class _Side:
    """How many frames of one kind, positive or negative, score at least as high as each level: cells of a video and a score."""

    def __init__(self, video: np.ndarray, count: np.ndarray, last: np.ndarray):
        there = np.flatnonzero(count)
        self._video, self._count = video[there], count[there]
        self._upto = np.searchsorted(there, last, side="right")

    def up_to(self, draw: np.ndarray) -> np.ndarray:
        """int (levels,), of a draw int (V,)."""
        summed = np.zeros(len(self._video) + 1, np.int64)
        np.cumsum(draw[self._video] * self._count, out=summed[1:])
        return summed[self._upto]


def _counts(score: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores of a video with the number of positive and of negative frames that have them."""
    distinct, inverse = np.unique(score, return_inverse=True)
    positives = np.bincount(inverse[truth], minlength=len(distinct))
    return distinct, positives, np.bincount(inverse, minlength=len(distinct)) - positives


def _early(
    videos: Sequence[tuple[np.ndarray, np.ndarray]], index: Sequence[int], levels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What each level adds to the early recall: video, level, gain of each step, and the video of each event.

    At a threshold an event counts with the share of it that is still to come when its first frame reaches the threshold: 1
    for the first frame, 0 where none does. As the threshold falls that share rises where a frame scores higher than all
    before it.
    """
    video, score, gain, events = [], [], [], []
    for place, (values, truth) in zip(index, videos, strict=True):
        for start, end in runs(truth):
            own = values[start:end]
            records = np.flatnonzero(np.append(True, own[1:] > np.maximum.accumulate(own)[:-1]))[::-1]
            share = 1 - records / len(own)
            video.append(np.full(len(records), place))
            score.append(own[records])
            gain.append(np.diff(share, prepend=0))
            events.append(place)
    if not events:
        nothing = np.zeros(0, int)
        return nothing, nothing, np.zeros(0), nothing
    at = np.searchsorted(-levels, -np.concatenate(score))
    return np.concatenate(video), at, np.concatenate(gain), np.array(events)
