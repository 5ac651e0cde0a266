"""Confidence intervals by resampling videos: frames of one video are not independent, so frames are never resampled."""

from collections.abc import Sequence

import numpy as np

from aadc.eval.metrics import ScoredVideo


def intervals(videos: Sequence[ScoredVideo], resamples: int = 1000, seed: int = 0, level: float = 0.95) -> dict:
    """Percentile intervals of frame AUC and AP over `resamples` draws of videos with replacement.

    Frames of equal score within a video are counted once, with their number of positives and negatives; a draw then only
    weighs videos, so a thousand draws over a million frames take seconds.

    Returns:
        {"auc": [low, high], "ap": [low, high]}, None where no draw had both kinds of frames.
    """
    parts = [_counts(video) for video in videos]
    score = np.concatenate([part[0] for part in parts])
    positives = np.concatenate([part[1] for part in parts]).astype(np.float64)
    negatives = np.concatenate([part[2] for part in parts]).astype(np.float64)
    video = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    order = np.argsort(-score, kind="stable")
    score, positives, negatives, video = score[order], positives[order], negatives[order], video[order]
    last = np.flatnonzero(np.append(np.diff(score) != 0, True))
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        weight = np.bincount(random.integers(0, len(parts), len(parts)), minlength=len(parts))[video]
        drawn.append(_auc_ap(np.cumsum(weight * positives)[last], np.cumsum(weight * negatives)[last]))
    tail = (1 - level) / 2 * 100
    result = {}
    for index, name in enumerate(("auc", "ap")):
        values = np.array([pair[index] for pair in drawn])
        values = values[np.isfinite(values)]
        result[name] = np.percentile(values, [tail, 100 - tail]).tolist() if len(values) else None
    return result


def _counts(video: ScoredVideo) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores of a video with the number of anomalous and of normal frames that have them."""
    score, inverse = np.unique(video.score, return_inverse=True)
    positives = np.bincount(inverse, weights=video.truth, minlength=len(score))
    return score, positives, np.bincount(inverse, minlength=len(score)) - positives


def _auc_ap(true: np.ndarray, false: np.ndarray) -> tuple[float, float]:
    """AUC and AP from cumulated true and false positives at each distinct score, highest first."""
    if not true[-1] or not false[-1]:
        return np.nan, np.nan
    recall, fallout = true / true[-1], false / false[-1]
    area = np.trapezoid(np.append(0.0, recall), np.append(0.0, fallout))
    called = true + false
    precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
    return float(area), float(np.sum(np.diff(recall, prepend=0.0) * precision))
