"""Who there is: people with their roles and cameras, their sessions, tokens of devices, and what the log says of them."""

from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    """What a person may do: look, also decide over events, also change who may."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    ADMINISTRATOR = "administrator"

    def covers(self, needed: "Role") -> bool:
        """Whether this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Use(StrEnum):
    """What a token is for: a camera that publishes, a program that watches one, a program that reads the counters."""

    PUBLISH = "publish"
    WATCH = "watch"
    METRICS = "metrics"


class User(NamedTuple):
    """A person. `cameras` None: every one, also those that come later."""

    name: str
    role: Role
    cameras: frozenset[str] | None

    def sees(self, camera: str) -> bool:
        """Whether this person may see that camera."""
        return self.cameras is None or camera in self.cameras


class Session(NamedTuple):
    """A browser that logged in. Times in seconds since 1970."""

    id: int
    user: User
    address: str
    agent: str
    made_s: float
    seen_s: float


class Token(NamedTuple):
    """A device's right to one thing with one camera ("" for counters, which belong to none)."""

    id: int
    use: Use
    camera: str
    label: str
    made_by: str
    made_s: float
    used_s: float | None


class LogEntry(NamedTuple):
    """Who did what, when (UTC, nanoseconds), from where, to which camera, event or name."""

    id: int
    utc_ns: int
    who: str
    address: str
    what: str
    camera: str
    subject: str
