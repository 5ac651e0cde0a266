"""The tables of `events.sqlite`, and how an older file becomes one of today."""

import sqlite3
from pathlib import Path

from aadc.manifests.errors import UserError

# Step n makes a file of version n + 1 of one of version n. A step that was ever released stays as it is.
_STEPS = (
    """
    CREATE TABLE events (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        body TEXT NOT NULL,
        description TEXT NOT NULL DEFAULT '',
        how TEXT NOT NULL DEFAULT '',
        clip TEXT,
        verdict TEXT CHECK (verdict IN ('confirmed', 'dismissed')),
        label TEXT,
        changed INTEGER NOT NULL DEFAULT 0,
        camera TEXT AS (json_extract(body, '$.camera')) STORED,
        ending TEXT AS (json_extract(body, '$.ending')) STORED,
        state TEXT AS (json_extract(body, '$.state')) STORED,
        category TEXT AS (coalesce(label, json_extract(body, '$.category'))) STORED,
        start_ns INTEGER AS (json_extract(body, '$.start_ns')) STORED
    ) STRICT;
    CREATE INDEX events_by_camera ON events (camera, number);
    CREATE INDEX events_by_time ON events (start_ns);
    CREATE INDEX events_open ON events (number) WHERE ending IS NULL;
    CREATE INDEX events_changed ON events (changed);
    CREATE TABLE counter (changes INTEGER NOT NULL) STRICT;
    INSERT INTO counter VALUES (0);
    CREATE VIRTUAL TABLE words USING fts5 (description, category, camera, tokenize = 'porter unicode61');
    CREATE TABLE decisions (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        event TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
        what TEXT NOT NULL CHECK (what IN ('confirmed', 'dismissed', 'renamed', 'open')),
        label TEXT,
        who TEXT NOT NULL,
        utc_ns INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX decisions_by_event ON decisions (event);
    CREATE TABLE outbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        channel TEXT NOT NULL,
        event TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
        kind TEXT NOT NULL CHECK (kind IN ('new', 'update', 'end')),
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX outbox_by_channel ON outbox (channel, number);
    CREATE INDEX outbox_by_event ON outbox (event);
    CREATE TABLE cameras (
        name TEXT PRIMARY KEY, state TEXT NOT NULL, problem TEXT NOT NULL, utc_ns INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE health (
        name TEXT PRIMARY KEY, ok INTEGER NOT NULL, told TEXT NOT NULL, utc_ns INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE log (
        number INTEGER PRIMARY KEY AUTOINCREMENT, utc_ns INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL
    ) STRICT;
    """,
    # What CLIP sees in an event (`event_pictures`), and events that a language model is still to describe (`words_due`).
    """
    CREATE TABLE pictures (
        event INTEGER PRIMARY KEY REFERENCES events (number) ON DELETE CASCADE,
        source TEXT NOT NULL,
        weights TEXT NOT NULL,
        second REAL NOT NULL,
        width INTEGER NOT NULL CHECK (width > 0),
        things BLOB NOT NULL
    ) STRICT;
    CREATE TABLE words_due (
        event INTEGER PRIMARY KEY REFERENCES events (number) ON DELETE CASCADE,
        facts TEXT NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0,
        begun INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    """,
)
VERSION = len(_STEPS)


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring a file, new or old, to today's version, each step whole or not at all.

    Raises:
        UserError: a newer program wrote it, or another one, whose tables stay as they are.
    """
    while True:
        db.execute("BEGIN IMMEDIATE")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if not 0 <= version < VERSION:
            db.execute("ROLLBACK")
            break
        if version == 0 and db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            db.execute("ROLLBACK")
            raise _no_store(path)
        try:
            for statement in _STEPS[version].split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {version + 1}")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
    check_version(version, path)


def check_version(version: int, path: Path) -> None:
    """`UserError` where a file of this `user_version` is no store of events, or a newer program's."""
    if version == 0:
        raise _no_store(path)
    if version < 0:
        raise UserError(f"{path}: is no store of events (its version is {version}); name another data folder")
    if version > VERSION:
        raise UserError(f"{path}: was written by a newer aadc-net (version {version}, this one knows {VERSION}); update")


def _no_store(path: Path) -> UserError:
    return UserError(
        f"{path}: holds no events, it is empty or another program's; put a copy of the store back (clips "
        "of events that the copy does not know are removed at the next start), or name another data folder"
    )
