"""The shard: what stage one leaves behind, and the only thing later stages read.

    /                attrs: format "aadc-shard", version, fingerprint, models (JSON), sampling (JSON), created_by
    /videos/<key>    attrs: video, split, labels (JSON list), frames, frames_expected, decode_errors, fps, width, height,
                     rotation, sha256; datasets by snippet (T rows), N kept boxes a frame, C CLIP width, D detector width:
      frame  int32 (T,)       index of the sampled frame            time   float64 (T,)     its presentation time, seconds
      scene  float16 (T, C)   CLIP embedding of the whole frame     detr   float16 (T, D)   mean encoder feature
      count  int16 (T,)       boxes kept; rows past it are zero     box    float32 (T, N, 4) cx cy w h, relative
      score  float16 (T, N)   confidence                            class  int16 (T, N)     detector's class id
      carried bool (T,)       taken over from the row before, the frame being still (see `gate`)
      crop   float16 (T, N, C) CLIP embedding of the box's crop     query  float16 (T, N, D) decoder embedding of the box

A shard appears under its own name only when it is whole: written beside, flushed, closed, synced, opened again and
verified, renamed, folder synced. Foreign files are distrusted: links out of the file, external or virtual storage, unknown
filters and shapes larger than the file itself are refused before anything is read.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np

from aadc.manifests.errors import UserError

FORMAT, VERSION = "aadc-shard", 1
DTYPES = {
    "frame": np.int32,
    "time": np.float64,
    "carried": np.bool_,
    "scene": np.float16,
    "detr": np.float16,
    "count": np.int16,
    "box": np.float32,
    "score": np.float16,
    "class": np.int16,
    "crop": np.float16,
    "query": np.float16,
}
_CHUNK_ROWS = 64
_SLACK = 2**20  # bytes for HDF5's own records


@dataclass(frozen=True)
class ShardHeader:
    """What all videos of a run share: `fingerprint` of models, weights, sampling and precision, and these in the open."""

    fingerprint: str
    models: Mapping
    sampling: Mapping


@dataclass
class VideoFeatures:
    """Features of one video; arrays as in the module's table (`class` is `class_id` here), None where not read."""

    video: str
    split: str
    labels: tuple[str, ...]
    frames: int
    frames_expected: int = 0
    decode_errors: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    rotation: int = 0
    sha256: str = ""
    frame: np.ndarray | None = field(default=None, repr=False)
    time: np.ndarray | None = field(default=None, repr=False)
    carried: np.ndarray | None = field(default=None, repr=False)
    scene: np.ndarray | None = field(default=None, repr=False)
    detr: np.ndarray | None = field(default=None, repr=False)
    count: np.ndarray | None = field(default=None, repr=False)
    box: np.ndarray | None = field(default=None, repr=False)
    score: np.ndarray | None = field(default=None, repr=False)
    class_id: np.ndarray | None = field(default=None, repr=False)
    crop: np.ndarray | None = field(default=None, repr=False)
    query: np.ndarray | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """Unique name inside a shard, the same as `Row.key`."""
        return self.video.replace("%", "%25").replace("/", "%2F")

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that are there, by dataset name."""
        named = {name: getattr(self, "class_id" if name == "class" else name) for name in DTYPES}
        return {name: array for name, array in named.items() if array is not None}

    def attributes(self) -> dict[str, object]:
        """Everything but the arrays, as stored on the video's group."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in (*DTYPES, "class_id")}
        return {**named, "labels": _json(self.labels)}


def _json(labels: Sequence[str]) -> str:
    return json.dumps(list(labels), ensure_ascii=False)


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
        """Add rows to the video `key`: every dataset of the table, the same number of rows each (`carried` may be missing)."""
        rows = {"carried": np.zeros(len(rows["frame"]), bool), **rows}
        group = self._videos.require_group(key)
        arrays = {name: np.asarray(rows[name], dtype) for name, dtype in DTYPES.items()}
        self._reserve(sum(array.nbytes + _CHUNK_ROWS * array[:1].nbytes for array in arrays.values()))
        for name, values in arrays.items():
            if name not in group:
                tail = values.shape[1:]
                group.create_dataset(
                    name, (0, *tail), values.dtype, maxshape=(None, *tail), chunks=(_CHUNK_ROWS, *tail), fletcher32=True
                )
            dataset = group[name]
            dataset.resize(len(dataset) + len(values), axis=0)
            dataset[len(dataset) - len(values) :] = values

    def describe(self, video: VideoFeatures) -> None:
        """Set the attributes of a video whose rows are in."""
        self._videos[video.key].attrs.update(video.attributes())

    def copy(self, source: Path, key: str, split: str, labels: Sequence[str]) -> None:
        """Take the video `key` over from another shard file, with the split and labels it has now."""
        self._reserve(source.stat().st_size)
        with open_shard(source) as shard:
            shard.copy(shard["videos"][key], self._videos, name=key)
        self._videos[key].attrs.update(split=split, labels=_json(labels))


@contextmanager
def new_shard(path: Path, header: ShardHeader) -> Iterator[ShardWriter]:
    """Write a shard that appears at `path` whole or not at all, whatever happens inside the block.

    Raises `UserError` when the disk is full or the folder cannot be written; what was at `path` before is then untouched.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with h5py.File(beside, "w") as file:
            file.attrs.update(
                format=FORMAT,
                version=VERSION,
                fingerprint=header.fingerprint,
                models=json.dumps(header.models),
                sampling=json.dumps(header.sampling),
                created_by=f"aadc-net {version('aadc-net')}",
            )
            yield ShardWriter(file, beside)
            file.flush()
            size = file.id.get_filesize()
        os.truncate(beside, size)  # gives back what was reserved and not needed
        _sync(beside)
        verify_shard(beside)
        os.replace(beside, path)
        _sync(path.parent)
    except OSError as error:
        raise UserError(f"{path}: could not be written ({error}); free some space and start the command again") from error
    finally:
        beside.unlink(missing_ok=True)


def write_shard(path: Path, header: ShardHeader, videos: Iterable[VideoFeatures]) -> None:
    """Write whole videos as one shard."""
    with new_shard(path, header) as shard:
        for video in videos:
            shard.append(video.key, video.arrays())
            shard.describe(video)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def verify_shard(path: Path) -> None:
    """Read every value of a shard once: checksums hold, all datasets of a video agree. `UserError` names what does not."""
    with open_shard(path) as shard:
        for key, group in shard["videos"].items():
            for name, dataset in group.items():
                try:
                    for start in range(0, len(dataset), _CHUNK_ROWS):
                        dataset[start : start + _CHUNK_ROWS]
                except OSError as error:
                    raise UserError(
                        f"{path}: videos/{key}/{name} is damaged ({error}); remove the shard and extract again"
                    ) from error


@contextmanager
def open_shard(path: Path) -> Iterator[h5py.File]:
    """Open a shard for reading after looking it over. `UserError` if it is not one, is torn, or tries to lead elsewhere."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{path}: not a readable shard ({error}); remove it and run aadc-extract again") from error
    with file:
        _look_over(file, path)
        yield file


def _look_over(file: h5py.File, path: Path) -> None:
    def refuse(what: str) -> None:
        raise UserError(f"{path}: {what}; this is not a shard that aadc-extract wrote, remove it")

    if file.attrs.get("format") != FORMAT:
        refuse("no shard of aadc-net")
    if file.attrs["version"] != VERSION:
        raise UserError(f"{path}: shard version {file.attrs['version']}, this program reads {VERSION}; extract again")
    size = path.stat().st_size

    def check(group: h5py.Group) -> Iterator[h5py.Dataset]:
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                refuse(f"{group.name}/{name} is a link")
            yield group[name]

    for part in check(file):
        if part.name != "/videos" or not isinstance(part, h5py.Group):
            refuse(f"unexpected {part.name}")
    if "videos" not in file:
        refuse("no group /videos")
    for video in check(file["videos"]):
        if not isinstance(video, h5py.Group):
            refuse(f"{video.name} is not a group")
        lengths = set()
        for dataset in check(video):
            name = dataset.name.rsplit("/", 1)[1]
            if not isinstance(dataset, h5py.Dataset) or dataset.dtype != DTYPES.get(name):
                refuse(f"unexpected {dataset.name}")
            if dataset.external or dataset.is_virtual or dataset.compression or dataset.scaleoffset:
                refuse(f"{dataset.name} is stored outside the file or through a filter")
            if dataset.nbytes > size:
                refuse(f"{dataset.name} declares {dataset.nbytes} bytes in a file of {size}")
            lengths.add(dataset.shape[:1])
        if len(lengths) > 1:
            refuse(f"{video.name} has datasets of different lengths")


@dataclass(frozen=True)
class Entry:
    """Where a video's features lie, and what is known without reading them."""

    path: Path
    video: str
    split: str
    labels: tuple[str, ...]
    snippets: int
    frames: int
    fps: float


class ShardSet:
    """All shards of a run folder, as one collection of videos.

    `entries` maps key -> Entry. Raises `UserError` for shards of different fingerprints, a video that is there twice,
    or a file that is no shard.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.entries: dict[str, Entry] = {}
        self.header: ShardHeader | None = None
        for path in sorted(folder.glob("*.h5")):
            with open_shard(path) as shard:
                self._add(path, shard)

    def _add(self, path: Path, shard: h5py.File) -> None:
        header = read_header(shard)
        if self.header is not None and header.fingerprint != self.header.fingerprint:
            raise UserError(
                f"{path}: fingerprint {header.fingerprint}, the other shards have {self.header.fingerprint}; shards of "
                "different models or settings cannot be mixed: keep each in a run of its own (--run)"
            )
        self.header = header
        for key, group in shard["videos"].items():
            if key in self.entries:
                raise UserError(f"{path}: {group.attrs['video']} is also in {self.entries[key].path}; remove one of the two")
            attrs = group.attrs
            self.entries[key] = Entry(
                path,
                attrs["video"],
                attrs["split"],
                tuple(json.loads(attrs["labels"])),
                len(group["frame"]),
                int(attrs["frames"]),
                float(attrs["fps"]),
            )

    @property
    def keys(self) -> list[str]:
        return list(self.entries)

    def _header(self) -> ShardHeader:
        if self.header is None:
            raise UserError(f"{self.folder}: no shards in it; run aadc-extract first")
        return self.header

    @property
    def fingerprint(self) -> str:
        return self._header().fingerprint

    @property
    def models(self) -> Mapping:
        return self._header().models

    @property
    def sampling(self) -> Mapping:
        return self._header().sampling

    def read(self, key: str, names: Iterable[str] = tuple(DTYPES)) -> VideoFeatures:
        """Features of one video; only the datasets in `names` are read."""
        with open_shard(self.entries[key].path) as shard:
            return read_video(shard, key, names)


def read_header(shard: h5py.File) -> ShardHeader:
    """Fingerprint, models and sampling of an open shard."""
    attrs = shard.attrs
    return ShardHeader(attrs["fingerprint"], json.loads(attrs["models"]), json.loads(attrs["sampling"]))


def read_video(shard: h5py.File, key: str, names: Iterable[str] = tuple(DTYPES)) -> VideoFeatures:
    """One video of an open shard."""
    group = shard["videos"][key]
    values = {name: value.item() if isinstance(value, np.generic) else value for name, value in group.attrs.items()}
    values["labels"] = tuple(json.loads(values["labels"]))
    arrays = {("class_id" if name == "class" else name): group[name][:] for name in names}
    try:
        return VideoFeatures(**values, **arrays)
    except TypeError as error:
        raise UserError(f"{shard.filename}: videos/{key}: {error}; remove the shard and extract again") from error
