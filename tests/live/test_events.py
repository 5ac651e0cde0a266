"""Scores to events: the simple case against `find_spans`, properties for everything else."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aadc.eval.spans import find_spans
from aadc.live.event import Ending, EventMessage, Kind, State
from aadc.live.events import HOUR_S, MOST_POINTS, EventMachine
from aadc.live.rules import EventRules
from aadc.live.scored import ScoredSnippet

NAMES, KINDS = ("walk", "fall", "fight"), ("normal", "abnormal", "abnormal")
STEP = 0.5
PLAIN = EventRules(
    open_at=0.5, close_at=0.5, open_for=1, close_after_s=STEP, merge_gap_s=0, most_an_hour=10_000, longest_s=86400
)


def snippet(number, score, final=True, epoch=0, second=None, classes=(0.2, 0.5, 0.3), utc_ns=None):
    second = number * STEP if second is None else second
    utc_ns = round(1.7e18 + second * 1e9) if utc_ns is None else utc_ns
    return ScoredSnippet("yard", epoch, number, second, utc_ns, round(second * 1e9), score, np.array(classes, "f4"), final)


def run(machine, snippets, stop=True) -> list[EventMessage]:
    told = list(itertools.chain.from_iterable(map(machine.push, snippets)))
    return told + (machine.stop() if stop else [])


def ends(told):
    return [one.after for one in told if one.kind is Kind.end]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 1)), min_size=1, max_size=60))
@settings(max_examples=200, deadline=None)
def test_the_simple_case_is_what_find_spans_finds(rows):
    scores = np.array([score for score, _ in rows])
    classes = np.array([(0.1, 0.9 * share, 0.9 * (1 - share)) for _, share in rows])
    number = np.arange(len(rows))
    spans = find_spans(scores.copy(), classes, NAMES, KINDS, number, number * STEP, len(rows), 1)
    told = run(
        EventMachine(PLAIN, NAMES, KINDS),
        [snippet(t, s, classes=c) for t, (s, c) in enumerate(zip(scores, classes, strict=True))],
    )
    found = ends(told)
    assert [(one.start_s, one.snippets) for one in found] == [(s.start_s, s.end_frame - s.start_frame) for s in spans]
    assert [one.end_s for one in found[:-1]] == [span.end_s for span in spans[:-1]]
    for one, span in zip(found, spans, strict=True):
        rows_here = slice(span.start_frame, span.end_frame)
        weighed = (scores[rows_here, None] * classes[rows_here, 1:].astype("f4")).sum(0)
        assert one.peak == pytest.approx(span.peak) and one.mean == pytest.approx(scores[rows_here].mean())
        assert one.share == pytest.approx(weighed.max() / weighed.sum(), abs=1e-6)
        assert one.share == pytest.approx(weighed[NAMES.index(one.category) - 1] / weighed.sum(), abs=1e-6)


rules = st.builds(
    EventRules,
    open_at=st.sampled_from([0.5, 0.7]),
    close_at=st.sampled_from([0.2, 0.5]),
    open_for=st.integers(1, 4),
    close_after_s=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    merge_gap_s=st.sampled_from([0.0, 1.0, 2.5]),
    cool_down_s=st.sampled_from([0.0, 2.0, 10.0]),
    most_an_hour=st.integers(1, 4),
    longest_s=st.sampled_from([2.0, 7.0, 600.0]),
)
# A stream: (score, how much the provisional one is off, what comes before the snippet: nothing, a gap of n seconds).
steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 0.3, 0.6, 0.9, 1.0]),
        st.sampled_from([0.0, 0.0, -0.5, 0.5]),
        st.sampled_from([0.0] * 12 + [0.7, 4.0, 2000.0]),
    ),
    max_size=120,
)


def stream(rows, ahead=4):
    """Snippets as the engine gives them: provisional ones at once, final ones `ahead` later, the rest where an epoch ends."""
    epoch, number, second, waiting = 0, 0, 0.0, []
    for score, off, gap in rows:
        if gap:
            yield from waiting
            waiting, epoch, number, second = [], epoch + 1, 0, second + gap
        yield snippet(number, min(max(score + off, 0), 1), False, epoch, second)
        waiting.append(snippet(number, score, True, epoch, second))
        if len(waiting) > ahead:
            yield waiting.pop(0)
        number, second = number + 1, second + STEP
    yield from waiting


@given(rules, steps, st.booleans())
@settings(max_examples=400, deadline=None)
def test_whatever_comes_in_every_event_is_whole(rules, rows, both):
    snippets = [one for one in stream(rows) if both or one.final]
    told = run(EventMachine(rules, NAMES, KINDS), snippets)
    events = {}
    going = None
    for kind, before, after in told:
        assert before == events.get(after.id)  # each message goes on from the one before
        if kind is Kind.new:
            assert going is None and after.id not in events and after.open
            going = after.id
        assert going == after.id  # one at a time
        assert after.open == (kind is not Kind.end)
        if kind is Kind.end:
            going = None
        events[after.id] = after
    assert going is None
    ended = ends(told)
    assert [one.id for one in ended] == list(events)
    for one in ended:
        assert one.end_s >= one.start_s and one.end_ns >= one.start_ns and 0 <= one.mean <= one.peak
        assert one.snippets >= rules.open_for or one.continues
        assert one.peak >= rules.open_at or one.continues
        assert one.state is State.confirmed or both
        assert (one.confirmed_ns is not None) == (one.state is State.confirmed)
        assert (one.ending is Ending.retracted) == (one.state is State.retracted)
        times = [second for second, _ in one.curve]
        assert times == sorted(times)
    held = [one for one in ended if one.state is State.confirmed]
    for one, other in itertools.pairwise(held):
        assert other.start_s >= one.end_s  # in order, and none inside another
        if other.continues:
            assert other.continues == one.id and other.start_s == one.end_s and one.ending is Ending.cut
        else:
            assert other.start_s - one.end_s >= rules.cool_down_s
            assert (
                other.start_s - one.end_s > rules.merge_gap_s
                or one.ending in (Ending.gap, Ending.hour)
                or one.duration_s >= rules.longest_s - 3 * STEP - rules.close_after_s - rules.merge_gap_s
            )
    opened = [one.after for one in told if one.kind is Kind.new]
    for place, one in enumerate(opened):
        hour = [other for other in opened[place:] if other.end_s < one.end_s + HOUR_S]
        assert len([other for other in hour if not other.digest]) <= rules.most_an_hour
        assert len([other for other in hour if other.digest]) <= 1


@given(rules, steps)
@settings(max_examples=150, deadline=None)
def test_provisional_scores_change_nothing_of_what_is_confirmed_in_the_end(rules, rows):
    """Where there is room for all events, that is, and no gap ends an event before its final scores came."""
    rules = rules.model_copy(update={"most_an_hour": 1000, "longest_s": 86400.0, "cool_down_s": 0.0})
    both, late = (
        [
            (one.start_s, one.end_s, one.category, one.peak, one.mean, one.snippets)
            for one in ends(run(EventMachine(rules, NAMES, KINDS), [one for one in stream(rows) if one.final or early]))
            if one.state is State.confirmed
        ]
        for early in (True, False)
    )
    assert both == late


def test_provisional_confirmed_and_both_times():
    rules = EventRules(open_for=2, close_after_s=1, merge_gap_s=1)
    told = run(EventMachine(rules, NAMES, KINDS), stream([(s, 0.0, 0.0) for s in [0] * 4 + [0.9] * 10 + [0] * 10]))
    assert [one.kind for one in told][:2] == [Kind.new, Kind.update]
    first, second, last = told[0].after, told[1].after, told[-1].after
    assert first.state is State.provisional and second.state is last.state is State.confirmed
    assert first.opened_ns == last.opened_ns == last.confirmed_ns == snippet(5, 0).utc_ns  # the snippet both rest on
    assert (last.start_s, last.end_s, last.ending) == (2.0, 7.0, Ending.quiet) and last.snippets == 10


def test_what_final_scores_do_not_bear_out_is_retracted_once():
    """And scores that go on contradicting each other do not open it again and again."""
    rows = [(0.1, 0.5, 0.0)] * 100
    told = run(EventMachine(EventRules(open_for=2), NAMES, KINDS), stream(rows))
    assert [one.kind for one in told if one.kind is not Kind.update] == [Kind.new, Kind.end]
    assert told[-1].after.state is State.retracted and told[-1].after.ending is Ending.retracted


def test_a_camera_that_goes_dark_before_final_scores_keeps_its_event():
    """Whoever cuts the cable is the one to know of."""
    machine = EventMachine(EventRules(open_for=2), NAMES, KINDS)
    told = run(machine, [snippet(0, 0.9, False), snippet(1, 0.9, False), snippet(0, 0.1, False, epoch=1, second=60.0)])
    (one,) = ends(told)
    assert (one.state, one.ending, one.confirmed_ns) == (State.provisional, Ending.gap, None)


def test_a_short_gap_is_bridged_and_a_long_one_ends_it():
    rules = EventRules(open_for=2, close_after_s=1, merge_gap_s=5)
    for gap, many in ((3.0, 1), (6.0, 2)):
        first = [snippet(t, 0.9) for t in range(6)]
        then = [snippet(t, 0.9, epoch=1, second=2.5 + gap + t * STEP) for t in range(6)]
        found = ends(run(EventMachine(rules, NAMES, KINDS), first + then))
        assert len(found) == many and found[-1].end_s == 2.5 + gap + 6 * STEP
    assert (found[0].ending, found[0].end_s) == (Ending.gap, 3.0)


def test_a_clock_that_is_set_back_makes_no_negative_duration():
    hour = 3600 * 10**9
    snippets = [snippet(t, 0.9, utc_ns=round(1.7e18 + t * STEP * 1e9) - (hour if t > 3 else 0)) for t in range(10)]
    (one,) = ends(run(EventMachine(EventRules(), NAMES, KINDS), snippets))
    assert one.duration_s == 5.0 and one.end_ns - one.start_ns == 5 * 10**9


def test_a_flood_becomes_one_digest_an_hour():
    """A light that flickers all day: on for 2 s, off for 8 s."""
    rules = EventRules(open_for=2, close_after_s=1, merge_gap_s=1, most_an_hour=5)
    snippets = [snippet(t, 0.9 if t % 20 < 4 else 0.0) for t in range(2 * 3600 * 3)]  # three hours
    found = ends(run(EventMachine(rules, NAMES, KINDS), snippets))
    assert len(found) == 3 * 6 and sum(one.digest for one in found) == 3
    told = sum(one.swallowed or 1 for one in found) - sum(one.continues is not None for one in found)
    assert told == 3 * 360  # none is forgotten, and what is cut at the end of an hour is told once


def test_a_switch_to_infrared_with_flicker_is_one_event_at_most():
    rng = np.random.default_rng(0)
    scores = np.where(rng.random(600) < 0.02, 0.9, 0.05)  # lone spikes
    scores[300:303] = 0.8  # the switch itself
    assert (
        len(ends(run(EventMachine(EventRules(open_for=3), NAMES, KINDS), [snippet(t, s) for t, s in enumerate(scores)]))) <= 1
    )


def test_a_long_one_is_cut_and_its_curve_stays_small():
    rules = EventRules(longest_s=60, open_for=2)
    found = ends(run(EventMachine(rules, NAMES, KINDS), [snippet(t, 0.9) for t in range(400)]))
    assert [one.duration_s for one in found] == [60, 60, 60, 20] and found[1].continues == found[0].id
    (day,) = ends(run(EventMachine(PLAIN, NAMES, KINDS), [snippet(t, 0.6 + 0.3 * (t == 7777)) for t in range(20_000)]))
    assert MOST_POINTS / 2 <= len(day.curve) <= MOST_POINTS and max(score for _, score in day.curve) == 0.9


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -1.0, 7.0])
def test_a_score_that_is_none_breaks_nothing(score):
    machine = EventMachine(PLAIN, NAMES, KINDS)
    run(machine, [snippet(t, s, classes=(score, score, 0)) for t, s in enumerate([0.9, score, 0.9, 0.0, 0.0, 0.9])])


def test_final_scores_that_come_after_the_picture_was_lost_make_no_second_event_of_the_same_moment():
    machine = EventMachine(EventRules(open_for=2), NAMES, KINDS)
    early = [snippet(n, 0.9, final=False) for n in range(3)]
    told = run(machine, early, stop=False) + machine.stop(Ending.gap)
    assert [(one.kind, one.after.state) for one in told] == [(Kind.new, State.provisional), (Kind.end, State.provisional)]
    assert run(machine, [snippet(n, 0.9) for n in range(3)], stop=False) == [], "they were still due"
    later = run(machine, [snippet(n, 0.9) for n in range(3, 6)], stop=False)
    assert [one.kind for one in later] == [Kind.new] and later[0].after.start_s >= told[-1].after.end_s


@pytest.mark.parametrize("open_for", [1, 3])
def test_a_camera_that_goes_away_at_any_moment_has_no_moment_with_two_events(open_for):
    """It is offline at once, while final scores of what was seen are still due, and come."""
    rng = np.random.default_rng(0)
    high = np.cumsum(rng.random(60) < 0.15) % 2 == 0
    snippets = list(stream([(0.9 if one else 0.1, rng.choice([0.0, -0.5, 0.5]), 0.0) for one in high]))
    for place in range(len(snippets)):
        machine = EventMachine(EventRules(open_for=open_for, close_after_s=1, merge_gap_s=0), NAMES, KINDS)
        told = run(machine, snippets[:place], stop=False) + machine.stop(Ending.gap) + run(machine, snippets[place:])
        held = [one for one in ends(told) if one.state is not State.retracted]
        assert all(other.start_s >= one.end_s for one, other in itertools.pairwise(held))


def test_an_anomaly_that_lasts_for_days_takes_no_memory():
    machine = EventMachine(EventRules(open_for=2, longest_s=60), NAMES, KINDS)

    def held(numbers):
        for number in numbers:
            machine.push(snippet(number, 0.9, False))
            machine.push(snippet(number, 0.9))
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        once = held(range(600))
        assert held(range(600, 1200)) - once < 50_000
    finally:
        tracemalloc.stop()
