"""Learnable prompts against open_clip's own `encode_text`, on every shape its text towers come in."""

import open_clip
import pytest
import torch

from aadc.extract.clip_model import Clip, load_clip
from aadc.head.prompts import AFTER, BEFORE, PromptEncoder
from aadc.head.text_tower import load_tower
from aadc.manifests.errors import UserError

VISION = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
TOWERS = {  # where the tower sits, whether it looks both ways, where it is read, how it is projected
    "CLIP": (open_clip.CLIP, {}),
    "on model.text": (open_clip.CustomTextCLIP, {}),
    "both ways, as MobileCLIP2-S0": (open_clip.CustomTextCLIP, {"no_causal_mask": True}),
    "both ways and last, as SigLIP": (
        open_clip.CustomTextCLIP,
        {"no_causal_mask": True, "pool_type": "last", "proj_bias": True, "context_length": 64},
    ),
    "end token by its id": (open_clip.CustomTextCLIP, {"pool_type": "eos", "eos_id": 49407}),
    "no projection": (open_clip.CustomTextCLIP, {"proj_type": "none", "width": 16}),
}
PROMPTS = ["a fight", "a person lying still on the floor of a long corridor", "fire"]


@pytest.fixture(params=TOWERS)
def clip(request) -> Clip:
    kind, text = TOWERS[request.param]
    text = {**TEXT, **text}
    torch.manual_seed(0)
    model = kind(16, VISION, text).eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(3)  # open_clip's start is so small that every text comes out the same
    tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=text["context_length"])
    return Clip("tiny", model, tokenizer, {}, 16, "0")


@torch.no_grad()
def test_without_contexts_it_is_encode_text(clip):
    found = PromptEncoder(clip, PROMPTS, 0)(torch.zeros(2, 0, _width(clip)))
    expected = clip.model.encode_text(clip.tokenizer(PROMPTS))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert (expected[0] - expected[1]).abs().max() > 0.05


@torch.no_grad()
def test_words_need_no_picture_half(clip):
    expected = clip.model.encode_text(clip.tokenizer(PROMPTS))
    del clip.model.visual
    assert torch.equal(clip.model.encode_text(clip.tokenizer(PROMPTS)), expected)


def test_a_text_tower_comes_without_it(tiny_clip):
    whole = load_clip(str(tiny_clip))
    kept = {name for name, _ in load_tower({"source": str(tiny_clip), "weights": whole.weights}, None).model.named_parameters()}
    assert kept == {name for name, _ in whole.model.named_parameters() if not name.startswith("visual.")}


def _width(clip: Clip) -> int:
    return getattr(clip.model, "text", clip.model).token_embedding.embedding_dim


@torch.no_grad()
def test_contexts_that_are_words_read_as_a_sentence(clip):
    """With the embeddings of real words as contexts the whole sentence must come out, its end token moved by twenty."""
    encoder = PromptEncoder(clip, PROMPTS, 10)
    expected = clip.model.encode_text(clip.tokenizer([f"{BEFORE} {prompt} {AFTER}" for prompt in PROMPTS]))
    torch.testing.assert_close(encoder(encoder.initial_contexts), expected, rtol=1e-4, atol=1e-5)
    assert (encoder(0 * encoder.initial_contexts) - expected).abs().max() > 0.05


@torch.no_grad()
def test_a_class_does_not_depend_on_its_neighbours(clip):
    """The text is cut to the longest prompt; a shorter one must not notice."""
    contexts = torch.randn(2, 4, _width(clip))
    together = PromptEncoder(clip, PROMPTS, 4)(contexts)
    for number, prompt in enumerate(PROMPTS):
        alone = PromptEncoder(clip, [prompt], 4)(contexts)[0]
        torch.testing.assert_close(together[number], alone, rtol=1e-4, atol=1e-5)


def test_only_the_contexts_learn(clip):
    encoder = PromptEncoder(clip, PROMPTS, 4)
    contexts = encoder.initial_contexts.clone().requires_grad_()
    encoder(contexts).square().sum().backward()
    assert (contexts.grad.abs().amax(-1) > 0).all()
    assert all(parameter.grad is None for parameter in clip.model.parameters())


def test_fewer_or_more_contexts_than_words(clip):
    for n_ctx in (3, 16):
        words = PromptEncoder(clip, ["x"], n_ctx).initial_contexts
        ten = PromptEncoder(clip, ["x"], 10).initial_contexts
        n = min(n_ctx, 10)
        assert words.shape[1] == n_ctx
        assert torch.equal(words[0, -n:], ten[0, -n:]) and torch.equal(words[1, :n], ten[1, :n])


def test_prompts_that_do_not_fit_are_named(tiny_clip):
    clip = load_clip(str(tiny_clip))
    with pytest.raises(UserError, match="'fire .*' has 60 tokens, .*takes 55 beside 10 \\+ 10 contexts"):
        PromptEncoder(clip, ["a", "fire " * 60], 10)
    with pytest.raises(UserError, match="no word"):
        PromptEncoder(clip, [" "], 10)


def test_another_kind_of_tower_is_refused():
    coca = open_clip.CustomTextCLIP(16, VISION, {**TEXT, "embed_cls": True})
    tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=77)
    with pytest.raises(UserError, match="coca.*no learnable prompts"):
        PromptEncoder(Clip("coca", coca, tokenizer, {}, 16, "0"), ["a"], 4)
