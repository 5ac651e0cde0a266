"""How fast scoring is, and how old what it scores: figures over the last minute, in constant memory."""

import time
from collections import deque

import numpy as np

OVER_S = 60.0
_MOST = 4096


class Pace:
    """Counts what was scored, and the time that took."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._rounds: deque[tuple[float, float, int]] = deque(maxlen=_MOST)  # end of a round, seconds of work, snippets
        self._ages: deque[tuple[float, float]] = deque(maxlen=_MOST)  # when, seconds

    def worked(self, seconds: float, snippets: int, ages_s: list[float]) -> None:
        """A round took so long for so many snippets; their frames were so old when their scores were known."""
        now = time.monotonic()
        self._rounds.append((now, seconds, snippets))
        self._ages.extend((now, age) for age in ages_s)

    def snippets_a_second(self) -> float:
        """Snippets that this machine scores a second of work; 0 before the first."""
        now = time.monotonic()
        rounds = [(seconds, count) for when, seconds, count in self._rounds if when > now - OVER_S]
        busy = sum(seconds for seconds, _ in rounds)
        return sum(count for _, count in rounds) / busy if busy else 0.0

    def scored_a_second(self) -> float:
        """Snippets scored a second that went by."""
        now = time.monotonic()
        return sum(count for when, _, count in self._rounds if when > now - OVER_S) / max(1e-9, min(OVER_S, now - self._began))

    def rounds_s(self) -> dict[str, float]:
        """p50, p95 and p99 of how long a round took; seconds."""
        now = time.monotonic()
        rounds = [seconds for when, seconds, _ in self._rounds if when > now - OVER_S]
        return _percentiles(rounds)

    def ages_s(self) -> dict[str, float]:
        """p50, p95 and p99 of the age of a frame as its score is known, from its arrival; seconds."""
        now = time.monotonic()
        ages = [age for when, age in self._ages if when > now - OVER_S]
        return _percentiles(ages)


def _percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{share}": round(float(np.percentile(values, share)), 4) for share in (50, 95, 99)} if values else {}
