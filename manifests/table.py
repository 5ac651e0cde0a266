"""CSV tables that people write by hand: read strictly, each row with the line it begins on, all bad rows told at once."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from aadc.manifests.errors import UserError
from aadc.manifests.files import regular
from aadc.manifests.shown import INDENT, shown


class Problem(NamedTuple):
    """What is wrong in one line of a file, counted from 1."""

    line: int
    what: str


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark, line ends as they are. `UserError` if there is none."""
    try:
        return regular(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None


def read_table(
    path: Path, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> tuple[list[tuple[int, dict[str, str]]], list[Problem]]:
    """Rows of a CSV file as (line the row begins on, {column: cell}), and the rows that are no rows of this table.

    A cell missing at the end of a row is empty; empty lines are passed over. Raises `UserError` where the file cannot
    be read or its header is not made of `required` and some of `optional`.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    header: list[str] | None = None
    rows: list[tuple[int, dict[str, str]]] = []
    problems: list[Problem] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:  # what follows a broken quote cannot be told into rows
            problems.append(Problem(line, f"broken quotes from here on ({error}); write a quote inside quotes twice"))
            break
        if cells is None:
            break
        if not cells:
            continue
        if header is None:
            header = _checked_header(path, line, cells, required, optional)
        elif len(cells) > len(header):
            what = f"{len(cells)} cells for {len(header)} columns; put quotes around a cell with a comma in it"
            problems.append(Problem(line, what))
        else:
            rows.append((line, dict.fromkeys(header, "") | dict(zip(header, cells, strict=False))))
    if header is None and not problems:
        raise UserError(f"{path}: empty; the first line names the columns: {','.join(required + optional)}")
    return rows, problems


def _checked_header(
    path: Path, line: int, header: list[str], required: tuple[str, ...], optional: tuple[str, ...]
) -> list[str]:
    known = required + optional
    faults = [f"no column {column}" for column in required if column not in header]
    faults += [f"unknown column {column!r}" for column in dict.fromkeys(header) if column not in known]
    faults += [f"column {column} twice" for column in known if header.count(column) > 1]
    if faults:
        raise UserError(
            f"{path}: line {line}: {'; '.join(faults)}; the columns are {','.join(known)}, with commas between them"
        )
    return header


def listing(lines: Sequence[str], most: int = 50) -> str:
    """Lines below a sentence, the first `most` of them: a list that nobody reads to its end must not fill a terminal."""
    more = [f"… and {len(lines) - most} more"] if len(lines) > most else []
    return "".join(f"\n{INDENT}{shown(line)}" for line in [*lines[:most], *more])


def refuse(path: Path, problems: Iterable[Problem]) -> None:
    """Raise one `UserError` that lists the problems (see `listing`), in the file's order; nothing to do where there is none."""
    listed = sorted(problems)
    if listed:
        count = len({problem.line for problem in listed})
        text = listing([f"line {line}: {what}" for line, what in listed])
        raise UserError(f"{path}: {count} bad row{'s' if count > 1 else ''}, nothing was started:{text}")
