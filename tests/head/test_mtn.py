"""The temporal network against slow loops that follow the equations letter by letter."""

import pytest
import torch
from torch.nn import functional

from aadc.head.mtn import PyramidConvolution, TemporalNetwork, TemporalSelfAttention, later

WIDTH = 16


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def trained(module):
    """Random weights everywhere: what starts at zero would hide mistakes."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module.eval()


@pytest.mark.parametrize("snippets", [1, 2, 3, 4, 5, 9, 40])
def test_pyramid_is_three_dilated_convolutions(snippets):
    """Eq. 1, against torch's own convolution, for lengths below and above every dilation."""
    pyramid, x_BTD = trained(PyramidConvolution(WIDTH)), torch.randn(3, snippets, WIDTH)
    expected = []
    for dilation, conv, norm in zip((1, 2, 4), pyramid.convolutions, pyramid.norms, strict=True):
        y_BDT = functional.conv1d(x_BTD.transpose(1, 2), conv.weight, conv.bias, padding=dilation, dilation=dilation)
        expected.append(norm(y_BDT.clamp(min=0).transpose(1, 2)))
    torch.testing.assert_close(pyramid(x_BTD), torch.cat(expected, dim=-1), rtol=1e-4, atol=1e-4)


def test_later_moves_rows_and_lets_zeros_in():
    y = torch.arange(1.0, 5).view(1, 4, 1)
    assert later(y, 1).flatten().tolist() == [0, 1, 2, 3]
    assert later(y, -3).flatten().tolist() == [4, 0, 0, 0]
    assert later(y, 4).flatten().tolist() == later(y, -9).flatten().tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("valid", [[7, 7], [7, 3], [1, 5]])
def test_attention_is_the_paper_s_matrix_product(valid):
    """Eq. 2 with the T x T matrix M built entry by entry, video by video, without any padding."""
    attention, x_BTD = trained(TemporalSelfAttention(WIDTH)), torch.randn(2, 7, WIDTH)
    valid_BT = torch.arange(7) < torch.tensor(valid)[:, None]
    result = attention(x_BTD, valid_BT)
    for video, rows in enumerate(valid):
        x_c = [attention.reduce(x) for x in x_BTD[video, :rows]]
        one, two, three = zip(*[attention.project(x).chunk(3) for x in x_c], strict=True)
        for t in range(rows):
            mixed = sum((one[t] @ two[u]) / rows * three[u] for u in range(rows))
            torch.testing.assert_close(result[video, t], attention.out(mixed) + x_c[t], rtol=1e-4, atol=1e-4)


def test_network_adds_its_four_scales_to_its_input():
    """Eq. 3: concatenation in the paper's order, fused, plus X."""
    network, x_BTD, valid_BT = trained(TemporalNetwork(WIDTH)), torch.randn(2, 6, WIDTH), torch.ones(2, 6, dtype=torch.bool)
    tsa = network.norm(network.attention(x_BTD, valid_BT))
    together = torch.cat([network.pyramid(x_BTD), tsa], dim=-1)
    torch.testing.assert_close(network(x_BTD, valid_BT), network.fuse(together) + x_BTD)


def test_untrained_network_changes_nothing():
    x_BTD = torch.randn(2, 6, WIDTH)
    assert torch.equal(TemporalNetwork(WIDTH)(x_BTD, torch.ones(2, 6, dtype=torch.bool)), x_BTD)


def test_memory_is_linear_in_time():
    """A hundred thousand snippets: the T x T matrix alone would take 40 GB."""
    with torch.no_grad():
        x_BTD = torch.randn(1, 100_000, WIDTH)
        assert TemporalNetwork(WIDTH)(x_BTD, torch.ones(1, 100_000, dtype=torch.bool)).shape == x_BTD.shape
