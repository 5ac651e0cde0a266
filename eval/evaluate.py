"""All figures of a split with their intervals, as a plain dict that becomes metrics.json: shares of 1, all of them; what is no
share says its unit in its name (`…_s`, `…_per_hour`)."""

import numpy as np

from aadc.eval.bootstrap import Figures, intervals, perfect_auc_interval, share_interval, trusted
from aadc.eval.detection_map import IOUS, Protocol, Ranking, mean_average_precision, rank_proposals
from aadc.eval.metrics import FrameFigures, VideoFigures, category_figures, class_figures, frame_figures, video_figures
from aadc.eval.ranked import RATES, recall_name
from aadc.eval.split import Split

PROTOCOLS: tuple[Protocol, ...] = ("published", "clean")
OF_ALL_FRAMES = ("auc", "ap", "ap_trapezoid", *map(recall_name, RATES))
OF_ABNORMAL_FRAMES = ("auc_abnormal_videos", "ap_abnormal_videos")
OF_EVENTS = (
    "ap_early",
    "event_f1_at_20_percent_iou",
    "event_f1_at_50_percent_iou",
    "events_found",
    "false_alarms_per_hour",
    "detection_delay_s",
)


def evaluate(split: Split, with_map: bool) -> dict:
    """Every figure that the data allows; None where one is undefined. `with_map`: mAP@IoU, too."""
    known = [split.videos[place] for place in split.known]
    abnormal = [entry.name for entry in split.card.classes if entry.kind == "abnormal"]
    figures: dict = {
        "videos": len(split.videos),
        "videos_missing": len(split.rows) - len(split.videos),
        "video": video_figures(split.videos, split.k, split.stride),
        "category": category_accuracies(split),
        "frame": frame_figures(known) if known else None,
        "class": class_figures(known, abnormal) if known else None,
        "map": None,
    }
    rankings = rankings_of(split) if with_map else {}
    if rankings:
        figures["map"] = _map_figures(rankings, len(known))
    figures["interval"] = _intervals(split, figures, intervals(resampled(split, rankings), len(split.videos)))
    return figures


def resampled(split: Split, rankings: dict[Protocol, list[Ranking]] | None = None) -> list[Figures]:
    """Every figure that draws of videos are taken of, as functions of the draws."""
    found: list[Figures] = [VideoFigures(split.videos, split.k, split.stride)]
    if split.known:
        found.append(FrameFigures([split.videos[place] for place in split.known], split.known))
    if rankings:
        found.append(_map_level(rankings, split.known))
    return found


def fewest_videos(split: Split) -> dict[str, int]:
    """Of each figure that has an interval, how many videos there are of the rarer kind that it compares."""
    known = [split.videos[place] for place in split.known]
    with_event = sum(bool(video.known_truth.any()) for video in known)
    abnormal, normal = (sum(video.abnormal == kind for video in split.videos) for kind in (True, False))
    over_frames = min(with_event, sum(not video.known_truth.all() for video in known))
    in_abnormal = min(
        sum(video.abnormal and bool(video.known_truth.any()) for video in known),
        sum(video.abnormal and not video.known_truth.all() for video in known),
    )
    fewest = {name: over_frames for name in OF_ALL_FRAMES} | {name: in_abnormal for name in OF_ABNORMAL_FRAMES}
    fewest |= {name: with_event for name in OF_EVENTS}
    fewest |= {"false_alarm_rate": sum(not video.abnormal for video in known)}
    fewest |= {name: min(abnormal, normal) for name in ("video_auc", "video_ap")}
    return fewest | {f"map_{protocol}": sum(video.abnormal for video in known) for protocol in PROTOCOLS}


def _intervals(split: Split, figures: dict, drawn: dict[str, list[float] | None]) -> dict[str, list[float] | None]:
    """Intervals of draws where there are videos enough, exact ones where there is a way; None elsewhere."""
    fewest = fewest_videos(split)
    found = {name: trusted(bounds, fewest[name]) for name, bounds in drawn.items() if name in fewest}
    if figures["video"]["auc"] == 1:
        abnormal = sum(video.abnormal for video in split.videos)
        found["video_auc"] = perfect_auc_interval(abnormal, len(split.videos) - abnormal)
    told, right = _told_and_right(split)
    found["category_accuracy"] = share_interval(int(right.sum()), int(told.sum())) if told.any() else None
    joint = _jointly_right(split)
    found["joint_accuracy"] = share_interval(sum(joint), len(joint)) if joint else None
    return found


def category_accuracies(split: Split) -> dict:
    """Accuracy among the classes of a video's own kind, and among all classes."""
    if not split.names:
        return {"accuracy": None, "joint_accuracy": None}
    joint = _jointly_right(split)
    figures = category_figures(split.categories, split.names, split.kinds)
    return figures | {"joint_accuracy": sum(joint) / len(joint) if joint else None}


def _jointly_right(split: Split) -> list[bool]:
    """Of the videos with a label that the classes have, whether the class predicted among all is right."""
    pairs = split.joint_categories if split.names else []
    return [true == predicted for true, predicted in pairs if true is not None]


def _told_and_right(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Of which videos the category can be wrong, and of which of them it is right: bool (V,) each."""
    if not split.names:
        return np.zeros(0, bool), np.zeros(0, bool)
    told = np.array([true is not None and split.kinds.count(split.kind(true)) > 1 for true, _ in split.categories])
    return told, told & np.array([true == predicted for true, predicted in split.categories])


def rankings_of(split: Split) -> dict[Protocol, list[Ranking]]:
    """Proposals of all videos beside their truth, in both protocols; a normal video is one true segment. Empty where there is
    no frame truth, or no class.

    Published truth calls that segment `A`. XD-Violence's classes know the name (its card spells it `normal`), UCF-Crime's,
    where it is `Normal`, do not, and never find it. Published code also knows whole snippets only.
    """
    if not split.known or not split.names:
        return {}
    normal = [name for name in split.names if split.kind(name) == "normal"]
    rankings: dict[Protocol, list[Ranking]] = {}
    for protocol in PROTOCOLS:
        predictions, segments, labels = [], [], []
        for row in (split.there[place] for place in split.known):
            frames = split.frames(row)
            if protocol == "published":
                frames = max(frames // split.stride, 1) * split.stride
            predictions.append(split.class_curves(row, frames))
            spans = split.spans(row, frames)
            if not split.card.is_abnormal(row.labels):
                name = row.labels[0]
                spans = [(0, frames, "A" if protocol == "published" and name == "Normal" else name)]
            segments.append([(start, end) for start, end, _ in spans])
            labels.append([label for _, _, label in spans])
        rankings[protocol] = rank_proposals(predictions, segments, labels, split.names, IOUS, protocol, normal)
    return rankings


def _map_figures(rankings: dict[Protocol, list[Ranking]], videos: int) -> dict:
    figures: dict = {"iou": list(IOUS)}
    for protocol, found in rankings.items():
        values = mean_average_precision(found, np.ones((1, videos), int), len(IOUS), protocol)[0]
        values = [None if np.isnan(value) else float(value) / 100 for value in values]
        figures[protocol] = {"map": values, "mean": None if None in values else sum(values) / len(values)}
    return figures


def _map_level(rankings: dict[Protocol, list[Ranking]], known: list[int]) -> Figures:
    """Mean mAP over the bars of IoU in both protocols, to be resampled."""

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {
            f"map_{protocol}": mean_average_precision(found, weights[:, known], len(IOUS), protocol).mean(1) / 100
            for protocol, found in rankings.items()
        }

    return figures
