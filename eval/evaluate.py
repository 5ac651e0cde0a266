"""All figures of a split with their intervals, as a plain dict that becomes metrics.json: shares of 1, all of them; what is no
share says its unit in its name (`…_s`, `…_per_hour`)."""

import numpy as np

from aadc.eval.bootstrap import Figures, RankedScores, intervals, perfect_auc_interval, share_interval, trusted
from aadc.eval.detection_map import IOUS, Protocol, Ranking, mean_average_precision, rank_proposals
from aadc.eval.metrics import category_figures, class_figures, frame_figures, video_figures, video_scores
from aadc.eval.scored_split import ScoredSplit
from aadc.eval.truth import label_spans

PROTOCOLS: tuple[Protocol, ...] = ("published", "clean")


def evaluate(split: ScoredSplit, with_map: bool) -> dict:
    """Every figure that the data allows; None where one is undefined. `with_map`: mAP@IoU, too."""
    known = [split.videos[place] for place in split.known]
    abnormal = [entry.name for entry in split.card.classes if entry.kind == "abnormal"]
    figures: dict = {
        "videos": len(split.videos),
        "videos_missing": len(split.rows) - len(split.videos),
        "video": video_figures(split.videos, split.k, split.stride),
        "category": category_figures(split.categories, split.names, split.kinds),
        "frame": frame_figures(known) if known else None,
        "class": class_figures(known, abnormal) if known else None,
        "map": None,
    }
    resampled = [_video_level(split)]
    if known:
        resampled.append(_frame_level(split))
    if known and with_map:
        rankings = _rankings(split)
        figures["map"] = _map_figures(rankings, len(known))
        resampled.append(_map_level(rankings, split.known))
    figures["interval"] = _intervals(split, figures, intervals(resampled, len(split.videos)))
    return figures


def _intervals(split: ScoredSplit, figures: dict, drawn: dict[str, list[float] | None]) -> dict[str, list[float] | None]:
    """Intervals of draws where there are videos enough, exact ones where there is a way; None elsewhere."""
    known = [split.videos[place] for place in split.known]
    abnormal, normal = (sum(video.abnormal == kind for video in split.videos) for kind in (True, False))
    over_videos, over_frames, in_abnormal = (
        min(abnormal, normal),
        min(sum(bool(video.known_truth.any()) for video in known), sum(not video.known_truth.all() for video in known)),
        min(
            sum(video.abnormal and bool(video.known_truth.any()) for video in known),
            sum(video.abnormal and not video.known_truth.all() for video in known),
        ),
    )
    fewest = {"auc": over_frames, "ap": over_frames, "recall_at_2_percent_fpr": over_frames}
    fewest |= {"auc_abnormal_videos": in_abnormal, "ap_abnormal_videos": in_abnormal}
    fewest |= {"video_auc": over_videos, "video_ap": over_videos}
    fewest |= {f"map_{protocol}": sum(video.abnormal for video in known) for protocol in PROTOCOLS}
    found = {name: trusted(bounds, int(fewest.get(name, 0))) for name, bounds in drawn.items()}
    if figures["video"]["auc"] == 1:
        found["video_auc"] = perfect_auc_interval(abnormal, normal)
    told, right = _told_and_right(split)
    found["category_accuracy"] = share_interval(int(right.sum()), int(told.sum())) if told.any() else None
    return found


def _told_and_right(split: ScoredSplit) -> tuple[np.ndarray, np.ndarray]:
    """Of which videos the category can be wrong, and of which of them it is right: bool (V,) each."""
    told = np.array([true is not None and split.kinds.count(split.kind(true)) > 1 for true, _ in split.categories])
    return told, told & np.array([true == predicted for true, predicted in split.categories])


def _video_level(split: ScoredSplit) -> Figures:
    """Figures over videos, to be resampled."""
    scores = video_scores(split.videos, split.k, split.stride)
    single = [(scores[place : place + 1], np.array([video.abnormal])) for place, video in enumerate(split.videos)]
    ranked = RankedScores(single, range(len(single)))

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        auc, ap, _ = ranked.figures(weights)
        return {"video_auc": auc, "video_ap": ap}

    return figures


def _frame_level(split: ScoredSplit) -> Figures:
    """Figures over the frames of the videos with truth, to be resampled."""

    def ranked(places: list[int]) -> RankedScores:
        return RankedScores([(split.videos[place].score, split.videos[place].known_truth) for place in places], places)

    every = ranked(split.known)
    abnormal = [place for place in split.known if split.videos[place].abnormal]
    alone = ranked(abnormal) if abnormal else None

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        found = dict(zip(("auc", "ap", "recall_at_2_percent_fpr"), every.figures(weights, 0.02), strict=True))
        if alone:
            found["auc_abnormal_videos"], found["ap_abnormal_videos"], _ = alone.figures(weights)
        return found

    return figures


def _rankings(split: ScoredSplit) -> dict[Protocol, list[Ranking]]:
    """Proposals of all videos beside their truth, in both protocols; a normal video is one true segment.

    Published truth calls that segment `A`. XD-Violence's classes know the name (its card spells it `normal`), UCF-Crime's,
    where it is `Normal`, do not, and never find it. Published code also knows whole snippets only.
    """
    normal = [name for name in split.names if split.kind(name) == "normal"]
    rankings: dict[Protocol, list[Ranking]] = {}
    for protocol in PROTOCOLS:
        predictions, segments, labels = [], [], []
        for row in (split.there[place] for place in split.known):
            frames = split.frames(row)
            if protocol == "published":
                frames = max(frames // split.stride, 1) * split.stride
            predictions.append(split.class_curves(row, frames))
            spans = label_spans(row, frames, split.card)
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
