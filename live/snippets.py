"""Which frame stands for a snippet: cut by time, so that a camera's frame rate, declared or true, does not matter.

Offline, a snippet is `stride` frames and is seen through the one in its middle. Here it is `seconds` = stride / rate of the
training set, and the first frame at or after its middle stands for it. At the training set's own rate these are the same.
"""

import math
from typing import NamedTuple

MOST_CARRIED = 4  # missing snippets in a row that the last one stands for
_SAME_S = 0.002  # times of frames are rounded, by some containers to milliseconds


class Due(NamedTuple):
    """A frame stands for snippet `snippet` of `epoch`; `missing` of them before it had no frame."""

    epoch: int
    snippet: int
    missing: int


def middle_of(stride: int) -> float:
    """Where in a snippet of `stride` frames the one lies that it is seen through offline, as a share: a half, or just below."""
    return stride // 2 / stride


class SnippetClock:
    """Tells of each frame whether a snippet is seen through it.

    Args:
        seconds: that a snippet lasts.
        middle: share of it after which a frame is taken; see `middle_of`.
        epoch: number of the first epoch.
    """

    def __init__(self, seconds: float, middle: float = 0.5, epoch: int = 0):
        if not 0 < seconds < math.inf:
            raise ValueError(f"a snippet of {seconds} s")
        self.seconds, self.middle, self.epoch = seconds, middle, epoch
        self._start: float | None = None
        self._next = 0
        self._newest = 0.0

    def due(self, second: float, breaks: bool = False) -> Due | None:
        """The snippet that the frame at `second` stands for, None for most frames.

        Args:
            second: as `timeline.Moment` has it: strictly growing.
            breaks: this frame does not belong to those before it.
        """
        if self._start is None:
            self._start = second
        elif breaks or self._passed(second) - self._next > MOST_CARRIED:
            self._start, self._next = second, 0
            self.epoch += 1
        self._newest = second
        latest = self._passed(second)
        if latest < self._next:
            return None
        missing = latest - self._next
        self._next = latest + 1
        return Due(self.epoch, latest, missing)

    def at_the_end(self) -> Due | None:
        """The snippet that the last frame of all stands for, where the stream ends before that one's middle, as offline."""
        if self._start is None or self._newest + _SAME_S < self._start + self._next * self.seconds:
            return None
        self._next += 1
        return Due(self.epoch, self._next - 1, 0)

    def _passed(self, second: float) -> int:
        """The last snippet whose middle has come."""
        assert self._start is not None
        return math.floor((second - self._start + _SAME_S) / self.seconds - self.middle)
