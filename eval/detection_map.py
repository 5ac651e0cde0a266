"""mAP at temporal IoU: the fine-grained figure of the paper's Tables III and IV.

`published` is what VadCLIP's public evaluation computes, quirks included, so that figures can stand beside published ones:
a class without true segments still counts as 0 in the mean, and one class without any proposal makes everything 0.
`clean` mends that: abnormal classes with truth only, each class for itself, flat curves are one proposal, ties in a fixed
order. `docs/metrics.md` tells the rules one by one.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

IOUS = (0.1, 0.2, 0.3, 0.4, 0.5)
NORMAL = ("A", "Normal")
_DEPTH = 0.6  # how far below a curve's highest value a proposal may reach, as a share of its range
_VIDEO_WEIGHT = 0.7  # of the video score in a proposal's score


class _Proposals(NamedTuple):
    """Proposals of one class over all videos: video index, half-open frames, score."""

    video: np.ndarray
    start: np.ndarray
    end: np.ndarray
    score: np.ndarray


def detection_map(
    predictions: Sequence[np.ndarray],
    segments: Sequence[Sequence[tuple[int, int]]],
    labels: Sequence[Sequence[str]],
    classes: Sequence[str],
    iou: Sequence[float] = IOUS,
    protocol: Literal["published", "clean"] = "published",
    normal: Sequence[str] = NORMAL,
) -> list[float]:
    """Mean average precision in percent at each IoU.

    Args:
        predictions: a float array (F_v, C) of class probabilities for every video, F_v frames.
        segments: true segments of every video, (start_frame, end_frame), half-open.
        labels: the class of each of those segments.
        classes: names of the C columns.
        iou: bars that a proposal's intersection over union must reach.
        protocol: see the module.
        normal: classes that `clean` leaves out.
    Returns:
        One mAP for each entry of `iou`. Without a single class to measure: nan.
    Raises:
        ValueError: lengths disagree, or a prediction's columns are not the classes.
    """
    if not len(predictions) == len(segments) == len(labels):
        raise ValueError(f"{len(predictions)} predictions, {len(segments)} segment lists and {len(labels)} label lists")
    for video, values in enumerate(predictions):
        if values.ndim != 2 or values.shape[1] != len(classes):
            raise ValueError(f"prediction {video} has shape {values.shape}, the classes are {len(classes)}")
    found = _proposals(predictions, len(classes), flat=protocol == "clean")
    truth = [
        [(video, start, end) for video, spans in enumerate(segments)
         for (start, end), label in zip(spans, labels[video], strict=True) if label == name]
        for name in classes
    ]  # fmt: skip
    if protocol == "published":
        if any(not len(proposals.video) for proposals in found):
            return [0.0 for _ in iou]
        measured = list(range(len(classes)))
    else:
        measured = [c for c, name in enumerate(classes) if truth[c] and name not in normal]
    precision = np.array([_average_precision(found[c], truth[c], iou) for c in measured])
    return (100 * precision.mean(0)).tolist() if len(precision) else [float("nan") for _ in iou]


def _proposals(predictions: Sequence[np.ndarray], classes: int, flat: bool) -> list[_Proposals]:
    """Runs of frames above the threshold of their own curve, class by class, with their scores."""
    columns: list[list[np.ndarray]] = [[] for _ in range(classes)]
    for video, values in enumerate(predictions):
        # Work on runs of equal rows (a snippet's row stands for 16 frames): the frames of a run rise and fall together.
        changed = np.any(values[1:] != values[:-1], axis=1)
        first = np.concatenate([[0], np.flatnonzero(changed) + 1])
        length = np.diff(np.append(first, len(values)))
        rows = values[first]
        strength = _top_mean(rows, length, len(values) // 16)
        rows = np.where(strength <= 0, 0.0, rows)
        high, low = rows.max(0), rows.min(0)
        over = rows > high - _DEPTH * (high - low)
        if flat:
            over |= high == low
        edges = np.diff(np.pad(over.astype(np.int8), ((1, 1), (0, 0))), axis=0)
        bounds = np.append(first, len(values))
        for c in range(classes):
            begin, stop = np.flatnonzero(edges[:, c] == 1), np.flatnonzero(edges[:, c] == -1)
            if not len(begin):
                continue
            start, end = bounds[begin], bounds[stop]
            inside = np.stack([begin, stop], 1).ravel()
            peak = np.maximum.reduceat(np.append(rows[:, c], -np.inf), inside)[::2]
            keep = end - start >= 2
            score = peak + _VIDEO_WEIGHT * strength[c]
            columns[c].append(np.stack([np.full(len(start), video), start, end, score])[:, keep])
    result = []
    for parts in columns:
        video, start, end, score = np.concatenate(parts, axis=1) if parts else np.zeros((4, 0))
        result.append(_Proposals(video.astype(int), start.astype(int), end.astype(int), score))
    return result


def _top_mean(rows: np.ndarray, length: np.ndarray, frames: int) -> np.ndarray:
    """Mean of the `frames` highest frame values of each class, from rows that each stand for `length` frames."""
    if not frames:
        return np.full(rows.shape[1], np.nan)
    order = np.argsort(-rows, axis=0)
    taken = np.cumsum(length[order], axis=0)
    share = np.clip(frames - (taken - length[order]), 0, length[order])
    return (np.take_along_axis(rows, order, 0) * share).sum(0) / frames


def _average_precision(found: _Proposals, truth: list[tuple[int, int, int]], iou: Sequence[float]) -> list[float]:
    """AP of one class at each IoU: the sum of precisions at its true positives over the number of true segments."""
    if not truth or not len(found.video):
        return [0.0 for _ in iou]
    order = np.argsort(-found.score, kind="stable")
    spans: dict[int, list[tuple[int, int, int]]] = {}
    for index, (video, start, end) in enumerate(truth):
        spans.setdefault(video, []).append((index, start, end))
    # Only proposals that overlap a true segment of their own video can ever count; the rest take up ranks.
    candidates = []
    for rank in np.flatnonzero(np.isin(found.video[order], list(spans))):
        proposal = order[rank]
        start, end = found.start[proposal], found.end[proposal]
        overlaps = []
        for index, true_start, true_end in spans[found.video[proposal]]:
            shared = min(end, true_end) - max(start, true_start)
            if shared > 0:
                overlaps.append((shared / (end - start + true_end - true_start - shared), index))
        if overlaps:
            candidates.append((rank, overlaps))
    result = []
    for bar in iou:
        matched: set[int] = set()
        total = 0.0
        for rank, overlaps in candidates:
            best = max(((value, -index) for value, index in overlaps if index not in matched), default=(0.0, 0))
            if best[0] >= bar:
                matched.add(-best[1])
                total += len(matched) / (rank + 1)
        result.append(total / len(truth))
    return result
