"""One video, from file to features, block by block."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aadc.extract.decode import VideoError, VideoFacts
from aadc.extract.decode_child import DecodeChild
from aadc.extract.features import FrameEmbedder
from aadc.extract.shards import DTYPES, VideoFeatures

FLOATS = ("scene", "detr", "box", "score", "crop", "query")


def feature_blocks(path: Path, embedder: FrameEmbedder, decoder: DecodeChild) -> Iterator[dict[str, np.ndarray] | VideoFacts]:
    """Rows of the shard in order, then the facts of the file.

    Raises:
        VideoError: the video cannot be used, or the models gave something that is not a number for it.
    """
    for block in decoder.blocks(path, embedder.settings.stride):
        if isinstance(block, VideoFacts):
            yield block
            continue
        rows = embedder(block.rgb)
        if bad := [name for name in FLOATS if not np.isfinite(rows[name]).all()]:
            raise VideoError("not_finite", f"the models gave no finite {', '.join(bad)} around {block.time[0]:.1f} s")
        yield {"frame": block.frame, "time": block.time, **rows}


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
    *blocks, facts = feature_blocks(path, embedder, decoder)
    features = describe(facts, path, video=path.name, split="test", labels=())
    for name, dtype in DTYPES.items():
        array = np.concatenate([block[name] for block in blocks]).astype(dtype)
        setattr(features, "class_id" if name == "class" else name, array)
    return features
