"""How SQLite files are opened here."""

import sqlite3
from contextlib import suppress
from pathlib import Path

_CACHE_KB = 512  # of a connection; SQLite's own 2 MB fill in hours, and the system keeps what was read anyway


def connect(path: Path) -> sqlite3.Connection:
    """A connection that threads may share, one at a time; transactions are begun by whoever wants one.

    Raises:
        sqlite3.Error: it cannot be opened. A file that is no database is told of by whoever asks it first.
    """
    db = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
    with suppress(sqlite3.DatabaseError):  # it looks into the file already
        db.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
    return db
