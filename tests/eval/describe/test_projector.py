"""From frame features to soft tokens: pooling, the start that reads as words, and the loss that trains it."""

import random

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

from aadc.eval.describe.examples import Example, Names, draw, made_up
from aadc.eval.describe.llm import Llm
from aadc.eval.describe.projector import LEARNED_TOKENS, VIDEO_TOKENS, Projector, word_tokens
from aadc.eval.describe.template import Request, paper_prompt
from aadc.eval.describe.train import answer_loss, new_projector

NAMES = Names(("fall", "fight"), ("squat", "walking"), ("person", "bag"))


def video(kind: int, seed: int, snippets: int = 6) -> Example:
    """Half of its frames, the anomalous ones, point in a direction of their class."""
    generator = torch.Generator().manual_seed(seed)
    features = 0.3 * torch.randn(snippets, 12, generator=generator)
    features[: snippets // 2, kind] += 4
    logits = torch.tensor([4.0] * (snippets // 2) + [-4.0] * (snippets - snippets // 2))
    abnormal = ((), ("fall",), ("fight",))[kind]
    return Example(features, logits, (*abnormal, "squat"), abnormal, ("squat",))


def test_pools_are_weighted_means_of_normed_frames():
    projector, one = Projector(12, 8), video(1, 0)
    with torch.no_grad():
        projector.sharpness.copy_(torch.tensor([0.5, 0.0]))
    normed = functional.layer_norm(one.features, (12,))
    weights = (0.5 * one.logits).exp() / (0.5 * one.logits).exp().sum()
    expected = torch.cat([sum(w * row for w, row in zip(weights, normed, strict=True)), normed.mean(0)])
    assert torch.allclose(projector.pool(one.features, one.logits), expected, atol=1e-6)


def test_tokens_have_their_shape_and_a_hidden_video_is_no_video():
    projector = Projector(12, 8)
    torch.nn.init.normal_(projector.null)
    assert projector(video(1, 0).features, video(1, 0).logits).shape == (VIDEO_TOKENS + LEARNED_TOKENS, 8)
    assert torch.equal(projector(None)[:VIDEO_TOKENS], projector.null)


def test_names_of_classes_as_tokens():
    one, two = torch.ones(1, 3), torch.full((9, 3), 2.0)
    words = word_tokens([one, two])
    assert words.shape == (VIDEO_TOKENS, 3)
    assert words[0].tolist() == [1.5] * 3 and words[-1].tolist() == [1.0] * 3


def test_at_the_start_the_tokens_of_unseen_videos_read_as_their_class(tiny_llama):
    llm = Llm(str(tiny_llama))
    projector = new_projector([video(kind, seed) for seed in range(10) for kind in (0, 1, 2)], llm)
    words = {name: word_tokens([llm.embed(f" {name}")]) for name in ("normal", "fall", "fight")}
    for kind, name in enumerate(words):
        unseen = video(kind, 99, snippets=9)
        tokens = projector(unseen.features, unseen.logits)[:VIDEO_TOKENS]
        nearest = min(words, key=lambda other: float((tokens - words[other]).norm()))
        assert nearest == name


def test_the_loss_is_the_library_s_own_over_the_answer_alone(tiny_llama):
    """Two answers of unequal length in one padded batch, beside transformers' loss of each with the prompt masked out."""
    llm = Llm(str(tiny_llama))
    requests, answers = [Request(), Request(facts="Length: 00:09")], ["Yes, the video shows a fall.", "No."]
    ours = answer_loss(llm, [llm.prompt(one) for one in requests], answers)
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_llama), AutoModelForCausalLM.from_pretrained(tiny_llama)
    losses, counts = [], []
    for request, answer in zip(requests, answers, strict=True):
        prompt = tokenizer(paper_prompt(request)[1]).input_ids
        said = [*tokenizer(f" {answer}").input_ids, tokenizer.eos_token_id]
        ids = torch.tensor([prompt + said])
        labels = torch.tensor([[-100] * len(prompt) + said])
        losses.append(model(ids, labels=labels).loss * len(said))
        counts.append(len(said))
    assert ours.item() == pytest.approx((sum(losses) / sum(counts)).item(), rel=1e-4)


def test_gradients_reach_the_projector_and_not_the_language_model(tiny_llama):
    llm, one = Llm(str(tiny_llama)), video(1, 0)
    projector = new_projector([video(kind, seed) for seed in range(3) for kind in (0, 1, 2)], llm)
    prompt = llm.prompt(Request(tokens=projector(one.features, one.logits)))
    answer_loss(llm, [prompt], ["Yes."]).backward()
    for parameter in (projector.map.weight, projector.learned, projector.sharpness):
        assert parameter.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in llm.model.parameters())


def test_answers_say_what_the_labels_say_and_no_more():
    one, chance = video(1, 0), random.Random(0)
    shown = hidden = alone = 0
    for _ in range(200):
        request, answer, seen = draw(one, NAMES, chance)
        if request.facts is None:
            alone += 1
            assert seen and "fall" in answer and "fight" not in answer and ":0" not in answer
        elif seen:
            shown += 1
            assert "fall" in request.facts and "fight" not in request.facts and "fall" in answer
        else:
            hidden += 1
    assert min(alone, shown, hidden) > 20


def test_made_up_detections_follow_one_another():
    for seed in range(50):
        facts = made_up(NAMES, random.Random(seed))
        edges = [edge for event in facts.events for edge in (event.start_s, event.end_s)]
        assert edges == sorted(edges) and all(edge <= facts.duration_s for edge in edges)
