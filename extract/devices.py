"""Which device computes."""

import torch

from aadc.manifests.errors import UserError


def choose_device(asked: str) -> str:
    """`auto` is the first GPU if there is one, else the CPU. `UserError` for a device that is not there."""
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=asked)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {asked}: not usable here ({reason}); --device cpu always works") from None
    return asked


_CPU_PIXELS = 2**19


def at_once(device: str, pixels: int, most: int) -> int:
    """How many pictures of so many pixels a model gets in one call: `most` on a GPU; on a CPU as many as stay near the
    processor (DETR-R50 took 16 % longer for each of four frames at once, ViT-B/16 25 % for each of 24 crops than of six)."""
    return most if device != "cpu" else max(1, min(most, _CPU_PIXELS // pixels))
