"""What is said of a video as a whole (eq. 7, 9, 10), in one place for training, validation and evaluation."""

# ruff: noqa: N815  shape suffixes name the fields too
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aadc.head.config import HeadConfig
from aadc.head.mil_align import align_logits, top_k_mean
from aadc.head.model import HeadOutput


class VideoLogits(NamedTuple):
    """`anomaly_B` before its one sigmoid (eq. 7), `classes_BC` before their softmax (eq. 9), both float."""

    anomaly_B: Tensor
    classes_BC: Tensor


class VideoScore(NamedTuple):
    """Of one video: `anomaly_logit`, the mean of its K highest (eq. 7), and `classes` float32 (C,), its distribution over the
    classes (eq. 10)."""

    anomaly_logit: float
    classes: np.ndarray

    @property
    def anomaly(self) -> float:
        """In [0, 1]: after the one sigmoid."""
        return 1 / (1 + math.exp(-max(self.anomaly_logit, -700.0)))


def video_logits(output: HeadOutput, valid_BT: Tensor, config: HeadConfig) -> VideoLogits:
    """The K highest snippets speak for their video: the mean of the K highest anomaly logits, and per class gamma times the
    mean of the K highest similarities over tau. K is capped by the video's length.

    With `fuse_confidence` (III-B) half of that similarity is another one: that of a single feature of the whole video, the mean
    of its snippets' features (of length 1) weighed with their anomaly scores. The class loss does not reach into the weights.
    """
    k = config.k
    anomaly_B = top_k_mean(output.logits_BT, valid_BT, k)
    classes_BC = align_logits(output.class_logits_BTC, valid_BT, k, config.gamma)
    if config.fuse_confidence:
        confidence_BT = output.logits_BT.detach().masked_fill(~valid_BT, -torch.inf).sigmoid()
        share_BT = confidence_BT / confidence_BT.sum(1, keepdim=True).clamp(min=1e-12)
        # The inner product with a text is linear, so the mean of the similarities is the similarity of the mean.
        class_logits_BTC = output.class_logits_BTC.masked_fill(~valid_BT[..., None], 0)
        fused_BC = config.gamma * (share_BT[..., None] * class_logits_BTC).sum(1)
        classes_BC = (classes_BC + fused_BC) / 2
    return VideoLogits(anomaly_B, classes_BC)


def video_score(output: HeadOutput, config: HeadConfig) -> VideoScore:
    """The same for one video (B = 1), as evaluation keeps it."""
    all_BT = torch.ones_like(output.logits_BT, dtype=torch.bool)
    anomaly_B, classes_BC = video_logits(output, all_BT, config)
    return VideoScore(float(anomaly_B[0]), classes_BC[0].softmax(-1).cpu().numpy())
