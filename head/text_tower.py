"""The CLIP that features were made with, found again for its text side."""

from collections.abc import Mapping

from aadc.extract.clip_model import Clip, load_clip
from aadc.manifests.errors import UserError


def load_tower(made_with: Mapping[str, str], clip: str | None) -> Clip:
    """The CLIP that features or a head were made with, for its text side: its larger half, that of pictures, is let go.

    Args:
        made_with: its `source` then and the hash of its `weights`; the hash is empty for imported features, of which only the
            name of their CLIP is known.
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
    if made_with["weights"] and tower.weights != made_with["weights"]:
        raise UserError(
            f"{tower.source}: its weights {tower.weights[:8]} are not those the features were made with, {made_with['source']} "
            f"{made_with['weights'][:8]}; give that one with --clip"
        )
    del tower.model.visual
    return tower
