"""Who may do what: people and their roles, sessions, the tokens of devices, and the log of who looked at what.

A file of its own (`DATA/access.sqlite`): what it keeps outlives every event, and whoever reads events can read no password.
No secret is stored: passwords as scrypt (RFC 7914), sessions and tokens, which are random, as SHA-256.
"""

import hashlib
import hmac
import os
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import EllipsisType

from aadc.live.database import UNUSABLE, connect
from aadc.live.limits import Attempts, TooManyError
from aadc.live.passwords import LONGEST_PASSWORD, NOBODY, SHORTEST_PASSWORD, same, scrypt
from aadc.live.rights import LogEntry, Role, Session, Token, Use, User
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason

ADMINISTRATOR_NAME = "admin"
IDLE_S = 12 * 3600.0  # a session nobody used for so long is over
LONGEST_S = 7 * 86400.0  # and so is one this old
LONGEST_SUBJECT = 4000  # characters in the log; corners of a zone before and after are many
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_VERSION = 1
_SESSION = "id, user, address, agent, made_s, seen_s"
_TOKEN = "id, use, camera, label, made_by, made_s, used_s"
_TABLES = """
CREATE TABLE users (
    name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT NOT NULL, every_camera INTEGER NOT NULL, made_s REAL NOT NULL
) STRICT;
CREATE TABLE sees (
    user TEXT NOT NULL REFERENCES users ON DELETE CASCADE, camera TEXT NOT NULL, PRIMARY KEY (user, camera)
) STRICT, WITHOUT ROWID;
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE, user TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    address TEXT NOT NULL, agent TEXT NOT NULL, made_s REAL NOT NULL, seen_s REAL NOT NULL
) STRICT;
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE, use TEXT NOT NULL, camera TEXT NOT NULL,
    label TEXT NOT NULL, made_by TEXT NOT NULL, made_s REAL NOT NULL, used_s REAL
) STRICT;
CREATE TABLE log (
    id INTEGER PRIMARY KEY AUTOINCREMENT, utc_ns INTEGER NOT NULL, who TEXT NOT NULL, address TEXT NOT NULL, what TEXT NOT NULL,
    camera TEXT NOT NULL, subject TEXT NOT NULL
) STRICT;
CREATE INDEX log_by_time ON log (utc_ns);
"""


class Access:
    """Users, sessions, tokens and the log, in one SQLite file that only its owner can read. Threads may share it."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        """Open the file, or make it.

        Raises:
            UserError: it cannot be opened, is damaged or was written by a newer version.
        """
        self._now = now
        self._lock = threading.Lock()
        self._hashing = threading.BoundedSemaphore(2)  # 32 MB each: a flood of logins must not take the memory
        self._by_address = Attempts(5, 300.0)
        self._by_name = Attempts(50, 300.0)
        try:
            with suppress(FileExistsError):  # never opened where it is there: see `store`
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            self._db = connect(path)
        except (OSError, *UNUSABLE) as error:
            raise UserError(f"{path}: cannot be opened ({reason(error)}); name another data folder") from error
        try:
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 60000"):
                self._db.execute(f"PRAGMA {pragma}")
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                version = self._db.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    if self._db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                        raise sqlite3.DatabaseError("it is another program's database")
                    for statement in _TABLES.split(";"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version = {_VERSION}")
            if version == _VERSION:
                self._db.execute("SELECT * FROM users").fetchall()  # damage is told now, not to who logs in
        except UNUSABLE as error:
            self._db.close()
            raise UserError(f"{path}: is no list of users ({reason(error)}); move it away for a new one") from error
        if version < 0:
            self._db.close()
            raise UserError(f"{path}: is no list of users (its version is {version}); move it away for a new one")
        if version > _VERSION:
            self._db.close()
            raise UserError(f"{path}: was written by a newer aadc-net (version {version}, this one knows {_VERSION}); update")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    # People

    def first_password(self) -> str | None:
        """Make the administrator where there is nobody yet; gives the password, which is never to be had again. None else."""
        password = secrets.token_urlsafe(15)
        stored = scrypt(password)
        with self._change():  # two servers that start at once make one administrator
            if self._db.execute("SELECT 1 FROM users").fetchone():
                return None
            row = (ADMINISTRATOR_NAME, Role.ADMINISTRATOR.value, stored, 1, self._now())
            self._db.execute("INSERT INTO users VALUES (?, ?, ?, ?, ?)", row)
        return password

    def add_user(self, name: str, role: Role, password: str, cameras: Iterable[str] | None = None) -> None:
        """Let somebody in. `UserError` where the name is taken or not plain, or the password too short."""
        if not _NAME.fullmatch(name):
            raise UserError(f"{name!r} is no user's name: letters, digits and . _ @ -, 64 at most")
        stored = self._hashed(password)
        with self._change():
            try:
                row = (name, role.value, stored, cameras is None, self._now())
                self._db.execute("INSERT INTO users VALUES (?, ?, ?, ?, ?)", row)
            except sqlite3.IntegrityError:
                raise UserError(f"{name} is there already; take another name") from None
            self._set_cameras(name, cameras)

    def change_user(
        self,
        name: str,
        role: Role | None = None,
        cameras: Iterable[str] | EllipsisType | None = ...,
        password: str | None = None,
    ) -> User:
        """Change what somebody may, at once, or the password, which ends all their sessions; all of it or nothing.

        Args:
            role, password: None leaves them as they are; cameras: None is every one, `...` leaves them as they are.
        Returns:
            what that person may now.
        Raises:
            UserError: nobody of that name, nobody could let people in afterwards, or the password is too short.
        """
        stored = None if password is None else self._hashed(password)
        with self._change():
            if self._user(name) is None:
                raise UserError(f"there is no user {name!r}")
            if role is not None:
                if role is not Role.ADMINISTRATOR:
                    self._keep_one_administrator(name)
                self._db.execute("UPDATE users SET role = ? WHERE name = ?", (role.value, name))
            if not isinstance(cameras, EllipsisType):
                self._db.execute("UPDATE users SET every_camera = ? WHERE name = ?", (cameras is None, name))
                self._set_cameras(name, cameras)
            if stored is not None:
                self._db.execute("UPDATE users SET password = ? WHERE name = ?", (stored, name))
                self._db.execute("DELETE FROM sessions WHERE user = ?", (name,))
            user = self._user(name)
        assert user is not None
        return user

    def remove_user(self, name: str) -> None:
        """Let somebody in no more; their sessions end with it. `UserError`: nobody of that name, or the last administrator."""
        with self._change():
            self._keep_one_administrator(name)
            if not self._db.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount:
                raise UserError(f"there is no user {name!r}")

    def users(self) -> list[User]:
        """Everybody, by name."""
        with self._lock:
            names = [name for (name,) in self._db.execute("SELECT name FROM users ORDER BY name")]
            return [user for name in names if (user := self._user(name))]

    # Sessions

    def log_in(self, name: str, password: str, address: str, agent: str = "") -> str | None:
        """Check a password (a tenth of a second); gives the new session's secret, or None where it is wrong.

        Raises:
            TooManyError: too many wrong ones from that address, or for that name; says when to come back.
        """
        now = self._now()
        self._by_address.take(address, now)  # before the answer is known: a hundred at once are a hundred
        self._by_name.take(name[:64], now)
        with self._lock:
            row = self._db.execute("SELECT password FROM users WHERE name = ?", (_text(name, 65),)).fetchone()
        with self._hashing:
            right = same(password, row[0] if row else NOBODY)
        if not (right and row):
            self.note(_who(name), address, "login refused")
            return None
        self._by_address.give_back(address)
        self._by_name.give_back(name[:64])
        secret = secrets.token_urlsafe(32)
        with self._change():
            self._db.execute("DELETE FROM sessions WHERE made_s < ? OR seen_s < ?", (now - LONGEST_S, now - IDLE_S))
            self._db.execute(
                "INSERT INTO sessions (hash, user, address, agent, made_s, seen_s) "
                "SELECT ?, name, ?, ?, ?, ? FROM users WHERE name = ? AND password = ?",
                (
                    _digest(secret),
                    _text(address, 100),
                    _text(agent, 200),
                    now,
                    now,
                    name,
                    row[0],
                ),  # not for a password changed meanwhile
            )
        self.note(name, address, "login")
        return secret

    def session(self, secret: str) -> Session | None:
        """The session a browser's secret belongs to, with the rights its user has now. None: ended, too old, or never there."""
        now = self._now()
        with self._lock:
            row = self._db.execute(f"SELECT {_SESSION} FROM sessions WHERE hash = ?", (_digest(secret),)).fetchone()
            if row is None or now - row[4] > LONGEST_S or now - row[5] > IDLE_S:
                return None
            if now - row[5] > 60:  # to the minute is enough, and spares a write a request
                self._seen("UPDATE sessions SET seen_s = ? WHERE id = ?", now, row[0])
            user = self._user(row[1])
            return Session(row[0], user, *row[2:]) if user else None

    def sessions(self) -> list[Session]:
        """Who is logged in, newest first."""
        now = self._now()
        with self._lock:
            rows = self._db.execute(
                f"SELECT {_SESSION} FROM sessions WHERE made_s > ? AND seen_s > ? ORDER BY id DESC",
                (now - LONGEST_S, now - IDLE_S),
            ).fetchall()
            return [Session(row[0], user, *row[2:]) for row in rows if (user := self._user(row[1]))]

    def end_session(self, number: int) -> bool:
        """Log a browser out; False where there is no such session."""
        with self._change():
            return bool(self._db.execute("DELETE FROM sessions WHERE id = ?", (number,)).rowcount)

    # Tokens

    def add_token(self, use: Use, camera: str, label: str, made_by: str) -> tuple[int, str]:
        """Give a device a token: its number and the secret, which is never to be had again."""
        secret = f"aadc_{secrets.token_urlsafe(32)}"
        with self._change():
            row = (_digest(secret), use.value, "" if use is Use.METRICS else camera, _text(label, 100), made_by, self._now())
            added = self._db.execute(
                "INSERT INTO tokens (hash, use, camera, label, made_by, made_s) VALUES (?, ?, ?, ?, ?, ?)", row
            )
        assert added.lastrowid is not None
        return added.lastrowid, secret

    def token(self, secret: str) -> Token | None:
        """What a secret may; None where it is revoked or was never given."""
        now = self._now()
        with self._lock:
            row = self._db.execute(f"SELECT {_TOKEN} FROM tokens WHERE hash = ?", (_digest(secret),)).fetchone()
            if row is None:
                return None
            if now - (row[6] or 0.0) > 60:
                self._seen("UPDATE tokens SET used_s = ? WHERE id = ?", now, row[0])
        return Token(row[0], Use(row[1]), *row[2:])

    def tokens(self) -> list[Token]:
        """All tokens that hold, newest first (without their secrets, which nobody knows)."""
        with self._lock:
            rows = self._db.execute(f"SELECT {_TOKEN} FROM tokens ORDER BY id DESC").fetchall()
        return [Token(row[0], Use(row[1]), *row[2:]) for row in rows]

    def revoke_token(self, number: int) -> bool:
        """Take a token back; False where there is no such one."""
        with self._change():
            return bool(self._db.execute("DELETE FROM tokens WHERE id = ?", (number,)).rowcount)

    def still_holds(self, session: int | None = None, token: int | None = None) -> User | Token | None:
        """The rights behind a connection made earlier, as they are now; None where its session or token is gone."""
        now = self._now()
        with self._lock:
            if session is not None:
                row = self._db.execute("SELECT user, made_s FROM sessions WHERE id = ?", (session,)).fetchone()
                return self._user(row[0]) if row and now - row[1] <= LONGEST_S else None
            row = self._db.execute(f"SELECT {_TOKEN} FROM tokens WHERE id = ?", (token,)).fetchone()
        return Token(row[0], Use(row[1]), *row[2:]) if row else None

    # The log

    def note(self, who: str, address: str, what: str, camera: str = "", subject: str = "") -> None:
        """Write down that somebody did something. It is on the disk when this returns."""
        words = *(_text(word, 200) for word in (who, address, what, camera)), _text(subject, LONGEST_SUBJECT)
        row = (int(self._now() * 1e9), *words)
        with self._change():
            self._db.execute("INSERT INTO log (utc_ns, who, address, what, camera, subject) VALUES (?, ?, ?, ?, ?, ?)", row)

    def log(self, before: int | None = None, limit: int = 200) -> list[LogEntry]:
        """The newest entries; with `before`, those before the entry of that number."""
        with self._lock:
            rows = self._db.execute(
                "SELECT * FROM log WHERE ? IS NULL OR id < ? ORDER BY id DESC LIMIT ?", (before, before, limit)
            ).fetchall()
        return [LogEntry(*row) for row in rows]

    def forget_log(self, older_than_days: float) -> int:
        """Remove entries older than that; gives how many."""
        with self._change():
            return self._db.execute(
                "DELETE FROM log WHERE utc_ns < ?", (int((self._now() - older_than_days * 86400) * 1e9),)
            ).rowcount

    # What is behind

    def _seen(self, sql: str, now: float, number: int) -> None:
        """Note when something was used last. A full disk keeps nobody from looking who may."""
        with suppress(sqlite3.OperationalError):
            self._db.execute(sql, (now, number))

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _user(self, name: str) -> User | None:
        row = self._db.execute("SELECT role, every_camera FROM users WHERE name = ?", (name,)).fetchone()
        if row is None:
            return None
        cameras = frozenset(camera for (camera,) in self._db.execute("SELECT camera FROM sees WHERE user = ?", (name,)))
        return User(name, Role(row[0]), None if row[1] else cameras)

    def _set_cameras(self, name: str, cameras: Iterable[str] | None) -> None:
        self._db.execute("DELETE FROM sees WHERE user = ?", (name,))
        self._db.executemany("INSERT OR IGNORE INTO sees VALUES (?, ?)", [(name, camera) for camera in cameras or ()])

    def _keep_one_administrator(self, name: str) -> None:
        administrator = Role.ADMINISTRATOR.value
        others = self._db.execute("SELECT 1 FROM users WHERE role = ? AND name <> ?", (administrator, name)).fetchone()
        if not others and self._db.execute("SELECT 1 FROM users WHERE role = ? AND name = ?", (administrator, name)).fetchone():
            raise UserError(f"{name} is the only administrator; make another one first")

    def _hashed(self, password: str) -> str:
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise UserError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
        with self._hashing:
            return scrypt(password)


def csrf_token(secret: str) -> str:
    """What a page of that session sends with each change: other sites cannot know it, as they cannot read the cookie."""
    return hmac.new(secret.encode(errors="replace"), b"csrf", hashlib.sha256).hexdigest()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def _text(word: str, longest: int) -> str:
    """What SQLite can keep of text from outside: JSON may hold halves of characters."""
    return word[:longest].encode(errors="replace").decode()


def _who(name: str) -> str:
    """A name that may be anything, as it is written down: a password typed in the wrong field must not be kept."""
    return name if _NAME.fullmatch(name) else "(no user's name)"


__all__ = ["Access", "LogEntry", "Role", "Session", "Token", "TooManyError", "Use", "User", "csrf_token"]
