"""A head beside CLIP's own judgement, for classes that it was not trained on."""

from collections.abc import Sequence

from torch import Tensor, nn

from aadc.head.fusion import Fusion
from aadc.head.mil_align import TAU, cosine
from aadc.head.model import AnomalyHead, HeadOutput, Rows
from aadc.head.window import Window


class BesideClip(nn.Module):
    """A head whose class logits are added to those of CLIP, which never saw its training: the product of both judgements.

    Training bends the head's embedding towards its own classes, so of others it knows less than CLIP did before. Both
    sides have one temperature: CLIP's own (14 to 20 in the miniature, 100 in published ones) would outvote the head seven to
    one on real weights, for classes that it was trained on, too. Anomaly scores stay the head's.

    Args:
        head: its texts are those of the new classes.
        text_CD: CLIP's texts of the same classes, without learned contexts.
    """

    clip_text: Tensor

    def __init__(self, head: AnomalyHead, text_CD: Tensor):
        super().__init__()
        self.head = head
        self.register_buffer("clip_text", text_CD)

    @property
    def pooling(self) -> str:
        return self.head.pooling

    @property
    def fusion(self) -> Fusion:
        return self.head.fusion

    @property
    def classes(self) -> Sequence[str]:
        return self.head.classes

    @property
    def text_features(self) -> Tensor:
        return self.head.text_features

    def forward(self, detr_BTD: Tensor, vis_BTC: Tensor, valid_BT: Tensor, *, window: Window | None = None) -> HeadOutput:
        """As `AnomalyHead`."""
        return self.answer(self.rows(detr_BTD, vis_BTC, valid_BT), valid_BT, window)

    def rows(self, detr_BTD: Tensor, vis_BTC: Tensor, valid_BT: Tensor) -> Rows:
        """As `AnomalyHead`. CLIP judges the mean of a frame's things; a cosine does not ask for its length."""
        mean_BTC = vis_BTC.sum(2) if self.pooling == "attention" else vis_BTC
        return self.head.rows(detr_BTD, vis_BTC, valid_BT)._replace(own_BTC=cosine(mean_BTC, self.clip_text) / TAU)

    def answer(
        self, rows: Rows, valid_BT: Tensor, window: Window | None, first: int = 0, last: int | None = None
    ) -> HeadOutput:
        """As `AnomalyHead`."""
        return self.head.answer(rows, valid_BT, window, first, last)
