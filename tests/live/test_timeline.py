"""Time never runs backwards, whatever a camera says and however clocks are set; good cameras are believed to the frame."""

import math

from hypothesis import given
from hypothesis import strategies as st

from aadc.live.timeline import Timeline, UtcClock

S = 1_000_000_000
gaps = st.floats(0, 10)
stated = st.one_of(st.none(), st.floats(-1e6, 1e6), st.floats(allow_nan=True, allow_infinity=True))


@given(st.lists(st.tuples(stated, gaps, st.booleans()), max_size=60))
def test_seconds_never_go_back_whatever_the_camera_says(frames):
    timeline, now, last = Timeline(0), 0, -1.0
    for stated_s, gap, connects in frames:
        now += int(gap * S)
        if connects:
            timeline.connected()
        moment = timeline.at(stated_s, now)
        assert math.isfinite(moment.second) and moment.second > last
        assert moment.second < now / S + 5.001, "nor do they run away"
        last = moment.second


@given(st.floats(5, 60), st.lists(st.floats(0, 0.3), min_size=2, max_size=200), st.floats(-1e5, 1e5))
def test_a_good_camera_is_believed_to_the_frame(rate, jitters, start):
    """Arrival is late by up to 0.3 s, the camera's own times are right: so are the differences of the seconds."""
    timeline = Timeline(0)
    moments = [timeline.at(start + n / rate, int((n / rate + late) * S)) for n, late in enumerate(jitters)]
    for n, moment in enumerate(moments):
        assert moment.by == "camera" and not moment.breaks
        assert abs(moment.second - moments[0].second - n / rate) < 1e-3


def test_frames_hours_off_do_not_move_time():
    """An Intelbras recorder: single frames 9,800 s early and 37,600 s late."""
    timeline = Timeline(0)
    for n in range(600):
        leap = {100: -9800.0, 250: 37600.0, 400: 37600.0}.get(n, 0.0)
        moment = timeline.at(n / 30 + leap, int(n / 30 * S))
        assert abs(moment.second - n / 30) < 1 / 30 and not moment.breaks
        assert moment.by == ("arrival" if leap else "camera")


def test_a_leap_that_stays_is_a_new_count():
    timeline = Timeline(0)
    moments = [timeline.at(n / 10 + (5000 if n >= 100 else 0), int(n / 10 * S)) for n in range(300)]
    assert [n for n, moment in enumerate(moments) if moment.breaks] == [120]
    assert all(abs(moment.second - n / 10) < 0.1 for n, moment in enumerate(moments))
    assert moments[-1].by == "camera"


def test_a_small_step_back_that_stays_does_not_stop_time():
    """By less than is believed: frames must not all fall on one moment until the camera has caught up."""
    timeline = Timeline(0)
    moments = [timeline.at(n / 10 - (3 if n >= 100 else 0), int(n / 10 * S)) for n in range(300)]
    assert all(abs(moment.second - n / 10) < 0.1 for n, moment in enumerate(moments))
    assert sum(moment.breaks for moment in moments) == 1


def test_a_camera_whose_clock_drifts_is_followed_for_days():
    timeline, fast = Timeline(0), 1.0005  # 43 s a day, far more than a crystal does
    for n in range(0, 3 * 86400, 1):
        moment = timeline.at(n * fast, n * S)
        assert abs(moment.second - n) < 2 and not moment.breaks


@given(st.lists(st.tuples(st.integers(0, 10 * S), st.integers(-4000 * S, 4000 * S)), max_size=60))
def test_utc_never_goes_back_however_the_clock_is_set(steps):
    clock, now, wall, last = UtcClock(), 0, 1_790_000_000 * S, 0
    for passed, step in steps:
        now, wall = now + passed, wall + passed + step
        utc = clock.at(now, now, wall)
        assert utc > last and utc >= wall - 2 * S
        last = utc


def test_utc_of_a_clock_set_by_an_hour():
    clock, wall = UtcClock(), 1_790_000_000 * S
    assert clock.at(0, 0, wall) == wall
    assert clock.at(S, S, wall + 3601 * S) == wall + 3601 * S, "forward is followed at once"
    back = [clock.at(n * S, n * S, wall + n * S) for n in range(2, 7300)]
    assert back[0] >= wall + 3601 * S and min(b - a for a, b in zip(back, back[1:], strict=False)) > 0
    assert abs(back[-1] - (wall + 7299 * S)) <= 3 * S, "back is worked off in twice the time"
