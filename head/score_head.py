"""Frame scores (paper III-C, eq. 4): S_a = sigmoid(FC(FFN(F)))."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aadc.head.fusion import Standardise
from aadc.head.mil_align import TAU


class ScoreHead(nn.Module):
    """One hidden layer (FFN), one output (FC). Gives logits; the sigmoid comes after the mean over the K highest (eq. 7),
    once.

    Which snippets of an abnormal video are the abnormal ones is for the score to find out, and the K it ranks highest at
    the start are those it learns from. So it starts from what CLIP knows: the first hidden units compare a frame with the
    words of the classes, and the output counts those of abnormal classes for and those of normal ones against.
    """

    def __init__(self, width: int, classes: int, dropout: float):
        super().__init__()
        self.ffn = nn.Sequential(nn.Linear(width, max(width // 4, classes)), nn.GELU(), nn.Dropout(dropout))
        self.fc = nn.Linear(max(width // 4, classes), 1)

    @torch.no_grad()
    def start_from(self, text_CD: Tensor, abnormal_C: Sequence[bool], units: Standardise) -> None:
        """Begin as CLIP's own judgement: unit i says by how much class i is more similar to a frame than the classes are on
        average, over tau.

        Args:
            text_CD: class texts.
            units: those of the features F, which are not CLIP's.
        """
        text_CD = nn.functional.normalize(text_CD, dim=-1)
        text_CD = text_CD - text_CD.mean(0)
        length = (units.mean.square() + units.deviation.square()).sum().sqrt()  # of a typical embedding
        hidden, count = self.ffn[0], len(text_CD)
        assert isinstance(hidden, nn.Linear)  # the FFN's only layer
        hidden.weight[:count] = text_CD * units.deviation / (TAU * length)
        hidden.bias[:count] = text_CD @ units.mean / (TAU * length)
        self.fc.weight.zero_()
        self.fc.weight[0, :count] = torch.tensor([1.0 if abnormal else -1.0 for abnormal in abnormal_C])
        self.fc.bias.zero_()

    def forward(self, f_BTD: Tensor) -> Tensor:
        """Logits (B, T) of features (B, T, D)."""
        return self.fc(self.ffn(f_BTD)).squeeze(-1)
