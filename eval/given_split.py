"""Scores from elsewhere beside the truth of a manifest, as one protocol of the field counts them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aadc.eval.field_protocols import SNIPPET, FieldProtocol
from aadc.eval.lengths import Length, Reading, read_lengths
from aadc.eval.metrics import ScoredVideo
from aadc.eval.read_scores import GivenScores
from aadc.eval.split import Split
from aadc.eval.truth import expand, has_frame_truth, label_spans
from aadc.eval.video_names import NamedRows, crop_of
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Manifest, Row
from aadc.manifests.shown import shown

CROPS = (1, 5, 10)
MOST = 1e100  # what is larger is no score, and its mean may be no number
K = 5  # highest snippets that a video's score is the mean of, the head's own default


@dataclass(frozen=True)
class GivenSplit(Split):
    """Test `rows` of a manifest, and `curves` by row key: as many scores as were given, one a snippet or one a frame (see
    `reading`).

    `class_scores` float (T, C) by row key, one column for each of `classes`; empty where none are given. `fps` is the rate
    that seconds are counted with; files of scores state none. `crops`: how many crops stood in one array and were averaged.
    """

    rows: Sequence[Row]
    card: Card
    curves: Mapping[str, np.ndarray]
    reading: Reading
    protocol: FieldProtocol
    class_scores: Mapping[str, np.ndarray]
    fps: float
    k: int = K
    stride: int = SNIPPET
    crops: tuple[int, ...] = ()

    @property
    def classes(self) -> Card:  # type: ignore[override]
        """Those of the manifest where there are class scores, else none."""
        return self.card if self.class_scores else self.card.model_copy(update={"classes": []})

    @cached_property
    def there(self) -> list[Row]:
        """Rows with scores."""
        return [row for row in self.rows if row.key in self.curves]

    @cached_property
    def videos(self) -> list[ScoredVideo]:
        """Frame scores beside frame truth, in the order of `there`."""
        return [self._video(row) for row in self.there]

    def _video(self, row: Row) -> ScoredVideo:
        frames = self.frames(row)
        score = expand(self.curves[row.key], frames, self.reading.stride)
        truth = None
        if has_frame_truth(row, self.card):
            truth = np.zeros(frames, bool)
            for start, end, _ in self.spans(row, frames):
                truth[start:end] = True
        snippets = self.class_scores.get(row.key, np.zeros((-(-frames // self.stride), 0)))
        return ScoredVideo(row.video, row.labels, self.card.is_abnormal(row.labels), self.fps, score, truth, snippets)

    def frames(self, row: Row) -> int:
        """How many frames the protocol counts."""
        return self.protocol.counted(row.frames, len(self.curves[row.key]) * self.reading.stride)

    def spans(self, row: Row, frames: int) -> list[tuple[int, int, str]]:
        """True abnormal spans, half-open, cut at `frames`; with their last frame where the protocol includes it."""
        more = int(self.protocol.last_included)
        return [(start, min(end + more, frames), label) for start, end, label in label_spans(row, frames, self.card)]

    def class_curves(self, row: Row, frames: int) -> np.ndarray:
        """Class probabilities of the first `frames` frames, float (frames, C)."""
        return expand(self.class_scores[row.key], frames, self.stride)


@dataclass(frozen=True)
class Joined:
    """Scores by the row of the manifest that they are of: `arrays` by row key, one for each numbered crop; names that no test
    video has are `unknown`, those of training videos `train`."""

    arrays: dict[str, list[np.ndarray]]
    unknown: list[str]
    train: list[str]


def join(given: Mapping[str, np.ndarray], manifest: Manifest, where: object) -> Joined:
    """By name, never by order.

    Raises:
        UserError: a name that fits several videos, several names of one video that are not those of its crops, or no name that
            is a test video's.
    """
    rows = NamedRows(manifest.rows)
    arrays: dict[str, dict[str, np.ndarray]] = {}
    unknown, train = [], []
    for name, array in given.items():
        row = rows.find(name)
        if row is None:
            if alike := rows.alike(name):
                listed = ", ".join(shown(one.video) for one in alike[:3])
                raise UserError(f"{where}: {shown(name)} may be any of {listed}; name the scores by their whole path")
            unknown.append(name)
        elif row.split == "train":
            train.append(name)
        else:
            arrays.setdefault(row.key, {})[name] = array
    for names in arrays.values():
        _refuse_rivals(list(names), where)
    if not arrays:
        given_name, own = next(iter(given)), next((row.video for row in manifest.split("test")), "nothing")
        raise UserError(
            f"{where}: none of its {len(given)} names is a test video of {manifest.path} (there {shown(given_name)}, here "
            f"{shown(own)}); the names of files are what joins them"
        )
    return Joined({key: list(named.values()) for key, named in arrays.items()}, unknown, train)


def _refuse_rivals(names: Sequence[str], where: object) -> None:
    """Arrays of one video are its crops where their names number them; else two methods, or two runs, would be averaged."""
    crops = [crop_of(name) for name in names]
    for place, crop in enumerate(crops if len(crops) > 1 else ()):
        if crop is None or crop in crops[:place]:
            other = crops.index(crop) if crop in crops[:place] else int(place == 0)
            one, two = (names[at] for at in sorted((place, other)))
            raise UserError(
                f"{where}: {shown(one)} and {shown(two)} are of one video; keep one of them, or let their names end in __0 "
                "to __9 where they are its crops"
            )


def crops_axis(shapes: Sequence[tuple[int, ...]]) -> int:
    """Which axis of a set's arrays (10, T) or (T, 10) holds the crops: one that is 1, 5 or 10 long in every video, and not by
    chance in a short one; of two such axes the one that is always 1, else one that is the same in all.

    Raises:
        ValueError: there is none.
    """
    lengths = {axis: {shape[axis] for shape in shapes} for axis in (0, 1)}
    fits = [axis for axis, found in lengths.items() if found <= set(CROPS)]
    if not fits:
        raise ValueError
    return min(fits, key=lambda axis: (lengths[axis] != {1}, len(lengths[axis])))


def curves_of(arrays: Mapping[str, Sequence[np.ndarray]]) -> tuple[dict[str, np.ndarray], set[int]]:
    """One row of scores, float64 (T,), for each video: the mean over crops, which are rows or columns of an array, the same in
    the whole set, or arrays of their own.

    Args:
        arrays: by the name of the video.
    Returns:
        The rows by the same names, and how many crops stood in one array (empty: none did).
    Raises:
        UserError: arrays of another shape, of different lengths, empty, or with values that are not finite.
    """
    plain = {name: [_without_axes_of_one(one, name) for one in its] for name, its in arrays.items()}
    deep = [(name, one.shape) for name, its in plain.items() for one in its if one.ndim == 2]
    axis = None
    if deep:
        try:
            axis = crops_axis([shape for _, shape in deep])
        except ValueError:
            name, shape = next((one for one in deep if not set(one[1]) & set(CROPS)), deep[0])
            raise UserError(
                f"{shown(name)}: an array of shape {shape}; scores are one row, (T,), or one for each crop, (10, T), in all "
                "videos alike"
            ) from None
    crops = {shape[axis] for _, shape in deep} - {1} if axis is not None else set()
    return {name: _curve([one.mean(axis) if one.ndim == 2 else one for one in its], name) for name, its in plain.items()}, crops


def _curve(rows: Sequence[np.ndarray], name: str) -> np.ndarray:
    if len({len(row) for row in rows}) > 1:
        lengths = ", ".join(str(len(row)) for row in rows)
        raise UserError(f"{shown(name)}: its crops have different numbers of scores ({lengths}); write them out again")
    curve = np.mean(rows, axis=0) if len(rows) > 1 else rows[0]
    if not len(curve):
        raise UserError(f"{shown(name)}: there is no score")
    if not (np.abs(curve) < MOST).all():
        bad = int(np.flatnonzero(~(np.abs(curve) < MOST))[0])
        raise UserError(
            f"{shown(name)}: score {bad + 1} of {len(curve)} is {curve[bad]}, no finite number; score the video again"
        )
    return curve


def _without_axes_of_one(array: np.ndarray, name: str) -> np.ndarray:
    values = np.asarray(array, float)
    if values.ndim == 3 and 1 in values.shape:
        values = values.squeeze(axis=values.shape.index(1))
    if values.ndim not in (1, 2):
        raise UserError(
            f"{shown(name)}: an array of shape {array.shape}; scores are one row, (T,), or one for each crop, (10, T)"
        )
    return values


def given_split(
    scores: GivenScores, manifest: Manifest, protocol: FieldProtocol, fps: float, classes: GivenScores | None = None
) -> tuple[GivenSplit, list[str]]:
    """Scores beside truth, and sentences on what there is to know of them.

    Raises:
        UserError: see `join`, `curves_of`, `lengths.read_lengths`.
    """
    joined = join(scores.arrays, manifest, scores.path)
    rows = manifest.split("test")
    by_key = {row.key: row for row in rows}
    named, crops = curves_of({by_key[key].video: arrays for key, arrays in joined.arrays.items()})
    curves = {key: named[by_key[key].video] for key in joined.arrays}
    reading = read_lengths({by_key[key].video: _length(by_key[key], curve) for key, curve in curves.items()})
    class_scores = _class_scores(classes, manifest, curves, reading) if classes else {}
    stride = classes.stride if classes else SNIPPET
    split = GivenSplit(
        rows, manifest.card, curves, reading, protocol, class_scores, fps, scores.k or K, stride, tuple(sorted(crops))
    )
    return split, _notes(joined, manifest, curves, reading)


def _length(row: Row, curve: np.ndarray) -> Length:
    return Length(len(curve), row.frames, max((one.end_frame or one.start_frame + 1 for one in row.segments), default=0))


def _class_scores(
    classes: GivenScores, manifest: Manifest, curves: Mapping[str, np.ndarray], reading: Reading
) -> dict[str, np.ndarray]:
    """Class scores by row key, (T, C) by snippet with the columns of the card."""
    names = manifest.card.names
    own = names if classes.class_names is None else list(classes.class_names)
    if missing := [name for name in names if name not in own]:
        raise UserError(
            f"{classes.path}: its classes are {', '.join(own)}; {shown(missing[0])} of the manifest is none of them"
        )
    order = [own.index(name) for name in names]
    videos = {row.key: row.video for row in manifest.rows}
    found = {}
    for key, arrays in join(classes.classes or classes.arrays, manifest, classes.path).arrays.items():
        parts = [_class_rows(array, len(own), f"{classes.path}: {shown(videos[key])}") for array in arrays]
        if len({len(part) for part in parts}) > 1:
            raise UserError(f"{classes.path}: {shown(videos[key])}: its crops have different numbers of rows")
        if key in curves:
            found[key] = _by_snippet(np.mean(parts, axis=0), len(curves[key]), reading, classes, videos[key])[:, order]
    if missing := [videos[key] for key in curves if key not in found]:
        raise UserError(f"{classes.path}: no class scores of {len(missing)} videos that have scores: {_some(missing)}")
    return found


def _class_rows(array: np.ndarray, columns: int, where: str) -> np.ndarray:
    values = np.asarray(array, float)
    values = values.mean(axis=0) if values.ndim == 3 and values.shape[0] in CROPS else values
    if values.ndim != 2 or values.shape[1] != columns or not len(values) or not np.isfinite(values).all():
        raise UserError(
            f"{where}: class scores of shape {array.shape}; they are finite and (T, {columns}), a column for each class in the "
            "order of the class card"
        )
    return values


def _by_snippet(values: np.ndarray, scores: int, reading: Reading, classes: GivenScores, video: str) -> np.ndarray:
    """A row for each snippet, of rows that may be one a frame."""
    rows = -(-scores * reading.stride // classes.stride)
    if abs(len(values) - rows) > 1 and abs(len(values) - scores * reading.stride) <= classes.stride:
        values = values[:: classes.stride]
    if abs(len(values) - rows) > 1:
        raise UserError(f"{classes.path}: {shown(video)}: {len(values)} rows of class scores, but {rows} snippets are scored")
    return values


def _notes(joined: Joined, manifest: Manifest, curves: Mapping[str, np.ndarray], reading: Reading) -> list[str]:
    missing = [row.video for row in manifest.split("test") if row.key not in curves]
    crops = {len(arrays) for arrays in joined.arrays.values()} - {1}
    notes = []
    if missing:
        notes.append(f"{len(missing)} of {len(manifest.split('test'))} test videos have no scores: {_some(missing)}")
    if joined.unknown:
        notes.append(f"{len(joined.unknown)} names are no video of the manifest and are left out: {_some(joined.unknown)}")
    if joined.train:
        notes.append(f"{len(joined.train)} are training videos and are left out: {_some(joined.train)}")
    if crops:
        notes.append(f"several files a video ({', '.join(map(str, sorted(crops)))}) are its crops; their mean is scored")
    if reading.other:
        number = len(reading.other)
        notes.append(
            f"{number} video{'s have' if number > 1 else ' has'} up to one snippet more or less than {reading.rule}; they are "
            f"cut, or the last score is held: {_some(reading.other)}"
        )
    if min(curve.min() for curve in curves.values()) < 0 or max(curve.max() for curve in curves.values()) > 1:
        notes.append("scores below 0 or above 1: false alarms and event F1 at 0.5 say nothing of them")
    return notes


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(shown(name) for name in names[:most]) + (" …" if len(names) > most else "")
