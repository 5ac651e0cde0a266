"""Multi-scale temporal network (paper III-C, eq. 1-3; the authors took the block from RTFM).

Shapes: B videos, T snippets, D width. Padded rows are zero on entry; no valid row ever sees them.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

DILATIONS = (1, 2, 4)


class PyramidConvolution(nn.Module):
    """PDC (eq. 1): three convolutions along time, kernel 3, dilation 1, 2 and 4, each D -> D/4, same length.

    ReLU and a norm over channels follow, frame by frame, so that neither padding nor other videos take part in it.
    """

    def __init__(self, width: int):
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(width, width // 4, 3, dilation=d) for d in DILATIONS)
        self.norms = nn.ModuleList(nn.LayerNorm(width // 4) for _ in DILATIONS)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """The three scales side by side, (B, T, 3 D/4)."""
        # One matrix product for all nine taps, shifted afterwards: three times as fast on a CPU as three convolutions.
        convolutions = cast("list[nn.Conv1d]", list(self.convolutions))
        taps = torch.cat([tap for conv in convolutions for tap in conv.weight.unbind(-1)])
        before, here, after = 0, 1, 2
        scales = []
        y_BTD = functional.linear(x_BTD, taps).chunk(3 * len(DILATIONS), dim=-1)
        for scale, (conv, norm) in enumerate(zip(convolutions, self.norms, strict=True)):
            assert conv.bias is not None  # as it is made above
            d, y = conv.dilation[0], y_BTD[3 * scale : 3 * scale + 3]
            scales.append(norm(functional.relu(later(y[before], d) + y[here] + later(y[after], -d) + conv.bias)))
        return torch.cat(scales, dim=-1)


def later(y_BTD: Tensor, rows: int) -> Tensor:
    """`y` moved by so many rows along time (negative: earlier), zeros moving in."""
    if abs(rows) >= y_BTD.shape[1]:
        return torch.zeros_like(y_BTD)
    if rows > 0:
        return functional.pad(y_BTD[:, :-rows], (0, 0, rows, 0))
    return functional.pad(y_BTD[:, -rows:], (0, 0, 0, -rows))


class TemporalSelfAttention(nn.Module):
    """TSA (eq. 2): X_c = Conv1x1(X), D -> D/4; M = X_c1 X_c2^T; X_TSA = Conv1x1(M X_c3) + X_c.

    M is scaled by one over the video's snippets. It has no softmax, so M X_c3 = X_c1 (X_c2^T X_c3) is exact and the
    T x T matrix is never built: memory stays linear in T.
    """

    def __init__(self, width: int):
        super().__init__()
        self.reduce = nn.Linear(width, width // 4)
        self.project = nn.Linear(width // 4, 3 * (width // 4))
        self.out = nn.Linear(width // 4, width // 4)

    def forward(self, x_BTD: Tensor, valid_BT: Tensor) -> Tensor:
        """(B, T, D/4)."""
        x_c = self.reduce(x_BTD)
        one, two, three = self.project(x_c).chunk(3, dim=-1)
        share_BT = valid_BT / valid_BT.sum(1, keepdim=True)
        mixed_BDD = (two * share_BT[..., None]).transpose(1, 2) @ three
        return self.out(one @ mixed_BDD) + x_c


class TemporalNetwork(nn.Module):
    """MTN (eq. 3): X' = [PDC1, PDC2, PDC3, TSA] along channels; F = fuse(X') + X.

    `fuse` is a 1x1 convolution that starts at zero: an untrained network passes X through.
    """

    def __init__(self, width: int):
        super().__init__()
        self.pyramid = PyramidConvolution(width)
        self.attention = TemporalSelfAttention(width)
        self.norm = nn.LayerNorm(width // 4)
        self.fuse = nn.Linear(4 * (width // 4), width)
        nn.init.zeros_(self.fuse.weight)
        nn.init.zeros_(self.fuse.bias)

    def forward(self, x_BTD: Tensor, valid_BT: Tensor) -> Tensor:
        """F (B, T, D) from X (B, T, D) whose padded rows are zero; padded rows of F mean nothing."""
        scales = torch.cat([self.pyramid(x_BTD), self.norm(self.attention(x_BTD, valid_BT))], dim=-1)
        return self.fuse(scales) + x_BTD
