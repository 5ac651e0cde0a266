"""What a shard must look like, and the look that is taken over one before anything in it is believed.

Foreign and damaged files are distrusted: links, external or virtual storage, filters, shapes larger than the file, attributes
that are missing or of another kind, datasets that contradict each other. Only attributes and shapes are looked at here, the
values of a video where it is read (`shards.read_video`).
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import h5py
import numpy as np
from h5py import h5d, h5g, h5l, h5o, h5z
from pydantic import Field, RootModel, field_validator

from aadc.extract.sampling import snippet_count
from aadc.extract.truncation import Extent
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason
from aadc.manifests.manifest import MOST_FRAMES
from aadc.manifests.records import Record, Sealed, check_record, parse_record, seal_of

FORMAT, VERSION = "aadc-shard", 1
DTYPES: dict[str, type[np.generic]] = {
    "frame": np.int32,
    "time": np.float64,
    "carried": np.bool_,
    "scene": np.float16,
    "detr": np.float16,
    "count": np.int16,
    "seen": np.uint16,
    "box": np.float32,
    "score": np.float16,
    "class": np.int16,
    "crop": np.float16,
    "query": np.float16,
}
# A dataset's axes behind the first: N boxes a frame, C and D the widths of CLIP and detector.
AXES = {"scene": "C", "detr": "D", "box": "N4", "score": "N", "class": "N", "crop": "NC", "query": "ND"}
OPTIONAL = ("carried", "seen")  # not in the shards of earlier versions
WAY_OUT = "this is not a shard that aadc-extract wrote: remove it and run aadc-extract again"
_MOST_CHUNK_BYTES = 2**28


@dataclass(frozen=True)
class ShardHeader:
    """What all videos of a run share: `fingerprint` of models, weights, sampling and precision, and these in the open."""

    fingerprint: str
    models: Mapping
    sampling: Mapping


class VideoRecord(Extent, Sealed):
    """Attributes of a video's group: the row it came from, what the decoder found, and the file they were taken from.

    `size` (bytes) and `mtime_ns` are 0, `cut_off` is False in shards of earlier versions.
    """

    video: str = Field(min_length=1)
    split: Literal["train", "test"]
    labels: tuple[str, ...]
    frames: int = Field(ge=1, le=MOST_FRAMES)
    frames_expected: int = Field(0, ge=0)
    decode_errors: int = Field(0, ge=0)
    fps: float = Field(0.0, ge=0)
    width: int = Field(0, ge=0)
    height: int = Field(0, ge=0)
    rotation: int = 0
    sha256: str = ""
    size: int = Field(0, ge=0)
    mtime_ns: int = 0
    cut_off: bool = False

    @field_validator("labels", mode="before")
    @classmethod
    def _from_json(cls, labels: object) -> object:
        if not isinstance(labels, str):
            raise ValueError("not the JSON list that it should be")
        found = json.loads(labels)
        if not isinstance(found, list):
            raise ValueError("not the JSON list that it should be")
        return found


@dataclass(frozen=True)
class Entry:
    """Where a video's features lie, and what is known without reading them."""

    path: Path
    record: VideoRecord
    snippets: int

    @property
    def video(self) -> str:
        return self.record.video

    @property
    def split(self) -> str:
        return self.record.split

    @property
    def labels(self) -> tuple[str, ...]:
        return self.record.labels

    @property
    def frames(self) -> int:
        return self.record.frames

    @property
    def fps(self) -> float:
        return self.record.fps


@dataclass(frozen=True)
class ShardIndex:
    """What one look over a shard finds: its header, its videos by key, and the widths N, C and D that they share."""

    header: ShardHeader
    entries: Mapping[str, Entry]
    widths: Mapping[str, int]


class _Model(Record):
    source: str = ""
    weights: str = ""
    class_names: dict[str, str] = {}


class _Sampling(Record):
    stride: int = Field(ge=1, le=MOST_FRAMES)


class _Header(Sealed):
    fingerprint: str = Field(min_length=1, max_length=200)
    models: str
    sampling: str


def key_of(video: str) -> str:
    """Unique name of a video inside an HDF5 file (a `/` there would open a group)."""
    return video.replace("%", "%25").replace("/", "%2F")


def look_over(file: h5py.File, path: Path) -> ShardIndex:
    """Check the structure of an open shard. `UserError` names the shard, the video, and what is wrong."""
    try:
        return _look_over(file, path)
    except UserError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # whatever HDF5 makes of a damaged or foreign file
        raise UserError(f"{path}: damaged ({reason(error)}); remove it and run aadc-extract again") from error


def _look_over(file: h5py.File, path: Path) -> ShardIndex:
    header = _read_header(file, path)
    size = path.stat().st_size
    entries: dict[str, Entry] = {}
    widths: dict[str, int] = {}
    videos = None
    for name, part in _parts(file.id, str(path)):
        if name != "videos" or not isinstance(part, h5g.GroupID):
            _refuse(str(path), f"unexpected /{name}")
        videos = part
    if videos is None:
        _refuse(str(path), "no group /videos")
    for key, group in _parts(videos, f"{path}: videos"):
        where = f"{path}: videos/{key}"
        if not isinstance(group, h5g.GroupID):
            _refuse(where, "not a group")
        rows = _check_datasets(group, where, size, widths)
        record = check_record(_attributes(h5py.Group(group), where), where, VideoRecord, WAY_OUT)
        if key_of(record.video) != key:
            _refuse(where, f"says it is {record.video}")
        if rows != snippet_count(record.frames, header.sampling["stride"]):
            stride = header.sampling["stride"]
            _refuse(where, f"{rows} rows for {record.frames} frames, one in {stride}, which make {-(-record.frames // stride)}")
        entries[key] = Entry(path, record, rows)
    return ShardIndex(header, entries, widths)


def seal(group: h5py.Group) -> None:
    """Attribute `seal`, the hash of all others as they read back: HDF5 has checksums for arrays, none for attributes."""
    group.attrs["seal"] = seal_of(_attributes(group, group.name))


def _refuse(where: str, what: str) -> NoReturn:
    raise UserError(f"{where}: {what}; {WAY_OUT}")


def _attributes(group: h5py.Group, where: str) -> dict[str, object]:
    found = {}
    for name in group.attrs:
        try:
            value = group.attrs[name]
        except (OSError, TypeError, ValueError, KeyError, RuntimeError) as error:
            _refuse(where, f"attribute {name} cannot be read ({reason(error)})")
        found[name] = value.item() if isinstance(value, np.generic) else value
    return found


def _read_header(file: h5py.File, path: Path) -> ShardHeader:
    attrs = _attributes(file, str(path))
    if attrs.get("format") != FORMAT:
        _refuse(str(path), "no shard of aadc-net")
    if attrs.get("version") != VERSION:
        raise UserError(f"{path}: shard version {attrs.get('version')}, this program reads {VERSION}; extract again")
    header = check_record(attrs, str(path), _Header, WAY_OUT)
    parse_record(header.models, f"{path}: models", RootModel[dict[str, _Model]], WAY_OUT)
    parse_record(header.sampling, f"{path}: sampling", _Sampling, WAY_OUT)
    return ShardHeader(header.fingerprint, json.loads(header.models), json.loads(header.sampling))


def _parts(group: h5g.GroupID, where: str) -> Iterator[tuple[str, object]]:
    """Names and objects of a group; links are refused. (The low-level interface: `Group[name]` takes ten times as long.)"""
    for raw in group:
        name = raw.decode("utf-8", "backslashreplace")
        if group.links.get_info(raw).type != h5l.TYPE_HARD:
            _refuse(where, f"{name} is a link")
        yield name, h5o.open(group, raw)


def _check_datasets(group: h5g.GroupID, where: str, size: int, widths: dict[str, int]) -> int:
    """Check what a video's datasets declare; gives their common number of rows. `widths` is what the shard has so far."""
    rows: dict[str, int] = {}
    for name, dataset in _parts(group, where):
        if not isinstance(dataset, h5d.DatasetID) or dataset.dtype != DTYPES.get(name):
            _refuse(where, f"unexpected {name}")
        shape, axes = dataset.shape, AXES.get(name, "")
        layout = dataset.get_create_plist()
        filters = {layout.get_filter(number)[0] for number in range(layout.get_nfilters())}
        if layout.get_external_count() or layout.get_layout() == h5d.VIRTUAL or filters - {h5z.FILTER_FLETCHER32}:
            _refuse(where, f"{name} is stored outside the file or through a filter")
        if len(shape) != 1 + len(axes):
            _refuse(where, f"{name} has {len(shape)} axes, not {1 + len(axes)}")
        item = dataset.dtype.itemsize
        chunk = layout.get_chunk() if layout.get_layout() == h5d.CHUNKED else ()
        if math.prod(shape) * item > size or math.prod(chunk) * item > _MOST_CHUNK_BYTES:
            _refuse(where, f"{name} declares {math.prod(shape) * item} bytes in a file of {size}")
        for axis, length in zip(axes, shape[1:], strict=True):
            if length != (4 if axis == "4" else widths.setdefault(axis, length)):
                _refuse(where, f"{name} has {length} values where there should be {4 if axis == '4' else widths[axis]}")
        rows[name] = shape[0]
    if missing := [name for name in DTYPES if name not in rows and name not in OPTIONAL]:
        _refuse(where, f"no dataset {', '.join(missing)}")
    if len(set(rows.values())) > 1:
        _refuse(where, "datasets of different lengths")
    return rows["frame"]
