"""One long vector of all videos' scores, and the list that says in which order they stand behind each other in it."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from aadc.eval.field_protocols import SNIPPET
from aadc.eval.lengths import rules
from aadc.eval.read_scores import GivenScores
from aadc.eval.video_names import NamedRows
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Manifest, Row
from aadc.manifests.shown import shown
from aadc.manifests.table import read_text


def split_vector(scores: GivenScores, order: Path, manifest: Manifest) -> GivenScores:
    """The vector cut into the videos of the list, by the one rule of lengths whose sum it is.

    Args:
        order: a line for each video or for each of its crops, which follow each other: a path or a name, alone or in front of
            a comma or a space (the lists of VadCLIP, RTFM, UR-DMU, PEL4VAD, and UCF-Crime's own).
    Raises:
        UserError: no vector, a line that is no test video, a video without `frames` in the manifest, or no rule that fits.
    """
    if scores.vector is None:
        raise UserError(f"{scores.path}: holds scores by name, so that no order is needed; leave --order out")
    vector = np.asarray(scores.vector, float).squeeze()
    if vector.ndim == 2 and vector.shape[0] in (5, 10):
        vector = vector.mean(axis=0)
    if vector.ndim != 1:
        raise UserError(f"{scores.path}: an array of shape {scores.vector.shape}; one long vector has one axis")
    rows = list(_rows(order, manifest))
    videos = [row for place, row in enumerate(rows) if not place or rows[place - 1] is not row]
    if len({row.key for row in videos}) < len(videos):
        raise UserError(f"{order}: a video stands there twice, with others between; each once, or its crops behind each other")
    if nameless := [row.video for row in videos if row.frames is None]:
        raise UserError(
            f"{manifest.path}: states no frames of {len(nameless)} videos ({shown(nameless[0])} …), without which one long "
            "vector cannot be cut; fill its column frames, or give the scores by name"
        )
    for listed in (videos, rows):
        for counts in _lengths(listed).values():
            if sum(counts) == len(vector):
                return _cut(scores, vector, listed, counts)
    sums = ", ".join(f"{sum(counts):,} ({rule})" for rule, counts in _lengths(videos).items())
    raise UserError(f"{scores.path}: {len(vector):,} scores; the {len(videos)} videos of {order} have {sums}")


def _lengths(rows: list[Row]) -> dict[str, list[int]]:
    """How many scores each video has, by every rule: one a snippet, one a frame, and one a frame of whole snippets."""
    counts: dict[str, list[int]] = {}
    for row in rows:
        assert row.frames is not None
        for rule, count in rules(row.video, row.frames).items():
            counts.setdefault(rule, []).append(count)
            counts.setdefault(f"16 × ({rule})", []).append(SNIPPET * count)
        counts.setdefault("every frame", []).append(row.frames)
    return counts


def _cut(scores: GivenScores, vector: np.ndarray, rows: list[Row], counts: list[int]) -> GivenScores:
    ends = np.cumsum([0, *counts])
    arrays: dict[str, list[np.ndarray]] = {}
    for row, (start, end) in zip(rows, pairwise(ends), strict=True):
        arrays.setdefault(row.video, []).append(vector[start:end])
    return replace(scores, arrays={name: np.mean(parts, axis=0) for name, parts in arrays.items()}, vector=None)


def _rows(order: Path, manifest: Manifest) -> Iterator[Row]:
    rows = NamedRows(manifest.split("test"))
    unknown = []
    lines = [line.strip() for line in read_text(order).splitlines() if line.strip()]
    for number, line in enumerate(lines, 1):
        found = (rows.find(name) for name in (line, line.partition(",")[0], line.split()[0]))
        if row := next((one for one in found if one), None):
            yield row
        elif number > 1:  # the first may be one of heads
            unknown.append(f"line {number}: {shown(line)[:80]}")
    if unknown or not lines:
        told = f"{len(unknown)} lines that are no test video of {manifest.path}: {'; '.join(unknown[:3])}"
        raise UserError(f"{order}: {told if unknown else 'there is no line in it'}")
