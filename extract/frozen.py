"""A model that will only ever answer: moved, cast once, and rearranged for speed where that changes no answer."""

import torch
from torch import nn

from aadc.extract.folding import fold_norms
from aadc.extract.packed import can_pack, pack


@torch.no_grad()
def frozen(model: nn.Module, device: str, dtype: torch.dtype) -> nn.Module:
    """An fp32 model in eval mode, changed in place: on `device`, in `dtype`, channels last."""
    fold_norms(model)
    if can_pack(device, dtype):
        pack(model, dtype)
    return model.to(device=device, dtype=dtype, memory_format=torch.channels_last)
