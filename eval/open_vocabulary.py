"""Words in place of the classes of the training: the learned prompts around any words, and CLIP's own judgement beside."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from aadc.extract.clip_model import Clip
from aadc.head.checkpoint import LoadedHead
from aadc.head.fusion import Fusion
from aadc.head.mil_align import cosine
from aadc.head.model import AnomalyHead, HeadOutput
from aadc.head.prompts import PromptEncoder
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError


class BesideClip(nn.Module):
    """A head whose class logits are added to those of CLIP, which never saw its training: the product of both judgements.

    Training bends the head's embedding towards its own classes, so of others it knows less than CLIP did before. Each side
    keeps its own temperature. Anomaly scores stay the head's.

    Args:
        head: its texts are those of the new classes.
        text_CD: CLIP's texts of the same classes, without learned contexts.
        scale: what CLIP multiplies a cosine with.
    """

    def __init__(self, head: AnomalyHead, text_CD: Tensor, scale: float):
        super().__init__()
        self.head, self.scale = head, scale
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

    def forward(self, detr_BTD: Tensor, vis_BTC: Tensor, valid_BT: Tensor) -> HeadOutput:
        """As `AnomalyHead`. CLIP judges the mean of a frame's things; a cosine does not ask for its length."""
        output = self.head(detr_BTD, vis_BTC, valid_BT)
        mean_BTC = vis_BTC.sum(2) if self.pooling == "attention" else vis_BTC
        own_BTC = self.scale * cosine(mean_BTC, self.clip_text)
        return output._replace(class_logits_BTC=output.class_logits_BTC + own_BTC)


@torch.inference_mode()
def score_against(head: LoadedHead, card: Card, tower: Clip, device: str) -> LoadedHead:
    """A head like this one, its learned prompts around the words of other classes; beside CLIP if it was not trained on all of
    them. The head that was given stays as it is.

    Raises:
        UserError: the card has no abnormal class, or a prompt that the tower cannot read.
    """
    if not any(entry.kind == "abnormal" for entry in card.classes):
        raise UserError(f"{card.title}: none of its classes is abnormal, so no span could have a category; add one")
    prompts = PromptEncoder(tower, card.prompts, head.config.n_ctx, device)
    model = copy.deepcopy(head.model)
    model.set_classes(card.names, prompts(model.contexts))
    if set(card.prompts) <= set(head.card.prompts):
        return replace(head, card=card, model=model)
    plain_CD = PromptEncoder(tower, card.prompts, 0, device)(model.contexts[:, :0])
    return replace(head, card=card, model=BesideClip(model, plain_CD, float(tower.model.logit_scale.exp())))
