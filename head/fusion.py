"""What a frame is to the head: crops pooled (paper III-E, eq. 5) and joined with the detector's features (eq. 6).

Shapes: B videos, T snippets, O objects of a frame (the whole frame first, then its crops), C CLIP width, D detector width.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aadc.extract.video_features import VideoFeatures

_ROWS_AT_ONCE = 4096


def visual_features(features: VideoFeatures, pooling: str) -> Tensor:
    """F_vis of one video (eq. 5) from its `scene`, `crop` and `count`, see `pool_objects`."""
    return pool_objects(features.scene, features.crop, features.count, pooling)


def pool_objects(scene_TC: np.ndarray, crop_TNC: np.ndarray, count_T: np.ndarray, pooling: str) -> Tensor:
    """F_vis (eq. 5) of frames from the embeddings of the whole frame and of its crops, of which `count` are there; all have
    length 1 before they are pooled.

    Returns:
        float32 (T, C), the mean of the whole frame and its crops; for pooling `attention` the objects themselves,
        (T, O, C), absent ones zero.
    """
    blocks = []
    for start in range(0, len(count_T), _ROWS_AT_ONCE):
        scene, crop, count = (torch.from_numpy(array[start : start + _ROWS_AT_ONCE]) for array in (scene_TC, crop_TNC, count_T))
        objects_TOC = functional.normalize(torch.cat([scene[:, None], crop], dim=1).float(), dim=-1)
        absent_TO = torch.arange(objects_TOC.shape[1]) > count[:, None]
        objects_TOC = objects_TOC.masked_fill(absent_TO[..., None], 0)
        mean = pooling == "mean"
        blocks.append(objects_TOC.sum(dim=1) / (1 + count[:, None]) if mean else objects_TOC)
    return torch.cat(blocks)


class Standardise(nn.Module):
    """Subtracts the mean and divides by the deviation that the training snippets had; both are kept with the weights."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def set(self, mean: Tensor, deviation: Tensor) -> None:
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.clamp(min=1e-6))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation

    def undo(self, x: Tensor) -> Tensor:
        return x * self.deviation + self.mean


class AttentionPool(nn.Module):
    """One vector of a frame's objects, each weighted by a learned question; starts as their mean."""

    def __init__(self, width: int):
        super().__init__()
        self.question = nn.Parameter(torch.zeros(width))

    def forward(self, objects_BTOC: Tensor) -> Tensor:
        """(B, T, C) from objects (B, T, O, C), where a row of zeros is no object."""
        absent_BTO = (objects_BTOC == 0).all(-1)
        absent_BTO[..., 0] = False  # padded frames have no object at all, and must not become NaN
        weights_BTO = (objects_BTOC @ self.question).masked_fill(absent_BTO, -torch.inf).softmax(-1)
        return (weights_BTO[..., None] * objects_BTOC).sum(2)


class Fusion(nn.Module):
    """X = FC(F_vis) + P(F_DETR) (eq. 6), both in CLIP's text width C, in units of the training set's deviation.

    FC starts as the identity and P at zero, so that an untrained head sees CLIP's own embedding, and what FC and P
    learn are departures from it. Without a detector width the detector takes no part (the paper's ablation).
    """

    def __init__(self, width: int, detr_width: int | None, pooling: str):
        super().__init__()
        self.pool = AttentionPool(width) if pooling == "attention" else nn.Identity()
        self.vis = Standardise(width)
        self.fc = nn.Linear(width, width)
        nn.init.eye_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)
        self.detr = None if detr_width is None else Standardise(detr_width)
        if detr_width is not None:
            self.project = nn.Linear(detr_width, width, bias=False)
            nn.init.zeros_(self.project.weight)

    def forward(self, detr_BTD: Tensor, vis_BTC: Tensor, valid_BT: Tensor) -> Tensor:
        """X (B, T, C), zero where padded. `vis` is (B, T, O, C) with attention pooling."""
        x_BTC = self.fc(self.vis(self.pool(vis_BTC)))
        if self.detr is not None:
            x_BTC = x_BTC + self.project(self.detr(detr_BTD))
        return x_BTC * valid_BT[..., None]
