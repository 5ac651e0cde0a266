"""What is said of a video as a whole (eq. 7, 9, 10), in one place for training, validation and evaluation."""

# ruff: noqa: N815  shape suffixes name the fields too
from typing import NamedTuple

import numpy as np
from torch import Tensor

from aadc.head.config import HeadConfig
from aadc.head.mil_align import align_logits, top_k_mean
from aadc.head.model import HeadOutput


class VideoLogits(NamedTuple):
    """`anomaly_B` before its one sigmoid (eq. 7), `classes_BC` before their softmax (eq. 9), both float."""

    anomaly_B: Tensor
    classes_BC: Tensor


class VideoScore(NamedTuple):
    """Of one video: `anomaly` in [0, 1] (eq. 7), `classes` float32 (C,), its distribution over the classes (eq. 10)."""

    anomaly: float
    classes: np.ndarray


def video_logits(output: HeadOutput, valid_BT: Tensor, config: HeadConfig) -> VideoLogits:
    """The K highest snippets speak for their video: the mean of the K highest anomaly logits, and per class gamma times the
    mean of the K highest similarities over tau. K is capped by the video's length."""
    k = config.k
    return VideoLogits(
        top_k_mean(output.logits_BT, valid_BT, k), align_logits(output.class_logits_BTC, valid_BT, k, config.gamma)
    )


def video_score(output: HeadOutput, valid_BT: Tensor, config: HeadConfig) -> VideoScore:
    """The same for one video (B = 1), as evaluation keeps it."""
    anomaly_B, classes_BC = video_logits(output, valid_BT, config)
    return VideoScore(float(anomaly_B[0].sigmoid()), classes_BC[0].softmax(-1).cpu().numpy())
