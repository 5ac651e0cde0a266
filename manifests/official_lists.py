"""Reading the lists a data set was published with: line by line, with every inconsistent line told at the end."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from aadc.manifests.card import Card
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Row, Segment
from aadc.manifests.records import problems_of
from aadc.manifests.table import listing, read_text


class Line(NamedTuple):
    """One line of a list."""

    file: str
    number: int
    text: str


class Span(NamedTuple):
    """Frames [start_frame, end_frame) of one event; `label` is None where the list does not say which class it shows."""

    start_frame: int
    end_frame: int
    label: str | None


class Video(NamedTuple):
    """One entry of a train or test list."""

    line: Line
    split: str
    video: str
    labels: list[str]

    @property
    def name(self) -> str:
        """What the temporal lists call it."""
        return Path(self.video).name.removesuffix(".mp4")


@dataclass
class OfficialLists:
    """The lists in one folder, and the `faults` found in them so far."""

    folder: Path
    faults: list[str] = field(default_factory=list)

    def has(self, *names: str) -> bool:
        """Whether one of these files is there."""
        return any((self.folder / name).is_file() for name in names)

    def lines(self, *names: str) -> list[Line]:
        """The lines, empty ones left out, of the first of these files that is there. `UserError` if none is."""
        for name in names:
            if self.has(name):
                texts = enumerate(read_text(self.folder / name).splitlines(), start=1)
                return [Line(name, number, text.strip()) for number, text in texts if text.strip()]
        raise UserError(f"{self.folder}: there is no {' or '.join(names)} in it; give the folder of the official lists")

    def fault(self, line: Line, what: str) -> None:
        """Keep what is wrong in a line."""
        self.faults.append(f"{line.file}: line {line.number}: {what}")

    def span(self, line: Line, start: str, end: str, label: str | None = None) -> Span | None:
        """The span that two numbers of a line say; None, and a fault, where they say none."""
        if start.isdecimal() and end.isdecimal() and int(start) < int(end):
            return Span(int(start), int(end), label)
        self.fault(line, f"'{start} {end}' is no span; it takes two frame numbers, the smaller one first")
        return None

    def rows(
        self, videos: Iterable[Video], spans: dict[str, list[Span]], card: Card, frames: Mapping[str, int] | None = None
    ) -> list[Row]:
        """A manifest row for each video, the spans joined to the test videos by name, and the frames of those that have some.

        A span without a label is written once for each label of its video. Faults: a video listed twice, spans or frames of no
        test video, an abnormal test video without spans, a normal one with spans, a label that the card lacks.
        """
        rows: list[Row] = []
        first: dict[str, Line] = {}
        unused, uncounted = dict(spans), dict(frames or {})
        for entry in videos:
            if (before := first.setdefault(entry.video, entry.line)) is not entry.line:
                self.fault(entry.line, f"{entry.video} stands already in {before.file}, line {before.number}")
            found = unused.pop(entry.name, []) if entry.split == "test" else []
            segments = tuple(
                Segment(span.start_frame, span.end_frame, label)
                for span in found
                for label in ([span.label] if span.label else entry.labels)
            )
            counted = uncounted.pop(entry.name, None) if entry.split == "test" else None
            cells = {"video": entry.video, "split": entry.split, "labels": tuple(entry.labels), "segments": segments}
            try:
                row = Row.model_validate({**cells, "frames": counted}, context=card)
            except ValidationError as error:
                self.fault(entry.line, problems_of(error))
                continue
            if row.split == "test" and card.is_abnormal(row.labels) != bool(segments):
                what = "is normal, but has spans in" if segments else "is abnormal, but has no span in"
                self.fault(entry.line, f"{entry.name} {what} the temporal list")
            rows.append(row)
        self.faults += [f"{name} has spans, but is in no line of the test list" for name in unused]
        self.faults += [f"{name} has a count of frames, but is in no line of the test list" for name in uncounted]
        return rows

    def finish(self) -> None:
        """Raise one `UserError` with all faults, if there are any."""
        if self.faults:
            listed = listing(self.faults)
            count = f"{len(self.faults)} fault{'s' if len(self.faults) > 1 else ''}"
            raise UserError(f"{self.folder}: {count} in the official lists, nothing was written:{listed}")
