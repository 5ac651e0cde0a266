"""Scores of any method, in every form that the field keeps them in. Nothing is ever unpickled."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from pydantic import Field

from aadc.eval.field_protocols import SNIPPET
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason, regular
from aadc.manifests.npy import OBJECTS, NpyError, is_of_objects, map_npy
from aadc.manifests.records import Record, parse_record
from aadc.manifests.shown import shown

FORMS = "a folder of <name>.npy or <name>.json, an .npz, a scores.h5, a .json, a .csv, or one long vector with --order"
_PICKLED = {".pkl", ".pickle", ".pt", ".pth", ".joblib", ".mat"}


@dataclass(frozen=True)
class GivenScores:
    """What a file or folder holds: arrays as they are, by the name they have there (several for crops of one video), or one
    long `vector` of all videos. `classes` (T, C) with `class_names` where there are class scores beside them, one row for
    `stride` frames, and `k` where the head that made them says how many snippets make a video's score."""

    path: Path
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    vector: np.ndarray | None = None
    classes: dict[str, np.ndarray] = field(default_factory=dict)
    class_names: Sequence[str] | None = None
    stride: int = SNIPPET
    k: int | None = None


def read_scores(path: Path) -> GivenScores:
    """Whatever `path` is, see `FORMS`.

    Raises:
        UserError: there is nothing, it is none of these, or what is in it are no numbers.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file or folder; give scores as {FORMS}")
    suffix = path.suffix.lower()
    if suffix in _PICKLED:
        raise UserError(
            f"{path}: such files are never opened here, since opening one runs what is in it; save its scores with "
            "numpy.savez, one array by the name of each video"
        )
    readers: dict[str, Callable[[Path], GivenScores]] = {
        ".npz": _npz, ".npy": _npy, ".h5": _hdf5, ".hdf5": _hdf5, ".json": _json, ".csv": _csv, ".txt": _csv,
    }  # fmt: skip
    if suffix not in readers:
        raise UserError(f"{path}: no form of scores ends in {suffix or 'nothing'}; give {FORMS}")
    return readers[suffix](path)


class _Config(Record):
    k: int | None = Field(None, ge=1)


class _Head(Record):
    config: _Config = _Config()


class _MadeWith(Record):
    """What of a scores.h5's `made_with` its reading depends on."""

    stride: int = Field(SNIPPET, ge=1)
    head: _Head | None = None


def scores_of(arrays: Mapping[str, Any]) -> GivenScores:
    """Arrays, or lists of numbers, by name.

    Raises:
        UserError: there is none, or one of them holds no numbers.
    """
    if not arrays:
        raise UserError("there are no scores; give one array by the name of each video")
    where = Path("scores")
    return GivenScores(where, {str(name): _numbers(values, f"{where}: {shown(name)}") for name, values in arrays.items()})


def _folder(path: Path) -> GivenScores:
    named = (one for one in path.rglob("*") if one.suffix.lower() in (".npy", ".json") and not one.name.startswith("."))
    arrays: dict[str, np.ndarray] = {}
    for file in sorted(one for one in named if one.is_file()):
        if (name := file.relative_to(path).with_suffix("").as_posix()) in arrays:
            raise UserError(f"{path}: {shown(name)} is there twice, as .npy and as .json; take one of them out of the folder")
        arrays[name] = _load(file) if file.suffix.lower() == ".npy" else _numbers(_parsed(file), file)
    if not arrays:
        raise UserError(f"{path}: no .npy and no .json in this folder; give scores as {FORMS}")
    return GivenScores(path, arrays)


def _load(file: Path) -> np.ndarray:
    try:
        return _real(np.array(map_npy(file)), str(file))
    except (NpyError, MemoryError) as error:
        raise UserError(f"{file}: {error}; save it anew with numpy.save, plain numbers, one array a video") from None


def _real(array: np.ndarray, where: str) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise UserError(f"{where}: holds {array.dtype}, and scores are numbers; save one array of them for each video")
    return array


def _npz(path: Path) -> GivenScores:
    arrays: dict[str, np.ndarray] = {}
    try:
        with np.load(regular(path), allow_pickle=False) as file:
            for name in file.files:
                if not isinstance(array := file[name], np.ndarray):
                    raise UserError(f"{path}: {shown(name)} in it is no array; save it anew with numpy.savez")
                arrays[name] = _real(array, f"{path}: {shown(name)}")
    except UserError:
        raise
    except Exception as error:  # whatever numpy and zipfile make of a damaged or foreign file
        what = OBJECTS if is_of_objects(error) else f"cannot be read as arrays ({reason(error)})"
        raise UserError(f"{path}: {what}; save it anew with numpy.savez, plain numbers, one array a video") from None
    if not arrays:
        raise UserError(f"{path}: there is no array in it; give scores as {FORMS}")
    if len(arrays) == 1 and (only := next(iter(arrays.values()))).ndim == 1:
        return GivenScores(path, arrays, vector=only)
    return GivenScores(path, arrays)


def _npy(path: Path) -> GivenScores:
    return GivenScores(path, {path.stem: (array := _load(path))}, vector=array)


def _hdf5(path: Path) -> GivenScores:
    import h5py  # only where such a file is given

    arrays, classes = {}, {}
    try:
        with h5py.File(regular(path), "r") as file:
            names = [_text(name) for name in np.atleast_1d(file.attrs["classes"])] if "classes" in file.attrs else None
            made = file.attrs.get("made_with", "{}")
            for key in file:
                where, entry = f"{path}: {shown(key)}", _own(file, key)
                if isinstance(entry, h5py.Dataset):
                    arrays[key] = _values(entry, where)
                elif isinstance(entry, h5py.Group) and isinstance(score := _own(entry, "score"), h5py.Dataset):
                    arrays[key] = _values(score, where)
                    if isinstance(own := _own(entry, "classes"), h5py.Dataset):
                        classes[key] = _values(own, where)
    except UserError:
        raise
    except Exception as error:  # whatever HDF5 makes of a damaged or foreign file
        raise UserError(f"{path}: cannot be read as HDF5 ({reason(error)}); write it anew") from None
    if not arrays:
        raise UserError(f"{path}: no scores in it, neither as aadc-eval writes them nor one array a video")
    how = parse_record(made if isinstance(made, (str, bytes)) else "{}", f"{path}: made_with", _MadeWith, "write it anew")
    k = how.head.config.k if how.head else None
    return GivenScores(path, arrays, classes=classes, class_names=names, stride=how.stride, k=k)


def _own(group: Any, name: str) -> Any:
    """What stands there itself, None for a link: a link may lead to another file."""
    import h5py

    return group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None


def _values(dataset: Any, where: str) -> np.ndarray:
    """What a dataset holds itself; one whose values lie in other files is refused, as links are passed over."""
    if dataset.external or dataset.is_virtual:
        raise UserError(f"{where}: its values lie in another file; write them into this one")
    return _real(dataset[()], where)


def _text(name: object) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _parsed(path: Path) -> object:
    try:
        return json.loads(regular(path).read_bytes(), object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); write it anew") from None


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object; of two values by one name the later would win in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{shown(name)} stands there twice")
    return found


def _json(path: Path) -> GivenScores:
    values = _parsed(path)
    if isinstance(values, list):
        return GivenScores(path, {path.stem: (vector := _numbers(values, path))}, vector=vector)
    if not isinstance(values, dict) or not values:
        raise UserError(f"{path}: neither {{name: [scores]}} nor {{frame: score}}; give scores as {FORMS}")
    if all(isinstance(one, (int, float)) for one in values.values()):
        return GivenScores(path, {path.stem: _numbers(values, path)})
    return GivenScores(path, {name: _numbers(one, f"{path}: {shown(name)}") for name, one in values.items()})


def _numbers(values: object, where: object) -> np.ndarray:
    """A list of scores, or {frame: score}, where each score holds until the next stated frame (LAVAD)."""
    try:
        if isinstance(values, dict):
            stated = sorted((int(frame), float(score)) for frame, score in values.items())
            return _held(stated, where)
        return _real(np.asarray(values), str(where)).astype(float)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{where}: these are no scores; a list of numbers, or one number for each of some frames") from None


def _held(stated: list[tuple[int, float]], where: object) -> np.ndarray:
    """A score for every stated frame, where these are evenly spaced, as a row of them; else one for every frame."""
    frames = np.array([frame for frame, _ in stated])
    steps = np.unique(np.diff(frames))
    if not len(frames) or frames[0] not in (0, 1) or frames[-1] > 10_000_000 or 0 in steps:
        raise UserError(f"{where}: its frames do not count up from 0 or 1; write {{frame: score}}")
    scores = np.array([score for _, score in stated])
    if len(steps) == 1 and steps[0] in (1, 16):
        return scores
    return scores[np.searchsorted(frames, np.arange(frames[0], frames[-1] + 1), side="right") - 1]


def _csv(path: Path) -> GivenScores:
    """`name,score` lines in the order of the frames, or numbers alone; a line of heads may stand on top."""
    scores: dict[str, list[float]] = {}
    heads: list[str] = []

    def refuse(number: int, cells: Sequence[str]) -> NoReturn:
        raise UserError(f"{path}: line {number}: not name,score but {shown(','.join(cells))[:80]!r}")

    for number, cells in _lines(path):
        name = cells[0].strip() if len(cells) > 1 else ""
        try:
            score = float(cells[-1])
            if len(cells) > 2:
                raise ValueError
        except ValueError:
            if number > 1 or not all(any(map(str.isalpha, cell)) for cell in cells):
                refuse(number, cells)
            heads = cells
            continue
        scores.setdefault(name, []).append(score)
    if len(heads) > 1 and heads[0].strip() in scores:  # no heads, but a score that is none
        refuse(1, heads)
    if not scores:
        raise UserError(f"{path}: no scores in it; write name,score lines")
    arrays = {name: np.array(one) for name, one in scores.items()}
    if set(arrays) == {""}:
        return GivenScores(path, {path.stem: arrays[""]}, vector=arrays[""])
    if "" in arrays:
        raise UserError(f"{path}: {len(arrays[''])} lines have no name; write name,score in every line")
    return GivenScores(path, arrays)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with regular(path).open(encoding="utf-8-sig", newline="") as file:
            for number, cells in enumerate(csv.reader(file), 1):
                if any(cell.strip() for cell in cells):
                    yield number, cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error}); write name,score lines in UTF-8") from None
