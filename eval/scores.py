"""Scores of videos, from shards and a trained head, and the files they are kept in."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import h5py
import numpy as np

from aadc.eval.sheets import write_rows
from aadc.eval.spans import Span, find_spans
from aadc.eval.truth import expand, refuse_impossible_counts
from aadc.extract.shards import ShardSet
from aadc.extract.video_features import VideoFeatures
from aadc.head.checkpoint import LoadedHead
from aadc.head.scoring import SnippetScores, score_video
from aadc.head.video_score import VideoScore
from aadc.manifests.errors import UserError
from aadc.manifests.files import replacing
from aadc.manifests.manifest import Row

FIELDS = ("frame", "time", "scene", "detr", "count", "seen", "crop", "class")
WIDE = ("scene", "detr", "crop")  # what scores come from, and nothing after them
_GROUP = 4096  # bytes of HDF5's own records for a video, at most
_SLACK = 2**20


@dataclass(frozen=True)
class KeptScores:
    """As `SnippetScores` with `anomaly` (T,), `classes` (T, C) and `video` alone. F (T, D) is a hundred times as large and only
    the describer asks for it, a video at a time: it is computed again each time it is asked for."""

    anomaly: np.ndarray
    classes: np.ndarray
    video: VideoScore
    again: Callable[[], SnippetScores]

    @property
    def features(self) -> np.ndarray:
        return self.again().features


@dataclass(frozen=True)
class Scored:
    """A video's features record (without the `WIDE` ones), its snippet scores, the spans found in it, and how sure it is that
    the video is abnormal (a calibrated probability; None: not computed)."""

    features: VideoFeatures
    snippets: SnippetScores | KeptScores
    spans: list[Span]
    probability: float | None = None


def score_features(head: LoadedHead, features: VideoFeatures, stride: int, threshold: float) -> Scored:
    """Scores and spans of one video. `stride` is that of its extraction (frames).

    Raises:
        UserError: features or times that are not finite, or no snippet.
    """
    if not np.isfinite(features.time).all():
        raise UserError(f"{features.video}: its times are not all finite numbers; extract it again")
    snippets = score_video(head, features)
    kinds = [head.card.kind(name) for name in head.card.names]
    spans = find_spans(
        snippets.anomaly,
        snippets.classes,
        head.card.names,
        kinds,
        features.frame,
        features.time,
        features.frames,
        stride,
        threshold,
        head.sure,
    )
    fps = features.fps if 0 < features.fps < np.inf else 0.0  # 0: not known
    kept = copy(features)
    kept.fps = fps
    for name in WIDE:
        setattr(kept, name, None)
    return Scored(kept, snippets, spans, head.calibration(snippets.video.anomaly_logit))


def score_split(
    head: LoadedHead,
    shards: ShardSet,
    rows: Sequence[Row],
    threshold: float,
    tell: Callable[[], None] = lambda: None,
    manifest: Path = Path("manifest.csv"),
) -> dict[str, Scored]:
    """Score the videos of `rows` that the shards hold, by key in the order of the rows; `tell` is called after each.

    What is kept of a video is what figures are made of: on all of UCF-Crime's training videos some 70 MB.

    Args:
        manifest: where the rows stand, for the sentence about one that cannot be.
    Raises:
        UserError: the shards are not those the head was trained on, or a count of frames that cannot be.
    """
    if shards.fingerprint != head.fingerprint:
        raise UserError(
            f"{shards.folder}: fingerprint {shards.fingerprint}, the head was trained on shards of {head.fingerprint}; "
            "train it again on these (aadc-train-head), or name the run it belongs to with --run"
        )
    stride = shards.sampling["stride"]
    refuse_impossible_counts(rows, shards, manifest, stride)
    there = [row.key for row in rows if row.key in shards.entries]
    scored = {}
    for key, features in shards.read_videos(there, FIELDS):
        found = score_features(head, features, stride, threshold)
        kept = KeptScores(
            found.snippets.anomaly, found.snippets.classes, found.snippets.video, _scoring_again(head, shards, key)
        )
        scored[key] = replace(found, snippets=kept)
        tell()
    return {key: scored[key] for key in there}


def _scoring_again(head: LoadedHead, shards: ShardSet, key: str) -> Callable[[], SnippetScores]:
    return lambda: score_video(head, shards.read(key, FIELDS))


def write_scores(
    scored: Mapping[str, Scored], names: Sequence[str], stride: int, folder: Path, made_with: Mapping | None = None
) -> None:
    """`scores.h5` (per video: frame scores, class probabilities, spans) and `spans.csv` for people, each replaced whole.

    scores.h5: attributes `classes` and `made_with` (JSON); /<key>: `score` float32 (F,), `classes` float32 (T, C), `spans`
    int64 (S, 2) frames.

    Raises:
        UserError: the disk is full, or the folder cannot be written; what was there is untouched.
    """
    with replacing(folder / "scores.h5", RuntimeError) as beside:
        with h5py.File(beside, "w") as file:
            _reserve(beside, scored)
            file.attrs["classes"] = list(names)
            file.attrs["made_with"] = json.dumps(made_with or {})
            for key, one in scored.items():
                group = file.create_group(key)
                group["score"] = expand(one.snippets.anomaly, one.features.frames, stride).astype(np.float32)
                group["classes"] = one.snippets.classes
                group["spans"] = np.array([(s.start_frame, s.end_frame) for s in one.spans], np.int64).reshape(-1, 2)
                group.attrs["video"] = one.features.video
            file.flush()
            size = file.id.get_filesize()
        os.truncate(beside, size)
    with replacing(folder / "spans.csv") as beside, beside.open("w", encoding="utf-8", newline="") as file:
        rows = ((one.features.video, *astuple(span)) for one in scored.values() for span in one.spans)
        write_rows(file, ("video", *(field.name for field in fields(Span))), rows)


def _reserve(path: Path, scored: Mapping[str, Scored]) -> None:
    """Claim room on the disk for all that comes. `OSError` when it is full: HDF5 would notice only while it closes, and was
    seen to crash then (see `shards`)."""
    size = sum(4 * one.features.frames + one.snippets.classes.nbytes + 16 * len(one.spans) + _GROUP for one in scored.values())
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, size + _SLACK)
