"""Confidence intervals by resampling videos: frames of one video are not independent, so frames are never resampled.

A draw of videos is a row of weights, how often it has each video; every figure is computed from those weights at once (see
`ranked`). Shapes: R draws, V videos.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

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
    from scipy.special import betaincinv  # a third of a second, for a figure that few ask for

    tail = (1 - level) / 2
    low = float(betaincinv(hits, count - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, 1 - tail)) if hits < count else 1.0
    return [low, high]


def perfect_auc_interval(positives: int, negatives: int, level: float = 0.95) -> list[float]:
    """Exact interval of an AUC over videos that is 1 in the data. AUC is the chance that a positive video scores above a
    negative one; min(positives, negatives) > 0 pairs share no video, hence are independent, and all of them are right."""
    pairs = min(positives, negatives)
    return share_interval(pairs, pairs, level)
