"""Telling the frames that a connection had in store from those that are taken now."""

_ENOUGH = 3  # frames in a row that take their time
_AT_MOST_S = 2.0


class LiveEdge:
    """A camera (or FFmpeg, while it looked what the stream is) hands over what it has in store faster than it was taken. As
    soon as frames take about as long to come as lies between them, they are live."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._last: tuple[float, float] | None = None
        self._slow = 0
        self._reached = False

    def reached(self, stated_s: float | None, arrived_s: float) -> bool:
        """Whether this frame, of that presentation time and arrival (seconds each), is live. Once one is, all are."""
        if self._first is None:
            self._first = arrived_s
        if stated_s is not None:  # the first one often has none
            if self._last is not None:
                stated, arrived = self._last
                self._slow = self._slow + 1 if arrived_s - arrived >= 0.5 * abs(stated_s - stated) else 0
            self._last = stated_s, arrived_s
        self._reached = self._reached or self._slow >= _ENOUGH or arrived_s - self._first >= _AT_MOST_S
        return self._reached
