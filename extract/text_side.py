"""Which CLIPs' text towers take learnable prompts (paper III-D); the others serve by their embeddings of whole sentences."""

from typing import TYPE_CHECKING

from aadc.manifests.errors import UserError

if TYPE_CHECKING:
    import open_clip


def text_side(
    model: "open_clip.CLIP | open_clip.CustomTextCLIP", source: str
) -> tuple["open_clip.CLIP | open_clip.TextTransformer", str]:
    """The module that holds the text side, and where its feature is read: `argmax` and `eos` at the end token, `last`.

    Raises:
        UserError: the text tower is of another kind (a whole HuggingFace model, CoCa's, one that masks its padding).
    """
    tower = getattr(model, "text", model)
    pool = getattr(model, "text_pool_type", None) or getattr(tower, "pool_type", None)
    plain = hasattr(tower, "token_embedding") and getattr(tower, "cls_emb", None) is None
    if not plain or getattr(tower, "use_pad_mask", False) or pool not in ("argmax", "eos", "last"):
        raise UserError(f"{source}: its text tower takes no learnable prompts; use --set class_vectors=texts")
    return tower, pool


def takes_prompts(model: "open_clip.CLIP | open_clip.CustomTextCLIP") -> bool:
    """Whether `text_side` finds one."""
    try:
        text_side(model, "")
    except UserError:
        return False
    return True
