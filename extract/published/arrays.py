"""Arrays of published features, read without trust: nothing is unpickled, and no more than a block is in memory at a time.

Shapes: T rows, V views (crops) of each, D width.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aadc.manifests.files import reason
from aadc.manifests.npy import NpyError, map_npy

SEGMENTS = 32  # of a video, where features stand for equal parts of it
_BLOCK_ROWS = 256
_MOST_TEXT = 2**26  # bytes of a text file: 32 lines of 4096 numbers are 2 MB
_MOST_VIEWS = 10
_LEAST_NORM, _MOST_NORM = 2.0**-8, 2.0**15  # between them the largest value of a row keeps its digits in half precision


class ArrayError(Exception):
    """One file cannot be used: a stable word why (`reason`), and a sentence."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Form:
    """What the arrays of a folder look like: `width` D, and where the views stand in an array of three axes (None: none)."""

    width: int
    views_axis: int | None = None


@dataclass
class Seen:
    """What was met while reading, for people: files that lay the other way round, rows of zeros, features of another precision,
    rows that were brought to length 1."""

    transposed: int = 0
    zero_rows: int = 0
    wide_numbers: int = 0
    scaled_rows: int = 0


def shape_of(path: Path) -> tuple[int, ...]:
    """What a file says of itself; of text its lines and the numbers in the first. `ArrayError` if it is no array."""
    return _open(path).shape


def form_of(shapes: Sequence[tuple[int, ...]], widths: Sequence[int] = (), views_axis: int | None = None) -> Form | None:
    """The form that most of some arrays have; None where none of them has one of `widths`.

    The width is the length that most of them share, the last axis counting for more; `views_axis` is the one to take where
    shapes leave it open.
    """
    counts: Counter[int] = Counter(length for shape in shapes for length in set(shape))
    last: Counter[int] = Counter(shape[-1] for shape in shapes if shape)
    fits = [length for length in counts if length in widths] if widths else list(counts)
    if not fits:
        return None
    width = max(fits, key=lambda length: (counts[length], last[length]))
    deep = [_squeezed(shape) for shape in shapes if len(_squeezed(shape)) == 3]
    if not deep:
        return Form(width)
    axes = [axis for axis in range(3) if all(shape[axis] <= _MOST_VIEWS for shape in deep)]
    return Form(width, axes[0] if len(axes) == 1 else 0 if views_axis is None else views_axis)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without axes of length one, where there are more than two."""
    return tuple(length for length in shape if length != 1) if len(shape) > 2 else shape


class Features:
    """One file as (T, V, D), whatever way it lies.

    Raises:
        ArrayError: it is no array of numbers, or has not the form.
    """

    def __init__(self, path: Path, form: Form, seen: Seen):
        self._array = _oriented(_open(path), form, seen)
        self._seen = seen
        if self._array.dtype.itemsize > 2:
            seen.wide_numbers += 1
        if not len(self._array):
            raise ArrayError("empty", "has no row; take it out of the folder, or extract it again")

    @property
    def rows(self) -> int:
        return len(self._array)

    @property
    def views(self) -> int:
        return self._array.shape[1]

    def blocks(self, rows: int) -> Iterator[np.ndarray]:
        """The first `rows` rows, in order: float32 (n, V, D). `ArrayError` where one of them is no finite number."""
        for start in range(0, rows, _BLOCK_ROWS):
            with np.errstate(over="ignore"):  # what no float32 can hold becomes infinite, and is told below
                block = np.array(self._array[start : min(start + _BLOCK_ROWS, rows)], np.float32)
            if not np.isfinite(block).all():
                row = start + int((~np.isfinite(block)).any((1, 2)).argmax())
                kind = "NaN" if np.isnan(block).any() else "infinite"
                raise ArrayError("not_finite", f"holds {kind} values, first in row {row}; extract it again")
            yield block


def half(block: np.ndarray, seen: Seen) -> np.ndarray:
    """Rows as a shard holds them, float16. Rows too large or too small for it come to length 1: the head looks at directions
    alone (`head/fusion.py`)."""
    largest = np.abs(block).max(-1, keepdims=True)
    seen.zero_rows += int((largest == 0).sum())
    far = (largest > _MOST_NORM) | ((largest < _LEAST_NORM) & (largest > 0))
    if far.any():
        seen.scaled_rows += int(far.sum())
        length = np.linalg.norm(block.astype(np.float64), axis=-1, keepdims=True)
        block = np.where(far, block / np.where(far, length, 1), block)
    return block.astype(np.float16)


def _open(path: Path) -> np.ndarray:
    if path.suffix == ".txt":
        return _read_text(path)
    try:
        array = map_npy(path)
    except NpyError as error:
        raise ArrayError(
            "not_array", f"{error}: copy or download it again, or save it anew, plain numbers, one .npy a video"
        ) from None
    if array.dtype.kind != "f":
        raise ArrayError("not_array", f"holds {array.dtype}, and features are floating-point numbers")
    return array


def _read_text(path: Path) -> np.ndarray:
    try:
        if path.stat().st_size > _MOST_TEXT:
            raise ValueError("larger than any file of features of 32 segments")
        lines = path.read_text(encoding="ascii").split("\n")
        rows = [np.array(line.split(), np.float32) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise ArrayError("not_array", f"is no text of numbers ({reason(error)})") from None
    if not rows or len({len(row) for row in rows}) > 1:
        raise ArrayError("not_array", "has lines of different lengths, or none; copy or download it again")
    return np.stack(rows)


def _oriented(array: np.ndarray, form: Form, seen: Seen) -> np.ndarray:
    """The array as (T, V, D)."""
    told, width = array.shape, form.width
    if array.ndim == 1 and len(array) == width:
        return array[None, None]
    if array.ndim > 3 or (array.ndim == 3 and form.views_axis is None):
        array = array.reshape(_squeezed(told))
    if array.ndim == 2:
        if told[1] != width and told[0] == width:
            seen.transposed += 1
            array = array.T
        if array.shape[1] == width:
            return array[:, None]
    if array.ndim == 3:
        axes = [axis for axis in range(3) if array.shape[axis] == width]
        others = [axis for axis in range(3) if axis != axes[-1]] if axes else []
        few = [axis for axis in others if array.shape[axis] <= _MOST_VIEWS]
        if axes and few:
            seen.transposed += axes[-1] != 2
            views = form.views_axis if form.views_axis in few else few[0]
            (rows,) = (axis for axis in others if axis != views)
            return array.transpose(rows, views, axes[-1])
    raise ArrayError(
        "width", f"is an array of {' x '.join(map(str, told)) or 'one number'}, and features are {width} wide here"
    )
