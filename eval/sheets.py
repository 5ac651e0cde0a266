"""CSV that programs and spreadsheets both may open."""

import csv
from collections.abc import Iterable, Sequence
from typing import TextIO

from aadc.manifests.shown import shown

_FORMULA = ("=", "+", "-", "@")


def cell(value: object) -> object:
    """A cell as it goes into a CSV. Text that a spreadsheet would run as a formula gets an apostrophe in front, by which
    spreadsheets know text; what is no sign on paper is written out. Numbers stay numbers."""
    if not isinstance(value, str):
        return value
    return f"'{shown(value)}" if value.startswith(_FORMULA) else shown(value)


def write_rows(file: TextIO, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table with a line of names on top."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([cell(head) for head in heads])
    writer.writerows([cell(value) for value in row] for row in rows)
