"""AADC-Net's head as one module: fusion -> MTN -> frame scores, and similarities to the words of the classes.

Shapes: B videos, T snippets, D detector width, C CLIP width in `fusion`, elsewhere the number of classes.
"""

# ruff: noqa: N815  shape suffixes name the fields too
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aadc.head.config import HeadConfig
from aadc.head.fusion import Fusion
from aadc.head.mil_align import TAU, cosine
from aadc.head.mtn import TemporalNetwork
from aadc.head.score_head import ScoreHead
from aadc.head.window import Window


class HeadOutput(NamedTuple):
    """`logits_BT`: anomaly, before the sigmoid; `class_logits_BTC`: cosine to each class's text / tau; `f_BTD`: the frame
    features both come from (F of eq. 3). Padded rows mean nothing."""

    logits_BT: Tensor
    class_logits_BTC: Tensor
    f_BTD: Tensor


class Rows(NamedTuple):
    """What is known of each snippet before any of them looks at another: `x_BTD` (eq. 6), `parts_BTP` (what TSA makes of it,
    eq. 2; of width 0 without the temporal network), `own_BTC`: class logits that come on top of the head's (zeros)."""

    x_BTD: Tensor
    parts_BTP: Tensor
    own_BTC: Tensor


class AnomalyHead(nn.Module):
    """All that is trained, with the text features of its classes beside, so that scoring needs no CLIP.

    Args:
        width: of CLIP's embeddings.
        detr_width: of the detector's features.
        text_width: of the text tower's token embeddings, which the contexts (III-D) are made of. Free class vectors have none:
            then `contexts` holds the vectors themselves (see `class_vectors`).
        classes: names; `text_features` (C, width) has their texts in this order.
    """

    text_features: Tensor

    def __init__(self, config: HeadConfig, width: int, detr_width: int, text_width: int, classes: Sequence[str]):
        super().__init__()
        self.pooling = config.pooling
        self.without_words = config.class_vectors == "free"
        self.fusion = Fusion(width, detr_width if config.use_detr else None, config.pooling)
        self.mtn = TemporalNetwork(width) if config.use_mtn else None
        self.score = ScoreHead(width, len(classes), config.dropout)
        learned = (1, len(classes), width) if config.class_vectors == "free" else (2, config.n_ctx, text_width)
        self.contexts = nn.Parameter(torch.zeros(learned))
        self.classes = list(classes)
        self.register_buffer("text_features", torch.zeros(len(classes), width))

    def set_classes(self, classes: Sequence[str], text_CD: Tensor) -> None:
        """Score against these classes from now on; `aadc.head.prompts` makes their texts."""
        self.classes = list(classes)
        self.text_features = text_CD.detach().to(self.text_features)

    def forward(
        self,
        detr_BTD: Tensor,
        vis_BTC: Tensor,
        valid_BT: Tensor,
        text_CD: Tensor | None = None,
        window: Window | None = None,
    ) -> HeadOutput:
        """Scores of every snippet.

        Args:
            detr_BTD: float32 detector features; not looked at without `use_detr`.
            vis_BTC: float32, as `fusion.visual_features` gives it.
            valid_BT: bool, False where a video is padded; what padded rows hold changes nothing.
            text_CD: class texts in place of the kept ones; training gives them, they carry the gradient of the contexts.
            window: what a snippet sees of the video; None: all of it.
        """
        return self.answer(self.rows(detr_BTD, vis_BTC, valid_BT), valid_BT, window, text_CD=text_CD)

    def rows(self, detr_BTD: Tensor, vis_BTC: Tensor, valid_BT: Tensor) -> Rows:
        """What is computed of each snippet alone."""
        x_BTD = self.fusion(detr_BTD, vis_BTC, valid_BT)
        parts = x_BTD[..., :0] if self.mtn is None else self.mtn.attention.parts(x_BTD)
        return Rows(x_BTD, parts, x_BTD.new_zeros(*x_BTD.shape[:2], 1))

    def answer(
        self,
        rows: Rows,
        valid_BT: Tensor,
        window: Window | None,
        first: int = 0,
        last: int | None = None,
        text_CD: Tensor | None = None,
    ) -> HeadOutput:
        """Scores of snippets `first` to `last` (not included; None: to the end) among their neighbours."""
        last = rows.x_BTD.shape[1] if last is None else last
        f_BTD = (
            rows.x_BTD[:, first:last]
            if self.mtn is None
            else self.mtn.answer(rows.x_BTD, rows.parts_BTP, valid_BT, window, first, last)
        )
        text_CD = self.text_features if text_CD is None else text_CD
        # What no text tower has placed is told by how it departs from the mean: features of I3D all point much the same way.
        pair = (f_BTD, self.fusion.vis(text_CD)) if self.without_words else (self.fusion.vis.undo(f_BTD), text_CD)
        similarity_BTC = cosine(*pair)
        return HeadOutput(self.score(f_BTD), similarity_BTC / TAU + rows.own_BTC[:, first:last], f_BTD)
