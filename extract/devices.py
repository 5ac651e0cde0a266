"""Which device computes, how frames get there, and what is said about precision."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch

from aadc.manifests.errors import UserError

Answer = TypeVar("Answer")
Batch = TypeVar("Batch", torch.Tensor, Sequence[torch.Tensor])


def choose_device(asked: str) -> str:
    """`auto` is the first GPU if there is one, else the CPU. `UserError` for a device that is not there."""
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=asked)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {asked}: not usable here ({reason}); --device cpu always works") from None
    return "cpu" if torch.device(asked).type == "cpu" else asked


def onto(device: str, frames: np.ndarray) -> torch.Tensor:
    """Frames as a tensor on a device. To a GPU from pinned memory, so that nobody waits for the copy. (Untested there.)"""
    tensor = torch.from_numpy(frames)
    return tensor.pin_memory().to(device, non_blocking=True) if device.startswith("cuda") else tensor.to(device)


def has_bf16_arithmetic() -> bool:
    """Whether this machine's processor multiplies bf16 numbers itself (AVX512-BF16, AMX, ARM's BF16)."""
    if not hasattr(torch.cpu, "get_capabilities"):  # older torch
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    known = torch.cpu.get_capabilities()
    return any(known.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def precision_advice(precision: str, device: str) -> str | None:
    """One line for those whom another precision would serve better on this processor, else None."""
    if device != "cpu" or (precision == "bf16") == has_bf16_arithmetic() or precision == "fp16":
        return None
    if precision == "bf16":
        return "--precision bf16: this processor has no bf16 arithmetic, it will be slower than fp32"
    return "this processor has bf16 arithmetic: full-size models take about half the time with --precision bf16 (docs/scale.md)"


def halving(compute: Callable[[Batch], Answer], batch: Batch) -> list[Answer]:
    """Answers for a batch (a tensor or a list), in order: one for all of it, or for parts where memory is too small for more.

    Raises:
        torch.OutOfMemoryError: it is too small for a single one.
    """
    try:
        return [compute(batch)]
    except torch.OutOfMemoryError:
        if len(batch) <= 1:
            raise
    # Outside of the handler: what the error holds is free by now.
    half = len(batch) // 2
    return halving(compute, batch[:half]) + halving(compute, batch[half:])


_CPU_PIXELS = 2**19


def at_once(device: str, pixels: int, most: int) -> int:
    """How many pictures of so many pixels a model gets in one call: `most` on a GPU; on a CPU as many as stay near the
    processor (DETR-R50 took 16 % longer for each of four frames at once, ViT-B/16 25 % for each of 24 crops than of six)."""
    return most if device != "cpu" else max(1, min(most, _CPU_PIXELS // max(1, pixels)))
