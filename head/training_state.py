"""Where a training is, in one file that is replaced in one step, so that a killed run goes on as if nothing had been."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import AllowInfNan, Field
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from aadc.head.published import replace_tensors
from aadc.manifests.errors import UserError
from aadc.manifests.files import regular
from aadc.manifests.records import Record, parse_record
from aadc.manifests.shown import say

STATE = "state.safetensors"
ANEW = "start anew with --restart"


@dataclass
class Progress:
    """How far it has come: `epoch` done, the one whose weights are kept, the best validation so far, figures of each epoch, and
    the numbers of threads that computed it, each once: sums in another order differ in their last digits."""

    epoch: int = 0
    kept_epoch: int = 0
    best: float = 0.0
    history: list[dict[str, float | None]] = field(default_factory=list)
    threads: list[int] = field(default_factory=lambda: [torch.get_num_threads()])


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
    tensors = {
        **{f"model.{name}": tensor for name, tensor in model.state_dict().items()},
        **{f"best.{name}": tensor for name, tensor in best.items()},
        **{f"adam.{number}.{name}": tensor for number, one in moments.items() for name, tensor in one.items()},
    }
    record = json.dumps({"identity": identity, "progress": asdict(progress), "tensors": len(tensors)})
    replace_tensors(folder / STATE, tensors, {"record": record, "seal": _seal_of(record, tensors)})


class ProgressRecord(Record):
    """`Progress`, as it is on disk. `best` is infinite where nothing was validated."""

    epoch: int = Field(ge=0)
    kept_epoch: int = Field(ge=0)
    best: Annotated[float, AllowInfNan(True)]
    history: list[dict[str, float | int | None]]
    threads: list[int] = []  # states of earlier versions do not tell


class StateRecord(Record):
    """What a state says beside its tensors; `tensors` is how many they are."""

    identity: dict[str, Any]
    progress: ProgressRecord
    tensors: int


def read_state_record(folder: Path) -> StateRecord | None:
    """What the folder's state was asked for and how far it came; None if there is none. `UserError` if it is damaged."""
    path = folder / STATE
    if not os.path.lexists(path):
        return None
    try:
        with safe_open(regular(path), "pt") as file:
            text, count = (file.metadata() or {}).get("record", ""), len(file.keys())
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {ANEW}") from error
    record = parse_record(text, str(path), StateRecord, ANEW)
    if record.tensors != count:
        raise UserError(f"{path}: {count} tensors, of {record.tensors} that were written; {ANEW}")
    return record


def load_state(
    folder: Path,
    identity: dict,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    fits: Callable[[Progress], bool],
) -> tuple[Progress, dict[str, Tensor]] | None:
    """Go on from the folder's state: fills model and optimiser, gives progress and best weights; None if there is none.

    Args:
        fits: whether a progress can be one of this training.
    Raises:
        UserError: it belongs to another training (what differs is named), or it is damaged; nothing is filled then.
    """
    path = folder / STATE
    if (record := read_state_record(folder)) is None:
        return None
    check_identity(path, record.identity, identity)
    progress = Progress(**record.progress.model_dump())
    if not fits(progress):
        raise UserError(f"{path}: its progress is none of this training; {ANEW}")
    try:
        with safe_open(regular(path), "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
            said = file.metadata()
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {ANEW}") from error
    _check_tensors(path, tensors, model, optimiser)
    if "seal" in said and said["seal"] != _seal_of(said["record"], tensors):  # states of earlier versions have none
        raise UserError(f"{path}: not as it was written, something in it has been changed since; {ANEW}")

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    model.load_state_dict(part("model."))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in part("adam.").items():
        number, _, what = name.partition(".")
        moments.setdefault(int(number), {})[what] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    if (now := torch.get_num_threads()) not in progress.threads:
        if progress.threads:
            say(
                f"{path}: begun with {' and '.join(map(str, progress.threads))} threads, gone on with {now}: the weights will "
                "differ in their last digits from those of one number throughout (OMP_NUM_THREADS sets it)"
            )
        progress.threads = [*progress.threads, now]
    return progress, part("best.")


def _seal_of(record: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of all that a state holds: a flipped bit leaves a weight a weight."""
    found = hashlib.sha256(record.encode())
    for name, tensor in sorted(tensors.items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _check_tensors(path: Path, tensors: Mapping[str, Tensor], model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """`UserError` unless the tensors are those of this model and optimiser: names, shapes, types, finite numbers."""
    weights = model.state_dict()
    wanted = {f"{part}.{name}": tensor for part in ("model", "best") for name, tensor in weights.items()}
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    step = torch.zeros(())
    adam = {
        f"adam.{number}.{what}": step if what == "step" else parameter
        for number, parameter in enumerate(parameters)
        for what in ("step", "exp_avg", "exp_avg_sq")
    }
    for name in wanted:
        if name not in tensors:
            raise UserError(f"{path}: {name} is missing; {ANEW}")
    for name, tensor in tensors.items():
        like = wanted.get(name, adam.get(name))
        if like is None or like.shape != tensor.shape or like.dtype != tensor.dtype:
            raise UserError(f"{path}: {name} is no tensor of this training, or of another shape; {ANEW}")
        if not tensor.isfinite().all():
            raise UserError(f"{path}: {name} has values that are no numbers; {ANEW}")
    for number in {name.split(".")[1] for name in tensors if name.startswith("adam.")}:
        if any(f"adam.{number}.{what}" not in tensors for what in ("step", "exp_avg", "exp_avg_sq")):
            raise UserError(f"{path}: adam.{number} is not whole; {ANEW}")


def check_identity(path: Path, found: dict, asked: dict) -> None:
    """`UserError` that names what differs between a training that was begun and the one asked for."""
    if differ := differences(found, asked):
        raise UserError(f"{path}: begun with other settings or data ({differ}); give the same again to go on, or {ANEW}")


def differences(found: Mapping, asked: Mapping) -> str:
    """What differs between two identities of trainings, in words; empty if nothing does.

    A set of settings is compared one by one; of `videos` (name: labels) it is said how many, and which for example.
    """
    differ: list[str] = []
    for name, now in asked.items():
        was = found.get(name)
        if was == now or (name == "features" and was is None):  # earlier heads and states did not note them
            continue
        if name == "features" and isinstance(was, dict) and isinstance(now, dict):
            others = [one for one in now if one in was and was[one] != now[one]]
            differ += [f"{len(others)} videos with other features, such as {others[0]}"] if others else []
        elif name == "videos" and isinstance(was, dict) and isinstance(now, dict):
            kinds = {
                "added": [one for one in now if one not in was],
                "removed": [one for one in was if one not in now],
                "labelled otherwise": [one for one in now if one in was and was[one] != now[one]],
            }
            told = [f"{len(some)} videos {kind}, such as {some[0]}" for kind, some in kinds.items() if some]
            differ += told
        elif name == "classes" and isinstance(was, dict) and isinstance(now, dict):
            differ += [
                f"class {one} {_told(was, one)}, now {_told(now, one)}" for one in was | now if was.get(one) != now.get(one)
            ]
        elif isinstance(was, dict) and isinstance(now, dict):
            differ += [f"{key} {was.get(key)}, now {now[key]}" for key in now if was.get(key) != now[key]]
        elif name in ("videos", "features", "classes"):
            differ.append(f"other {name}")
        else:
            differ.append(f"{name} {was}, now {now}")
    return "; ".join(differ)


def _told(classes: Mapping, name: str) -> str:
    return f"({classes[name]})" if name in classes else "not there"
