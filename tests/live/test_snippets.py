"""One frame a snippet, by time: a scene at any rate gives the same snippets; at the training set's, the offline frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aadc.extract.sampling import sampled_frames
from aadc.live.snippets import MOST_CARRIED, SnippetClock, middle_of


def cut(times, seconds=16 / 30, middle=0.5, end=False):
    clock = SnippetClock(seconds, middle)
    found = [(due, n) for n, second in enumerate(times) if (due := clock.due(second))]
    if end and (due := clock.at_the_end()):
        found.append((due, len(times) - 1))
    return found


@given(st.integers(1, 400), st.integers(1, 32), st.sampled_from([24000 / 1001, 25, 30000 / 1001, 30, 50]), st.floats(0, 1e6))
def test_at_the_training_sets_rate_the_frames_are_those_taken_offline(frames, stride, rate, start):
    times = [round(start + n / rate, 3) for n in range(frames)]
    found = cut(times, stride / rate, middle_of(stride), end=True)
    assert [n for _, n in found] == sampled_frames(frames, stride).tolist()
    assert [due.snippet for due, _ in found] == list(range(len(found))) and not any(due.missing for due, _ in found)


@pytest.mark.parametrize("rate", [5, 12.5, 25, 30, "variable"])
def test_any_rate_gives_the_same_snippets(rate):
    random = np.random.default_rng(0)
    times = np.cumsum(random.uniform(0.01, 0.2, 600)) if rate == "variable" else np.arange(0, 60, 1 / rate)
    times = times[times < 60]
    found = cut(times - times[0])
    assert [due.snippet for due, _ in found] == list(range(112))
    middles = (np.arange(112) + 0.5) * 16 / 30
    late = np.array([times[n] - times[0] for _, n in found]) - middles
    assert late.min() > -0.003 and late.max() <= np.diff(times).max() + 1e-9


def test_what_is_missing_is_counted_and_a_long_gap_begins_anew():
    clock = SnippetClock(1.0)
    assert [clock.due(second) for second in (0.0, 0.5, 1.0)] == [None, (0, 0, 0), None]
    assert clock.due(0.5 + 1 + MOST_CARRIED) == (0, 1 + MOST_CARRIED, MOST_CARRIED)
    assert clock.due(20.0) is None and clock.epoch == 1, "an epoch begins with the frame that ends the gap"
    assert clock.due(20.4) is None and clock.due(20.5) == (1, 0, 0)
    assert clock.due(20.6, breaks=True) is None and clock.due(21.2) == (2, 0, 0)


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=80))
def test_numbers_only_go_up_by_what_is_said(gaps):
    clock, last = SnippetClock(0.5), (0, -1)
    for second in np.cumsum(gaps):
        if due := clock.due(float(second)):
            assert due.missing <= MOST_CARRIED
            assert due.snippet - due.missing == (last[1] + 1 if due.epoch == last[0] else 0)
            last = due.epoch, due.snippet
