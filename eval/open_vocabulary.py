"""Words in place of the classes of the training: the learned prompts around any words."""

from dataclasses import replace

import torch

from aadc.extract.clip_model import Clip
from aadc.head.checkpoint import LoadedHead
from aadc.head.prompts import PromptEncoder
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError


@torch.inference_mode()
def score_against(head: LoadedHead, card: Card, tower: Clip, device: str) -> LoadedHead:
    """The same head, its learned prompts around the words of other classes.

    Raises:
        UserError: the card has no abnormal class, or a prompt that the tower cannot read.
    """
    if not any(entry.kind == "abnormal" for entry in card.classes):
        raise UserError(f"{card.title}: none of its classes is abnormal, so no span could have a category; add one")
    prompts = PromptEncoder(tower, card.prompts, head.config.n_ctx, device)
    head.model.set_classes(card.names, prompts(head.model.contexts))
    return replace(head, card=card)
