"""Confidence intervals by resampling videos: frames of one video are not independent, so frames are never resampled.

A draw of videos is a row of weights, how often it has each video; every figure is computed from those weights at once.
Shapes: R draws, V videos.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import betaincinv

Figures = Callable[[np.ndarray], Mapping[str, np.ndarray]]  # weights int (R, V) -> values float (R,) by name
LEAST = 10  # videos of each kind: draws from fewer know too little of what other videos would do (docs/metrics.md)
_DRAWS_AT_ONCE = 50


def intervals(
    figures: Sequence[Figures], videos: int, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, list[float] | None]:
    """Percentile intervals [low, high] over draws of `videos` videos with replacement; None where no draw had a value."""
    weights = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), resamples)
    tail = (1 - level) / 2 * 100
    result: dict[str, list[float] | None] = {}
    for figure in figures:
        blocks = [figure(weights[start : start + _DRAWS_AT_ONCE]) for start in range(0, resamples, _DRAWS_AT_ONCE)]
        for name in blocks[0]:
            values = np.concatenate([block[name] for block in blocks])
            values = values[np.isfinite(values)]
            result[name] = np.percentile(values, [tail, 100 - tail]).tolist() if len(values) else None
    return result


def trusted(bounds: list[float] | None, fewest: int) -> list[float] | None:
    """An interval of draws, or None where it says less than it seems to: `fewest` videos of one kind are below `LEAST`, or
    all draws are alike, as those of a perfect score always are, be it of eight videos."""
    return bounds if bounds and fewest >= LEAST and bounds[0] < bounds[1] else None


def share_interval(hits: int, count: int, level: float = 0.95) -> list[float]:
    """Exact interval [low, high] of a share of `count` > 0 independent videos (Clopper and Pearson, 1934)."""
    tail = (1 - level) / 2
    low = float(betaincinv(hits, count - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, 1 - tail)) if hits < count else 1.0
    return [low, high]


def perfect_auc_interval(positives: int, negatives: int, level: float = 0.95) -> list[float]:
    """Exact interval of an AUC over videos that is 1 in the data. AUC is the chance that a positive video scores above a
    negative one; min(positives, negatives) > 0 pairs share no video, hence are independent, and all of them are right."""
    pairs = min(positives, negatives)
    return share_interval(pairs, pairs, level)


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
        self._video = np.repeat(index, [len(part[0]) for part in parts])[order]
        self._positives, self._negatives = positives[order], negatives[order]
        self._last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))

    def figures(self, weights: np.ndarray, rate: float = 0.02) -> np.ndarray:
        """AUC, AP (scikit-learn's) and the recall while at most `rate` of the negatives are called positive: (3, R), nan for
        draws of one kind."""
        return np.array([self._of_draw(draw, rate) for draw in weights]).T

    def _of_draw(self, draw: np.ndarray, rate: float) -> tuple[float, float, float]:
        # One draw at a time: its arrays stay in the processor's cache.
        counts = draw[self._video]
        true, false = np.cumsum(counts * self._positives)[self._last], np.cumsum(counts * self._negatives)[self._last]
        positives, negatives = int(true[-1]), int(false[-1])
        if not positives or not negatives:
            return np.nan, np.nan, np.nan
        found = np.diff(true, prepend=0)
        auc = np.dot(np.diff(false, prepend=0), true - found / 2) / (positives * negatives)
        ap = np.dot(found, true / np.maximum(true + false, 1)) / positives
        allowed = np.searchsorted(false, rate * negatives + 1e-9, side="right")
        return float(auc), float(ap), true[allowed - 1] / positives if allowed else 0.0


def _counts(score: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores of a video with the number of positive and of negative frames that have them."""
    distinct, inverse = np.unique(score, return_inverse=True)
    positives = np.bincount(inverse[truth], minlength=len(distinct))
    return distinct, positives, np.bincount(inverse, minlength=len(distinct)) - positives
