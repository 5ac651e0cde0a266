"""What a reader has to know about the figures, in sentences."""

from collections.abc import Sequence

from aadc.eval.scored_split import ScoredSplit


def notes_on(split: ScoredSplit, figures: dict) -> list[str]:
    """Sentences on what is missing, odd or undefined in the figures of `evaluate`."""
    notes = []
    if missing := [row.video for row in split.rows if row.key not in split.scored]:
        notes.append(
            f"{len(missing)} of {len(split.rows)} videos have no features and are left out ({_some(missing)}); see rejected.csv"
        )
    decoded = {row.video: split.scored[row.key].features.frames for row in split.there}
    if off := [row.video for row in split.there if row.frames and abs(row.frames - decoded[row.video]) > split.stride]:
        notes.append(
            f"{len(off)} videos decode to a frame count more than a snippet off the manifest's ({_some(off)}); the manifest's "
            "count is used"
        )
    if unknown := [video.video for video in split.videos if video.truth is None]:
        over = f"frame-level figures are over the other {len(split.known)} videos" if split.known else "no frame-level figures"
        notes.append(
            f"{over}: {len(unknown)} abnormal videos have no segments in the manifest ({_some(unknown)}), so which of their "
            "frames are anomalous is not known"
        )
    if figures["frame"] and figures["frame"]["auc"] is None:
        notes.append("frame AUC is undefined: the frames of this split are all of one kind")
    if figures["video"]["auc"] is None:
        notes.append("video AUC is undefined: the videos of this split are all of one kind")
    labels = dict.fromkeys(label for row in split.there for label in row.labels)
    if foreign := [label for label in labels if label not in split.names]:
        notes.append(
            f"{len(foreign)} of the labels are none of the classes that the videos are scored against ({_some(foreign)}): "
            "category figures and mAP leave them out; --classes CARD.toml scores against another list"
        )
    return notes


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
