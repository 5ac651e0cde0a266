"""Top-K, MIL-Align and the losses against plain Python that follows eq. 7 to 11."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aadc.head.config import HeadConfig
from aadc.head.losses import background_loss, video_losses
from aadc.head.mil_align import TAU, align_logits, align_loss, cosine, top_k_mean
from aadc.head.model import HeadOutput


@given(
    scores=st.lists(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=9), min_size=1, max_size=4),
    k=st.integers(1, 12),
    noise=st.floats(-1e6, 1e6, width=32),
)
@settings(deadline=None)
def test_top_k_mean_is_that_of_a_sorted_list(scores, k, noise):
    """For any lengths and k, also k > T, and whatever the padding holds."""
    longest = max(map(len, scores))
    padded = torch.tensor([row + [noise] * (longest - len(row)) for row in scores])
    valid = torch.arange(longest) < torch.tensor([len(row) for row in scores])[:, None]
    for row, mean in zip(scores, top_k_mean(padded, valid, k).tolist(), strict=True):
        highest = sorted(row, reverse=True)[:k]
        assert mean == pytest.approx(sum(highest) / len(highest), rel=1e-5, abs=1e-4)


def test_top_k_mean_sends_gradient_to_the_k_highest_alone():
    scores = torch.tensor([[3.0, 1.0, 2.0, 9.0]], requires_grad=True)
    top_k_mean(scores, torch.tensor([[True, True, True, False]]), 2).sum().backward()
    assert scores.grad.tolist() == [[0.5, 0.0, 0.5, 0.0]]


def test_cosine_is_blind_to_lengths():
    similarity = cosine(torch.tensor([[[3.0, 4.0]]]), torch.tensor([[0.0, 7.0], [-1.0, 0.0], [0.3, 0.4]]))
    torch.testing.assert_close(similarity, torch.tensor([[[0.8, -0.6, 1.0]]]))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_mil_align_by_hand(gamma):
    """Eq. 9 and 10 in plain floats: two videos of 3 and 2 snippets, two classes, K = 2, the second video has both classes."""
    s = [[[0.2, 0.1], [0.4, 0.0], [0.3, 0.5]], [[0.1, 0.6], [0.3, 0.2], [9.0, 9.0]]]
    lengths, labels, k = [3, 2], [[1.0, 0.0], [1.0, 1.0]], 2
    expected = []
    for video, length, label in zip(s, lengths, labels, strict=True):
        mean = [sum(sorted((row[c] for row in video[:length]), reverse=True)[:k]) / k for c in range(2)]
        weight = [math.exp(gamma * m / 0.07) for m in mean]
        phi = [w / sum(weight) for w in weight]
        expected.append(-sum(y / sum(label) * math.log(p) for y, p in zip(label, phi, strict=True)))
    valid = torch.tensor([[True, True, True], [True, True, False]])
    found = align_loss(align_logits(torch.tensor(s) / TAU, valid, k, gamma), torch.tensor(labels))
    assert found.tolist() == pytest.approx(expected, rel=1e-4)


def test_one_sigmoid_on_the_mean_of_logits():
    """Eq. 7 and 8 by hand; two sigmoids in a row, or a mean of probabilities, would give other numbers."""
    logits = torch.tensor([[4.0, 2.0, -3.0], [-1.0, -2.0, 100.0]])
    valid = torch.tensor([[True, True, True], [True, True, False]])
    output = HeadOutput(logits, torch.zeros(2, 3, 2), torch.zeros(2, 3, 4))
    losses = video_losses(output, valid, torch.tensor([1.0, 0.0]), torch.eye(2), HeadConfig(k=2))
    assert losses.anomaly.tolist() == pytest.approx([3.0, -1.5])
    assert losses.bce.tolist() == pytest.approx([math.log1p(math.exp(-3)), math.log1p(math.exp(-1.5))], rel=1e-5)
    assert losses.nce.tolist() == pytest.approx([math.log(2)] * 2, rel=1e-5)
    assert losses.total(0.5).tolist() == pytest.approx([b + 0.5 * math.log(2) for b in losses.bce.tolist()], rel=1e-5)


def test_the_quiet_part_by_hand():
    """Two abnormal videos of 3 and 2 snippets and a normal one, 3 classes of which the second is the normal one."""
    a = [[2.0, -1.0, 0.5], [-3.0, 1.0, 99.0], [0.0, 0.0, 0.0]]
    z = [[[1.0, 2.0, 0.5], [0.3, -1.0, 2.0], [0.0, 0.4, 0.1]], [[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [50.0, -50.0, 9.0]]]
    z.append(z[0])
    lengths, gamma, weight = [3, 2, 3], 2.0, 0.7
    expected = []
    for scores, rows, length in zip(a, z, lengths, strict=True):
        quiet = [1 - 1 / (1 + math.exp(-one)) for one in scores[:length]]
        mean = [sum(q * row[c] for q, row in zip(quiet, rows, strict=False)) / sum(quiet) for c in range(3)]
        total = sum(math.exp(gamma * one) for one in mean)
        logs = [math.log(math.exp(gamma * one) / total) for one in mean]
        expected.append(-0.9 * logs[1] - 0.1 * sum(logs) / 3)
    logits, classes = torch.tensor(a, requires_grad=True), torch.tensor(z, requires_grad=True)
    valid = torch.arange(3) < torch.tensor(lengths)[:, None]
    output = HeadOutput(logits, classes, torch.zeros(3, 3, 4))
    found = background_loss(output, valid, 1, gamma)
    assert found.tolist() == pytest.approx(expected, rel=1e-5)

    abnormal, labels = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([[1.0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]])
    losses = {
        name: video_losses(output, valid, abnormal, labels, HeadConfig(gamma=gamma, **settings), normal).nce
        for name, settings, normal in (
            ("with", {"background": weight}, 1),
            ("several", {"background": weight}, None),
            ("paper", {"background": weight, "rule": "paper"}, 1),
            ("none", {"background": 0}, 1),
        )
    }
    assert torch.equal(losses["several"], losses["paper"]) and torch.equal(losses["several"], losses["none"])
    more = (losses["with"] - losses["none"]).tolist()
    assert more == pytest.approx([weight * expected[0], weight * expected[1], 0], rel=1e-4)
    found.sum().backward()
    assert logits.grad is None and classes.grad[~valid].eq(0).all() and classes.grad[valid].ne(0).any()
