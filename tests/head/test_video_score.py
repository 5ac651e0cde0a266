"""What is said of a whole video, by hand, and that training, validation and evaluation say the same."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent))
from loaded import as_loaded
from test_model import CLASSES, make_head
from test_stream import stored

from aadc.head.bags import Bag, snippet_features
from aadc.head.config import HeadConfig
from aadc.head.mil_align import top_k_mean
from aadc.head.model import HeadOutput
from aadc.head.scoring import score_video
from aadc.head.trainer import Trainer
from aadc.head.video_score import video_logits, video_score
from aadc.head.window import Window


def said(logits, class_logits, **settings):
    output = HeadOutput(torch.tensor([logits]), torch.tensor([class_logits]), torch.zeros(1, len(logits), 1))
    return video_score(output, HeadConfig(**settings))


def test_a_video_s_score_is_the_mean_of_logits_under_one_sigmoid():
    """Eq. 7. The mean of sigmoids would put these two in the other order."""
    one, other = ([9.0, 9, 9, 9, -9], [3.0, 3, 3, 3, 3])
    zeros = [[0.0, 0.0]] * 5
    assert said(one, zeros).anomaly == pytest.approx(1 / (1 + math.exp(-27 / 5)))
    assert said(one, zeros).anomaly > said(other, zeros).anomaly
    assert said(one, zeros, k=4).anomaly == pytest.approx(1 / (1 + math.exp(-9)))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_a_video_s_classes_are_one_softmax_over_the_means_of_the_highest(gamma):
    """Eq. 9 and 10, gamma included. Means of each snippet's own softmax would prefer the other class."""
    class_logits = [[4.0, 0, 0], [4.0, 0, 0], [0, 5.0, 5.0], [0, 5.0, 5.0], [0.0, 0, 0]]
    found = said([0.0] * 5, class_logits, k=2, gamma=gamma)
    expected = np.exp(gamma * np.array([4.0, 5, 5]))
    np.testing.assert_allclose(found.classes, expected / expected.sum(), rtol=1e-5)
    softmax = np.exp(gamma * np.array(class_logits))
    softmax /= softmax.sum(1, keepdims=True)
    assert np.sort(softmax, 0)[-2:].mean(0).argmax() == 0 != found.classes.argmax()


def test_fused_with_confidence_is_the_similarity_of_one_weighed_feature():
    """III-B by hand: unit features, weighed with anomaly scores, against the texts, half and half with eq. 9; padding aside."""
    random = torch.Generator().manual_seed(0)
    features, texts = (functional.normalize(torch.randn(n, 5, generator=random), dim=-1) for n in (6, 3))
    logits, config = torch.randn(6, generator=random), HeadConfig(fuse_confidence=True, gamma=2.0, k=2)
    weights = logits[:4].sigmoid()
    one = (weights[:, None] * features[:4]).sum(0) / weights.sum()
    highest = (features[:4] @ texts.T).topk(2, dim=0).values.mean(0)
    output = HeadOutput(logits[None], (features @ texts.T)[None] / 0.07, features[None])
    found = video_logits(output, torch.arange(6)[None] < 4, config)
    torch.testing.assert_close(found.classes_BC[0], 2.0 * (highest + texts @ one) / 2 / 0.07)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12), st.lists(st.integers(1, 15), min_size=2, max_size=2))
def test_each_bag_can_have_a_k_of_its_own(values, k):
    scores, valid = torch.tensor([values, values], dtype=torch.double), torch.ones(2, len(values), dtype=torch.bool)
    found = top_k_mean(scores, valid, torch.tensor(k))
    for one, own in enumerate(k):
        highest = sorted(values)[-own:]
        assert float(found[one]) == pytest.approx(sum(highest) / len(highest))


@pytest.mark.parametrize("window", [0, 8])
def test_training_validation_and_evaluation_say_the_same(window):
    """The loss's own logits of a padded batch, and validation's AUC and hits, from what `score_video` gives each video."""
    config = HeadConfig(window=window, gamma=2.0, k=3)
    model = make_head(window=window)
    head = as_loaded(model, Window(window) if window else None, window=window, gamma=2.0, k=3)
    videos = [stored(count, seed) for seed, count in enumerate((4, 11, 30))]
    scored = [score_video(head, one).video for one in videos]
    bags = []
    for number, one in enumerate(videos):
        detr, vis = snippet_features(one, "mean")
        bags.append(Bag(str(number), (CLASSES[number],), number == 1, detr, vis))
    trainer = Trainer.__new__(Trainer)
    trainer.model, trainer.card, trainer.config, trainer.device = model, head.card, config, "cpu"
    trainer.normal = None
    trainer.keep_text = lambda: None
    with torch.no_grad():
        losses = trainer._losses(bags, model.text_features)
        found = trainer.validate(bags)
    np.testing.assert_allclose(losses.anomaly, [one.anomaly_logit for one in scored], atol=1e-4)
    np.testing.assert_allclose(losses.classes.softmax(-1), [one.classes for one in scored], atol=1e-4)
    below = [scored[1].anomaly > scored[other].anomaly for other in (0, 2)]
    assert found["val_auc"] == np.mean(below)
    assert found["val_hits"] == pytest.approx(np.mean([one.classes.argmax() == number for number, one in enumerate(scored)]))
    assert found["val_loss"] == pytest.approx(float(losses.total(config.lambda_).mean()), abs=1e-4)
