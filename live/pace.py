"""How fast scoring is, and how old what it scores: figures over the last minute, in constant memory."""

import time
from collections import deque

import numpy as np

OVER_S = 60.0
_MOST = 4096


class Ages:
    """How old frames were when their scores were known, from their arrival.

    Args:
        over_s: how far back it looks, at most some 4,000 frames.
    """

    def __init__(self, over_s: float = OVER_S) -> None:
        self._over_s = over_s
        self._ages: deque[tuple[float, float]] = deque(maxlen=_MOST)  # when, seconds

    def add(self, age_s: float) -> None:
        """One frame more."""
        now = time.monotonic()
        self._ages.append((now, age_s))
        while self._ages[0][0] <= now - self._over_s:  # else hours go by until it takes no more memory
            self._ages.popleft()

    def percentiles(self) -> dict[str, float]:
        """p50, p95 and p99 (seconds); empty where there was none."""
        now = time.monotonic()
        ages = [age for when, age in self._ages if when > now - self._over_s]
        return _percentiles(ages)


class Pace:
    """Counts what was scored, and the time that took."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._rounds: deque[tuple[float, float, int]] = deque(maxlen=_MOST)  # end of a round, seconds of work, snippets
        self._ages = Ages()

    def worked(self, seconds: float, snippets: int, ages_s: list[float]) -> None:
        """A round took so long for so many snippets; their frames were so old when their scores were known."""
        now = time.monotonic()
        self._rounds.append((now, seconds, snippets))
        while self._rounds[0][0] <= now - OVER_S:
            self._rounds.popleft()
        for age in ages_s:
            self._ages.add(age)

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
        return self._ages.percentiles()


def _percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{share}": round(float(np.percentile(values, share)), 4) for share in (50, 95, 99)} if values else {}
