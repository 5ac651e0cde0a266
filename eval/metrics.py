"""The figures of the field, over frames and over videos; `docs/metrics.md` defines each.

Undefined figures (a test set of one kind only) are None: never zero, never a crash.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aadc.eval.events import THRESHOLD, Alarms, EventF1
from aadc.eval.ranked import RankedScores
from aadc.eval.ranked import runs as runs  # where an array of bools is True; found here by others, too


@dataclass(frozen=True)
class ScoredVideo:
    """A test video with its scores: frame scores float (F,), frame truth bool (F,) or None where unknown, abnormal or not,
    labels, and the class probabilities of its snippets float (T, C). `own_score` and `own_classes` (C,) are what a head says of
    the video as a whole (eq. 7, 9, 10), `probability` how sure it is that it is abnormal; scores of other methods have none."""

    video: str
    labels: tuple[str, ...]
    abnormal: bool
    fps: float
    score: np.ndarray
    truth: np.ndarray | None
    classes: np.ndarray
    own_score: float | None = None
    own_classes: np.ndarray | None = None
    probability: float | None = None

    @property
    def known_truth(self) -> np.ndarray:
        """Frame truth, of a video that has it. `ValueError` for another."""
        if self.truth is None:
            raise ValueError(f"{self.video} has no frame truth")
        return self.truth


def value_of(drawn: np.ndarray) -> float | None:
    """The figure itself, of the values of one draw: a number, or None where it is undefined."""
    return float(drawn[0]) if np.isfinite(drawn[0]) else None


class FrameFigures:
    """All frame-level figures of videos with frame truth, for any draw of them.

    Args:
        videos: every one has frame truth.
        index: which columns of the weights these videos are.
    """

    def __init__(self, videos: Sequence[ScoredVideo], index: Sequence[int]):
        both = [(video.score, video.known_truth) for video in videos]
        self._every = RankedScores(both, index)
        abnormal = [place for place, video in enumerate(videos) if video.abnormal]
        own = [both[place] for place in abnormal]
        self._alone = RankedScores(own, [index[place] for place in abnormal]) if abnormal else None
        self._events = EventF1(both, index)
        timed = all(0 < video.fps < np.inf for video in videos) and any(truth.any() for _, truth in both)
        self._alarms = Alarms([(*one, video.fps) for one, video in zip(both, videos, strict=True)], index) if timed else None
        normal = [place for place, video in enumerate(videos) if not video.abnormal]
        self._normal = [index[place] for place in normal]
        self._called = np.array([np.count_nonzero(videos[place].score >= THRESHOLD) for place in normal], int)
        self._frames = np.array([len(videos[place].score) for place in normal], int)

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Every figure by its name in `frame_figures`, float (R,), of each row of weights int (R, V); nan where undefined."""
        nothing = np.full(len(weights), np.nan)
        figures = self._every(weights)
        alone = self._alone(weights) if self._alone else {"auc": nothing, "ap": nothing}
        figures |= {"auc_abnormal_videos": alone["auc"], "ap_abnormal_videos": alone["ap"]}
        frames = weights[:, self._normal] @ self._frames
        called = (weights[:, self._normal] @ self._called).astype(float)
        figures["false_alarm_rate"] = np.divide(called, frames, out=nothing.copy(), where=frames > 0)
        figures |= self._events(weights)
        return figures | (self._alarms(weights) if self._alarms else dict.fromkeys(ALARM_FIGURES, nothing))


ALARM_FIGURES = ("threshold", "events_found", "false_alarms", "hours", "false_alarms_per_hour", "detection_delay_s")


def frame_figures(videos: Sequence[ScoredVideo]) -> dict:
    """All frame-level figures over the concatenated frames of `videos`; every video must have frame truth."""
    truth = [video.known_truth for video in videos]
    frames, anomalous = sum(map(len, truth)), sum(int(np.count_nonzero(one)) for one in truth)
    found, floor = _arranged(videos), _arranged([_flat(video) for video in videos])
    alarms, quiet = found.pop("at_80_percent_of_events"), floor.pop("at_80_percent_of_events")
    return {
        **found,
        "at_80_percent_of_events": {**alarms, "flat_floor": quiet},
        "flat_floor": {"base_rate": anomalous / frames, **floor},
        "videos": len(videos),
        "frames": frames,
        "anomalous_frames": anomalous,
    }


def _arranged(videos: Sequence[ScoredVideo]) -> dict:
    drawn = FrameFigures(videos, range(len(videos)))(np.ones((1, len(videos)), int))
    figures = {name: value_of(values) for name, values in drawn.items()}
    alarms = {name: figures.pop(name) for name in ALARM_FIGURES}
    alarms["false_alarms"] = None if alarms["false_alarms"] is None else int(alarms["false_alarms"])
    return {**figures, "at_80_percent_of_events": alarms}


def _flat(video: ScoredVideo) -> ScoredVideo:
    """As a perfect video classifier has it that gives every frame of a video the same score: localisation must beat it."""
    return replace(video, score=np.full(len(video.known_truth), float(video.abnormal)))


def class_figures(videos: Sequence[ScoredVideo], classes: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """AUC and AP for each of `classes`, the abnormal ones: videos with that label together with all normal videos."""
    shown = {label: [label in video.labels for video in videos] for label in classes}
    there = [label for label, own in shown.items() if any(own)]
    if not there:
        return {}
    ranked = RankedScores([(video.score, video.known_truth) for video in videos], range(len(videos)))
    normal = [not video.abnormal for video in videos]
    found = ranked(np.array([np.logical_or(normal, shown[label]) for label in there], int))
    return {
        label: {name: value_of(found[name][place : place + 1]) for name in ("auc", "ap")} for place, label in enumerate(there)
    }


def video_scores(videos: Sequence[ScoredVideo], k: int, stride: int) -> np.ndarray:
    """A score for each video (V,): the head's own (eq. 7, as trained). Where there is none, the mean over its k highest
    snippets; frames past the last snippet count for nothing then, however many there are."""

    def of_snippets(video: ScoredVideo) -> float:
        return float(np.sort(video.score[::stride][: len(video.classes)])[::-1][:k].mean())

    return np.array([of_snippets(video) if video.own_score is None else video.own_score for video in videos])


def video_figures(videos: Sequence[ScoredVideo], k: int, stride: int) -> dict[str, float | None]:
    """AUC and AP over videos, and the calibration error of their probabilities where they have some."""
    found = VideoFigures(videos, k, stride)(np.ones((1, len(videos)), int))
    probability = [video.probability for video in videos if video.probability is not None]
    abnormal = np.array([video.abnormal for video in videos])
    error = calibration_error(abnormal, np.array(probability)) if len(probability) == len(videos) else None
    return {
        "auc": value_of(found["video_auc"]),
        "ap": value_of(found["video_ap"]),
        "calibration_error": error,
        "videos": len(videos),
    }


class VideoFigures:
    """AUC and AP over videos, for any draw of them."""

    def __init__(self, videos: Sequence[ScoredVideo], k: int, stride: int):
        scores = video_scores(videos, k, stride)
        single = [(scores[place : place + 1], np.array([video.abnormal])) for place, video in enumerate(videos)]
        self._ranked = RankedScores(single, range(len(single)))

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """video_auc and video_ap, float (R,), of each row of weights int (R, V)."""
        found = self._ranked(weights)
        return {"video_auc": found["auc"], "video_ap": found["ap"]}


def calibration_error(truth: np.ndarray, probability: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015): over bins of equal width, how far the share of positives is from
    the mean probability, weighed by their number."""
    which = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = (abs(truth[which == one].sum() - probability[which == one].sum()) for one in range(bins))
    return float(sum(gaps) / len(truth))


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


def joint_categories(videos: Sequence[ScoredVideo], names: Sequence[str], k: int) -> list[tuple[str | None, str | None]]:
    """As `categories`, with the prediction among all classes, normal and abnormal: nobody says beforehand which kind it is."""
    pairs: list[tuple[str | None, str | None]] = []
    for video, probability in zip(videos, video_classes(videos, k), strict=True):
        predicted = names[int(np.argmax(probability))]
        true = [label for label in video.labels if label in names]
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
