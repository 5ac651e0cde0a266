"""One video, from file to features, block by block."""

import hashlib
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aadc.extract.decode import FrameBlock, VideoError, VideoFacts
from aadc.extract.decode_child import DecodeChild
from aadc.extract.failures import told
from aadc.extract.gate import Gate
from aadc.extract.shards import DTYPES
from aadc.extract.stats import Stats
from aadc.extract.video_features import VideoFeatures
from aadc.manifests.files import reason
from aadc.manifests.video_root import trouble

if TYPE_CHECKING:  # it brings torchvision along, which planning has no use for
    from aadc.extract.features import FrameEmbedder

FLOATS = ("scene", "detr", "box", "score", "crop", "query")


def feature_blocks(
    path: Path, embedder: "FrameEmbedder", decoder: DecodeChild, stats: Stats
) -> Generator[dict[str, np.ndarray] | VideoFacts, None, None]:
    """Rows of the shard in order, then the facts of the file; counts and seconds go to `stats`.

    With a gate, still frames take over the rows of the last computed one and are marked in `carried`.

    Raises:
        VideoError: the video cannot be used, the models gave something that is not a number for it, or failed over it
            (`FailureError`).
    """
    gate = Gate(embedder.settings.gate) if embedder.settings.gate else None
    # Closed at once, however this ends: what a child still had to say of one video must not be taken for the next one's.
    with closing(decoder.blocks(path, embedder.settings.stride, reader=embedder.settings.reader)) as blocks:
        yield from told(_features_of(blocks, embedder, gate, stats))


def _features_of(
    blocks: Iterator[FrameBlock | VideoFacts], embedder: "FrameEmbedder", gate: Gate | None, stats: Stats
) -> Iterator[dict[str, np.ndarray] | VideoFacts]:
    last: dict[str, np.ndarray] | None = None
    while True:
        with stats.timed("decode"):
            block = next(blocks)
        if isinstance(block, VideoFacts):
            yield block
            return
        fresh = gate(block.rgb) if gate else np.ones(len(block.frame), bool)
        computed = embedder(block.rgb[fresh], stats) if fresh.any() else {}
        if bad := [name for name in FLOATS if computed and not _storable(name, computed[name])]:
            what = f"the models gave no finite {', '.join(bad)}, or one too large to be stored, around {block.time[0]:.1f} s"
            raise VideoError("not_finite", what)
        if last is not None:
            computed = {name: np.concatenate([row, computed[name]]) if computed else row for name, row in last.items()}
        source = np.cumsum(fresh) - (last is None)
        rows = {name: values[source] for name, values in computed.items()}
        last = {name: values[-1:] for name, values in rows.items()}
        stats.sampled_frames += len(fresh)
        stats.computed_frames += int(fresh.sum())
        stats.objects += int(rows["count"].sum())
        yield {"frame": block.frame, "time": block.time, "carried": ~fresh, **rows}


def _storable(name: str, values: np.ndarray) -> bool:
    """Whether all values are finite in the shard's own precision too (half precision ends at 65,504)."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(values.astype(DTYPES[name])).all())


def file_state(path: Path) -> tuple[int, int]:
    """What shows that a file is another one or still being written: size in bytes, time of change in ns.

    Raises:
        VideoError: it is not there, or cannot be looked at.
    """
    if found := trouble(path):
        raise VideoError(*found)
    try:
        stat = path.stat()
    except OSError as error:
        raise VideoError("unreadable", f"cannot be looked at ({reason(error)})") from None
    return stat.st_size, stat.st_mtime_ns


def file_sha256(path: Path) -> str:
    """Hash of a file. `VideoError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise VideoError("unreadable", f"cannot be read ({reason(error)})") from None


def describe(
    facts: VideoFacts, path: Path, state: tuple[int, int], video: str, split: str, labels: tuple[str, ...]
) -> VideoFeatures:
    """The record of a video without its arrays.

    Args:
        state: the file's, before a frame of it was read.
    Raises:
        VideoError: the file has changed since.
    """
    sha256 = file_sha256(path)
    if file_state(path) != state:
        raise VideoError("changed", "the file changed while it was read; start the command again once it stays as it is")
    return VideoFeatures(
        video,
        split,
        labels,
        frames=facts.frames,
        frames_expected=facts.frames_expected,
        decode_errors=facts.decode_errors,
        fps=facts.fps,
        width=facts.width,
        height=facts.height,
        rotation=facts.rotation,
        sha256=sha256,
        size=state[0],
        mtime_ns=state[1],
        cut_off=facts.cut_off,
    )


def video_features(path: Path, embedder: "FrameEmbedder", decoder: DecodeChild) -> VideoFeatures:
    """All features of one video in memory, in the shard's own precision, for a video that belongs to no manifest.

    Raises:
        VideoError: the video cannot be used.
    """
    state = file_state(path)
    blocks: list[dict[str, np.ndarray]] = []
    for item in feature_blocks(path, embedder, decoder, Stats()):
        if isinstance(item, VideoFacts):
            facts = item
        else:
            blocks.append(item)
    if not blocks:
        raise VideoError("no_frames", "not a single frame decodes")
    features = describe(facts, path, state, video=path.name, split="test", labels=())
    for name, dtype in DTYPES.items():
        if name not in blocks[0]:
            continue
        array = np.concatenate([block[name] for block in blocks]).astype(dtype)
        setattr(features, "class_id" if name == "class" else name, array)
    return features
