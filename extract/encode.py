"""CLIP image embeddings of crops and whole frames (paper III-E, eq. 5: F_vis = Phi_CLIP-V(L_bbox))."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from aadc.extract.clip_model import Clip
from aadc.extract.devices import at_once
from aadc.extract.frozen import frozen

_BATCH = 64


class ClipEncoder:
    """The image side of a CLIP, fed with uint8 tensors instead of pictures.

    Args:
        clip: as `load_clip` gives it; its image tower is moved to `device` and cast to `dtype`.
    """

    def __init__(self, clip: Clip, device: str = "cpu", dtype: torch.dtype = torch.float32):
        self.width, self.device, self.dtype = clip.width, device, dtype
        self.visual = frozen(copy.deepcopy(clip.model.visual), device, dtype)
        config = clip.preprocess_cfg
        size = config["size"]
        self.size_hw = (size, size) if isinstance(size, int) else tuple(size)
        self.resize_mode = config["resize_mode"]
        self.interpolation = InterpolationMode(config["interpolation"])
        self.fill = config["fill_color"]
        self.mean = torch.tensor(config["mean"], device=device).view(3, 1, 1)
        self.std = torch.tensor(config["std"], device=device).view(3, 1, 1)

    def preprocess(self, image_CHW: Tensor) -> Tensor:
        """An RGB uint8 picture (3, h, w) as the tower wants it, float32 (3, H, W): open_clip's own transform on tensors."""
        height, width = self.size_hw
        h, w = image_CHW.shape[-2:]
        if self.resize_mode == "squash":
            scaled_hw = self.size_hw
        else:
            pick = max if self.resize_mode == "shortest" else min
            scale = pick(height / h, width / w)
            # open_clip truncates when the target is square and it scales the short side, and rounds otherwise.
            whole = int if self.resize_mode == "shortest" and height == width else round
            scaled_hw = (max(1, whole(h * scale + 1e-9)), max(1, whole(w * scale + 1e-9)))
        image = functional.resize(image_CHW, list(scaled_hw), self.interpolation, antialias=True)
        if self.resize_mode == "longest":
            top, left = (height - scaled_hw[0]) // 2, (width - scaled_hw[1]) // 2
            padding = [left, top, width - scaled_hw[1] - left, height - scaled_hw[0] - top]
            image = functional.pad(image, padding, fill=self.fill)
        elif self.resize_mode == "shortest":
            image = functional.center_crop(image, list(self.size_hw))
        return (image.to(torch.float32) / 255 - self.mean) / self.std

    @torch.inference_mode()
    def __call__(self, images: Sequence[Tensor]) -> Tensor:
        """Embeddings float32 (K, C) of K pictures, RGB uint8 (3, h, w) of any sizes; not normalised, as `encode_image`."""
        if not images:
            return torch.zeros(0, self.width)
        parts = []
        few = at_once(self.device, self.size_hw[0] * self.size_hw[1], _BATCH)
        for start in range(0, len(images), few):
            batch = torch.stack([self.preprocess(image.to(self.device)) for image in images[start : start + few]])
            parts.append(self.visual(batch.to(self.dtype, memory_format=torch.channels_last)).float().cpu())
        return torch.cat(parts)
