"""Frame truth of a test video, how many of its frames count, and how snippet scores become frame scores: one rule each."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aadc.manifests.card import Card
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Row
from aadc.manifests.shown import shown

if TYPE_CHECKING:  # they load h5py, which truth can do without
    from aadc.extract.shards import ShardSet
    from aadc.extract.video_features import VideoFeatures

_MOST_FRAMES, _MOST_TIMES = 1_000_000, 100  # of a count that is believed: nine hours, or this many times what decodes


def expand(snippet_values: np.ndarray, frames: int, stride: int) -> np.ndarray:
    """Values of T snippets (T, …) -> values of `frames` frames (frames, …).

    Frame f takes the value of snippet f // stride, the one it belongs to by the sampling rule; frames past the last
    snippet (an official count may be larger than what decodes) keep the last snippet's value. Every frame has a value:
    published code leaves out the last frames mod 16.
    """
    row = np.minimum(np.arange(frames) // stride, len(snippet_values) - 1)
    return snippet_values[row]


def counted_frames(row: Row, features: "VideoFeatures") -> int:
    """How many frames of a video count: the manifest's own number; where it states none, all that decode, that the file's
    header promises and that the segments speak of, so that what is lost of a damaged video is not lost from the truth."""
    if row.frames:
        return row.frames
    promised = features.frames_expected if _believable(features.frames_expected, features.frames) else 0
    return max(features.frames, promised, *(segment.end_frame or segment.start_frame + 1 for segment in row.segments), 1)


def first_unseen(frames: int, decoded: int, stride: int) -> int:
    """The first of `frames` frames that counts as never seen: where more than a snippet did not decode, all that did not. A
    difference of a few frames is one of counting, and unseen is none (then `frames`)."""
    return decoded if frames > decoded + stride else frames


def label_spans(row: Row, frames: int, card: Card) -> list[tuple[int, int, str]]:
    """Abnormal segments of a row as (start_frame, end_frame, label), half-open, cut at the end of the frames that count."""
    spans = [
        (segment.start_frame, frames if segment.end_frame is None else min(segment.end_frame, frames), segment.label)
        for segment in row.segments
        if card.kind(segment.label) == "abnormal"
    ]
    return [(start, end, label) for start, end, label in spans if start < end]


def has_frame_truth(row: Row, card: Card) -> bool:
    """Whether every frame of the video is known to be normal or not: normal videos, and abnormal ones with segments."""
    return not card.is_abnormal(row.labels) or any(card.kind(segment.label) == "abnormal" for segment in row.segments)


def frame_truth(row: Row, frames: int, card: Card) -> np.ndarray:
    """bool (frames,): True where an abnormal segment lies. Only meaningful where `has_frame_truth`."""
    truth = np.zeros(frames, bool)
    for start, end, _ in label_spans(row, frames, card):
        truth[start:end] = True
    return truth


def refuse_impossible_counts(rows: Iterable[Row], shards: "ShardSet", manifest: Path, stride: int) -> None:
    """Look at every count of frames before an array is made of it.

    Raises:
        UserError: a shard states more frames than its rows can stand for, or the manifest (its `frames`, or a segment) more
            than can be of a video of which so few decode; all such rows at once.
    """
    problems = []
    for row in rows:
        if (entry := shards.entries.get(row.key)) is None:
            continue
        if not 1 <= entry.frames <= entry.snippets * stride:
            raise UserError(
                f"{entry.path}: {row.video} states {entry.frames} frames but has {entry.snippets} rows, one in {stride}; "
                "aadc-extract writes no such shard, remove it and extract again"
            )
        for what, count in (
            ("frames", row.frames or 0),
            *((f"segment {s}", s.end_frame or s.start_frame) for s in row.segments),
        ):
            if not _believable(count, entry.frames):
                problems.append(f"{shown(row.video)}: {what}: {count} frames, but {entry.frames} decode")
    if problems:
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise UserError(
            f"{manifest}: no video is that much longer than what decodes of it; correct the manifest and run aadc-extract "
            "with it again, which takes the new one up, or leave the row out:\n  " + "\n  ".join(problems[:10]) + more
        )


def _believable(count: int, decoded: int) -> bool:
    return count <= max(_MOST_FRAMES, _MOST_TIMES * decoded)
