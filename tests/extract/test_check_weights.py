"""`make check-weights` on the miniature models: it passes what is right, and sees what it is there to see."""

import numpy as np
import pytest
import torch

from aadc.extract import check_weights
from aadc.extract.clip_model import load_clip
from aadc.extract.features import FrameEmbedder
from aadc.extract.settings import ExtractSettings
from aadc.head import prompts


@pytest.fixture(scope="module")
def images():
    return check_weights.pictures()


@pytest.fixture(scope="module")
def embedder():
    return FrameEmbedder(ExtractSettings(detector="miniature", clip="miniature", threshold=0.05))


class Changed:
    """An embedder whose rows are changed before anybody sees them."""

    def __init__(self, embedder, change):
        self.settings, self.device, self.detector, self.inner, self.change = (
            embedder.settings, embedder.device, embedder.detector, embedder, change,
        )  # fmt: skip

    def __call__(self, rgb):
        rows = self.inner(rgb)
        self.change(rows)
        return rows


def _swap(name):
    def change(rows):
        assert rows["count"][0] >= 2
        rows[name][0, [0, 1]] = rows[name][0, [1, 0]]

    return change


def _other_encoder(rows):
    rows["detr"] = np.roll(rows["detr"], 1, axis=1)


def test_detr_features_are_those_of_the_plain_model(embedder, images):
    assert check_weights.check_detr_features(embedder, images)[0]
    assert not check_weights.check_detr_features(Changed(embedder, _swap("query")), images)[0], "rows of other boxes"
    assert not check_weights.check_detr_features(Changed(embedder, _other_encoder), images)[0]


def test_crops_are_those_of_open_clip(embedder, images):
    clip = load_clip("miniature")
    assert check_weights.check_embeddings(embedder, images, clip)[0]
    assert not check_weights.check_embeddings(Changed(embedder, _swap("crop")), images, clip)[0], "crops of other boxes"


def test_bf16_is_near(embedder, images):
    assert check_weights.check_bf16(embedder, images)[0]
    assert not check_weights.check_bf16(Changed(embedder, _other_encoder), images)[0]


def test_prompts_without_contexts_are_the_text_tower(monkeypatch):
    assert check_weights.check_prompts(load_clip("miniature"))[0]

    class OneLate(prompts.PromptEncoder):
        def __call__(self, contexts):
            self.read_C = torch.clamp(self.read_C - 1, min=0)
            return super().__call__(contexts)

    monkeypatch.setattr(prompts, "PromptEncoder", OneLate)
    assert not check_weights.check_prompts(load_clip("miniature"))[0], "read beside the end token"


def test_no_box_and_no_encoder_is_no_proof():
    assert not check_weights._alike([], [])[0]
