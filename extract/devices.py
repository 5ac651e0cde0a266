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
