"""One video, from file to features, block by block."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aadc.extract.decode import VideoError, VideoFacts
from aadc.extract.decode_child import DecodeChild
from aadc.extract.features import FrameEmbedder
from aadc.extract.gate import Gate
from aadc.extract.shards import DTYPES, VideoFeatures
from aadc.extract.stats import Stats

FLOATS = ("scene", "detr", "box", "score", "crop", "query")


def feature_blocks(
    path: Path, embedder: FrameEmbedder, decoder: DecodeChild, stats: Stats
) -> Iterator[dict[str, np.ndarray] | VideoFacts]:
    """Rows of the shard in order, then the facts of the file; counts and seconds go to `stats`.

    With a gate, still frames take over the rows of the last computed one and are marked in `carried`.

    Raises:
        VideoError: the video cannot be used, or the models gave something that is not a number for it.
    """
    gate = Gate(embedder.settings.gate) if embedder.settings.gate else None
    last: dict[str, np.ndarray] | None = None
    blocks = decoder.blocks(path, embedder.settings.stride, reader=embedder.settings.reader)
    while True:
        with stats.timed("decode"):
            block = next(blocks)
        if isinstance(block, VideoFacts):
            yield block
            return
        fresh = gate(block.rgb) if gate else np.ones(len(block.frame), bool)
        computed = embedder(block.rgb[fresh], stats) if fresh.any() else {}
        if bad := [name for name in FLOATS if computed and not np.isfinite(computed[name]).all()]:
            raise VideoError("not_finite", f"the models gave no finite {', '.join(bad)} around {block.time[0]:.1f} s")
        if last is not None:
            computed = {name: np.concatenate([row, computed[name]]) if computed else row for name, row in last.items()}
        source = np.cumsum(fresh) - (last is None)
        rows = {name: values[source] for name, values in computed.items()}
        last = {name: values[-1:] for name, values in rows.items()}
        stats.sampled_frames += len(fresh)
        stats.computed_frames += int(fresh.sum())
        stats.objects += int(rows["count"].sum())
        yield {"frame": block.frame, "time": block.time, "carried": ~fresh, **rows}


def describe(facts: VideoFacts, path: Path, **about: object) -> VideoFeatures:
    """The record of a video without its arrays; `about` has video, split and labels."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return VideoFeatures(
        **about,
        frames=facts.frames,
        frames_expected=facts.frames_expected,
        decode_errors=facts.decode_errors,
        fps=facts.fps,
        width=facts.width,
        height=facts.height,
        rotation=facts.rotation,
        sha256=sha256,
    )


def video_features(path: Path, embedder: FrameEmbedder, decoder: DecodeChild) -> VideoFeatures:
    """All features of one video in memory, in the shard's own precision, for a video that belongs to no manifest.

    Raises:
        VideoError: the video cannot be used.
    """
    *blocks, facts = feature_blocks(path, embedder, decoder, Stats())
    features = describe(facts, path, video=path.name, split="test", labels=())
    for name, dtype in DTYPES.items():
        array = np.concatenate([block[name] for block in blocks]).astype(dtype)
        setattr(features, "class_id" if name == "class" else name, array)
    return features
