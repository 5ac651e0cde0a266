"""Where pictures lie between the one who takes them and those who look: the newest of each camera, never more."""

import threading
from typing import NamedTuple, Protocol

import av
import numpy as np
from av.video.reformatter import VideoReformatter


class Picture(NamedTuple):
    """One picture of a camera to be shown. `rgb` uint8 (H, W, 3), not to be written to; `number` grows with each of that
    camera."""

    number: int
    rgb: np.ndarray


class Frames(Protocol):
    """Takes what publishers send, and gives the newest picture of each camera. Threads may share it; one at a time puts for
    a camera."""

    def takes(self, camera: str) -> bool:
        """Whether publishers may send to that camera."""

    def put(self, camera: str, picture: av.VideoFrame, arrived_ns: int) -> None:
        """A publisher's next picture, which came at `arrived_ns` (monotonic clock, nanoseconds)."""

    def connected(self, camera: str) -> None:
        """A publisher's connection is being made."""

    def gone(self, camera: str, why: str) -> None:
        """It ended."""

    def newest(self, camera: str, after: int = 0) -> Picture | None:
        """The newest picture, if its number is above `after`."""

    def beat(self) -> None:
        """Called again and again: this process lives, also where nobody sends."""


class InMemory:
    """`Frames` within one process, for a server without scoring: what comes is shown."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[str, Picture] = {}
        self._reformatters: dict[str, VideoReformatter] = {}

    def takes(self, camera: str) -> bool:
        """To each."""
        return True

    def put(self, camera: str, picture: av.VideoFrame, arrived_ns: int) -> None:
        """The newest picture from now on."""
        reformatter = self._reformatters.setdefault(camera, VideoReformatter())  # one a camera: each keeps megabytes
        rgb = reformatter.reformat(picture, format="rgb24").to_ndarray()
        with self._lock:
            before = self._newest.get(camera)
            self._newest[camera] = Picture(before.number + 1 if before else 1, rgb)

    def connected(self, camera: str) -> None:
        """Nothing changes."""

    def gone(self, camera: str, why: str) -> None:
        """The last picture stays."""

    def newest(self, camera: str, after: int = 0) -> Picture | None:
        """The newest picture, if its number is above `after`."""
        picture = self._newest.get(camera)
        return picture if picture and picture.number > after else None

    def beat(self) -> None:
        """There is nobody to be told."""
