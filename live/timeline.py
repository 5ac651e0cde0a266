"""Times of a stream's frames that never run backwards, whatever the camera says and whatever happens to the wall clock.

Cameras start again at 0, leap by hours, leave times out, run slow. What is sure is when a frame came in, by the monotonic
clock: a camera's own times are believed as long as they agree with that.
"""

import time
from typing import Literal, NamedTuple

BELIEVED_S = 5.0  # further off the arrival clock, a camera's time is not believed
PERSISTS_S = 2.0  # so long off, it is a new count of the camera's: a new epoch
CALM_S = 0.5  # closer than this nothing is corrected: jitter of the network
FOLLOWS = 0.002  # beyond it the camera's clock is led back, by at most this share of the time that goes by …
RETURNS = 0.1  # … or by this, where frames would be from the future: the first ones were late
LEAST_S = 1e-6
Clock = Literal["camera", "arrival"]  # whose time a frame has
WALL_OFF_NS = 2_000_000_000


class Moment(NamedTuple):
    """When a frame was taken: `second` of the stream, strictly growing; `by` what clock; `breaks` where the camera began
    another count, so that what comes before and after does not belong together."""

    second: float
    by: Clock
    breaks: bool = False


class Timeline:
    """Seconds of one camera's stream, over all its connections.

    Args:
        began_ns: monotonic time that is second 0, nanoseconds.
        last: second of the newest frame of an earlier process; afterwards, of the newest frame.
    """

    def __init__(self, began_ns: int, last: float = -LEAST_S):
        self._began_ns, self.last = began_ns, last
        self._offset: float | None = None
        self._doubted_since: float | None = None
        self._previous: float | None = None

    def connected(self) -> None:
        """A new connection: the camera may count from anywhere."""
        self._offset, self._doubted_since, self._previous = None, None, None

    def at(self, stated_s: float | None, arrived_ns: int) -> Moment:
        """Time of the next frame.

        Args:
            stated_s: presentation time by the camera, seconds of its own count; None where it says none.
            arrived_ns: when it came in, monotonic clock, nanoseconds.
        """
        by_arrival = (arrived_ns - self._began_ns) / 1e9
        breaks = False
        if stated_s is None or not abs(stated_s) < 1e12:
            return self._moment(by_arrival, "arrival", False)
        if self._offset is None:
            self._offset = max(by_arrival, self.last + LEAST_S) - stated_s
        off = stated_s + self._offset - by_arrival
        if abs(off) > BELIEVED_S or stated_s + self._offset <= self.last:
            if self._doubted_since is None:
                self._doubted_since = by_arrival
            if by_arrival - self._doubted_since < PERSISTS_S:
                return self._moment(by_arrival, "arrival", False)
            self._offset = max(by_arrival, self.last + LEAST_S) - stated_s
            breaks = True
        elif abs(off) > CALM_S and self._previous is not None:
            most = (RETURNS if off > 0 else FOLLOWS) * min(max(stated_s - self._previous, 0.0), 1.0)
            self._offset -= max(-most, min(most, off))
        self._doubted_since, self._previous = None, stated_s
        return self._moment(stated_s + self._offset, "camera", breaks)

    def _moment(self, second: float, by: Clock, breaks: bool) -> Moment:
        self.last = max(second, self.last + LEAST_S)
        return Moment(self.last, by, breaks)


class UtcClock:
    """UTC of monotonic times: strictly growing, also where the machine's clock is set.

    A clock set forward is followed at once; from one that was set back it is a step back in time that no event can take, so the
    difference is worked off at half speed. Steps of less than two seconds are nobody's business.
    """

    def __init__(self) -> None:
        self._anchor: tuple[int, int] | None = None  # monotonic, UTC
        self._last = (0, 0)

    def at(self, then_ns: int, now_ns: int | None = None, wall_ns: int | None = None) -> int:
        """UTC, nanoseconds, of the monotonic time `then_ns`; the two clocks now are read if not given. Times asked for must not
        go back."""
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        wall_ns = time.time_ns() if wall_ns is None else wall_ns
        if self._anchor is None:
            self._anchor = now_ns, wall_ns
        told = self._anchor[1] + then_ns - self._anchor[0]
        ahead = told - (wall_ns + then_ns - now_ns)
        if ahead < -WALL_OFF_NS:
            told, self._anchor = told - ahead, (now_ns, wall_ns)
        elif ahead > WALL_OFF_NS:
            passed = max(0, then_ns - self._last[0])
            told = self._last[1] + passed // 2 if self._last[1] else told
            self._anchor = then_ns, told
        told = max(told, self._last[1] + 1)
        self._last = then_ns, told
        return told
