"""A model that will only ever answer: moved, cast once, and rearranged for speed where that changes no answer."""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from aadc.extract.folding import fold_norms
from aadc.extract.packed import can_pack, pack

Model = TypeVar("Model", bound=nn.Module)


@torch.no_grad()
def frozen(model: nn.Module, device: str, dtype: torch.dtype) -> nn.Module:
    """An fp32 model in eval mode, changed in place: on `device`, in `dtype`, channels last."""
    fold_norms(model)
    if can_pack(device, dtype):
        pack(model, dtype)
    return moved(model, device, dtype)


def moved(model: Model, device: str, dtype: torch.dtype) -> Model:
    """The model itself, on `device`, in `dtype`, channels last."""
    placed: Any = model.to(device=device, dtype=dtype)  # torch before 2.14 has no type for the next line
    return placed.to(memory_format=torch.channels_last)


def same_answer(plain: Tensor, changed: Tensor, dtype: torch.dtype) -> bool:
    """Whether a rearranged model answers as the plain fp32 one did, but for rounding in `dtype`: floats of any one shape.

    Folding and packing go by how a model is built; only an answer shows that it is used in the same order.
    """
    plain, changed = plain.float().cpu(), changed.float().cpu()
    if plain.shape != changed.shape:
        return False
    error, size = (plain - changed).norm(), plain.norm()
    return bool(error <= (1e-3 if dtype == torch.float32 else 0.1) * size + 1e-6) or bool(plain.isnan().any())
