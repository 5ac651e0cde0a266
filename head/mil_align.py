"""Top-K pooling over a bag (eq. 7, 9) and MIL-Align (paper III-G, eq. 9 and 10): videos meet the words of their classes.

Shapes: B videos, T snippets, C classes.
"""

import torch
from torch import Tensor
from torch.nn import functional

TAU = 0.07  # CLIP's temperature at the start of its training; it ends at 0.01


def top_k_mean(scores_BT: Tensor, valid_BT: Tensor, k: int | Tensor) -> Tensor:
    """Mean of the k highest valid scores along the last axis; of all of them where there are fewer.

    Args:
        scores_BT: float (..., T).
        valid_BT: bool, broadcastable to it; every bag has a valid snippet.
        k: at least 1; a number, or one for each bag (as a mean over the last axis has them).
    Returns:
        float (...), untouched by what padded entries hold.
    """
    wanted = torch.as_tensor(k, device=scores_BT.device)[..., None]
    most = min(int(wanted.max()), scores_BT.shape[-1])
    highest = scores_BT.masked_fill(~valid_BT, -torch.inf).topk(most, dim=-1).values
    taken = torch.arange(most, device=scores_BT.device) < valid_BT.sum(-1, keepdim=True).minimum(wanted)
    return highest.masked_fill(~taken, 0).sum(-1) / taken.sum(-1)


def cosine(f_BTD: Tensor, text_CD: Tensor) -> Tensor:
    """Cosine (B, T, C) between snippets and class texts."""
    return functional.linear(functional.normalize(f_BTD, dim=-1), functional.normalize(text_CD, dim=-1))


def align_logits(class_logits_BTC: Tensor, valid_BT: Tensor, k: int, gamma: float) -> Tensor:
    """gamma * s_i / tau (eq. 9): s_i is the mean of the k highest similarities of a video to class i.

    Args:
        class_logits_BTC: similarities already divided by tau.
    Returns:
        (B, C); their softmax is phi, the video's distribution over the classes (eq. 10).
    """
    return gamma * top_k_mean(class_logits_BTC.transpose(1, 2), valid_BT[:, None], k)


def align_loss(align_logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """Cross-entropy of phi against the video's labels (eq. 10), one value a video (B,).

    Args:
        labels_BC: 1 where the video has the class; several share the mass.
    """
    target_BC = labels_BC / labels_BC.sum(-1, keepdim=True)
    return -(target_BC * align_logits_BC.log_softmax(-1)).sum(-1)
