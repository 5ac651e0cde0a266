"""Words in place of the classes of the training: the learned prompts around any words, and CLIP's own judgement beside."""

import copy
from dataclasses import replace

import torch

from aadc.extract.clip_model import Clip
from aadc.head.beside_clip import BesideClip
from aadc.head.checkpoint import LoadedHead
from aadc.head.class_vectors import FixedTexts, texts_of
from aadc.head.model import AnomalyHead
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError


@torch.inference_mode()
def score_against(head: LoadedHead, card: Card, tower: Clip, device: str) -> LoadedHead:
    """A head like this one, its learned prompts around the words of other classes; beside CLIP if it was not trained on all of
    them. Other words have no say in anomaly scores: those stay what the head says with its own classes. The head that was given
    stays as it is.

    Raises:
        UserError: the card has no abnormal class, or a prompt that the tower cannot read.
    """
    if not any(entry.kind == "abnormal" for entry in card.classes):
        raise UserError(f"{card.title}: none of its classes is abnormal, so no span could have a category; add one")
    prompts = texts_of(head.config, tower, card.prompts, device)
    head = replace(head, model=copy.deepcopy(head.model).to(device))
    model = copy.deepcopy(head.model)
    assert isinstance(model, AnomalyHead)  # as it was loaded: what comes out here is not to be put in again
    model.set_classes(card.names, prompts(model.contexts))
    trained, asked = ({(entry.prompt, entry.kind) for entry in one.classes} for one in (head.card, card))
    if trained == asked:
        return replace(head, card=card, model=model)
    if set(card.prompts) <= set(head.card.prompts):
        return replace(head, card=card, model=model, trained=head)
    plain_CD = FixedTexts(tower, card.prompts, device)(model.contexts)
    return replace(head, card=card, model=BesideClip(model, plain_CD), trained=head)
