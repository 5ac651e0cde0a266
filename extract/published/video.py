"""One video's published features as a shard holds them.

A row is one snippet. There is no detector: `count` 0 (N is the number of further views), `detr` and `query` of width 0.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from aadc.extract.published.arrays import SEGMENTS, ArrayError, Features, Form, Seen, half
from aadc.extract.published.folder import FeatureFile
from aadc.extract.published.joined import Crops
from aadc.extract.published.totals import could_be
from aadc.extract.video_features import VideoFeatures
from aadc.manifests.manifest import Row

FPS = 30.0  # where nothing says better: UCF-Crime's own


@dataclass(frozen=True)
class Reading:
    """How every video of an import is read: form of the arrays, which crops, whether these stand inside of an array, how many
    further views a row keeps, frames a row, and whether arrays are of 32 equal parts of their videos."""

    form: Form
    crops: Crops
    inside: bool
    views: int
    stride: int
    segments: bool = False


def read_blocks(files: Mapping[int, FeatureFile], row: Row, reading: Reading, seen: Seen) -> Iterator[dict[str, np.ndarray]]:
    """Rows of the shard in order, a block at a time.

    Raises:
        ArrayError: a file cannot be used, a crop is missing, or the rows cannot be those of the video's frames.
    """
    parts = _parts(files, reading, seen)
    rows = min(part.rows for part in parts)
    if (longest := max(part.rows for part in parts)) > rows + 1:
        raise ArrayError(
            "rows", f"has crops of {rows} and of {longest} rows; one of the files is cut short or of another video"
        )
    if reading.segments:
        yield from _spread(_views(parts, rows, reading), row, reading, seen)
        return
    if row.frames is not None and not could_be(rows, row.frames, reading.stride):
        raise ArrayError(
            "rows",
            f"has {rows} rows, one in {reading.stride} frames, where the manifest states {row.frames} frames, which make "
            f"{row.frames // reading.stride}: features of another rate (--stride), or of another video",
        )
    zero_rows, start = seen.zero_rows, 0
    for block in _views(parts, rows, reading):
        yield _rows(half(block, seen), start, reading)
        start += len(block)
    if seen.zero_rows - zero_rows >= rows * (1 + reading.views):
        raise ArrayError("zero", "is zero in every row; extract it again")


def _parts(files: Mapping[int, FeatureFile], reading: Reading, seen: Seen) -> list[Features]:
    """The files to read: those of the wanted crops, the usual one first, or the one that has all crops inside."""
    crops = reading.crops
    if reading.inside:
        wanted = [min(files)]
    elif crops.mean or crops.all:
        wanted = sorted(files, key=lambda crop: (crop != crops.first, crop))
    else:
        wanted = [crops.first]
    found = []
    for crop in wanted:
        if (file := files.get(crop)) is None:
            raise ArrayError("missing", f"has no crop {crop}; it has {', '.join(map(str, sorted(files)))}")
        try:
            found.append(Features(file.path, reading.form, seen))
        except ArrayError as error:
            raise ArrayError(error.reason, f"{file.below}: {error}") from None
    return found


def _views(parts: list[Features], rows: int, reading: Reading) -> Iterator[np.ndarray]:
    """Float32 blocks (n, 1 + views, D): the row's own feature first."""
    crops = reading.crops
    for blocks in zip(*(part.blocks(rows) for part in parts), strict=True):
        every = np.concatenate(blocks, axis=1)
        if crops.mean:
            every = every.mean(1, keepdims=True)
        elif reading.inside:
            if crops.first >= every.shape[1]:
                raise ArrayError("missing", f"has {every.shape[1]} crops, and no crop {crops.first}")
            own = every[:, [crops.first]]
            every = np.concatenate([own, np.delete(every, crops.first, 1)], 1) if crops.all else own
        if every.shape[1] != 1 + reading.views:
            raise ArrayError("missing", f"has {every.shape[1]} crops where the others have {1 + reading.views}")
        yield every


def _spread(blocks: Iterator[np.ndarray], row: Row, reading: Reading, seen: Seen) -> Iterator[dict[str, np.ndarray]]:
    """Features of 32 equal parts over the frames of the video; where these are not known (of training videos they need not be)
    one row a part."""
    parts = np.concatenate(list(blocks))
    if len(parts) != SEGMENTS:
        raise ArrayError("rows", f"has {len(parts)} rows where each stands for one of {SEGMENTS} equal parts of the video")
    if (rows := _spread_rows(row, reading.stride)) is None:
        raise ArrayError(
            "rows",
            f"has features of {SEGMENTS} equal parts, and the manifest does not state its frames; without them nobody "
            "knows which frames a part stands for: fill in the column frames",
        )
    place = np.arange(rows) * SEGMENTS // rows
    for start in range(0, rows, SEGMENTS):
        yield _rows(half(parts[place[start : start + SEGMENTS]], seen), start, reading)


def _spread_rows(row: Row, stride: int) -> int | None:
    """How many rows a video of 32 equal parts gets: of a test video one in `stride` of its frames, None where these are not
    stated."""
    if row.split != "test":
        return SEGMENTS
    return None if row.frames is None else -(-row.frames // stride)


def fits(rows: int, row: Row, reading: Reading) -> bool:
    """Whether features of so many rows, read before, are what the manifest's row makes of their files now: it may have got
    another split, or another number of frames, since."""
    if reading.segments:
        return rows == _spread_rows(row, reading.stride)
    return row.frames is None or could_be(rows, row.frames, reading.stride)


def _rows(block: np.ndarray, start: int, reading: Reading) -> dict[str, np.ndarray]:
    count = len(block)
    frame = (start + np.arange(count)) * reading.stride
    boxes = np.zeros((count, reading.views))
    return {
        "frame": frame,
        "time": frame / FPS,
        "scene": block[:, 0],
        "detr": np.zeros((count, 0)),
        "count": np.zeros(count),
        "seen": np.zeros(count),
        "box": np.zeros((count, reading.views, 4)),
        "score": boxes,
        "class": boxes,
        "crop": block[:, 1:],
        "query": np.zeros((count, reading.views, 0)),
    }


def facts(row: Row, rows: int, files: Mapping[int, FeatureFile], reading: Reading) -> VideoFeatures:
    """The record of a video whose rows are in: as many frames as its rows stand for, and which files it came from."""
    return VideoFeatures(
        row.video,
        row.split,
        row.labels,
        frames=rows * reading.stride,
        fps=FPS,
        size=sum(file.size for file in files.values()),
        mtime_ns=max(file.mtime_ns for file in files.values()),
    )
