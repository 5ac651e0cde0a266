"""What training minimises (paper III-G): L = L_bce + lambda L_nce (eq. 11)."""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from aadc.head.config import HeadConfig
from aadc.head.mil_align import align_loss
from aadc.head.model import HeadOutput
from aadc.head.video_score import video_logits


class VideoLosses(NamedTuple):
    """One value a video, (B,): both losses, the video's anomaly logit, and its logits over the classes (B, C)."""

    bce: Tensor
    nce: Tensor
    anomaly: Tensor
    classes: Tensor

    def total(self, lambda_: float) -> Tensor:
        """Eq. 11, (B,)."""
        return self.bce + lambda_ * self.nce


_SMOOTHING = 0.1  # share of the background's target that is spread over all classes


def video_losses(
    output: HeadOutput,
    valid_BT: Tensor,
    abnormal_B: Tensor,
    labels_BC: Tensor,
    config: HeadConfig,
    normal: int | None = None,
) -> VideoLosses:
    """Both losses of every video of a batch.

    The video's score is the mean of its K highest logits under one sigmoid (eq. 7, 8): two sigmoids in a row, as the
    paper's text literally has it, squeeze it into [0.5, 0.73] and flatten the loss.

    Args:
        abnormal_B: 1.0 where any label of the video is abnormal.
        labels_BC: 1.0 where the video has the class.
        normal: place of the one normal class; None where there are several, whose labels abnormal videos have, too.
    """
    anomaly_B, classes_BC = video_logits(output, valid_BT, config)
    bce_B = functional.binary_cross_entropy_with_logits(anomaly_B, abnormal_B, reduction="none")
    nce_B = align_loss(classes_BC, labels_BC)
    if normal is not None and config.rule != "paper" and config.background:
        nce_B = nce_B + config.background * abnormal_B * background_loss(output, valid_BT, normal, config.gamma)
    return VideoLosses(bce_B, nce_B, anomaly_B, classes_BC)


def background_loss(output: HeadOutput, valid_BT: Tensor, normal: int, gamma: float) -> Tensor:
    """How unlike the normal class a video's quiet parts are, one value a video (B,).

    The cross-entropy, with a tenth of the target spread over all classes, of softmax(gamma z) against the normal class, where z
    is the mean of the snippets' class logits weighed with 1 - s, s being their anomaly scores (eq. 4), into which no
    gradient goes. Background to `Normal` is part of DSANet's alignment (arXiv 2511.10334).
    """
    quiet_BT = (1 - output.logits_BT.detach().sigmoid()).clamp(min=1e-6) * valid_BT
    share_BT = quiet_BT / quiet_BT.sum(1, keepdim=True)
    z_BTC = output.class_logits_BTC.masked_fill(~valid_BT[..., None], 0)
    log_BC = (gamma * (share_BT[..., None] * z_BTC).sum(1)).log_softmax(-1)
    return -((1 - _SMOOTHING) * log_BC[:, normal] + _SMOOTHING * log_BC.mean(-1))
