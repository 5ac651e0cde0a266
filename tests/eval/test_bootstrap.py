"""Intervals over videos: every draw is what the drawn videos, repeated, would give."""

import time

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import average_precision_score, roc_auc_score

from aadc.eval.bootstrap import RankedScores, intervals, perfect_auc_interval, share_interval
from aadc.eval.metrics import recall_at_false_positives


def some_videos(seed: int, count: int = 14, frames: int = 200) -> list[tuple[np.ndarray, np.ndarray]]:
    """(score, truth) with many ties within and between videos; a third of the videos are normal."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        length = int(random.integers(20, frames))
        truth = np.zeros(length, bool)
        if number % 3:
            start = int(random.integers(0, length - 10))
            truth[start : start + int(random.integers(5, 60))] = True
        score = np.repeat(random.normal(size=length).round(1), 16)[:length] + 0.5 * truth
        made.append((score.round(1), truth))
    return made


@pytest.mark.parametrize("seed", range(4))
def test_a_draw_is_the_figure_of_the_repeated_videos(seed):
    videos = some_videos(seed)
    chosen = list(range(2, 14))  # two of the weights' columns are other videos
    draws = np.random.default_rng(seed).multinomial(14, np.full(14, 1 / 14), 6)
    ranked = RankedScores([videos[place] for place in chosen], chosen)
    auc, ap, recall = ranked.figures(draws, 0.1)
    for row, weights in enumerate(draws):
        score = np.concatenate([np.tile(videos[place][0], weights[place]) for place in chosen])
        truth = np.concatenate([np.tile(videos[place][1], weights[place]) for place in chosen])
        assert auc[row] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
        assert ap[row] == pytest.approx(average_precision_score(truth, score), abs=1e-12)
        assert recall[row] == pytest.approx(recall_at_false_positives(truth, score, 0.1), abs=1e-12)


def test_draws_of_one_kind_have_no_figure():
    normal, anomalous = (np.arange(4.0), np.zeros(4, bool)), (np.arange(4.0), np.ones(4, bool))
    found = RankedScores([normal, anomalous], [0, 1]).figures(np.array([[2, 0], [0, 2], [1, 1]]))
    assert np.isnan(found).tolist() == [[True, True, False]] * 3


def figure(videos):
    ranked = RankedScores(videos, range(len(videos)))
    return lambda weights: {"auc": ranked.figures(weights)[0]}


def test_intervals_hold_the_figure_and_shrink_with_more_videos():
    widths = []
    for count in (9, 90):
        videos = some_videos(1, count)
        low, high = intervals([figure(videos)], count, 300)["auc"]
        score, truth = (np.concatenate(part) for part in zip(*videos, strict=True))
        assert low < roc_auc_score(truth, score) < high
        widths.append(high - low)
    assert widths[1] < 0.6 * widths[0]
    assert intervals([figure(videos)], 90, 50) == intervals([figure(videos)], 90, 50)


def test_an_interval_is_the_percentiles_of_naive_draws():
    """400 draws with other random numbers, one after the other through scikit-learn: the same interval but for chance."""
    videos = some_videos(3, 40)
    low, high = intervals([figure(videos)], 40, 1000)["auc"]
    random, naive = np.random.default_rng(7), []
    for _ in range(400):
        drawn = [videos[place] for place in random.integers(0, 40, 40)]
        naive.append(roc_auc_score(np.concatenate([truth for _, truth in drawn]), np.concatenate([s for s, _ in drawn])))
    assert [low, high] == pytest.approx(np.percentile(naive, [2.5, 97.5]), abs=0.2 * (high - low))


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (1, 1), (8, 8), (0, 8), (7, 8), (22, 24), (290, 290)])
def test_the_interval_of_a_share_is_exact(hits, count):
    assert share_interval(hits, count) == pytest.approx(binomtest(hits, count).proportion_ci(0.95, "exact"), abs=1e-9)


def test_the_bound_of_a_perfect_auc_holds_where_the_true_one_is_on_it():
    """Videos of two kinds whose true AUC is the bound look perfect in fewer than 2.5 % of all draws."""
    random, low = np.random.default_rng(0), perfect_auc_interval(4, 6)[0]
    assert low == pytest.approx(0.025 ** (1 / 4)) and perfect_auc_interval(6, 4) == perfect_auc_interval(4, 6)
    apart = 2**0.5 * norm.ppf(low)  # standard deviations between two normal curves with that AUC
    perfect = [random.normal(size=6).max() < (random.normal(size=4) + apart).min() for _ in range(4000)]
    assert np.mean(perfect) < 0.025


def test_nothing_defined_is_no_interval():
    assert intervals([figure([(np.arange(5.0), np.zeros(5, bool))])], 1, 20) == {"auc": None}


def test_draws_at_the_size_of_ucf_crime_take_seconds():
    """290 videos, 1.1 million frames; 300 sorts of them would take a minute and a half."""
    random = np.random.default_rng(0)
    videos = []
    for number in range(290):
        score = np.repeat(random.random(240), 16)
        videos.append((score, (np.arange(3840) < 600) & (number < 140)))
    began = time.process_time()
    assert intervals([figure(videos)], 290, 300)["auc"] == pytest.approx([0.5, 0.5], abs=0.02)
    assert time.process_time() - began < 10
