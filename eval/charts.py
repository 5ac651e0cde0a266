"""Curves as SVG paths: small, sharp at any size, no library in the page. Coordinates run from 0 to 1000 and 0 to 100."""

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

_POINTS = 400


def step_path(values: np.ndarray, ends: np.ndarray) -> str:
    """A step curve of T snippets' values in [0, 1] over the width of a video; where there are too many, each step is the
    highest of its bin.

    Args:
        ends: where each step ends, float (T,) ascending to 1.
    """
    if len(values) > _POINTS:
        first = np.arange(_POINTS) * len(values) // _POINTS
        values, ends = np.maximum.reduceat(values, first), ends[np.append(first[1:], len(values)) - 1]
    steps = zip(1000 * ends, 100 * (1 - values), strict=True)
    return "M0 100" + "".join(f"V{y:.1f}H{x:.1f}" for x, y in steps)


def roc_path(truth: np.ndarray, score: np.ndarray) -> str:
    """ROC curve in a square of 1000 x 1000."""
    false, true, _ = roc_curve(truth, score)
    return "M" + "L".join(f"{x} {y}" for x, y in _thinned(false, true))


def pr_path(truth: np.ndarray, score: np.ndarray) -> str:
    """Precision over recall in a square of 1000 x 1000, in steps: the area below is the average precision."""
    precision, recall, _ = precision_recall_curve(truth, score)
    points = _thinned(recall[-2::-1], precision[-2::-1])  # the last is (0, 1) by definition
    return f"M0 {points[0][1]}" + "".join(f"V{y}H{x}" for x, y in points)


def _thinned(x: np.ndarray, y: np.ndarray) -> list[tuple[int, int]]:
    """At most `_POINTS` of the points, evenly along the length of their line."""
    length = np.concatenate([[0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], _POINTS)))
    return [(round(1000 * float(x[at])), round(1000 * (1 - float(y[at])))) for at in kept]
