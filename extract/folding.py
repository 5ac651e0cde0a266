"""Frozen batch normalisation, folded into the convolution before it: the same function, two passes over every map fewer."""

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn


def fold_norms(model: nn.Module) -> None:
    """Fold every frozen normalisation of a model in eval mode into the convolution that stands right before it, in place.

    A pair is a convolution and a normalisation of its very channels, one after the other in the same module: the layout of
    every ResNet-like backbone. What the normalisation does to a channel is asked of itself (its answers to 0 and 1, in
    double precision), since each library has a class of its own for it.
    """
    for parent in list(model.modules()):
        for (_, conv), (name, norm) in pairwise(list(parent.named_children())):
            if type(conv) is nn.Conv2d and _normed_channels(norm) == conv.out_channels:
                _fold(conv, norm)
                setattr(parent, name, nn.Identity())


def _normed_channels(module: nn.Module) -> int | None:
    """Of a normalisation; None for a module of another kind."""
    # Subclasses of BatchNorm2d may do more than normalise (timm's apply an activation); transformers names its own this way.
    if type(module) is not nn.BatchNorm2d and not type(module).__name__.endswith("FrozenBatchNorm2d"):
        return None
    return module.weight.numel() if isinstance(module.weight, Tensor) else None


def _fold(conv: nn.Conv2d, norm: nn.Module) -> None:
    norm = copy.deepcopy(norm).double()
    zero = torch.zeros(1, conv.out_channels, 1, 1, dtype=torch.double, device=conv.weight.device)
    shift = norm(zero).flatten()
    scale = norm(zero + 1).flatten() - shift
    if conv.bias is not None:
        shift = shift + scale * conv.bias
    conv.weight = nn.Parameter((conv.weight * scale.view(-1, 1, 1, 1)).to(conv.weight.dtype), requires_grad=False)
    conv.bias = nn.Parameter(shift.to(conv.weight.dtype), requires_grad=False)
