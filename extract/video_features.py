"""Features of one video in memory, of which all or some arrays were read; see `shards` for what each of them is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import overload

import numpy as np

from aadc.extract.shard_layout import DTYPES, key_of
from aadc.extract.truncation import Extent


class _Array:
    """An array of `VideoFeatures`, which holds those that were read; to ask for another one is an error that names it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, features: None, owner: type) -> "_Array": ...

    @overload
    def __get__(self, features: "VideoFeatures", owner: type) -> np.ndarray: ...

    def __get__(self, features: "VideoFeatures | None", owner: type) -> "_Array | np.ndarray":
        if features is None:
            return self
        if (array := vars(features)[self._name]) is None:
            raise AttributeError(f"{features.video}: {self._name} was not read")
        return array

    def __set__(self, features: "VideoFeatures", array: "np.ndarray | _Array | None") -> None:
        vars(features)[self._name] = None if array is self else array  # itself where none is given: the dataclass's default


@dataclass(eq=False)
class VideoFeatures(Extent):
    """Features of one video; arrays as in the module's table (`class` is `class_id` here).

    `carried` is all False, `seen` None where the shard is too old to have them. Any other that was not read (None is given for
    it) raises `AttributeError`.
    """

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
    size: int = 0
    mtime_ns: int = 0
    cut_off: bool = False
    frame: _Array = field(default=_Array(), repr=False)
    time: _Array = field(default=_Array(), repr=False)
    carried: _Array = field(default=_Array(), repr=False)
    scene: _Array = field(default=_Array(), repr=False)
    detr: _Array = field(default=_Array(), repr=False)
    count: _Array = field(default=_Array(), repr=False)
    seen: np.ndarray | None = field(default=None, repr=False)
    box: _Array = field(default=_Array(), repr=False)
    score: _Array = field(default=_Array(), repr=False)
    class_id: _Array = field(default=_Array(), repr=False)
    crop: _Array = field(default=_Array(), repr=False)
    query: _Array = field(default=_Array(), repr=False)

    @property
    def key(self) -> str:
        """Unique name inside a shard, the same as `Row.key`."""
        return key_of(self.video)

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that are there, by dataset name."""
        named = {name: vars(self)["class_id" if name == "class" else name] for name in DTYPES}
        return {name: array for name, array in named.items() if array is not None}

    def attributes(self) -> dict[str, object]:
        """Everything but the arrays, as stored on the video's group."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in (*DTYPES, "class_id")}
        return {**named, "labels": labels_json(self.labels)}


def labels_json(labels: Sequence[str]) -> str:
    """Labels as an attribute of a shard."""
    return json.dumps(list(labels), ensure_ascii=False)
