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


def video_losses(
    output: HeadOutput, valid_BT: Tensor, abnormal_B: Tensor, labels_BC: Tensor, config: HeadConfig
) -> VideoLosses:
    """Both losses of every video of a batch.

    The video's score is the mean of its K highest logits under one sigmoid (eq. 7, 8): two sigmoids in a row, as the
    paper's text literally has it, squeeze it into [0.5, 0.73] and flatten the loss.

    Args:
        abnormal_B: 1.0 where any label of the video is abnormal.
        labels_BC: 1.0 where the video has the class.
    """
    anomaly_B, classes_BC = video_logits(output, valid_BT, config)
    bce_B = functional.binary_cross_entropy_with_logits(anomaly_B, abnormal_B, reduction="none")
    return VideoLosses(bce_B, align_loss(classes_BC, labels_BC), anomaly_B, classes_BC)
