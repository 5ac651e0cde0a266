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
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from aadc.manifests.card import Card, problems_of, read_card, write_card
from aadc.manifests.errors import UserError

COLUMNS = ("video", "split", "labels", "segments", "frames")
_SEGMENT = re.compile(r"(\d+)-(\d*):(.+)")


class Segment(NamedTuple):
    """Frames [start_frame, end_frame) that show `label`; `end_frame` None means to the video's last frame."""

    start_frame: int
    end_frame: int | None
    label: str

    def __str__(self) -> str:
        return f"{self.start_frame}-{'' if self.end_frame is None else self.end_frame}:{self.label}"


class Row(BaseModel):
    """One video of a manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    video: str
    split: Literal["train", "test"]
    labels: tuple[str, ...] = Field(min_length=1)
    segments: tuple[Segment, ...] = ()
    frames: int | None = Field(None, ge=1)

    @property
    def key(self) -> str:
        """Unique name of the video inside an HDF5 file (a `/` there would open a group)."""
        return self.video.replace("%", "%25").replace("/", "%2F")

    @field_validator("video")
    @classmethod
    def _stays_below_the_root(cls, video: str) -> str:
        path = PurePosixPath(video)
        if not video or "\0" in video or path.is_absolute() or ".." in path.parts or str(path) != video:
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

    @model_validator(mode="after")
    def _train_rows_have_no_segments(self) -> "Row":
        if self.split == "train" and self.segments:
            raise ValueError("segments: only test rows may have them (training is weakly supervised); leave it empty")
        return self


def _parse_segment(text: str) -> Segment:
    match = _SEGMENT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not start-end:label, for example 165-240:Abuse")
    start, end, label = int(match[1]), int(match[2]) if match[2] else None, match[3]
    if end is not None and end <= start:
        raise ValueError(f"{text!r} ends before it starts; spans are half-open frames, start < end")
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
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such manifest; `aadc-manifest --help` shows how to make one") from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise UserError(f"{path}: not a UTF-8 CSV file ({error})") from None
    card = read_card(path.with_suffix(".toml"))
    reader = csv.DictReader(text.splitlines(keepends=True), restkey="(extra)", restval="")
    header = reader.fieldnames or []
    if missing := [column for column in COLUMNS[:3] if column not in header]:
        raise UserError(f"{path}: line 1: no column {', '.join(missing)}; the columns are {','.join(COLUMNS)}")
    if unknown := [column for column in header if column not in COLUMNS]:
        raise UserError(f"{path}: line 1: unknown column {', '.join(unknown)}; the columns are {','.join(COLUMNS)}")
    rows: list[Row] = []
    problems: list[str] = []
    first_line: dict[str, int] = {}
    for cells in reader:
        line = reader.line_num
        if "(extra)" in cells:
            problems.append(f"line {line}: more cells than columns; put quotes around a path with a comma in it")
            continue
        try:
            row = Row.model_validate(cells)
        except ValidationError as error:
            problems.append(f"line {line}: {problems_of(error)}")
            continue
        names = dict.fromkeys((*row.labels, *(segment.label for segment in row.segments)))
        problems += [
            f"line {line}: labels: {name!r} is not a class of {path.with_suffix('.toml').name} ({', '.join(card.names)})"
            for name in names
            if name not in card.names
        ]
        if row.video in first_line:
            problems.append(f"line {line}: video: {row.video} stands already in line {first_line[row.video]}; remove one")
        first_line.setdefault(row.video, line)
        rows.append(row)
    if problems:
        raise UserError(f"{path}: {len(problems)} bad row(s), nothing was started:\n  " + "\n  ".join(problems))
    if not rows:
        raise UserError(f"{path}: no videos in it; it needs one row a video below the header")
    return Manifest(path, card, tuple(rows))


def write_manifest(rows: Iterable[Row], card: Card, path: Path) -> None:
    """Write `<name>.csv` and its card `<name>.toml`; `read_manifest` reads back equal rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            segments = ";".join(str(segment) for segment in row.segments)
            writer.writerow([row.video, row.split, "|".join(row.labels), segments, row.frames or ""])
    write_card(card, path.with_suffix(".toml"))


def video_root(manifest: Manifest, videos: Path | None) -> Path:
    """The folder that the manifest's paths count from: `videos`, else $AADC_VIDEOS, else the card's own.

    Raises `UserError` when none is given or it is no folder.
    """
    card_path = manifest.path.with_suffix(".toml")
    if videos is not None:
        root, source = videos, "--videos"
    elif os.environ.get("AADC_VIDEOS"):
        root, source = Path(os.environ["AADC_VIDEOS"]), "AADC_VIDEOS"
    elif manifest.card.videos is not None:
        root, source = card_path.parent / manifest.card.videos, f"videos in {card_path}"
    else:
        raise UserError(f"{manifest.path}: where are the videos? Give --videos FOLDER, or set AADC_VIDEOS")
    if not root.is_dir():
        raise UserError(f"{root}: no such folder of videos (from {source}); give the right one with --videos FOLDER")
    return root


def video_path(root: Path, video: str) -> Path:
    """Where a row's video lies. `UserError` if a link would lead outside `root`."""
    path = root / video
    if not path.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{video}: leads outside the video root {root}")
    return path
