"""One picture in memory that processes share: the newest, and nothing else. Whoever is slow or away costs nobody anything.

The memory has no name anywhere (a memfd): it is handed down to child processes as a file descriptor, and is gone with the last
of them, however they end. Three buffers take turns, so a reader has a whole picture as long as the writer does not come round
while it copies; it then copies again.
"""

import json
import mmap
import os
import time
import zlib
from typing import NamedTuple

import numpy as np

from aadc.live.timeline import Clock

_MAGIC = 0x41414443534C4F54
_PAGE = 4096
_WORDS = 64  # of a header, 8 bytes each
_BUFFERS = 3
_STATUS_BYTES = 2**20  # takes memory only where something was written; of a thousand cameras there is much to be said
_START = _PAGE + _STATUS_BYTES  # of the first buffer
_CLOCKS: tuple[Clock | None, ...] = (None, "camera", "arrival")
MOST_PIXELS = 3840 * 2160  # of a picture; larger ones are scaled down by whoever writes


class SlotFrame(NamedTuple):
    """A picture and when it was taken. `rgb` uint8 (H, W, 3), a copy; `number` counts the pictures written; `epoch` and
    `snippet` say for which snippet it stands, by capture's count; `second` is the stream's own time, `utc_ns` when it was taken
    (UTC, nanoseconds), `arrived_ns` when it came in (monotonic, nanoseconds); `last` where the stream ended with it; `clock`:
    whose time it has, if that was said."""

    rgb: np.ndarray
    number: int
    epoch: int
    snippet: int
    second: float
    utc_ns: int
    arrived_ns: int
    last: bool = False
    clock: Clock | None = None


class FrameSlot:
    """A slot for one picture, with a place for the state of what fills it. One process writes; any number read.

    Args:
        descriptor: of a slot that another process made; None makes one, which child processes get by `pass_fds`.
    """

    def __init__(self, descriptor: int | None = None, most_pixels: int = MOST_PIXELS):
        made = descriptor is None
        self._buffer_bytes = _round_up(most_pixels * 3) + _PAGE
        size = _START + _BUFFERS * self._buffer_bytes  # takes memory only where something was written
        if descriptor is None:
            descriptor = os.memfd_create("aadc-frame", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, size)
        else:
            size = os.fstat(descriptor).st_size
            self._buffer_bytes = (size - _START) // _BUFFERS
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, size)
        self._bytes = np.frombuffer(self._memory, np.uint8)
        self._head = self._bytes[: _WORDS * 8].view(np.uint64)
        self._known: tuple[int, int, dict] = (0, 0, {})  # length, check and content of the status that was read last
        if made:
            self._head[1] = 0
            self._head[0] = _MAGIC
        elif int(self._head[0]) != _MAGIC:
            raise ValueError("not the memory of a frame slot")

    @property
    def most_pixels(self) -> int:
        """Pixels of the largest picture that fits."""
        return (self._buffer_bytes - _PAGE) // 3

    @property
    def number(self) -> int:
        """How many pictures were written; that of the newest."""
        return int(self._head[1])

    def write(
        self,
        rgb: np.ndarray,
        second: float,
        utc_ns: int,
        arrived_ns: int,
        epoch: int = 0,
        snippet: int = 0,
        last: bool = False,
        clock: Clock | None = None,
    ) -> None:
        """Put a picture, uint8 (H, W, 3), in the place of the newest. `ValueError` if it is larger than the slot."""
        height, width = rgb.shape[:2]
        if rgb.dtype != np.uint8 or rgb.shape[2:] != (3,) or height * width > self.most_pixels:
            raise ValueError(f"a picture of {rgb.dtype} {rgb.shape} does not fit into a slot of {self.most_pixels} pixels")
        number = self.number + 1
        head, pixels = self._buffer(number)
        head[0] = 0  # being written
        head[1:8] = [height, width, epoch, snippet, utc_ns, arrived_ns, int(last)]
        head[8:9].view(np.float64)[0] = second
        head[10] = _CLOCKS.index(clock)
        np.copyto(pixels[: height * width * 3].reshape(height, width, 3), rgb)
        head[9] = time.monotonic_ns()
        head[0] = number
        self._head[1] = number

    def read(self, after: int = 0) -> SlotFrame | None:
        """The newest picture; None if there is none with a number above `after`."""
        for _ in range(100):
            number = self.number
            if number <= after:
                return None
            head, pixels = self._buffer(number)
            if int(head[0]) != number:
                time.sleep(0.0005)
                continue
            height, width, epoch, snippet, utc_ns, arrived_ns, last = (int(word) for word in head[1:8])
            second = float(head[8:9].view(np.float64)[0])
            clock = _CLOCKS[int(head[10]) % len(_CLOCKS)]
            if height * width > self.most_pixels:
                continue  # overwritten while it was read
            rgb = pixels[: height * width * 3].reshape(height, width, 3).copy()
            if int(head[0]) == number:
                return SlotFrame(rgb, number, epoch, snippet, second, utc_ns, arrived_ns, bool(last), clock)
        return None  # the writer came round a hundred times; the next call may find it at rest

    def written_ns(self, number: int) -> int:
        """When this picture was put into the slot (monotonic, nanoseconds); a later time once its place was taken."""
        return int(self._buffer(number)[0][9])

    def beat(self) -> None:
        """A sign of life of the process that writes."""
        self._head[2] = time.monotonic_ns()

    @property
    def beaten_ns(self) -> int:
        """When the writer last gave a sign of life (monotonic, nanoseconds); 0 for never."""
        return int(self._head[2])

    def tell(self, status: dict) -> None:
        """Say how things are, as a small JSON record; readers get this one or the next, never a mixture."""
        content = json.dumps(status, ensure_ascii=False).encode(errors="replace")
        if len(content) > _STATUS_BYTES - 8:
            raise ValueError("a status of more than 1 MB")
        place = self._bytes[_PAGE:_START]
        place[:8].view(np.uint32)[:] = [len(content), zlib.crc32(content)]
        place[8 : 8 + len(content)] = np.frombuffer(content, np.uint8)

    def told(self) -> dict:
        """What `tell` said last, not to be changed; empty before. It is read once, however often it is asked for: whoever asks
        for each of a thousand cameras would read what is said of all a thousand times."""
        place = self._bytes[_PAGE:_START]
        for _ in range(100):
            length, check = (int(word) for word in place[:8].view(np.uint32))
            if not length:
                return {}
            if self._known[:2] == (length, check):
                return self._known[2]
            content = place[8 : 8 + min(length, _STATUS_BYTES)].tobytes()
            if zlib.crc32(content) == check:
                self._known = length, check, json.loads(content)
                return self._known[2]
            time.sleep(0.0005)
        return {}

    def close(self) -> None:
        """Let go of the memory; that of the other processes stays."""
        del self._bytes, self._head
        self._memory.close()
        os.close(self.descriptor)

    def _buffer(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        start = _START + number % _BUFFERS * self._buffer_bytes
        whole = self._bytes[start : start + self._buffer_bytes]
        return whole[: _WORDS * 8].view(np.uint64), whole[_PAGE:]


def _round_up(size: int) -> int:
    return -(-size // _PAGE) * _PAGE
