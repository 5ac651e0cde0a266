"""How long to wait before the next try, for ever."""

import random

FIRST_S, MOST_S = 1.0, 60.0


class BackOff:
    """Waits that double from 1 to 60 seconds, each shortened by chance by up to half, so that cameras of one switch do not come
    back in step. `scale` makes all of them shorter, for tests."""

    def __init__(self, scale: float = 1.0):
        self._scale, self._failures = scale, 0

    def failed(self) -> float:
        """One more failure: seconds to wait now."""
        wait = min(FIRST_S * 2 ** min(self._failures, 10), MOST_S)
        self._failures += 1
        return self._scale * wait * random.uniform(0.5, 1.0)

    def worked(self) -> None:
        """It went well for a while: the next failure is the first."""
        self._failures = 0
