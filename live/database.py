"""How SQLite files are opened here."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from aadc.manifests.errors import UserError
from aadc.manifests.files import reason

UNUSABLE = sqlite3.Error, ValueError  # the latter: what stands in the file is no text, or no event
CLIPS = "clips"  # the folder beside the store that they are in
_CACHE_KB = 512  # of a connection; SQLite's own 2 MB fill in hours, and the system keeps what was read anyway


def connect(path: Path) -> sqlite3.Connection:
    """A connection that threads may share, one at a time; transactions are begun by whoever wants one.

    Raises:
        sqlite3.Error: it cannot be opened. A file that is no database is told of by whoever asks it first.
    """
    db = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
    with suppress(*UNUSABLE):  # it looks into the file already
        db.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
    return db


def check_kind(path: Path) -> None:
    """`UserError` where something lies at `path` that is no file: SQLite's own words for that blame one's rights."""
    if not os.path.lexists(path) or os.path.isfile(path):
        return
    if os.path.islink(path) and not os.path.exists(path):
        what = f"a link to {os.readlink(path)}, which is not there; is its disk mounted? Else remove the link"
    else:
        what = f"{'a folder' if os.path.isdir(path) else 'a pipe or device'}, no file; move it away"
    raise UserError(f"{path}: is {what}, or name another data folder")


def check_clips(path: Path) -> None:
    """`UserError` where there is no store at `path`, or an empty file, but clips of its events beside it.

    A new store knows none of them, and a start removes what no event has, as what a crash left: whoever moved a damaged store
    away, or whose disk made it an empty file, would lose them all.
    """
    try:
        there = path.stat().st_size > 0
    except OSError:
        there = False
    clips = path.with_name(CLIPS)
    if not there and any(clips.glob("*/*/*.mp4")):
        raise UserError(
            f"{path.parent}: there are clips, but no {path.name} with their events, so all of them would be removed; "
            f"put it back, or move {clips} away, and start again"
        )


def unusable(path: Path, error: Exception) -> UserError:
    """What is wrong with the store at `path`, and what to do about it. `error`: one of `UNUSABLE`, or of the system."""
    python_s_own = sqlite3.SQLITE_CORRUPT if isinstance(error, UNUSABLE) else sqlite3.SQLITE_OK  # no UTF-8, no event
    way_out = _WAYS_OUT.get(getattr(error, "sqlite_errorcode", python_s_own) & 0xFF, "name another data folder")
    return UserError(f"{path}: cannot be used as the store of events ({reason(error)[:200]}); {way_out}")


_NOT_OURS = "do this as the user whose aadc-live watches, who may write to it and to its folder"
_DAMAGED = (
    "put a copy of it back (clips of events that the copy does not know are removed at the next start: keep them elsewhere "
    "first), or move it away together with the clips"
)
_WAYS_OUT = {
    sqlite3.SQLITE_PERM: _NOT_OURS,
    sqlite3.SQLITE_READONLY: _NOT_OURS,
    sqlite3.SQLITE_CANTOPEN: _NOT_OURS,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}
