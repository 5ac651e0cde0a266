"""Which CLIPs can serve: those whose text tower takes learnable prompts (paper III-D)."""

from torch import nn

from aadc.manifests.errors import UserError


def text_side(model: nn.Module, source: str) -> tuple[nn.Module, str]:
    """The module that holds the text side, and where its feature is read: `argmax` and `eos` at the end token, `last`.

    Raises:
        UserError: the text tower is of another kind (a whole HuggingFace model, CoCa's, one that masks its padding).
    """
    tower = getattr(model, "text", model)
    pool = getattr(model, "text_pool_type", None) or getattr(tower, "pool_type", None)
    plain = hasattr(tower, "token_embedding") and getattr(tower, "cls_emb", None) is None
    if not plain or getattr(tower, "use_pad_mask", False) or pool not in ("argmax", "eos", "last"):
        raise UserError(f"{source}: its text tower takes no learnable prompts; extract with another CLIP (--clip)")
    return tower, pool
