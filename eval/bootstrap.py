"""Confidence intervals by resampling videos: frames of one video are not independent, so frames are never resampled.

A draw of videos is a row of weights, how often it has each video; every figure is computed from those weights at once (see
`ranked`). Shapes: R draws, V videos.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

Figures = Callable[[np.ndarray], Mapping[str, np.ndarray]]  # weights int (R, V) -> values float (R,) by name
LEAST = 10  # videos of each kind: draws from fewer know too little of what other videos would do (docs/metrics.md)
_DRAWS_AT_ONCE = 50


def intervals(
    figures: Sequence[Figures], videos: int, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, list[float] | None]:
    """Percentile intervals [low, high] over draws of `videos` videos with replacement; None where no draw had a value."""
    weights = _draws(videos, resamples, seed)
    return {name: _percentiles(values, level) for figure in figures for name, values in _drawn(figure, weights).items()}


class Difference(NamedTuple):
    """A figure of two sets of scores, `first - second`, its interval over the same draws of both, and the share of draws in
    which the sign turns: the difference is 0 or on the other side. None where undefined."""

    first: float | None
    second: float | None
    difference: float | None
    interval: list[float] | None
    turns: float | None


def paired(
    first: Sequence[Figures],
    second: Sequence[Figures],
    videos: int,
    fewest: Mapping[str, int],
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Difference]:
    """Differences of all figures that both have. Every draw takes the same videos for both: what is hard for one set of scores
    is most often hard for the other, too, so that a difference is known better than either figure.

    Args:
        fewest: of each figure, how many videos of the rarer kind it compares, see `trusted`; others are left out.
    """
    weights, itself = _draws(videos, resamples, seed), np.ones((1, videos), int)
    values = [{name: one for figure in figures for name, one in figure(itself).items()} for figures in (first, second)]
    draws = [
        {name: one for figure in figures for name, one in _drawn(figure, weights).items() if name in fewest}
        for figures in (first, second)
    ]
    found = {}
    for name in (name for name in draws[0] if name in draws[1]):
        one, other = (float(value[name][0]) if np.isfinite(value[name][0]) else None for value in values)
        if one is None or other is None:
            found[name] = Difference(one, other, None, None, None)
            continue
        apart = draws[0][name] - draws[1][name]
        apart = apart[np.isfinite(apart)]
        bounds = trusted(_percentiles(apart, level), fewest[name])
        turned = float(np.mean(apart <= 0 if one > other else apart >= 0)) if bounds and one != other else None
        found[name] = Difference(one, other, one - other, bounds, turned)
    return found


def _draws(videos: int, resamples: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), resamples)


def _drawn(figure: Figures, weights: np.ndarray) -> dict[str, np.ndarray]:
    blocks = [figure(weights[start : start + _DRAWS_AT_ONCE]) for start in range(0, len(weights), _DRAWS_AT_ONCE)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _percentiles(values: np.ndarray, level: float) -> list[float] | None:
    values = values[np.isfinite(values)]
    tail = (1 - level) / 2 * 100
    return np.percentile(values, [tail, 100 - tail]).tolist() if len(values) else None


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
