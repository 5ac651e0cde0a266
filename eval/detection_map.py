"""mAP at temporal IoU: the fine-grained figure of the paper's Tables III and IV.

`published` is what VadCLIP's public evaluation computes, quirks included, so that figures can stand beside published ones:
a class without true segments still counts as 0 in the mean, and one class without any proposal makes everything 0.
`clean` mends that: abnormal classes with truth only, each class for itself, a flat curve is one proposal, ties in a fixed
order, videos of any length. `docs/metrics.md` tells the rules one by one.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

IOUS = (0.1, 0.2, 0.3, 0.4, 0.5)
NORMAL = ("A", "Normal")
Protocol = Literal["published", "clean"]
_DEPTH = 0.6  # how far below a curve's highest value a proposal may reach, as a share of its range
_VIDEO_WEIGHT = 0.7  # of the video score in a proposal's score


class _Proposals(NamedTuple):
    """Proposals of one class over all videos: video index, half-open frames, score."""

    video: np.ndarray
    start: np.ndarray
    end: np.ndarray
    score: np.ndarray


class Ranking(NamedTuple):
    """Proposals of one class, best first: `video` int (P,) that each lies in, `hit` bool (I, P) whether it takes a true
    segment at each IoU; `truths` int (V,) is how many true segments of the class each video has."""

    video: np.ndarray
    hit: np.ndarray
    truths: np.ndarray


def detection_map(
    predictions: Sequence[np.ndarray],
    segments: Sequence[Sequence[tuple[int, int]]],
    labels: Sequence[Sequence[str]],
    classes: Sequence[str],
    iou: Sequence[float] = IOUS,
    protocol: Protocol = "published",
    normal: Sequence[str] = NORMAL,
) -> list[float]:
    """Mean average precision in percent at each IoU.

    Args:
        predictions: a float array (F_v, C) of class probabilities for every video, F_v >= 1 frames.
        segments: true segments of every video, (start_frame, end_frame), half-open.
        labels: the class of each of those segments.
        classes: names of the C columns.
        iou: bars that a proposal's intersection over union must reach.
        protocol: see the module.
        normal: classes that `clean` leaves out.
    Returns:
        One mAP for each entry of `iou`. Without a single class to measure: nan.
    Raises:
        ValueError: no videos, lengths disagree, or a prediction's columns are not the classes.
    """
    rankings = rank_proposals(predictions, segments, labels, classes, iou, protocol, normal)
    return mean_average_precision(rankings, np.ones((1, len(predictions)), int), len(iou), protocol)[0].tolist()


def rank_proposals(
    predictions: Sequence[np.ndarray],
    segments: Sequence[Sequence[tuple[int, int]]],
    labels: Sequence[Sequence[str]],
    classes: Sequence[str],
    iou: Sequence[float],
    protocol: Protocol,
    normal: Sequence[str],
) -> list[Ranking]:
    """What `detection_map` takes its mean over, class by class. Arguments and errors are its own."""
    if not len(predictions) == len(segments) == len(labels) > 0:
        raise ValueError(f"{len(predictions)} predictions, {len(segments)} segment lists and {len(labels)} label lists")
    for video, values in enumerate(predictions):
        if values.ndim != 2 or values.shape[1] != len(classes) or not len(values):
            raise ValueError(f"prediction {video} has shape {values.shape}, the classes are {len(classes)}")
    truth: dict[str, list[tuple[int, int, int]]] = {name: [] for name in classes}
    for video, (spans, names) in enumerate(zip(segments, labels, strict=True)):
        for (start, end), name in zip(spans, names, strict=True):
            if name in truth:
                truth[name].append((video, start, end))
    clean = protocol == "clean"
    found = _proposals(predictions, len(classes), clean)
    return [
        _match(proposals, truth[name], iou, len(predictions))
        for name, proposals in zip(classes, found, strict=True)
        if not clean or (truth[name] and name not in normal)
    ]


def mean_average_precision(rankings: Sequence[Ranking], weights: np.ndarray, ious: int, protocol: Protocol) -> np.ndarray:
    """mAP in percent, once for each row of `weights`.

    Args:
        weights: int (R, V), how often each video counts: ones for the figure itself, draws for a bootstrap.
        ious: how many bars the rankings were made for.
    Returns:
        float (R, ious); nan where no class can be measured.
    """
    clean = protocol == "clean"
    total, measured = np.zeros((len(weights), ious)), np.zeros((len(weights), 1))
    for ranking in rankings:
        counts = weights[:, ranking.video]
        ranks = np.cumsum(counts, axis=1)
        truths = weights @ ranking.truths
        known = truths > 0
        measured[:, 0] += known if clean else 1
        for column, hit in enumerate(ranking.hit):
            precisions = _precisions(counts[:, hit], ranks[:, hit])
            total[known, column] += precisions[known] / truths[known]
    if not clean:
        proposed = [weights[:, ranking.video].any(1) for ranking in rankings]
        total[~np.logical_and.reduce(proposed)] = 0
    return 100 * np.divide(total, measured, out=np.full_like(total, np.nan), where=measured > 0)


def _precisions(counts: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Sum of the precisions at the true positives: int (R, H) copies of each, and the rank of its last copy."""
    found, sums = np.cumsum(counts, axis=1), np.zeros(len(counts))
    for copy in range(counts.max(initial=0)):
        precision = (found - copy) / np.maximum(ranks - copy, 1)
        sums += np.where(copy < counts, precision, 0).sum(1)
    return sums


def _proposals(predictions: Sequence[np.ndarray], classes: int, clean: bool) -> list[_Proposals]:
    """Runs of frames above the threshold of their own curve, class by class, with their scores."""
    parts = []
    for video, values in enumerate(predictions):
        # Work on runs of equal rows (a snippet's row stands for 16 frames): the frames of a run rise and fall together.
        changed = np.any(values[1:] != values[:-1], axis=1)
        bounds = np.concatenate([[0], np.flatnonzero(changed) + 1, [len(values)]])
        rows = values[bounds[:-1]]
        strength = _top_mean(rows, np.diff(bounds), max(len(values) // 16, int(clean)))
        rows = np.where(strength <= 0, 0.0, rows)
        high, low = rows.max(0), rows.min(0)
        over = rows > high - _DEPTH * (high - low)
        if clean:
            over |= (high == low) & (high > 0)
        edges = np.diff(np.pad(over.T.astype(np.int8), ((0, 0), (1, 1))), axis=1)
        column, begin = np.nonzero(edges == 1)
        stop = np.nonzero(edges == -1)[1]
        curves = np.pad(rows.T, ((0, 0), (0, 1)))  # so that a run may stop behind the last row
        inside = np.stack([begin, stop], 1) + column[:, None] * curves.shape[1]
        peak = np.maximum.reduceat(curves.ravel(), inside.ravel())[::2] if len(inside) else np.zeros(0)
        score = peak + _VIDEO_WEIGHT * strength[column]
        parts.append((column, np.full(len(column), video), bounds[begin], bounds[stop], score))
    column, videos, start, end, score = map(np.concatenate, zip(*parts, strict=True))
    kept = [np.flatnonzero((column == one) & (end - start >= 2)) for one in range(classes)]
    return [_Proposals(videos[at], start[at], end[at], score[at]) for at in kept]


def _top_mean(rows: np.ndarray, length: np.ndarray, frames: int) -> np.ndarray:
    """Mean of the `frames` highest frame values of each class, from rows that each stand for `length` frames."""
    if not frames:
        return np.full(rows.shape[1], np.nan)
    order = np.argsort(-rows, axis=0)
    taken = np.cumsum(length[order], axis=0)
    share = np.clip(frames - (taken - length[order]), 0, length[order])
    return (np.take_along_axis(rows, order, 0) * share).sum(0) / frames


def _match(found: _Proposals, truth: list[tuple[int, int, int]], iou: Sequence[float], videos: int) -> Ranking:
    """Sort proposals by score and let each take the free true segment of its video that it overlaps most, if by enough."""
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
    hit = np.zeros((len(iou), len(order)), bool)
    for row, bar in enumerate(iou):
        taken: set[int] = set()
        for rank, overlaps in candidates:
            best = max(((value, -index) for value, index in overlaps if index not in taken), default=(0.0, 0))
            if best[0] >= bar:
                taken.add(-best[1])
                hit[row, rank] = True
    truths = np.bincount([video for video, _, _ in truth], minlength=videos) if truth else np.zeros(videos, int)
    return Ranking(found.video[order], hit, truths)
