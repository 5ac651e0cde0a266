"""Events found, false alarms, delays: by hand, against a slow loop, and so that no flat classifier can win."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aadc.eval.events import AGAIN_S, EARLY_S, Alarms, EventF1
from aadc.eval.ranked import runs


def told(alarms: Alarms, videos: int) -> dict[str, float]:
    return {name: float(values[0]) for name, values in alarms(np.ones((1, videos), int)).items()}


def slow_rings(score, threshold, fps) -> list[int]:
    """Frames at which it rings."""
    period, rings = max(round(AGAIN_S * fps), 1), []
    for start, end in runs(np.asarray(score) >= threshold):
        rings += list(range(start, end, period))
    return rings


def slow(videos, threshold) -> tuple[int, list[float], int]:
    """Events found, their delays, false alarms, one frame after the other."""
    found, delays, false = 0, [], 0
    for score, truth, fps in videos:
        right = set()
        before = 0
        rings = slow_rings(score, threshold, fps)
        for start, end in runs(truth):
            window = range(max(start - round(EARLY_S * fps), before), end)
            own = [ring for ring in rings if ring in window]
            right |= set(own)
            if own:
                found += 1
                delays.append(max(own[0] - start, 0) / fps)
            before = end
        false += sum(ring not in right for ring in rings)
    return found, delays, false


def some_videos(seed: int, fps: float = 2.0) -> list:
    random = np.random.default_rng(seed)
    made = []
    for number in range(8):
        frames = int(random.integers(30, 200))
        truth = np.zeros(frames, bool)
        for _ in range(number % 3):
            start = int(random.integers(0, frames - 5))
            truth[start : start + int(random.integers(1, 60))] = True
        score = np.repeat(random.random(frames), random.integers(1, 30))[:frames].round(1)
        made.append(((score + 0.3 * truth * random.random()).round(1), truth, fps * (1 + number % 2)))
    return made


@pytest.mark.parametrize("seed", range(8))
def test_alarms_are_the_slow_loops(seed):
    """Of every draw: the highest of the events' peaks at which four of five are found, or the one at which most are."""
    videos = some_videos(seed)
    draws = np.random.default_rng(seed).multinomial(8, np.full(8, 1 / 8), 5)
    found = Alarms(videos, range(8))(np.concatenate([np.ones((1, 8), int), draws]))
    peaks = sorted({float(score[a:b].max()) for score, truth, _ in videos for a, b in runs(truth)}, reverse=True)
    for row, weights in enumerate([np.ones(8, int), *draws]):
        drawn = [video for video, count in zip(videos, weights, strict=True) for _ in range(count)]
        events = sum(len(runs(truth)) for _, truth, _ in drawn)
        if not events:
            assert np.isnan(found["threshold"][row])
            continue
        counted = {peak: slow(drawn, peak) for peak in peaks}
        enough = [peak for peak in peaks if counted[peak][0] >= 0.8 * events - 1e-9]
        threshold = enough[0] if enough else max(peaks, key=lambda peak: counted[peak][0])
        caught, delays, false = counted[threshold]
        assert found["threshold"][row] == threshold and found["false_alarms"][row] == false
        assert found["events_found"][row] == pytest.approx(caught / events)
        assert found["detection_delay_s"][row] == pytest.approx(np.mean(delays))
        hours = sum(len(score) / fps for score, _, fps in drawn) / 3600
        assert found["false_alarms_per_hour"][row] == pytest.approx(false / hours)


def test_alarms_by_hand():
    """10 frames a second. Two events, the lower peak 0.8: at it one false alarm that lasts half a second and rings once, one
    that lasts 25 s and rings three times; delays of 1 frame and of 0, for the other rings half a second early."""
    score, truth = np.zeros(600), np.zeros(600, bool)
    score[10:14], truth[10:14] = [0.3, 0.9, 0.9, 0.3], True
    score[95:102], truth[100:102] = 0.8, True
    score[170:175] = 0.85
    normal = np.zeros(400)
    normal[100:350] = 0.95
    found = told(Alarms([(score, truth, 10.0), (normal, np.zeros(400, bool), 10.0)], [0, 1]), 2)
    assert (found["threshold"], found["events_found"], found["false_alarms"]) == (0.8, 1, 4)
    assert found["hours"] == pytest.approx(100 / 3600) and found["false_alarms_per_hour"] == pytest.approx(4 / 100 * 3600)
    assert found["detection_delay_s"] == pytest.approx((0.1 + 0.0) / 2)


def test_a_flat_classifier_loses_to_one_that_localises_with_a_slip_in_every_video():
    """In one minute of video each: an event of ten seconds, and 0.6 s called for nothing. The flat one knows perfectly which
    videos are abnormal, and nothing else; formerly it had no false alarm and no delay."""
    random, flat, head = np.random.default_rng(0), [], []
    for number in range(20):
        truth = np.zeros(600, bool)
        if number % 2:
            start = int(random.integers(100, 450))
            truth[start : start + 100] = True
        slip = np.zeros(600)
        slip[20:26] = 0.9
        flat.append((np.full(600, float(number % 2)), truth, 10.0))
        head.append((np.maximum(truth * 0.9, slip), truth, 10.0))
    one, other = (told(Alarms(videos, range(20)), 20) for videos in (flat, head))
    assert other["events_found"] == 1 and other["detection_delay_s"] == 0 and other["false_alarms"] == 20
    assert one["false_alarms"] > 2 * other["false_alarms"] and one["detection_delay_s"] > 3
    every = told(Alarms([(np.ones(600), truth, fps) for _, truth, fps in head], range(20)), 20)
    assert every["false_alarms"] > one["false_alarms"] and every["detection_delay_s"] > 3


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000))
def test_who_is_right_pays_nothing(seed):
    videos = some_videos(seed)
    right = told(Alarms([(truth * 1.0, truth, fps) for _, truth, fps in videos], range(8)), 8)
    assert (right["events_found"], right["false_alarms"], right["detection_delay_s"]) == (1, 0, 0)


def f1(score, truth) -> dict[str, float]:
    found = EventF1([(np.asarray(score, float), np.asarray(truth, bool))], [0])(np.ones((1, 1), int))
    return {name: float(values[0]) for name, values in found.items()}


def test_event_f1_by_hand():
    """An event of ten frames, found for four of them: IoU 0.4. Another is missed, and one found is none: one hit of two true
    and two found ones at 0.2, none at 0.5."""
    score, truth = np.zeros(60), np.zeros(60)
    truth[10:20], truth[40:50] = 1, 1
    score[10:14], score[25:30] = 0.5, 0.9
    assert f1(score, truth) == {"event_f1_at_20_percent_iou": 0.5, "event_f1_at_50_percent_iou": 0}
    assert set(f1(truth, truth).values()) == {1.0} and set(f1(np.zeros(60), truth).values()) == {0.0}
    assert all(np.isnan(value) for value in f1(np.zeros(60), np.zeros(60)).values())


def test_one_run_over_two_events_is_one_hit():
    truth = np.array([1] * 5 + [0] * 2 + [1] * 5)
    assert f1(np.ones(12), truth)["event_f1_at_20_percent_iou"] == pytest.approx(2 / 3)
