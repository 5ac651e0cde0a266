"""Words in place of the classes of the training: CLIP's text tower reads any."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from aadc.extract.clip_model import Clip, load_clip
from aadc.head.checkpoint import LoadedHead
from aadc.head.prompts import PromptEncoder
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError


def load_tower(made_with: Mapping[str, str], clip: str | None) -> Clip:
    """The CLIP that features or a head were made with, for its text side.

    Args:
        made_with: its `source` then and the hash of its `weights`.
        clip: where it is now; None for where it was.
    Raises:
        UserError: it is not there, or it is another one.
    """
    try:
        tower = load_clip(clip or made_with["source"])
    except UserError as error:
        if clip is not None:
            raise
        raise UserError(f"words need the text tower of the CLIP the features were made with: {error}") from error
    if tower.weights != made_with["weights"]:
        raise UserError(
            f"{tower.source}: its weights {tower.weights[:8]} are not those the features were made with, {made_with['source']} "
            f"{made_with['weights'][:8]}; give that one with --clip"
        )
    return tower


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
