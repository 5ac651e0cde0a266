"""Laws that hold for the whole head, whatever its weights: padding, batches, the order of classes, the ablations."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from loaded import as_loaded

from aadc.extract.video_features import VideoFeatures
from aadc.head.config import HeadConfig
from aadc.head.fusion import AttentionPool, Fusion, visual_features
from aadc.head.model import AnomalyHead
from aadc.head.scoring import score_video
from aadc.manifests.errors import UserError

WIDTH, DETR, CLASSES = 16, 6, ["calm", "fall", "fire"]


def make_head(**options) -> AnomalyHead:
    torch.manual_seed(0)
    head = AnomalyHead(HeadConfig(**options), WIDTH, DETR, 8, CLASSES)
    for tensor in [*head.parameters(), head.text_features, head.fusion.vis.mean]:
        torch.nn.init.normal_(tensor, std=0.5)
    return head.eval()


def objects(pooling: str, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, 3, WIDTH) if pooling == "attention" else torch.randn(*shape, WIDTH)


VARIANTS = [{}, {"use_mtn": False}, {"use_detr": False}, {"pooling": "attention"}]


@pytest.mark.parametrize("options", VARIANTS)
@torch.no_grad()
def test_alone_equals_in_a_batch_with_longer_ones(options):
    """Videos of 1, 4 and 11 snippets, padded with noise in one batch, and each for itself."""
    head, pooling = make_head(**options), options.get("pooling", "mean")
    detr, vis, lengths = torch.randn(3, 11, DETR), objects(pooling, 3, 11), [1, 4, 11]
    valid = torch.arange(11) < torch.tensor(lengths)[:, None]
    together = head(detr, vis, valid)
    for video, rows in enumerate(lengths):
        alone = head(detr[video : video + 1, :rows], vis[video : video + 1, :rows], valid[video : video + 1, :rows])
        torch.testing.assert_close(together.logits_BT[video, :rows], alone.logits_BT[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(together.class_logits_BTC[video, :rows], alone.class_logits_BTC[0], rtol=1e-4, atol=1e-4)
        assert rows == 1 or alone.logits_BT.std() > 0.05  # a constant would pass as well


@pytest.mark.parametrize("options", VARIANTS)
@torch.no_grad()
def test_padding_is_noise_that_nobody_hears(options):
    head, pooling = make_head(**options), options.get("pooling", "mean")
    detr, vis = torch.randn(2, 9, DETR), objects(pooling, 2, 9)
    valid = torch.arange(9) < torch.tensor([5, 9])[:, None]
    first = head(detr, vis, valid)
    detr[0, 5:], vis[0, 5:] = 1e3 * torch.randn(4, DETR), 1e3 * objects(pooling, 4)
    second = head(detr, vis, valid)
    assert torch.equal(first.logits_BT[valid], second.logits_BT[valid])
    assert torch.equal(first.class_logits_BTC[valid], second.class_logits_BTC[valid])


@torch.no_grad()
def test_permuting_classes_permutes_their_scores_and_nothing_else():
    head, order = make_head(), [2, 0, 1]
    inputs = torch.randn(2, 7, DETR), torch.randn(2, 7, WIDTH), torch.ones(2, 7, dtype=torch.bool)
    before = head(*inputs)
    head.set_classes([CLASSES[i] for i in order], head.text_features[order])
    after = head(*inputs)
    torch.testing.assert_close(after.class_logits_BTC, before.class_logits_BTC[..., order])
    assert torch.equal(after.logits_BT, before.logits_BT)
    assert head.classes == ["fire", "calm", "fall"]


@torch.no_grad()
def test_without_detr_its_features_are_not_looked_at():
    """Not even when they are no numbers; with DETR they matter."""
    inputs = torch.randn(2, 7, WIDTH), torch.ones(2, 7, dtype=torch.bool)
    for options, same in (({"use_detr": False}, True), ({}, False)):
        head = make_head(**options)
        one = head(torch.randn(2, 7, DETR), *inputs).logits_BT
        other = head(torch.full((2, 7, DETR), torch.nan), *inputs).logits_BT
        assert torch.equal(one, other) == same


@torch.no_grad()
def test_untrained_head_is_clip_itself():
    """Class logits start as cosines of the frame embedding to the texts, over CLIP's temperature."""
    head = AnomalyHead(HeadConfig(), WIDTH, DETR, 8, CLASSES).eval()
    head.set_classes(CLASSES, torch.randn(3, WIDTH))
    head.fusion.vis.set(torch.randn(WIDTH), torch.full((WIDTH,), 0.3))
    vis = torch.randn(2, 7, WIDTH)
    output = head(torch.randn(2, 7, DETR), vis, torch.ones(2, 7, dtype=torch.bool))
    expected = torch.cosine_similarity(vis[..., None, :], head.text_features, dim=-1) / 0.07
    torch.testing.assert_close(output.class_logits_BTC, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("abnormal", [[False, True], [True, False]])
@torch.no_grad()
def test_untrained_score_is_clip_s_own_judgement(abnormal):
    """Of two classes the score is half the difference of their logits, abnormal minus normal, for embeddings of the usual
    length."""
    torch.manual_seed(0)
    vis = torch.nn.functional.normalize(torch.randn(1, 400, WIDTH) + 1, dim=-1)
    head = AnomalyHead(HeadConfig(), WIDTH, DETR, 8, ["a", "b"]).eval()
    head.fusion.vis.set(vis[0].mean(0), vis[0].var(0, correction=0).mean().sqrt().expand(WIDTH))
    head.set_classes(["a", "b"], torch.randn(2, WIDTH))
    head.score.start_from(head.text_features, abnormal, head.fusion.vis)
    output = head(torch.randn(1, 400, DETR), vis, torch.ones(1, 400, dtype=torch.bool))
    a, b = output.class_logits_BTC.unbind(-1)
    torch.testing.assert_close(output.logits_BT, (a - b if abnormal[0] else b - a) / 2, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_untrained_score_knows_the_abnormal_classes_among_many():
    """A frame that shows one of five classes gets a positive score if that class is abnormal, else a negative one."""
    torch.manual_seed(0)
    text, abnormal = torch.nn.functional.normalize(torch.randn(5, WIDTH), dim=-1), [False, True, False, True, True]
    head = AnomalyHead(HeadConfig(), WIDTH, DETR, 8, list("abcde")).eval()
    head.fusion.vis.set(torch.zeros(WIDTH), torch.full((WIDTH,), WIDTH**-0.5))
    head.score.start_from(text, abnormal, head.fusion.vis)
    logits = head(torch.zeros(1, 5, DETR), text[None], torch.ones(1, 5, dtype=torch.bool)).logits_BT[0]
    assert (logits > 0).tolist() == abnormal


def features_of(scene, crop, count, detr=None) -> VideoFeatures:
    detr = np.ones((len(scene), DETR), np.float16) if detr is None else detr
    half = [np.asarray(array, np.float16) for array in (scene, crop)]
    return VideoFeatures("a/b.mp4", "test", ("calm",), 16, scene=half[0], crop=half[1], count=np.asarray(count), detr=detr)


def test_a_frame_is_the_mean_of_itself_and_its_crops():
    """Eq. 5 by hand: each embedding has length 1 before the mean; rows past `count` do not take part."""
    features = features_of([[3, 4], [0, 2]], [[[1, 0], [7, 7]], [[5, 5], [9, 9]]], [1, 0])
    mean = visual_features(features, "mean")
    torch.testing.assert_close(mean, torch.tensor([[(0.6 + 1) / 2, 0.8 / 2], [0.0, 1.0]]), rtol=1e-3, atol=1e-3)
    pooled = AttentionPool(2)(visual_features(features, "attention")[None])
    torch.testing.assert_close(pooled[0], mean)


def test_attention_pooling_follows_its_question():
    """A question that points at one object takes that object; absent objects never win."""
    pool = AttentionPool(2)
    with torch.no_grad():
        pool.question.copy_(torch.tensor([-100.0, 0.0]))
    objects_BTOC = torch.tensor([[[[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]]])
    torch.testing.assert_close(pool(objects_BTOC)[0], torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))


def test_fusion_adds_the_detector_in_clip_s_width():
    """Eq. 6: X = FC(F_vis) + P(F_DETR), in units of the training set."""
    fusion = Fusion(WIDTH, DETR, "mean")
    for tensor in (*fusion.parameters(), fusion.detr.mean, fusion.vis.mean):
        torch.nn.init.normal_(tensor)
    vis, detr = torch.randn(1, 1, WIDTH), torch.randn(1, 1, DETR)
    expected = fusion.fc.weight @ (vis[0, 0] - fusion.vis.mean) + fusion.fc.bias
    expected += fusion.project.weight @ (detr[0, 0] - fusion.detr.mean)
    torch.testing.assert_close(fusion(detr, vis, torch.ones(1, 1, dtype=torch.bool))[0, 0], expected)


def test_scores_are_probabilities_for_every_row():
    rng = np.random.default_rng(0)
    for snippets in (1, 5, 9000):
        features = features_of(rng.normal(size=(snippets, WIDTH)), rng.normal(size=(snippets, 2, WIDTH)), [1] * snippets)
        scores = score_video(as_loaded(make_head()), features)
        assert scores.anomaly.shape == (snippets,) and scores.classes.shape == (snippets, 3)
        assert scores.anomaly.dtype == scores.classes.dtype == np.float32
        assert ((scores.anomaly >= 0) & (scores.anomaly <= 1)).all()
        np.testing.assert_allclose(scores.classes.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["scene", "crop", "detr"])
def test_features_that_are_no_numbers_name_the_video(bad, where):
    arrays = {"scene": np.ones((3, WIDTH)), "crop": np.ones((3, 2, WIDTH)), "detr": np.ones((3, DETR), np.float16)}
    arrays[where][1].flat[0] = bad
    with pytest.raises(UserError, match="a/b.mp4.*not all finite"):
        score_video(as_loaded(make_head()), features_of(arrays["scene"], arrays["crop"], [2, 2, 2], arrays["detr"]))


def test_a_bad_number_past_the_count_does_no_harm():
    crop = np.ones((3, 2, WIDTH))
    crop[0, 1] = np.nan
    assert np.isfinite(score_video(as_loaded(make_head()), features_of(np.ones((3, WIDTH)), crop, [1, 2, 2])).anomaly).all()


def test_a_video_without_snippets_is_refused():
    with pytest.raises(UserError, match="a/b.mp4.*no snippet"):
        score_video(as_loaded(make_head()), features_of(np.ones((0, WIDTH)), np.ones((0, 2, WIDTH)), [], np.ones((0, DETR))))
