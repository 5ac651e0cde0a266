"""How late things are is told by the time in the picture: legs add up, whatever they are, and those of a real run are sound."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aadc.live import strip_clock
from aadc.live.bench import as_lines, bench, watched
from aadc.live.legs import EVENT, FRAME, KEPT, WAIT, WHOLE, by_leg, event_legs, frame_legs, percentiles
from aadc.live.strip_scene import PERIOD_MS, Scene, onset_ms, shows_anomaly

MS = 10**6
LEG_MS = st.integers(0, 3000)


def noted(drawn_ms, legs_ms, kept_ms=0, camera="door", state="provisional"):
    """Rows as the process that scores writes them, and when the picture was encoded."""
    encoded, arrived, written, taken, scored = ((drawn_ms + int(end)) * MS for end in np.cumsum(legs_ms))
    strip = drawn_ms % (strip_clock.MOST + 1)
    rows = [
        {"what": "frame", "camera": camera, "strip": strip, "arrived": arrived, "written": written, "taken": taken},
        {"what": "score", "camera": camera, "arrived": arrived, "final": False, "at": scored},
        {"what": "score", "camera": camera, "arrived": arrived, "final": True, "at": scored + 3000 * MS},
        {"what": "event", "camera": camera, "arrived": arrived, "state": state, "event": "e", "at": scored + kept_ms * MS},
    ]
    return rows, {strip: encoded}


@given(st.integers(0, 2**40), st.lists(LEG_MS, min_size=len(FRAME), max_size=len(FRAME)), LEG_MS)
def test_legs_are_what_they_were_and_add_up(drawn_ms, legs_ms, kept_ms):
    """Also where the clock in the picture begins anew (every 4 h 39 min)."""
    rows, encoded = noted(drawn_ms, legs_ms, kept_ms)
    frames = frame_legs(rows, encoded)
    (legs,) = frames.values()
    assert [legs[name] for name in FRAME] == pytest.approx([one / 1000 for one in legs_ms])
    assert legs[WHOLE] == pytest.approx(sum(legs_ms) / 1000)
    provisional, confirmed = event_legs(rows, frames)
    assert confirmed == [] and len(provisional) == shows_anomaly(drawn_ms)
    for event in provisional:
        assert event[WAIT] == pytest.approx((drawn_ms % PERIOD_MS - PERIOD_MS // 2) / 1000) and event[WAIT] >= 0
        assert event[KEPT] == pytest.approx(kept_ms / 1000)
        assert sum(event[name] for name in EVENT) == pytest.approx(event[WHOLE])


def test_what_cannot_be_told_is_left_out():
    drawn = PERIOD_MS // 2 + 7
    rows, encoded = noted(drawn, [5] * 5)
    assert frame_legs(rows, {}) == {}, "nothing is known of its encoding"
    rows[0]["strip"] = None
    assert frame_legs(rows, encoded) == {} and event_legs(rows, {}) == ([], [])
    rows, encoded = noted(drawn, [5] * 5, 100, state="confirmed")
    assert event_legs(rows, frame_legs(rows, encoded)) == ([], [pytest.approx((7 + 25 + 100) / 1000)])
    assert percentiles([]) == {} and by_leg([], FRAME) == {}


@given(st.integers(0, 2**45), st.integers(-3_600_000, 3_600_000))
def test_an_age_is_right_wherever_the_clock_begins_anew(drawn_ms, age):
    assert strip_clock.age_ms(drawn_ms % (strip_clock.MOST + 1), (drawn_ms + age) * MS) == pytest.approx(age)


@given(st.integers(0, strip_clock.MOST), st.sampled_from([(640, 360), (1280, 720)]))
def test_the_scene_says_when_it_was_drawn_and_shows_what_it_should(ms, size):
    scene = Scene(*size)
    rgb = scene.draw(ms)
    assert rgb.shape == (size[1], size[0], 3) and strip_clock.read(rgb) == ms
    moves = bool((scene.draw(ms, strip=False) != Scene(*size).draw(0, strip=False)).any())
    assert moves == shows_anomaly(ms)
    if moves:
        assert 0 <= ms - onset_ms(ms) < PERIOD_MS // 2 and not shows_anomaly(onset_ms(ms) - 1)
    strip_clock.erase(rgb)
    assert strip_clock.read(rgb) is None


@pytest.fixture(scope="module")
def passed(trained):
    """Two cameras for ten seconds, through all processes."""
    pytest.importorskip("aio_rtsp_toolkit")
    return watched(trained[1], "cpu", 2, 12.0, (640, 360), 0.0, more="snippet_s = 0.5\n")


@pytest.mark.skipif(sys.platform != "linux", reason="memory without a name is Linux's")
def test_the_strip_of_what_went_through_the_system_is_read_and_its_legs_are_sound(passed):
    rows = passed.rows
    taken = [row for row in rows if row["what"] == "frame" and row["strip"] is not None]
    assert {row["camera"] for row in taken} == {"camera 1", "camera 2"} and len(taken) >= 8
    missed = sum(row["what"] == "frame" and row["strip"] is None for row in rows)  # a connection's first pictures have none,
    assert missed < len(taken), "nor can those be read from which a machine that does not keep up left something out"
    frames = frame_legs(rows, passed.encoded_ns)
    assert len(frames) >= len(taken) - 4, "those at the end may wait for their score"
    for legs in frames.values():
        assert all(legs[name] >= 0 for name in FRAME)
        assert sum(legs[name] for name in FRAME) == pytest.approx(legs[WHOLE])
    for camera in ("camera 1", "camera 2"):
        mine = [(row["strip"], row["arrived"] / MS) for row in taken if row["camera"] == camera]
        ages = [strip_clock.age_ms(strip, round(arrived * MS)) for strip, arrived in mine]
        assert all(0 <= age < 60_000 for age in ages), "a number that was misread would be hours off"
        assert all((after[0] - before[0]) % (strip_clock.MOST + 1) < 60_000 for before, after in pairwise(mine)), "in order"


@pytest.mark.skipif(sys.platform != "linux", reason="memory without a name is Linux's")
def test_each_stretch_of_the_anomaly_is_an_event_that_began_in_it(passed):
    frames = frame_legs(passed.rows, passed.encoded_ns)
    provisional, confirmed = event_legs(passed.rows, frames)
    assert len(provisional) >= 1
    for legs in provisional:
        assert all(legs[name] >= 0 for name in EVENT)
        assert sum(legs[name] for name in EVENT) == pytest.approx(legs[WHOLE])
        assert legs[WAIT] < PERIOD_MS / 2000, "it opened while the anomaly was there"
    assert all(late > min(legs[WHOLE] for legs in provisional) for late in confirmed), "four snippets ahead"


def test_the_table_holds_every_leg(monkeypatch, passed):
    monkeypatch.setattr("aadc.live.bench.watched", lambda *_: passed)
    result = bench(None, "cpu", 2, 10.0)
    text = "\n".join(as_lines(result))
    assert all(f"\n{name}" in text for name in (*EVENT, WHOLE, "until confirmed"))
    counted = [row for row in passed.rows if row["what"] == "frame" and row["arrived"] >= passed.began_ns]
    assert result.misread == sum(row["strip"] is None for row in counted)
    assert "what limits: " in text and len(text.splitlines()) < 20
    assert max(map(len, text.splitlines())) < 160
    nothing = result._replace(event_s={}, confirmed_s={}, events=0, frame_s={}, frames=0, holds=0.0)
    assert "what limits: scoring" in "\n".join(as_lines(nothing))
    able = result._replace(cameras=2, holds=7.9, real_time=1.0)
    assert as_lines(able)[-1].startswith("next: aadc-live bench --cameras 7,")
    behind, full = able._replace(real_time=0.9), able._replace(holds=2.9)
    assert not any("next: " in line for one in (behind, full) for line in as_lines(one))
