"""What both trainings share: a schedule, and a state on disk from which a stopped run goes on exactly.

Batches depend on (seed, step) alone, so that nothing but weights, optimiser and step number has to be kept.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

WARM_UP = 0.02  # share of all steps


def batch_rng(seed: int, step: int) -> np.random.Generator:
    """The randomness of one step: batch, augmentation, captions."""
    return np.random.default_rng([seed, step])


def rate(step: int, steps: int, peak: float) -> float:
    """Learning rate: linear warm-up, then a cosine down to zero at `steps`."""
    share = step / steps
    return peak * min(1.0, share / WARM_UP) * 0.5 * (1 + np.cos(np.pi * share))


def groups(model: nn.Module, decay: float) -> list[dict]:
    """Parameter groups: weight decay for matrices, none for biases, norms and scales."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    return [
        {"params": [p for _, p in named if p.ndim >= 2], "weight_decay": decay},
        {"params": [p for _, p in named if p.ndim < 2], "weight_decay": 0.0},
    ]


class Resumable:
    """Weights, optimiser and step number in a folder; safetensors and JSON only.

    Args:
        folder: where the state lies; created when needed.
        settings: what the run was asked; a state that was asked something else is not gone on with.
    """

    def __init__(self, folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, settings: dict):
        self.folder, self.model, self.optimiser, self.settings = folder, model, optimiser, settings
        folder.mkdir(parents=True, exist_ok=True)

    def load(self) -> int:
        """Go on from the folder's state, if there is one; returns the step to start with."""
        record = self.folder / "state.json"
        if not record.exists():
            return 0
        found = json.loads(record.read_text())
        if found["settings"] != self.settings:
            raise SystemExit(f"{self.folder}: begun with {found['settings']}, asked {self.settings}; choose another folder")
        self.model.load_state_dict(load_file(self.folder / f"model-{found['step']}.safetensors"))
        flat = load_file(self.folder / f"optimiser-{found['step']}.safetensors")
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in flat.items():
            index, key = name.split(".")
            state.setdefault(int(index), {})[key] = tensor
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})
        return found["step"]

    def save(self, step: int) -> None:
        """Keep the state after `step` steps; the record is replaced last, so that it always names whole files."""
        state = self.optimiser.state_dict()["state"]
        flat = {f"{index}.{key}": tensor.contiguous() for index, one in state.items() for key, tensor in one.items()}
        weights = {name: tensor.contiguous() for name, tensor in self.model.state_dict().items()}
        save_file(weights, self.folder / f"model-{step}.safetensors")
        save_file(flat, self.folder / f"optimiser-{step}.safetensors")
        partial = self.folder / "state.partial"
        partial.write_text(json.dumps({"step": step, "settings": self.settings}))
        os.replace(partial, self.folder / "state.json")
        for old in self.folder.glob("*-*.safetensors"):
            if not old.stem.endswith(f"-{step}"):
                old.unlink()


def steps_to_go(resumable: Resumable, steps: int, peak: float, save_every: int) -> Iterator[int]:
    """Numbers of the steps still to be done, with the learning rate set before each and the state kept now and then."""
    for step in range(resumable.load(), steps):
        for group in resumable.optimiser.param_groups:
            group["lr"] = rate(step, steps, peak)
        yield step
        if (step + 1) % save_every == 0 or step + 1 == steps:
            resumable.save(step + 1)


def half(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights as they are shipped: floats in fp16."""
    return {name: (t.half() if t.is_floating_point() else t).contiguous() for name, t in state.items()}
