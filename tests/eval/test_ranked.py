"""Figures of a curve: scikit-learn's to the last digits, for any draw of videos; the early one a slow loop's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from aadc.eval.ranked import RankedScores, recall_name, runs


def some_videos(seed: int, count: int = 14, frames: int = 200) -> list[tuple[np.ndarray, np.ndarray]]:
    """(score, truth) with many ties within and between videos; a third of the videos are normal."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        length = int(random.integers(20, frames))
        truth = np.zeros(length, bool)
        if number % 3:
            for _ in range(number % 2 + 1):
                start = int(random.integers(0, length - 10))
                truth[start : start + int(random.integers(5, 60))] = True
        score = np.repeat(random.normal(size=length).round(1), 16)[:length] + 0.5 * truth
        made.append((score.round(1) if number % 2 else score + random.normal(size=length), truth))
    return made


def one_draw(videos, rates=(0.02,)) -> dict[str, float]:
    found = RankedScores(videos, range(len(videos)))(np.ones((1, len(videos)), int), rates)
    return {name: float(values[0]) for name, values in found.items()}


@pytest.mark.parametrize("seed", range(4))
def test_a_draw_is_scikit_learns_figure_of_the_repeated_videos(seed):
    videos = some_videos(seed)
    chosen = list(range(2, 14))  # two of the weights' columns are other videos
    draws = np.random.default_rng(seed).multinomial(14, np.full(14, 1 / 14), 6)
    found = RankedScores([videos[place] for place in chosen], chosen)(draws, (0.1,))
    for row, weights in enumerate(draws):
        repeated = [videos[place] for place in chosen for _ in range(weights[place])]
        score, truth = (np.concatenate(part) for part in zip(*repeated, strict=True))
        precision, recall, _ = precision_recall_curve(truth, score)
        assert found["auc"][row] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
        assert found["ap"][row] == pytest.approx(average_precision_score(truth, score), abs=1e-12)
        assert found["ap_trapezoid"][row] == pytest.approx(auc(recall, precision), abs=1e-12)
        assert found[recall_name(0.1)][row] == pytest.approx(slow_recall(truth, score, 0.1), abs=1e-12)
        assert found["ap_early"][row] == pytest.approx(slow_early(repeated), abs=1e-12)


def slow_recall(truth, score, rate) -> float:
    """Every threshold tried."""
    tried = [0.0]
    for threshold in np.unique(score):
        called = score >= threshold
        if called[~truth].mean() <= rate:
            tried.append(called[truth].mean())
    return max(tried)


def slow_early(videos) -> float:
    """Sum over thresholds of the precision times what the early recall has gained, as `docs/metrics.md` writes it."""
    score, truth = (np.concatenate(part) for part in zip(*videos, strict=True))
    area, before = 0.0, 0.0
    for threshold in np.unique(score)[::-1]:
        left = []
        for values, own in videos:
            for start, end in runs(own):
                late = [frame for frame in range(start, end) if values[frame] >= threshold]
                left.append((end - late[0]) / (end - start) if late else 0.0)
        recall = sum(left) / len(left)
        area += (recall - before) * truth[score >= threshold].mean()
        before = recall
    return area


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=60), st.sampled_from([0.0, 0.02, 0.1, 0.5]))
def test_recall_at_false_positives_by_trying_every_threshold(pairs, rate):
    truth, score = np.array([t for t, _ in pairs]), np.array([s for _, s in pairs], float)
    found = one_draw([(score, truth)], (rate,))
    if truth.all() or not truth.any():
        assert all(np.isnan(value) for value in found.values())
    else:
        assert found[recall_name(rate)] == pytest.approx(slow_recall(truth, score, rate))


def test_perfect_constant_and_flat():
    truth = np.array([0, 0, 1, 1], bool)
    perfect, upside_down, constant = (one_draw([(values, truth)]) for values in (truth * 1.0, 1.0 - truth, np.zeros(4)))
    assert perfect["auc"] == perfect["ap"] == perfect["ap_early"] == 1 and upside_down["auc"] == 0
    assert constant["auc"] == 0.5 and constant["ap"] == constant["ap_early"] == 0.5


def test_early_recall_rewards_the_first_frame():
    """Both find three of four anomalous frames before any normal one: one from the start, one only from the second frame."""
    truth = np.array([1, 1, 1, 1, 0, 0, 0, 0], bool)
    soon = np.array([0.9, 0.9, 0.9, 0.1, 0.2, 0.2, 0.2, 0.2])
    late = np.array([0.1, 0.9, 0.9, 0.9, 0.2, 0.2, 0.2, 0.2])
    one, other = one_draw([(soon, truth)]), one_draw([(late, truth)])
    assert one["ap"] == other["ap"] and one["ap_early"] == 1
    assert other["ap_early"] == pytest.approx(3 / 4 + 1 / 4 * 1 / 2)  # the last quarter comes with every frame called


def test_draws_of_one_kind_have_no_figure():
    normal, anomalous = (np.arange(4.0), np.zeros(4, bool)), (np.arange(4.0), np.ones(4, bool))
    found = RankedScores([normal, anomalous], [0, 1])(np.array([[2, 0], [0, 2], [1, 1]]))
    assert {name: np.isnan(values).tolist() for name, values in found.items()} == dict.fromkeys(found, [True, True, False])


@given(st.lists(st.booleans(), max_size=40))
def test_runs_cover_exactly_what_is_true(flags):
    covered = np.zeros(len(flags), bool)
    for start, end in runs(np.array(flags, bool)):
        assert start < end and not covered[start:end].any()
        covered[start:end] = True
    assert covered.tolist() == flags
