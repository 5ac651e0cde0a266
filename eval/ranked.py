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
        level = np.cumsum(np.append(False, score[1:] != score[:-1]))  # a level is a distinct score, the highest first
        # Where no positive is, neither recall nor any area moves: every figure is made at the levels that have some.
        at = np.unique(level[positives > 0])
        self._positives, self._negatives = _Side(video, positives, level, at), _Side(video, negatives, level, at)
        self._early = _early(videos, index, score[np.searchsorted(level, at)])

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
        true, true_before, positives = self._positives.up_to(draw)
        false, false_before, negatives = self._negatives.up_to(draw)
        if not positives or not negatives:
            return [np.nan] * (4 + len(rates))
        found = true - true_before
        precision, before = _precision(true, false), _precision(true_before, false_before)
        beaten = negatives - (false + false_before) / 2  # negatives below a level, and half of those on it
        recalls = []
        for rate in rates:
            allowed = np.searchsorted(false, rate * negatives + 1e-9, side="right")
            recalls.append(true[allowed - 1] / positives if allowed else 0.0)
        video, level, gain, events = self._early
        early = (draw[video] * gain * precision[level]).sum() / max(int(draw[events].sum()), 1)
        areas = (beaten / negatives, precision, (precision + before) / 2)
        return [*(float((found * height).sum() / positives) for height in areas), *map(float, recalls), float(early)]


def _precision(true: np.ndarray, false: np.ndarray) -> np.ndarray:
    """Of frames called anomalous; 1 where none is."""
    called = true + false
    return np.divide(true, called, out=np.ones(len(true)), where=called > 0)


class _Side:
    """The frames of one kind, positive or negative, in the order of their scores: cells of a video and a level."""

    def __init__(self, video: np.ndarray, count: np.ndarray, level: np.ndarray, at: np.ndarray):
        there = np.flatnonzero(count)
        self._video, self._count = video[there], count[there]
        self._single = bool((self._count == 1).all())
        self._through, self._before = (np.searchsorted(level[there], at, side) for side in ("right", "left"))

    def up_to(self, draw: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """How many frames of this kind a draw int (V,) has that score at least as high as each of the levels `at`, how many
        that score higher: int, as `at`; and how many in all."""
        drawn = draw[self._video]
        summed = np.zeros(len(drawn) + 1, np.int64)
        np.cumsum(drawn if self._single else drawn * self._count, out=summed[1:])
        return summed[self._through], summed[self._before], int(summed[-1])


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
