"""What a reader has to know about the figures, in sentences."""

from collections.abc import Sequence

import numpy as np

from aadc.eval.scored_split import ScoredSplit
from aadc.manifests.manifest import Segment
from aadc.manifests.shown import shown


def notes_on(split: ScoredSplit, figures: dict) -> list[str]:
    """Sentences on what is missing, odd or undefined in the figures of `evaluate`."""
    notes = []
    if missing := [row.video for row in split.rows if row.key not in split.scored]:
        notes.append(
            f"{len(missing)} of {len(split.rows)} videos have no features and are left out ({some(missing)}); see rejected.csv"
        )
    decoded = {row.video: split.scored[row.key].features.frames for row in split.there}
    if off := [row.video for row in split.there if row.frames and abs(row.frames - decoded[row.video]) > split.stride]:
        notes.append(
            f"{len(off)} videos decode to a frame count more than a snippet off the manifest's ({some(off)}); the manifest's "
            "count is used"
        )
    notes += _on_lost_frames(split)
    if unknown := [video.video for video in split.videos if video.truth is None]:
        over = f"frame-level figures are over the other {len(split.known)} videos" if split.known else "no frame-level figures"
        notes.append(
            f"{over}: {len(unknown)} abnormal videos have no segments in the manifest ({some(unknown)}), so which of their "
            "frames are anomalous is not known; write them into its column segments, or, where such clips are anomalous from "
            "first to last frame, make it with aadc-manifest folder --whole-clips"
        )
    if figures["frame"] and figures["frame"]["auc"] is None:
        notes.append("frame AUC is undefined: the frames of this split are all of one kind")
    if figures["video"]["auc"] is None:
        notes.append("video AUC is undefined: the videos of this split are all of one kind")
    labels = dict.fromkeys(label for row in split.there for label in row.labels)
    if foreign := [label for label in labels if label not in split.names]:
        notes.append(
            f"{len(foreign)} of the labels are none of the classes that the videos are scored against ({some(foreign)}): "
            "category figures and mAP leave them out; --classes CARD.toml scores against another list"
        )
    return notes


def _on_lost_frames(split: ScoredSplit) -> list[str]:
    """Videos cut off, and truth that lies where nothing was decoded."""
    cut, lost = [], []
    for row, video in zip(split.there, split.videos, strict=True):
        features = split.scored[row.key].features
        if features.truncated:
            cut.append(f"{row.video}: {features.share}")
        beyond = [segment for segment in row.segments if _beyond(segment, features.frames, split.stride)]
        truth = np.zeros(0, bool) if video.truth is None else video.truth
        unseen, all_of_it = int(np.count_nonzero(truth[split.first_unseen(row) :])), int(np.count_nonzero(truth))
        if beyond or unseen:
            what = " and ".join(map(str, beyond)) or "to its end"
            lost.append(f"{row.video}: {what}, {unseen} of {all_of_it} anomalous frames")
    notes = [f"{len(cut)} videos are cut off ({some(cut)})"] if cut else []
    if lost:
        notes.append(
            f"{len(lost)} videos end before their segments do ({some(lost)}): anomalous frames that were not decoded count as "
            "missed; is the video damaged, or of another frame rate than the manifest speaks of?"
        )
    return notes


def _beyond(segment: Segment, end: int, stride: int) -> bool:
    """Whether a segment lies past the end of a video, in whole or by more than a snippet."""
    return segment.start_frame >= end or (segment.end_frame or 0) > end + stride


def some(names: Sequence[str]) -> str:
    """The first three names, fit to be shown, and whether there are more."""
    return ", ".join(map(shown, names[:3])) + (" …" if len(names) > 3 else "")
