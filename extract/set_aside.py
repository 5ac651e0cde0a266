"""The lists of videos that did not go through whole: rejected.csv and cut_off.csv."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from aadc.extract.shard_layout import Entry
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason, replace_file
from aadc.manifests.table import read_table


class Rejected(NamedTuple):
    """A video that no shard holds: a stable word why, and a sentence for people."""

    video: str
    reason: str
    what: str


def read_rejected(path: Path) -> list[Rejected]:
    """What an earlier run rejected; nothing where there is no such list, or one that somebody else has written over."""
    try:
        rows, _ = read_table(path, Rejected._fields)
    except UserError:
        return []
    return [Rejected(**cells) for _, cells in rows]


def write_rejected(path: Path, rejected: Iterable[Rejected]) -> None:
    """Replace the list. `UserError` if that fails."""
    _write(path, Rejected._fields, rejected)


def write_cut_off(path: Path, entries: Iterable[Entry]) -> list[str]:
    """List the videos of which only a part decoded, by what the shards say of them; gives a line for each.

    Raises:
        UserError: the list cannot be written.
    """
    cut = sorted((entry.record for entry in entries if entry.record.truncated), key=lambda record: record.video)
    if cut:
        _write(path, ("video", "frames", "frames_expected"), [(one.video, one.frames, one.frames_expected) for one in cut])
    else:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"{path}: cannot be removed ({reason(error)}); no video is cut off any more") from None
    return [f"{one.video}: {one.share}" for one in cut]


def _write(path: Path, header: tuple[str, ...], rows: Iterable[tuple]) -> None:
    text = io.StringIO(newline="")
    plain = csv.writer(text, lineterminator="\n")
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(header)
    for row in rows:
        (quoted if any("\r" in str(cell) for cell in row) else plain).writerow(row)  # see manifest.write_manifest
    replace_file(path, text.getvalue())
