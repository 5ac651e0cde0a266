"""All figures of a run on one split, as a plain dict that becomes metrics.json."""

from dataclasses import dataclass, field

from aadc.eval.bootstrap import intervals
from aadc.eval.detection_map import IOUS, detection_map
from aadc.eval.metrics import category_figures, class_figures, frame_figures, video_figures
from aadc.eval.scores import Scored, scored_video
from aadc.eval.truth import expand, label_spans
from aadc.manifests.card import Card
from aadc.manifests.manifest import Row


@dataclass
class Evaluation:
    """Figures of a split, and what a reader has to know about them in sentences."""

    figures: dict
    notes: list[str] = field(default_factory=list)


def evaluate(scored: dict[str, Scored], rows: list[Row], card: Card, k: int, stride: int, metric: str) -> Evaluation:
    """Every figure that the data allows.

    Args:
        scored: by key, as `score_split` gives it.
        rows: of the split, all of them; those without scores are named.
        k: of the head (eq. 7), for the video level.
        metric: auc, ap, map or all; mAP@IoU is computed for the last two.
    """
    there = [row for row in rows if row.key in scored]
    notes = []
    if missing := [row.video for row in rows if row.key not in scored]:
        notes.append(
            f"{len(missing)} of {len(rows)} videos have no features and are left out ({', '.join(missing[:3])}"
            f"{' …' if len(missing) > 3 else ''}); see rejected.csv"
        )
    if off := [row.video for row in there if row.frames and abs(row.frames - scored[row.key].features.frames) > stride]:
        notes.append(
            f"{len(off)} videos decode to a frame count more than a snippet off the manifest's ({', '.join(off[:3])}); "
            "the manifest's count is used"
        )
    videos = [scored_video(row, scored[row.key], card, stride) for row in there]
    names, kinds = card.names, [card.kind(name) for name in card.names]
    figures: dict = {
        "videos": len(videos),
        "videos_missing": len(rows) - len(videos),
        "video": video_figures(videos, k, stride),
        "category": category_figures(videos, names, kinds, k),
        "frame": None,
        "class": None,
        "interval": None,
        "map": None,
    }
    if unknown := [video.video for video in videos if video.truth is None]:
        notes.append(
            f"no frame-level figures: {len(unknown)} abnormal videos have no segments in the manifest ({unknown[0]} for one), "
            "so which of their frames are anomalous is not known"
        )
    else:
        figures["frame"] = frame_figures(videos)
        figures["class"] = class_figures(videos, [name for name in names if card.kind(name) == "abnormal"])
        figures["interval"] = intervals(videos)
        if figures["frame"]["auc"] is None:
            notes.append("AUC is undefined: the frames of this split are all of one kind")
        if metric in ("map", "all"):
            figures["map"] = map_figures(scored, there, card, stride)
    return Evaluation(figures, notes)


def map_figures(scored: dict[str, Scored], rows: list[Row], card: Card, stride: int) -> dict:
    """mAP@IoU in both protocols. A normal video is one true segment of its first label, as in the published ground truth."""
    predictions, segments, labels = [], [], []
    for row in rows:
        one = scored[row.key]
        frames = row.frames or one.features.frames
        predictions.append(expand(one.snippets.classes.astype(float), frames, stride))
        spans = label_spans(row, frames, card) or [(0, frames, row.labels[0])]
        segments.append([(start, end) for start, end, _ in spans])
        labels.append([label for _, _, label in spans])
    normal = [name for name in card.names if card.kind(name) == "normal"]
    figures: dict = {"iou": list(IOUS)}
    for protocol in ("published", "clean"):
        values = detection_map(predictions, segments, labels, card.names, IOUS, protocol, normal)
        values = [None if value != value else value for value in values]
        figures[protocol] = {"map": values, "mean": None if None in values else sum(values) / len(values)}
    return figures
