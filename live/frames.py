"""Where pictures lie between the one who takes them and those who look: the newest of each camera, never more."""

import threading
from typing import NamedTuple, Protocol

import numpy as np


class Picture(NamedTuple):
    """One picture of a camera. `rgb` uint8 (H, W, 3), not to be written to; `number` grows by one with each of that camera;
    `pts_s` its time in the stream (seconds), `arrived_ns` when it came (monotonic clock, nanoseconds)."""

    number: int
    rgb: np.ndarray
    pts_s: float | None
    arrived_ns: int


class Frames(Protocol):
    """The newest picture of each camera."""

    def put(self, camera: str, rgb: np.ndarray, pts_s: float | None, arrived_ns: int) -> None:
        """A new picture: the one before is gone."""

    def newest(self, camera: str, after: int = 0) -> Picture | None:
        """The newest picture, if its number is above `after`."""


class InMemory:
    """`Frames` within one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[str, Picture] = {}

    def put(self, camera: str, rgb: np.ndarray, pts_s: float | None, arrived_ns: int) -> None:
        """A new picture: the one before is gone."""
        with self._lock:
            before = self._newest.get(camera)
            self._newest[camera] = Picture(before.number + 1 if before else 1, rgb, pts_s, arrived_ns)

    def newest(self, camera: str, after: int = 0) -> Picture | None:
        """The newest picture, if its number is above `after`."""
        picture = self._newest.get(camera)
        return picture if picture and picture.number > after else None
