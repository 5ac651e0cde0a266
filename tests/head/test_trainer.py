"""Parts of a step and of a validation that have an answer of their own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from aadc.head.trainer import _auc

VIDEOS = st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=30)


@given(VIDEOS)
def test_validation_auc_is_scikit_learns_ties_included(videos):
    truth, scores = np.array([abnormal for abnormal, _ in videos]), np.array([score / 4 for _, score in videos])
    if 0 < truth.sum() < len(truth):
        assert _auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
