"""Multi-scale temporal network (paper III-C, eq. 1-3; the authors took the block from RTFM).

Shapes: B videos, T snippets, D width. Padded rows are zero on entry; no valid row ever sees them.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from aadc.head.window import Window

DILATIONS = (1, 2, 4)
_BLOCK = 256  # snippets whose windows are looked at together


class PyramidConvolution(nn.Module):
    """PDC (eq. 1): three convolutions along time, kernel 3, dilation 1, 2 and 4, each D -> D/4, same length.

    ReLU and a norm over channels follow, frame by frame, so that neither padding nor other videos take part in it.
    """

    def __init__(self, width: int):
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(width, width // 4, 3, dilation=d) for d in DILATIONS)
        self.norms = nn.ModuleList(nn.LayerNorm(width // 4) for _ in DILATIONS)

    def forward(self, x_BTD: Tensor, window: Window | None = None) -> Tensor:
        """The three scales side by side, (B, T, 3 D/4). Taps that lie outside the window see zeros, as they do at the ends."""
        # One matrix product for all nine taps, shifted afterwards: three times as fast on a CPU as three convolutions.
        convolutions = cast("list[nn.Conv1d]", list(self.convolutions))
        taps = torch.cat([tap for conv in convolutions for tap in conv.weight.unbind(-1)])
        before, here, after = 0, 1, 2
        scales = []
        y_BTD = functional.linear(x_BTD, taps).chunk(3 * len(DILATIONS), dim=-1)
        for scale, (conv, norm) in enumerate(zip(convolutions, self.norms, strict=True)):
            assert conv.bias is not None  # as it is made above
            d, y = conv.dilation[0], y_BTD[3 * scale : 3 * scale + 3]
            total = y[here] + conv.bias
            if window is None or d <= window.behind:
                total = total + later(y[before], d)
            if window is None or d <= window.ahead:
                total = total + later(y[after], -d)
            scales.append(norm(functional.relu(total)))
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

    def forward(self, x_BTD: Tensor, valid_BT: Tensor, window: Window | None = None) -> Tensor:
        """(B, T, D/4)."""
        return self.answer(self.parts(x_BTD), valid_BT, window, 0, x_BTD.shape[1])

    def parts(self, x_BTD: Tensor) -> Tensor:
        """What each snippet gives by itself: X_c, X_c1, X_c2, X_c3 side by side, (B, T, 4 D/4)."""
        x_c = self.reduce(x_BTD)
        return torch.cat([x_c, self.project(x_c)], dim=-1)

    def answer(self, parts_BTP: Tensor, valid_BT: Tensor, window: Window | None, first: int, last: int) -> Tensor:
        """X_TSA of snippets `first` to `last` (not included), from the parts of all of them."""
        x_c, one, two, three = parts_BTP.chunk(4, dim=-1)
        if window is None:
            share_BT = valid_BT / valid_BT.sum(1, keepdim=True)
            mixed = one[:, first:last] @ ((two * share_BT[..., None]).transpose(1, 2) @ three)
        else:
            blocks = ((start, min(start + _BLOCK, last)) for start in range(first, last, _BLOCK))
            mixed = torch.cat([_mixed(one, two, three, valid_BT, window, *block) for block in blocks], dim=1)
        return self.out(mixed) + x_c[:, first:last]


def _mixed(one: Tensor, two: Tensor, three: Tensor, valid_BT: Tensor, window: Window, first: int, last: int) -> Tensor:
    """M X_c3 of snippets `first` to `last`, each with the M of its own window: a band of the T x T matrix."""
    low, high = max(0, first - window.behind), min(one.shape[1], last + window.ahead)
    snippet_S = torch.arange(first, last, device=one.device)[:, None]
    other_K = torch.arange(low, high, device=one.device)
    inside_SK = (other_K >= snippet_S - window.behind) & (other_K <= snippet_S + window.ahead)
    seen_BSK = inside_SK & valid_BT[:, None, low:high]
    band_BSK = (one[:, first:last] @ two[:, low:high].transpose(1, 2)) * seen_BSK
    return band_BSK @ three[:, low:high] / seen_BSK.sum(-1, keepdim=True).clamp(min=1)


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

    def forward(self, x_BTD: Tensor, valid_BT: Tensor, window: Window | None = None) -> Tensor:
        """F (B, T, D) from X (B, T, D) whose padded rows are zero; padded rows of F mean nothing. Without a window every
        snippet sees the whole video."""
        return self.answer(x_BTD, self.attention.parts(x_BTD), valid_BT, window, 0, x_BTD.shape[1])

    def answer(
        self, x_BTD: Tensor, parts_BTP: Tensor, valid_BT: Tensor, window: Window | None, first: int, last: int
    ) -> Tensor:
        """F of snippets `first` to `last` (not included); `parts` are `TemporalSelfAttention.parts` of X."""
        low, high = max(0, first - max(DILATIONS)), min(x_BTD.shape[1], last + max(DILATIONS))
        pyramid = self.pyramid(x_BTD[:, low:high], window)[:, first - low : last - low]
        attention = self.attention.answer(parts_BTP, valid_BT, window, first, last)
        return self.fuse(torch.cat([pyramid, self.norm(attention)], dim=-1)) + x_BTD[:, first:last]
