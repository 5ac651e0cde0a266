"""Intervals over videos: every draw is what the drawn videos, repeated, would give."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score

from aadc.eval.bootstrap import intervals, perfect_auc_interval, share_interval
from aadc.eval.ranked import RankedScores


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


def figure(videos):
    ranked = RankedScores(videos, range(len(videos)))
    return lambda weights: {"auc": ranked(weights)["auc"]}


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
