"""CLIP image embeddings of crops and whole frames (paper III-E, eq. 5: F_vis = Phi_CLIP-V(L_bbox))."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from aadc.extract.clip_model import Clip
from aadc.extract.devices import at_once, halving
from aadc.extract.frozen import frozen, moved, same_answer
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason

_BATCH = 64
_LONGEST = 16  # times as long as short is a picture of which CLIP's middle is cut out before it is enlarged, and not after


class ClipEncoder:
    """The image side of a CLIP, fed with uint8 tensors instead of pictures.

    Args:
        clip: as `load_clip` gives it; its image tower is moved to `device` and cast to `dtype`.
    """

    def __init__(self, clip: Clip, device: str = "cpu", dtype: torch.dtype = torch.float32):
        self.width, self.device, self.dtype = clip.width, device, dtype
        self.visual = _frozen_tower(clip, device, dtype)
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
        if self.resize_mode == "shortest":
            image_CHW = _middle(image_CHW, _LONGEST)
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
            parts += halving(self._embed, images[start : start + few])
        return torch.cat(parts)

    def _embed(self, images: Sequence[Tensor]) -> Tensor:
        batch = torch.stack([self.preprocess(image.to(self.device)) for image in images])
        return self.visual(batch.to(self.dtype, memory_format=torch.channels_last)).float().cpu()


def _middle(image_CHW: Tensor, most: int) -> Tensor:
    """The middle of a picture that is more than `most` times as long as it is short, else all of it.

    Enlarged as a whole, 1 x 5000 px would be a million columns of which 224 are kept.
    """
    h, w = image_CHW.shape[-2:]
    far = most * min(h, w)
    top, left = (max(0, (side - far) // 2) for side in (h, w))
    return image_CHW[..., top : h - top, left : w - left]


@torch.inference_mode()
def _frozen_tower(clip: Clip, device: str, dtype: torch.dtype) -> nn.Module:
    """The image tower rearranged for speed, or as it is where a picture shows that this changes its answer."""
    size = clip.preprocess_cfg["size"]
    height, width = (size, size) if isinstance(size, int) else size
    picture = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    visual = copy.deepcopy(clip.model.visual)
    if getattr(visual, "output_tokens", False):  # CoCa's gives its tokens beside the vector of the picture
        visual.output_tokens = False
    try:
        plain = visual(picture)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{clip.source}: its image tower cannot look at a picture of {width} x {height}, the size that it is said to take "
            f"({reason(error)}); its configuration fits another model; extract with another CLIP (--clip)"
        ) from None
    if not isinstance(plain, Tensor) or plain.shape != (1, clip.width):
        raise UserError(f"{clip.source}: its image tower does not give one vector a picture as wide as its text's; "
                        "extract with another CLIP (--clip)")  # fmt: skip
    tower = frozen(copy.deepcopy(visual), device, dtype)
    if same_answer(plain, tower(picture.to(device, dtype, memory_format=torch.channels_last)), dtype):
        return tower
    return moved(visual, device, dtype)
