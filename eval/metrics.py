"""The figures of the field, over frames and over videos; `docs/metrics.md` defines each.

Undefined figures (a test set of one kind only) are None: never zero, never a crash.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score, roc_curve


@dataclass(frozen=True)
class ScoredVideo:
    """A test video with its scores: frame scores float (F,), frame truth bool (F,) or None where unknown, abnormal or not,
    labels, and the class probabilities of its snippets float (T, C). `own_score` and `own_classes` (C,) are what a head says of
    the video as a whole (eq. 7, 9, 10); scores of other methods have none."""

    video: str
    labels: tuple[str, ...]
    abnormal: bool
    fps: float
    score: np.ndarray
    truth: np.ndarray | None
    classes: np.ndarray
    own_score: float | None = None
    own_classes: np.ndarray | None = None

    @property
    def known_truth(self) -> np.ndarray:
        """Frame truth, of a video that has it. `ValueError` for another."""
        if self.truth is None:
            raise ValueError(f"{self.video} has no frame truth")
        return self.truth


def roc_auc(truth: np.ndarray, score: np.ndarray) -> float | None:
    """Area under the ROC curve, or None where only one kind is there."""
    return float(roc_auc_score(truth, score)) if 0 < np.count_nonzero(truth) < len(truth) else None


def average_precision(truth: np.ndarray, score: np.ndarray) -> float | None:
    """Average precision, the step-wise sum that scikit-learn and VadCLIP use, or None without positives."""
    return float(average_precision_score(truth, score)) if np.any(truth) else None


def trapezoid_precision(truth: np.ndarray, score: np.ndarray) -> float | None:
    """Area under the precision-recall curve by trapezoids, as RTFM and XDVioDet compute XD-Violence's AP."""
    if not np.any(truth):
        return None
    precision, recall, _ = precision_recall_curve(truth, score)
    return float(auc(recall, precision))


def recall_at_false_positives(truth: np.ndarray, score: np.ndarray, rate: float = 0.02) -> float | None:
    """Largest share of anomalous frames found while at most `rate` of the normal frames are called anomalous."""
    if not 0 < np.count_nonzero(truth) < len(truth):
        return None
    false_rate, true_rate, _ = roc_curve(truth, score, drop_intermediate=False)
    return float(true_rate[false_rate <= rate].max())


def flat_floor(videos: Sequence[ScoredVideo]) -> dict[str, float | None]:
    """What a perfect video classifier gets that gives every frame of a video the same score: localisation must beat it."""
    truth = np.concatenate([video.known_truth for video in videos])
    flat = np.concatenate([np.full(len(video.known_truth), float(video.abnormal)) for video in videos])
    return {"auc": roc_auc(truth, flat), "ap": average_precision(truth, flat)}


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Half-open index ranges in which a bool array is True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def alarms(videos: Sequence[ScoredVideo], recall: float = 0.8) -> dict[str, float | int | None]:
    """What an operator meets at the highest threshold that finds `recall` of the true events.

    An event is a true span; it is found when a frame of it scores at or above the threshold. A false alarm is a run of
    frames at or above the threshold that touches no true event. The delay runs from an event's start to its first alarm
    frame, mean over found events.

    Returns:
        threshold, false_alarms and the hours of video that they are of, false_alarms_per_hour, detection_delay_s; None where
        there are no events or no time base.
    """
    nothing = dict.fromkeys(("threshold", "false_alarms", "hours", "false_alarms_per_hour", "detection_delay_s"))
    peaks = [float(video.score[start:end].max()) for video in videos for start, end in runs(video.known_truth)]
    if not peaks or not all(0 < video.fps < np.inf for video in videos):
        return nothing
    threshold = sorted(peaks, reverse=True)[int(np.ceil(recall * len(peaks))) - 1]
    false_alarms, delays = 0, []
    for video in videos:
        over, truth = video.score >= threshold, video.known_truth
        false_alarms += sum(not truth[start:end].any() for start, end in runs(over))
        delays += [int(np.argmax(over[start:end])) / video.fps for start, end in runs(truth) if over[start:end].any()]
    hours = sum(len(video.score) / video.fps for video in videos) / 3600
    return {
        "threshold": threshold,
        "false_alarms": false_alarms,
        "hours": hours,
        "false_alarms_per_hour": false_alarms / hours,
        "detection_delay_s": float(np.mean(delays)),
    }


def frame_figures(videos: Sequence[ScoredVideo]) -> dict:
    """All frame-level figures over the concatenated frames of `videos`; every video must have frame truth."""
    truth = np.concatenate([video.known_truth for video in videos])
    score = np.concatenate([video.score for video in videos])
    abnormal = [video for video in videos if video.abnormal]
    truth_abnormal = np.concatenate([video.known_truth for video in abnormal]) if abnormal else np.zeros(0, bool)
    score_abnormal = np.concatenate([video.score for video in abnormal]) if abnormal else np.zeros(0)
    return {
        "auc": roc_auc(truth, score),
        "ap": average_precision(truth, score),
        "ap_trapezoid": trapezoid_precision(truth, score),
        "auc_abnormal_videos": roc_auc(truth_abnormal, score_abnormal),
        "ap_abnormal_videos": average_precision(truth_abnormal, score_abnormal),
        "recall_at_2_percent_fpr": recall_at_false_positives(truth, score),
        "at_80_percent_of_events": alarms(videos, 0.8),
        "flat_floor": flat_floor(videos),
        "videos": len(videos),
        "frames": len(truth),
        "anomalous_frames": int(truth.sum()),
    }


def class_figures(videos: Sequence[ScoredVideo], classes: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """AUC and AP for each of `classes`, the abnormal ones: videos with that label together with all normal videos."""
    normal = [video for video in videos if not video.abnormal]
    figures = {}
    for label in classes:
        chosen = [video for video in videos if label in video.labels] + normal
        if len(chosen) == len(normal):
            continue
        truth = np.concatenate([video.known_truth for video in chosen])
        score = np.concatenate([video.score for video in chosen])
        figures[label] = {"auc": roc_auc(truth, score), "ap": average_precision(truth, score)}
    return figures


def video_scores(videos: Sequence[ScoredVideo], k: int, stride: int) -> np.ndarray:
    """A score for each video (V,): the head's own (eq. 7, as trained). Where there is none, the mean over its k highest
    snippets; frames past the last snippet count for nothing then, however many there are."""

    def of_snippets(video: ScoredVideo) -> float:
        return float(np.sort(video.score[::stride][: len(video.classes)])[::-1][:k].mean())

    return np.array([of_snippets(video) if video.own_score is None else video.own_score for video in videos])


def video_figures(videos: Sequence[ScoredVideo], k: int, stride: int) -> dict[str, float | None]:
    """AUC and AP over videos."""
    abnormal, score = np.array([video.abnormal for video in videos]), video_scores(videos, k, stride)
    return {"auc": roc_auc(abnormal, score), "ap": average_precision(abnormal, score), "videos": len(videos)}


def video_classes(videos: Sequence[ScoredVideo], k: int) -> np.ndarray:
    """Class probabilities of each video (V, C): the head's own (eq. 9, 10, as trained). Where there are none, per class the
    mean of the k highest snippets."""
    return np.stack([top_k_means(video.classes, k) if video.own_classes is None else video.own_classes for video in videos])


def top_k_means(classes_TC: np.ndarray, k: int) -> np.ndarray:
    """Mean of the k highest values of each class in a video (C,), of all where it has fewer snippets."""
    return np.sort(classes_TC, axis=0)[::-1][:k].mean(0)


def categories(
    videos: Sequence[ScoredVideo], names: Sequence[str], kinds: Sequence[str], k: int
) -> list[tuple[str | None, str | None]]:
    """(true, predicted) class of each video, among the classes of its own kind: whether it is abnormal at all is what AUC
    measures. A prediction that is one of several labels is right; else the first label is the true one. None where the
    classes have nothing to say of the video."""
    pairs = []
    for video, probability in zip(videos, video_classes(videos, k), strict=True):
        own = [index for index, kind in enumerate(kinds) if video.abnormal == (kind == "abnormal")]
        predicted = names[max(own, key=lambda index: probability[index])] if own else None
        true = [label for label in video.labels if label in names and names.index(label) in own]
        pairs.append((predicted if predicted in true else next(iter(true), None), predicted))
    return pairs


def category_figures(pairs: Sequence[tuple[str | None, str | None]], names: Sequence[str], kinds: Sequence[str]) -> dict:
    """Share of videos whose predicted category is right, in all and by kind, and the confusion matrices (Fig. 5).

    Of a kind with one class alone the accuracy says nothing and is left out (None).

    Returns:
        accuracy, and for `normal` and `abnormal`: accuracy, classes, confusion (rows true, columns predicted).
    """
    figures: dict = {}
    right: list[bool] = []
    for kind in ("normal", "abnormal"):
        own = [name for name, found in zip(names, kinds, strict=True) if found == kind]
        matrix = np.zeros((len(own), len(own)), int)
        for true, predicted in pairs:
            if true in own:
                assert true is not None and predicted is not None  # both are of this kind, see `categories`
                matrix[own.index(true), own.index(predicted)] += 1
        hits = [true == predicted for true, predicted in pairs if true in own] if len(own) > 1 else []
        right += hits
        figures[kind] = {
            "accuracy": float(np.mean(hits)) if hits else None,
            "classes": own,
            "confusion": matrix.tolist(),
        }
    figures["accuracy"] = float(np.mean(right)) if right else None
    return figures
