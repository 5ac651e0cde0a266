"""Scores of videos, from shards and a trained head, and the files they are kept in."""

import csv
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np

from aadc.eval.spans import Span, find_spans
from aadc.eval.truth import expand
from aadc.extract.shards import ShardSet, VideoFeatures
from aadc.head.checkpoint import LoadedHead
from aadc.head.scoring import SnippetScores, score_video
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Row


@dataclass(frozen=True)
class Scored:
    """A video's features record, its snippet scores, and the spans found in it."""

    features: VideoFeatures
    snippets: SnippetScores
    spans: list[Span]


def score_features(head: LoadedHead, features: VideoFeatures, stride: int, threshold: float) -> Scored:
    """Scores and spans of one video. `stride` is that of its extraction (frames)."""
    snippets = score_video(head.model, features)
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
    )
    return Scored(features, snippets, spans)


def score_split(
    head: LoadedHead, shards: ShardSet, rows: Iterable[Row], threshold: float, tell: Callable[[], None]
) -> dict[str, Scored]:
    """Score the videos of `rows` that the shards hold, by key; `tell` is called after each.

    Raises:
        UserError: the shards are not those the head was trained on.
    """
    if shards.fingerprint != head.fingerprint:
        raise UserError(
            f"{shards.folder}: fingerprint {shards.fingerprint}, the head was trained on shards of {head.fingerprint}; "
            "train it again on these (aadc-train-head), or name the run it belongs to with --run"
        )
    fields = ("frame", "time", "scene", "detr", "count", "crop", "class")
    scored = {}
    for row in rows:
        if row.key in shards.entries:
            scored[row.key] = score_features(head, shards.read(row.key, fields), shards.sampling["stride"], threshold)
        tell()
    return scored


def write_scores(scored: dict[str, Scored], names: list[str], stride: int, folder: Path) -> None:
    """`scores.h5` (per video: frame scores, class probabilities, spans) and `spans.csv` for people.

    scores.h5: attribute `classes`; /<key>: `score` float32 (F,), `classes` float32 (T, C), `spans` int64 (S, 2) frames.
    """
    beside = folder / f"scores.h5.{os.getpid()}.tmp"
    with h5py.File(beside, "w") as file:
        file.attrs["classes"] = names
        for key, one in scored.items():
            group = file.create_group(key)
            group["score"] = expand(one.snippets.anomaly, one.features.frames, stride).astype(np.float32)
            group["classes"] = one.snippets.classes
            group["spans"] = np.array([(s.start_frame, s.end_frame) for s in one.spans], np.int64).reshape(-1, 2)
            group.attrs["video"] = one.features.video
    os.replace(beside, folder / "scores.h5")
    with (folder / "spans.csv").open("w", encoding="utf-8", newline="") as file:
        columns = [field for field in Span.__dataclass_fields__]
        writer = csv.DictWriter(file, ("video", *columns), lineterminator="\n")
        writer.writeheader()
        for one in scored.values():
            writer.writerows({"video": one.features.video, **asdict(span)} for span in one.spans)
