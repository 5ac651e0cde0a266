"""What an anomaly score means: where between normal and abnormal 0.5 lies, and how sure it is that something happens.

The first is settled by the training videos (`level_between`), the second by videos that were not learned from.

Platt, "Probabilistic outputs for support vector machines", 1999: P = sigmoid(slope * logit + offset), fitted by maximum
likelihood to targets that are drawn in by a pseudo-count of one, so that few videos, told apart without a mistake, do not make
it certain.
"""

import math
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from aadc.manifests.records import Record

_STEPS = 50
_FURTHEST = 16.0  # logits beyond it are as good as certain; a float32 score cannot tell more of them


class Calibration(Record):
    """`videos`: how many it was fitted to. `Calibration()` takes scores as they are."""

    slope: float = Field(1.0, ge=0)
    offset: float = 0.0
    videos: int = Field(0, ge=0)

    def __call__(self, logit: float) -> float:
        """Probability in [0, 1] that a video (or a part of one) with this score, before its sigmoid (eq. 7), is abnormal."""
        return 1 / (1 + math.exp(-min(max(self.slope * logit + self.offset, -_FURTHEST), _FURTHEST)))


def fit_calibration(logits: Sequence[float], abnormal: Sequence[bool]) -> Calibration:
    """Fitted to videos of both kinds. Where a higher score does not mean an abnormal video, every score means the same."""
    x, y = np.clip(np.asarray(logits, float), -_FURTHEST, _FURTHEST), np.asarray(abnormal, bool)
    target = np.where(y, (y.sum() + 1) / (y.sum() + 2), 1 / ((~y).sum() + 2))
    columns, weights = np.stack([x, np.ones_like(x)], 1), np.zeros(2)
    for _ in range(
        _STEPS
    ):  # Newton's; the problem is convex, and a trace of ridge keeps it solvable where all scores are equal
        p = 1 / (1 + np.exp(-columns @ weights))
        gradient = columns.T @ (p - target) + 1e-6 * weights
        hessian = (columns * (p * (1 - p))[:, None]).T @ columns + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step / max(1.0, np.abs(step).max())  # no further than where its parabola holds
        if np.abs(step).max() < 1e-9:
            break
    if weights[0] < 0:
        mean = target.mean()
        return Calibration(slope=0.0, offset=float(np.log(mean / (1 - mean))), videos=len(x))
    return Calibration(slope=float(weights[0]), offset=float(weights[1]), videos=len(x))


_QUIET, _TELLING = 0.9, 0.1  # of normal and of abnormal videos


def level_between(logits: Sequence[float], abnormal: Sequence[bool]) -> float:
    """The score before its sigmoid (eq. 7) from which a snippet is to count as anomalous: half way between the one that nine in
    ten normal videos stay below and the one that nine in ten abnormal ones reach.

    The loss (eq. 8) asks whole videos for scores on either side of 0.5. The mean of two branches, smoothed, no longer keeps
    to that, and a video's mean over its K highest snippets tends to lie off it where training ends early or videos are long.
    Where the two kinds are told apart, this lies in the gap between them, and half of each counts as much whatever their
    numbers.
    """
    x, y = np.asarray(logits, float), np.asarray(abnormal, bool)
    return float(np.quantile(x[~y], _QUIET) + np.quantile(x[y], _TELLING)) / 2


def evidence(anomaly_T: np.ndarray, k: int) -> float:
    """What a run of snippets says together (eq. 7): the mean of the k highest logits of scores in [0, 1]."""
    edge = 1 / (1 + math.exp(_FURTHEST))
    scores = np.clip(np.sort(anomaly_T.astype(float))[::-1][:k], edge, 1 - edge)
    return float(np.log(scores / (1 - scores)).mean())
