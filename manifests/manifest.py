"""The manifest: one CSV row a video, read strictly, all bad rows told at once.

    video,split,labels,segments,frames
    Abuse/Abuse028_x264.mp4,test,Abuse,165-240:Abuse,1412

`video` is a path relative to the video root; `split` is train or test; `labels` has `|` between several; `segments`
(test rows only) are half-open frame spans `start-end:label` with `;` between several, an empty end (`0-:Fighting`)
meaning the video's last frame; `frames` is the data set's own frame count where it states one.
"""

import csv
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from aadc.manifests.card import Card, read_card, write_card
from aadc.manifests.errors import UserError
from aadc.manifests.files import make_folder, replacing
from aadc.manifests.records import problems_of
from aadc.manifests.table import Problem, read_table, refuse
from aadc.manifests.video_root import VideoRoot

REQUIRED = ("video", "split", "labels")
OPTIONAL = ("segments", "frames")
MOST_FRAMES = 100_000_000  # of one video: six weeks at 25 a second; what reserves memory by a number of frames can rely on it
_SEGMENT = re.compile(r"([0-9]{1,9})-([0-9]{0,9}):(.+)")


class Segment(NamedTuple):
    """Frames [start_frame, end_frame) that show `label`; `end_frame` None means to the video's last frame."""

    start_frame: int
    end_frame: int | None
    label: str

    def __str__(self) -> str:
        return f"{self.start_frame}-{'' if self.end_frame is None else self.end_frame}:{self.label}"


class Row(BaseModel):
    """One video of a manifest. Validated with a `Card` as context, its labels must be classes of that card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    video: str
    split: Literal["train", "test"]
    labels: tuple[str, ...] = Field(min_length=1)
    segments: tuple[Segment, ...] = ()
    frames: int | None = Field(None, ge=1, le=MOST_FRAMES)

    @property
    def key(self) -> str:
        """Unique name of the video inside an HDF5 file (a `/` there would open a group)."""
        return self.video.replace("%", "%25").replace("/", "%2F")

    @field_validator("video")
    @classmethod
    def _stays_below_the_root(cls, video: str) -> str:
        path = PurePosixPath(video)
        if not path.parts or "\0" in video or path.is_absolute() or ".." in path.parts or str(path) != video:
            raise ValueError(
                f"{video!r} is not a plain path below the video root; write it relative to that root, without .. or ./"
            )
        return video

    @field_validator("labels", mode="before")
    @classmethod
    def _split_labels(cls, labels: object) -> object:
        return tuple(part.strip() for part in labels.split("|")) if isinstance(labels, str) else labels

    @field_validator("segments", mode="before")
    @classmethod
    def _split_segments(cls, segments: object) -> object:
        if not isinstance(segments, str):
            return segments
        return tuple(_parse_segment(part.strip()) for part in segments.split(";") if part.strip())

    @field_validator("frames", mode="before")
    @classmethod
    def _empty_is_none(cls, frames: object) -> object:
        return None if frames == "" else frames

    @field_validator("labels")
    @classmethod
    def _known_and_single(cls, labels: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        _check_known(labels, info.context)
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"{', '.join(twice)} stands there twice; name each class once")
        return labels

    @field_validator("segments")
    @classmethod
    def _segment_labels_known(cls, segments: tuple[Segment, ...], info: ValidationInfo) -> tuple[Segment, ...]:
        _check_known(dict.fromkeys(segment.label for segment in segments), info.context)
        return segments

    @model_validator(mode="after")
    def _segments_agree_with_the_rest(self, info: ValidationInfo) -> "Row":
        if self.split == "train" and self.segments:
            raise ValueError("segments: only test rows may have them (training is weakly supervised); leave it empty")
        for segment in self.segments:
            if self.frames is not None and segment.start_frame >= self.frames:
                raise ValueError(f"segments: {segment} begins past the last of the {self.frames} frames")
            if info.context and info.context.is_abnormal([segment.label]) > info.context.is_abnormal(self.labels):
                raise ValueError(f"segments: {segment} is abnormal, but none of the video's labels is; correct one of them")
        return self


def _check_known(names: Iterable[str], card: Card | None) -> None:
    if card is not None and (unknown := [name for name in names if name not in card.names]):
        raise ValueError(f"{', '.join(map(repr, unknown))} is not among the card's classes, which are {', '.join(card.names)}")


def _parse_segment(text: str) -> Segment:
    match = _SEGMENT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not start-end:label in frames, for example 165-240:Abuse")
    start, end, label = int(match[1]), int(match[2]) if match[2] else None, match[3].strip()
    if end is not None and end <= start:
        raise ValueError(f"{text!r} holds no frame; spans are half-open, so the end must be greater than the start")
    return Segment(start, end, label)


@dataclass(frozen=True)
class Manifest:
    """Rows of a manifest, in file order, with the class card beside it."""

    path: Path
    card: Card
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        return self.path.stem

    def split(self, split: str) -> list[Row]:
        """Rows of one split, `train` or `test`, in file order."""
        return [row for row in self.rows if row.split == split]


def read_manifest(path: Path) -> Manifest:
    """Read `<name>.csv` and the card `<name>.toml` beside it.

    Raises `UserError` that lists every bad row (line, column, what is wrong, what would be right) before any work starts.
    """
    if not os.path.exists(path):
        raise UserError(f"{path}: there is no such manifest; `aadc-manifest --help` shows how to make one")
    card = read_card(card_path(path))
    table, problems = read_table(path, REQUIRED, OPTIONAL)
    rows: list[Row] = []
    first_line: dict[str, int] = {}
    for line, cells in table:
        try:
            rows.append(Row.model_validate(cells, context=card))
        except ValidationError as error:
            problems.append(Problem(line, problems_of(error)))
        if first_line.setdefault(cells["video"], line) != line:
            what = f"video: {cells['video']} stands already in line {first_line[cells['video']]}; remove one"
            problems.append(Problem(line, what))
    refuse(path, problems)
    if not rows:
        raise UserError(f"{path}: no videos in it; it needs one row a video below the header")
    return Manifest(path, card, tuple(rows))


def write_manifest(rows: Iterable[Row], card: Card, path: Path) -> None:
    """Write `<name>.csv` and its card `<name>.toml`; `read_manifest` reads back equal rows."""
    beside = card_path(path)
    make_folder(path.parent)
    with replacing(path) as new:
        with new.open("w", encoding="utf-8", newline="") as file:
            plain = csv.writer(file, lineterminator="\n")
            quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
            plain.writerow(REQUIRED + OPTIONAL)
            for row in rows:
                segments = ";".join(str(segment) for segment in row.segments)
                cells = [row.video, row.split, "|".join(row.labels), segments, str(row.frames or "")]
                (quoted if "\r" in row.video else plain).writerow(cells)  # before Python 3.13 csv leaves a lone \r bare
        write_card(card, beside)  # before the manifest appears: it is never there without its card


def copy_manifest(source: Path, target: Path) -> None:
    """Copy a manifest with its card as they stand, comments included. Both are whole before either is replaced.

    Raises:
        UserError: one cannot be read or written; then both targets are what they were, unless the power fails in between.
    """
    with replacing(target) as manifest, replacing(card_path(target)) as card:
        shutil.copyfile(source, manifest)
        shutil.copyfile(card_path(source), card)


def card_path(path: Path) -> Path:
    """Where the card of the manifest `path` lies. `UserError` where `path` is not named `.csv`."""
    if path.suffix != ".csv":
        raise UserError(f"{path}: a manifest is a .csv file, with its class card as .toml beside it")
    return path.with_suffix(".toml")


def video_root(manifest: Manifest, videos: Path | None) -> Path:
    """The folder that the manifest's paths count from: `videos`, else $AADC_VIDEOS, else the card's own.

    Raises `UserError` when none is given or it is no folder.
    """
    card = card_path(manifest.path)
    if videos is not None:
        root, source = videos, "--videos"
    elif os.environ.get("AADC_VIDEOS"):
        root, source = Path(os.environ["AADC_VIDEOS"]), "AADC_VIDEOS"
    elif manifest.card.videos:
        root, source = card.parent / manifest.card.videos, f"videos in {card}"
    else:
        raise UserError(f"{manifest.path}: where are the videos? Give --videos FOLDER, or set AADC_VIDEOS")
    if not os.path.isdir(root):
        raise UserError(f"{root}: no such folder of videos (from {source}); give the right one with --videos FOLDER")
    return root


def video_path(root: Path, video: str) -> Path:
    """As `VideoRoot.path`, for one video. `UserError` if a link would lead outside `root`."""
    return VideoRoot(root).path(video)
