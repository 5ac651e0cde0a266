"""The trained projector on disk, beside the head: `describer/model.safetensors` and `config.json`, never a pickle.

config.json: format, version, config (DescriberConfig), llm (source and weight hash), head (hash of its weights), videos (digest
of those trained on, with their labels), metrics, weights (SHA-256 of model.safetensors), created_by.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from aadc.eval.describe.llm import Llm
from aadc.eval.describe.projector import Projector
from aadc.head.checkpoint import read_record as read_head_record
from aadc.head.checkpoint import replace_file, replace_tensors, sha256_of
from aadc.manifests.errors import UserError

FORMAT, VERSION = "aadc-describer", 1
WEIGHTS, RECORD = "model.safetensors", "config.json"


@dataclass(frozen=True)
class Saved:
    """A trained projector, the language model it was trained with (source and weight hash), and its record."""

    projector: Projector
    llm: str
    llm_weights: str
    record: dict


def describer_folder(head: Path) -> Path:
    return head / "describer"


def save_projector(folder: Path, projector: Projector, record: Mapping) -> None:
    """Write what `load_projector` reads back. The record goes first and comes last: it vouches for the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    replace_tensors(folder / WEIGHTS, projector.state_dict())
    whole = {
        "format": FORMAT,
        "version": VERSION,
        **record,
        "weights": sha256_of(folder / WEIGHTS),
        "created_by": f"aadc-net {version('aadc-net')}",
    }
    replace_file(folder / RECORD, (json.dumps(whole, indent=2) + "\n").encode())


def read_record(folder: Path) -> dict | None:
    """`config.json` of a describer, None where there is none. `UserError` if it is not one."""
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error}); train it again with aadc-train-describer --restart") from None
    if not isinstance(record, dict) or (record.get("format"), record.get("version")) != (FORMAT, VERSION):
        raise UserError(f"{path}: not a describer of version {VERSION}; train it again with aadc-train-describer --restart")
    return record


def load_projector(head: Path) -> Saved | None:
    """The projector beside a head; None if none was trained.

    Raises:
        UserError: it belongs to other weights of the head, or cannot be read.
    """
    folder = describer_folder(head)
    record = read_record(folder)
    if record is None:
        return None
    again = "train it again with aadc-train-describer"
    head_record = read_head_record(head)
    if head_record is None or head_record.weights != record.get("head"):
        raise UserError(f"{folder}: trained beside another head than the one that is there now; {again}")
    try:
        if sha256_of(folder / WEIGHTS) != record["weights"]:
            raise UserError(f"{folder / WEIGHTS}: not the weights that {RECORD} was written with; {again} --restart")
        tensors = load_file(folder / WEIGHTS)
        projector = Projector(tensors["map.weight"].shape[1] // 2, tensors["learned"].shape[1])
        projector.load_state_dict(tensors)
        llm = record["llm"]
        found = Saved(projector.eval().requires_grad_(False), llm["source"], llm["weights"], record)
    except (OSError, KeyError, TypeError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{folder}: cannot be read as a describer ({error}); {again} --restart") from error
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise UserError(f"{folder / WEIGHTS}: has weights that are no numbers; {again} --restart")
    return found


def check_llm(saved: Saved, llm: Llm) -> None:
    """`UserError` if `llm` is not the language model that the projector was trained with."""
    if llm.weights != saved.llm_weights:
        raise UserError(
            f"--llm {llm.source}: not the language model that the describer was trained with ({saved.llm}, weights "
            f"{saved.llm_weights[:8]}); give that one, or train anew: aadc-train-describer --llm {llm.source} --restart"
        )
