"""Figures of how fast scoring is: over so much time as they say, and no more is remembered."""

import tracemalloc

from aadc.live.pace import Ages, Pace


class Clock:
    """Tells the time that it is set to."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


def test_what_is_older_than_the_figures_is_forgotten(monkeypatch):
    """Two frames a second, for hours: what it takes is level after minutes."""
    clock = Clock()
    monkeypatch.setattr("aadc.live.pace.time", clock)
    ages, pace = Ages(over_s=60.0), Pace()

    def hours(start, stop):
        for number in range(start, stop):
            clock.now = number * 0.5
            ages.add(number * 0.5)
            pace.worked(0.25, 1, [number * 0.5])
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        minutes = hours(0, 500)
        assert hours(500, 4000) - minutes < 20_000
    finally:
        tracemalloc.stop()
    assert 1940 < ages.percentiles()["p50"] < 1999 and pace.ages_s() == ages.percentiles()
    assert (pace.snippets_a_second(), pace.scored_a_second(), pace.rounds_s()["p99"]) == (4.0, 2.0, 0.25)
