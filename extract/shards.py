"""The shard: what stage one leaves behind, and the only thing later stages read.

    /                attrs: format "aadc-shard", version, fingerprint, models (JSON), sampling (JSON), created_by, seal
    /videos/<key>    attrs: video, split, labels (JSON list), frames, frames_expected, decode_errors, fps, width, height,
                     rotation, sha256, size, mtime_ns, cut_off, seal (hash of all other attributes; not in earlier shards);
                     datasets by snippet (T rows, T = ceil(frames / stride)), N kept boxes a frame, C CLIP width, D
                     detector width:
      frame  int32 (T,)       index of the sampled frame            time   float64 (T,)     its presentation time, seconds
      scene  float16 (T, C)   CLIP embedding of the whole frame     detr   float16 (T, D)   mean encoder feature
      count  int16 (T,)       boxes kept; rows past it are zero     box    float32 (T, N, 4) cx cy w h, relative
      seen   uint16 (T,)      boxes above the threshold, kept or not; not in earlier shards
      score  float16 (T, N)   confidence                            class  int16 (T, N)     detector's class id
      carried bool (T,)       taken over from the row before, the frame being still (see `gate`); not in earlier shards
      crop   float16 (T, N, C) CLIP embedding of the box's crop     query  float16 (T, N, D) decoder embedding of the box

A shard appears under its own name only when it is whole: written beside, flushed, closed, synced, opened again and
verified, renamed, folder synced. What is read is looked over first (see `shard_layout`).
"""

import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np

from aadc.extract.shard_layout import (
    DTYPES,
    FORMAT,
    OPTIONAL,
    VERSION,
    Entry,
    ShardHeader,
    ShardIndex,
    key_of,
    look_over,
    seal,
)
from aadc.extract.video_features import VideoFeatures, labels_json
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason, regular, replacing

_CHUNK_ROWS = 64
_SLACK = 2**20  # bytes for HDF5's own records


class ShardWriter:
    """Fills one shard video by video, block by block, so that memory stays flat however long a video is."""

    def __init__(self, file: h5py.File, path: Path):
        self._file, self._path = file, path
        self._videos = file.require_group("videos")

    def _reserve(self, size: int) -> None:
        """Claim room on the disk for `size` more bytes. `OSError` when it is full.

        HDF5 notices a full disk only while it closes, and was seen to crash the process then; so it never meets one.
        """
        with self._path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, self._file.id.get_filesize() + size + _SLACK)

    def append(self, key: str, rows: Mapping[str, np.ndarray]) -> None:
        """Add rows to the video `key`: every dataset of the table, the same number of rows each.

        `carried` may be missing, and `seen`, then in all blocks of the video.
        """
        rows = {"carried": np.zeros(len(rows["frame"]), bool), **rows}
        group = self._videos.require_group(key)
        names = [name for name in DTYPES if name in rows or name not in OPTIONAL]
        arrays = {name: np.asarray(rows[name], DTYPES[name]) for name in names}
        self._reserve(sum(array.nbytes + _CHUNK_ROWS * array[:1].nbytes for array in arrays.values()))
        for name, values in arrays.items():
            if name not in group:
                tail = values.shape[1:]
                group.create_dataset(
                    name,
                    (0, *tail),
                    values.dtype,
                    maxshape=(None, *(length or None for length in tail)),  # HDF5 has no chunks of no width
                    chunks=(_CHUNK_ROWS, *(length or 1 for length in tail)),
                    fletcher32=True,
                )
            dataset = group[name]
            dataset.resize(len(dataset) + len(values), axis=0)
            dataset[len(dataset) - len(values) :] = values

    def describe(self, video: VideoFeatures) -> None:
        """Set the attributes of a video whose rows are in."""
        group = self._videos[video.key]
        group.attrs.update(video.attributes())
        seal(group)

    def drop(self, key: str) -> None:
        """Forget what there is of a video, whose end turned out to be unusable. Its room in the file stays taken."""
        if key in self._videos:
            del self._videos[key]

    def copy(
        self,
        source: Path,
        key: str,
        split: str,
        labels: Sequence[str],
        other: Mapping[str, object] | None = None,
        of: str | None = None,
    ) -> None:
        """Take the video `key` over from another shard file, with the split and labels (and `other` attributes) it has now.
        `of`: what the video is called there, where that is something else."""
        self._reserve(source.stat().st_size)
        with open_shard(source) as shard:
            shard.copy(shard["videos"][key if of is None else key_of(of)], self._videos, name=key)
        self._videos[key].attrs.update(split=split, labels=labels_json(labels), **(other or {}))
        seal(self._videos[key])


@contextmanager
def new_shard(path: Path, header: ShardHeader) -> Iterator[ShardWriter]:
    """Write a shard that appears at `path` whole or not at all, whatever happens inside the block.

    Raises:
        UserError: the disk is full or the folder cannot be written; what was at `path` before is then untouched.
    """
    with replacing(path, way_out="free some space, or name another folder with --run") as beside:
        with h5py.File(beside, "w") as file:
            file.attrs.update(
                format=FORMAT,
                version=VERSION,
                fingerprint=header.fingerprint,
                models=json.dumps(header.models),
                sampling=json.dumps(header.sampling),
                created_by=f"aadc-net {version('aadc-net')}",
            )
            seal(file)
            yield ShardWriter(file, beside)
            file.flush()
            size = file.id.get_filesize()
        os.truncate(beside, size)  # gives back what was reserved and not needed
        verify_shard(beside)


def write_shard(path: Path, header: ShardHeader, videos: Iterable[VideoFeatures]) -> None:
    """Write whole videos as one shard."""
    with new_shard(path, header) as shard:
        for video in videos:
            shard.append(video.key, video.arrays())
            shard.describe(video)


def verify_shard(path: Path) -> None:
    """Read every value of a shard once: checksums hold, all datasets of a video agree. `UserError` names what does not."""
    with open_shard(path) as shard:
        for group in shard["videos"].values():
            for name, dataset in group.items():
                for start in range(0, len(dataset), _CHUNK_ROWS):
                    _values(path, group, name, slice(start, start + _CHUNK_ROWS))


_looked_over: dict[Path, tuple[tuple[int, ...], ShardIndex]] = {}  # what this process has seen, by path, and which file it was


def _stamp(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


@contextmanager
def open_shard(path: Path) -> Iterator[h5py.File]:
    """Open a shard for reading; it is looked over unless this process has done so since it was last changed.

    Raises:
        UserError: it is none, is torn, or tries to lead elsewhere.
    """
    try:
        file = h5py.File(regular(path), "r")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable shard ({reason(error)}); remove it and run aadc-extract again") from error
    with file:
        stamp = _stamp(os.fstat(file.id.get_vfd_handle()))
        if _looked_over.get(path, ((), None))[0] != stamp:
            _looked_over[path] = stamp, look_over(file, path)
        yield file


def shard_index(path: Path) -> ShardIndex:
    """Header and videos of a shard, which is opened only where this process has not done so before. `UserError` as above."""
    try:
        known = _looked_over.get(path)
        if known is None or known[0] != _stamp(path.stat()):
            with open_shard(path):
                pass
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({reason(error)}); remove it and run aadc-extract again") from error
    return _looked_over[path][1]


def shard_files(folder: Path) -> list[Path]:
    """The shards of a folder in the order of their numbers; hidden files are passed over.

    Raises:
        UserError: a file that ends in .h5 and is not named by a number, as shards are.
    """
    paths = [path for path in folder.glob("*.h5") if not path.name.startswith(".")]
    for path in paths:
        if not (path.stem.isascii() and path.stem.isdecimal() and path.stem == f"{int(path.stem):05d}"):
            raise UserError(f"{path}: a shard is named by its number, as 00000.h5; give it a free one, or take it out of there")
    return sorted(paths, key=lambda path: int(path.stem))


class _Models(dict):
    """Models by what they are for; asked for one that the shards do not tell of, it says so."""

    def __missing__(self, name: str) -> object:
        if layout := self.get("imported", {}).get("source"):
            what = "without a CLIP" if name == "clip" else f"without a {name}"
            way_out = (
                "name the one that made them with aadc-import --clip, into a new run"
                if name == "clip"
                else "extract videos for it"
            )
            raise UserError(f"these features were imported ({layout}) {what}; {way_out}")
        raise UserError(f"the shards do not say which {name} they were made with; run aadc-extract into a new run with --run")


class ShardSet:
    """All shards of a run folder, as one collection of videos.

    `entries` maps key -> Entry. Raises `UserError` for shards of different fingerprints or widths, a video that is there
    twice, or a file that is no shard.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.entries: dict[str, Entry] = {}
        self.header: ShardHeader | None = None
        self._widths: dict[str, int] = {}
        for path in shard_files(folder):
            self._add(path, shard_index(path))

    def _add(self, path: Path, shard: ShardIndex) -> None:
        if self.header is not None and shard.header.fingerprint != self.header.fingerprint:
            raise UserError(
                f"{path}: fingerprint {shard.header.fingerprint}, the other shards have {self.header.fingerprint}; shards of "
                "different models or settings cannot be mixed: keep each in a run of its own (--run)"
            )
        self.header = shard.header
        for axis, length in shard.widths.items():
            if self._widths.setdefault(axis, length) != length:
                raise UserError(
                    f"{path}: features are {length} wide where those of the other shards are {self._widths[axis]}, though the "
                    "fingerprint is the same; remove the shard and run aadc-extract again"
                )
        for key, entry in shard.entries.items():
            if key in self.entries:
                raise UserError(f"{path}: {entry.video} is also in {self.entries[key].path}; remove one of the two")
            self.entries[key] = entry

    @property
    def keys(self) -> list[str]:
        return list(self.entries)

    @property
    def has_detector(self) -> bool:
        """Whether the features have a detector's part; imported ones have none."""
        return self._widths.get("D", 1) > 0

    def _header(self) -> ShardHeader:
        if self.header is None:
            raise UserError(f"{self.folder}: no shards in it; run aadc-extract first")
        return self.header

    @property
    def fingerprint(self) -> str:
        return self._header().fingerprint

    @property
    def models(self) -> Mapping:
        """By what they are for (`detector`, `clip`): source, SHA-256 of the weights, preprocessing.

        Raises:
            UserError: when asked for a model that the shards do not tell of.
        """
        return _Models(self._header().models)

    @property
    def sampling(self) -> Mapping:
        return self._header().sampling

    def read(self, key: str, names: Iterable[str] = tuple(DTYPES)) -> VideoFeatures:
        """Features of one video; only the datasets in `names` are read."""
        with open_shard(self.entries[key].path) as shard:
            return read_video(shard, key, names)

    @property
    def several_crops(self) -> bool:
        """Whether `crop` holds no boxes but further views of each frame, as `aadc-import --crop all` keeps them."""
        return self.sampling.get("crops") == "all"

    def read_videos(self, keys: Iterable[str], names: Iterable[str] = tuple(DTYPES)) -> Iterator[tuple[str, VideoFeatures]]:
        """As `read`, of many videos, each with its key, shard by shard: every file is opened once."""
        by_path: dict[Path, list[str]] = {}
        for key in keys:
            by_path.setdefault(self.entries[key].path, []).append(key)
        names = tuple(names)
        for path, its_keys in by_path.items():
            with open_shard(path) as shard:
                for key in its_keys:
                    yield key, read_video(shard, key, names)


def read_header(shard: h5py.File) -> ShardHeader:
    """Fingerprint, models and sampling of a shard opened with `open_shard`."""
    return _looked_over[Path(shard.filename)][1].header


def read_video(shard: h5py.File, key: str, names: Iterable[str] = tuple(DTYPES)) -> VideoFeatures:
    """One video of an open shard.

    Raises:
        UserError: it is not in there, a value is damaged, or cannot be (more boxes than there are, times that go back).
    """
    path = Path(shard.filename)
    if (entry := _looked_over[path][1].entries.get(key)) is None:
        raise UserError(f"{path}: videos/{key} is not in it any more; start the command again")
    record, group = entry.record, shard["videos"][key]
    features = VideoFeatures(**record.model_dump())
    for name in names:
        if name in group:
            setattr(features, "class_id" if name == "class" else name, _values(path, group, name, slice(None)))
        elif name == "carried":
            features.carried = np.zeros(len(group["frame"]), bool)
    if problem := _impossible(features, group["box"].shape[1]):
        raise UserError(f"{path}: {record.video}: {problem}; {_anew(record.video)}")
    return features


def _values(path: Path, group: h5py.Group, name: str, rows: slice) -> np.ndarray:
    try:
        dataset = group[name]
        values = dataset[rows]
        _look_up_zeros(dataset, rows, values)
        return values
    except (OSError, RuntimeError, ValueError) as error:
        video = group.attrs["video"]
        raise UserError(f"{path}: {video}: {name} is damaged ({reason(error)}); {_anew(video)}") from error


def _look_up_zeros(dataset: h5py.Dataset, rows: slice, values: np.ndarray) -> None:
    """HDF5's own error where rows are zeros because their chunk is not found, the index of chunks being damaged: read as part
    of a dataset, such rows are taken for ones that were never written."""
    if dataset.chunks is None or not values.size:
        return
    start, stop, _ = rows.indices(len(dataset))
    values = values.view(f"u{values.itemsize}")  # half precision is slow to compare
    for first, *others in dataset.iter_chunks((slice(start, stop), *(slice(0, width) for width in dataset.shape[1:]))):
        if not values[(slice(first.start - start, first.stop - start), *others)].any():
            places = zip((first, *others), dataset.chunks, strict=True)
            dataset.id.read_direct_chunk(tuple(place.start // length * length for place, length in places))


def _anew(video: str) -> str:
    return f"extract it anew with aadc-extract MANIFEST --again {shlex.quote(video)}"


def _impossible(video: VideoFeatures, boxes: int) -> str | None:
    """What cannot be about the arrays that were read, those that others count and index by. None if all is well."""
    arrays = video.arrays()
    frame, time, count = (arrays.get(name) for name in ("frame", "time", "count"))
    if frame is not None and (frame[0] < 0 or frame[-1] >= video.frames or (np.diff(frame) < 0).any()):
        return f"the numbers of its rows do not ascend from 0 to the last of its {video.frames} frames"
    if time is not None and not (np.isfinite(time).all() and (np.diff(time) >= 0).all()):
        return "its times are no numbers, or go back"
    if count is not None and ((count < 0) | (count > boxes)).any():
        return f"counts of boxes that are not between 0 and the {boxes} that a row has"
    for name in ("box", "score"):
        if (values := arrays.get(name)) is not None and not np.isfinite(values).all():
            return f"{name} holds what is no finite number"
    return None
