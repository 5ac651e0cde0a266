"""What an import comes to, beside what is known of the two benchmarks."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from aadc.extract.shard_layout import Entry
from aadc.manifests.card import Card
from aadc.manifests.manifest import Row


class Totals(NamedTuple):
    """Of a test split: videos, rows (one in 16 frames), frames that these stand for, and how many of those are anomalous, spans
    being cut where the rows of their video end."""

    videos: int
    rows: int
    frames: int
    anomalous: int


# Frame truth of the published evaluations: VadCLIP's (floor(frames / 16) rows a video, three videos with one more) and that of
# I3D (floor((frames - 1) / 16)). Those of XD-Violence are counted by its plain list of spans; see docs/manifests.md.
KNOWN = {
    ("UCF-Crime", "vadclip"): Totals(290, 69_367, 1_109_872, 84_160),
    ("UCF-Crime", "i3d"): Totals(290, 69_355, 1_109_680, 84_128),
    ("XD-Violence", "vadclip"): Totals(800, 145_706, 2_331_296, 537_882),
    ("XD-Violence", "i3d"): Totals(800, 145_649, 2_330_384, 537_805),
}
ONE_MORE = frozenset({"Normal_Videos_924_x264", "Normal_Videos_935_x264", "Normal_Videos_940_x264"})  # in VadCLIP's features


def totals(rows: Iterable[Row], entries: Mapping[str, Entry], card: Card) -> Totals:
    """Count what is in the shards of these rows."""
    there = [(row, entries[row.key]) for row in rows if row.key in entries]
    return Totals(
        len(there),
        sum(entry.snippets for _, entry in there),
        sum(entry.frames for _, entry in there),
        sum(_anomalous(row, entry.frames, card) for row, entry in there),
    )


def _anomalous(row: Row, frames: int, card: Card) -> int:
    inside = np.zeros(frames, bool)
    for segment in row.segments:
        if card.kind(segment.label) == "abnormal":
            inside[segment.start_frame : frames if segment.end_frame is None else segment.end_frame] = True
    return int(inside.sum())


def rows_expected(frames: int, name: str, layout: str) -> int:
    """How many rows a video of so many frames has in the published features of a layout."""
    if layout == "i3d":
        return (frames - 1) // 16
    return -(-frames // 16) if layout == "rtfm" else frames // 16 + (name in ONE_MORE and layout == "vadclip")


def could_be(rows: int, frames: int, stride: int) -> bool:
    """Whether so many rows can be one in `stride` of so many frames: all rules in use, and one more or less."""
    return (frames - 1) // stride - 1 <= rows <= -(-frames // stride) + 1
