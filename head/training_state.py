"""Where a training is, in one file that is replaced in one step, so that a killed run goes on as if nothing had been."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from aadc.head.checkpoint import replace_tensors
from aadc.manifests.errors import UserError

STATE = "state.safetensors"


@dataclass
class Progress:
    """How far it has come: `epoch` done, the one whose weights are kept, the best validation so far, figures of each epoch."""

    epoch: int = 0
    kept_epoch: int = 0
    best: float = 0.0
    history: list[dict[str, float | None]] = field(default_factory=list)


def save_state(
    folder: Path,
    identity: dict,
    progress: Progress,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    best: dict[str, Tensor],
) -> None:
    """Keep weights, optimiser, the best weights so far, and what the training was asked (`identity`)."""
    moments = optimiser.state_dict()["state"]
    replace_tensors(
        folder / STATE,
        {
            **{f"model.{name}": tensor for name, tensor in model.state_dict().items()},
            **{f"best.{name}": tensor for name, tensor in best.items()},
            **{f"adam.{number}.{name}": tensor for number, one in moments.items() for name, tensor in one.items()},
        },
        {"record": json.dumps({"identity": identity, "progress": asdict(progress)})},
    )


def load_state(
    folder: Path, identity: dict, model: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Tensor]] | None:
    """Go on from the folder's state: fills model and optimiser, gives progress and best weights; None if there is none.

    Raises:
        UserError: it belongs to another training; what differs is named.
    """
    path = folder / STATE
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            record = json.loads(file.metadata()["record"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); start anew with --restart") from error
    check_identity(path, record["identity"], identity)
    parts: dict[str, dict] = {"model": {}, "best": {}, "adam": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    model.load_state_dict(parts["model"])
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["adam"].items():
        number, _, what = name.partition(".")
        moments.setdefault(int(number), {})[what] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    return Progress(**record["progress"]), parts["best"]


def check_identity(path: Path, found: dict, asked: dict) -> None:
    """`UserError` that names what differs between a training that was begun and the one asked for."""
    if found == asked:
        return
    differ = []
    for name in asked:
        one, other = found.get(name), asked[name]
        if isinstance(other, dict) and isinstance(one, dict):
            differ += [f"{key} {one.get(key)}, now {other[key]}" for key in other if one.get(key) != other[key]]
        elif one != other:
            differ.append(f"{name} {one}, now {other}")
    raise UserError(
        f"{path}: begun with other settings or data ({'; '.join(differ)}); give the same again to go on, or start anew with "
        "--restart"
    )
