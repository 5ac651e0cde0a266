"""Probabilities: against scikit-learn's logistic regression, and what must hold of any scores."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from aadc.head.calibration import Calibration, evidence, fit_calibration, level_between


def test_it_is_platts_fit():
    """The two targets of Platt as weighed copies of every video, through another solver."""
    random = np.random.default_rng(0)
    abnormal = random.random(60) < 0.4
    logits = 2.5 * abnormal - 1 + 2 * random.normal(size=60)
    found = fit_calibration(logits, abnormal)
    target = np.where(abnormal, (abnormal.sum() + 1) / (abnormal.sum() + 2), 1 / ((~abnormal).sum() + 2))
    other = LogisticRegression(C=1e9, tol=1e-10, max_iter=10_000).fit(
        np.concatenate([logits, logits])[:, None], np.repeat([1, 0], 60), sample_weight=np.concatenate([target, 1 - target])
    )
    assert (found.slope, found.offset) == pytest.approx((other.coef_[0, 0], other.intercept_[0]), abs=1e-4)
    assert found.videos == 60
    for logit in (-3.0, 0.5):
        assert found(logit) == pytest.approx(other.predict_proba([[logit]])[0, 1], abs=1e-4)


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.booleans()), min_size=2, max_size=30))
def test_any_scores_give_probabilities_that_rise_with_them(videos):
    found = fit_calibration([logit for logit, _ in videos], [abnormal for _, abnormal in videos])
    told = [found(logit) for logit in (-1e9, -40.0, -1.0, 0.0, 1.0, 40.0, 1e9)]
    assert all(0 < one < 1 for one in told) and told == sorted(told)
    assert math.isfinite(found.slope) and math.isfinite(found.offset)


def test_few_videos_told_apart_without_a_mistake_are_no_certainty():
    """Two of each kind: no surer than Platt's targets, 3/4 and 1/4."""
    found = fit_calibration([-9, -8, 8, 9], [False, False, True, True])
    assert found(8.5) == pytest.approx(0.75, abs=0.02) and found(-8.5) == pytest.approx(0.25, abs=0.02)


def test_scores_that_say_the_opposite_say_nothing():
    found = fit_calibration([5, 6, -5, -6], [False, False, True, True])
    assert found.slope == 0 and found(-9) == found(9) == pytest.approx(0.5)


def test_the_level_lies_between_the_kinds():
    """Of eleven videos of a kind one in ten is left out on the other kind's side: half way between -3 and 5."""
    normal, abnormal = [*range(-12, -2), 40], [-70, 5, *range(6, 15)]
    assert level_between([*abnormal, *normal], [True] * 11 + [False] * 11) == pytest.approx(1.0)


@given(
    st.lists(st.floats(-20, 20), min_size=1, max_size=12),
    st.lists(st.floats(-20, 20), min_size=1, max_size=12),
    st.floats(-9, 9),
)
def test_the_level_follows_the_scores_and_heeds_no_numbers(normal, abnormal, shift):
    """Moved with the scores, turned with their sign, and blind to how many of one kind there are."""
    truth = [False] * len(normal) + [True] * len(abnormal)
    level = level_between(normal + abnormal, truth)
    assert level_between([x + shift for x in normal + abnormal], truth) == pytest.approx(level + shift)
    assert level_between([-x for x in normal + abnormal], [not y for y in truth]) == pytest.approx(-level)
    if max(normal) < min(abnormal):
        assert min(normal) <= level <= max(abnormal)


def test_evidence_is_the_mean_of_the_highest_logits():
    logits = np.array([-2.0, 3.0, 1.0, 0.0])
    scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
    assert evidence(scores, 2) == pytest.approx(2.0, abs=1e-5) and evidence(scores, 99) == pytest.approx(0.5, abs=1e-5)
    assert math.isfinite(evidence(np.array([1.0, 0.0], np.float32), 1)) and Calibration()(0.0) == 0.5
