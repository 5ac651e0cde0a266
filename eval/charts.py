"""Curves as SVG paths: small, sharp at any size, no library in the page. Coordinates run from 0 to 1000 and 0 to 100."""

import numpy as np

from aadc.eval.spans import clock

_POINTS = 400
_TICKS = 6  # most intervals between ticks: their times stand side by side on a telephone
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
SHORT_S = 60.0  # of shorter videos, times are told to a tenth of a second


def ticks(duration_s: float) -> list[tuple[float, str]]:
    """Round times along a video and how they are written, seconds ascending from 0; no two are written alike."""
    if not 0 < duration_s < np.inf:
        return [(0.0, clock(0))]
    step = next((step for step in _STEPS_S if duration_s / step <= _TICKS), 86400 * np.ceil(duration_s / 86400 / _TICKS))
    times = [number * float(step) for number in range(int(duration_s / step + 1e-9) + 1)]
    return [(time, clock(time, tenths=step < 1)) for time in times]


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


def operating_point(truth: np.ndarray, score: np.ndarray, threshold: float) -> tuple[float, float, float | None]:
    """What a threshold makes of frames: share of the normal frames called anomalous, share of the anomalous frames found, and
    precision, None where nothing is called anomalous. `truth` holds both kinds."""
    called = score >= threshold
    hits = int(np.count_nonzero(called & truth))
    false, true = np.count_nonzero(called & ~truth) / np.count_nonzero(~truth), hits / np.count_nonzero(truth)
    return float(false), float(true), hits / int(called.sum()) if called.any() else None


def roc_path(truth: np.ndarray, score: np.ndarray) -> str:
    """ROC curve in a square of 1000 x 1000."""
    from sklearn.metrics import roc_curve  # heavy, and whoever scores a video draws none

    false, true, _ = roc_curve(truth, score)
    return "M" + "L".join(f"{x} {y}" for x, y in _thinned(false, true))


def pr_path(truth: np.ndarray, score: np.ndarray) -> str:
    """Precision over recall in a square of 1000 x 1000, in steps: the area below is the average precision."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(truth, score)
    points = _thinned(recall[-2::-1], precision[-2::-1])  # the last is (0, 1) by definition
    return f"M0 {points[0][1]}" + "".join(f"V{y}H{x}" for x, y in points)


def _thinned(x: np.ndarray, y: np.ndarray) -> list[tuple[int, int]]:
    """At most `_POINTS` of the points, evenly along the length of their line."""
    length = np.concatenate([[0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], _POINTS)))
    return [(round(1000 * float(x[at])), round(1000 * (1 - float(y[at])))) for at in kept]
