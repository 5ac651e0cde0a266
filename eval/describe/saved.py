"""The trained projector on disk, beside the head: `describer/model.safetensors` and `config.json`, never a pickle.

config.json: format, version, config (DescriberConfig), llm (source and weight hash), head (hash of its weights), videos (digest
of those trained on, with their labels), metrics, weights (SHA-256 of model.safetensors), created_by, seal (of all this).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file

from aadc.eval.describe.llm import Llm
from aadc.eval.describe.projector import Projector
from aadc.head.checkpoint import MadeWith
from aadc.head.checkpoint import read_record as read_head_record
from aadc.head.published import RECORD, publish, sha256_of, weights_of
from aadc.manifests import records
from aadc.manifests.errors import UserError
from aadc.manifests.records import Sealed

FORMAT, VERSION = "aadc-describer", 1
AGAIN = "train it again with aadc-train-describer --restart"


class DescriberMetrics(records.Record):
    """Figures of a projector's training: the step that is kept, how many were gone, and losses there."""

    step: int
    steps: int
    videos: int
    validation_videos: int
    loss: float | None
    val_loss: float | None


class DescriberRecord(Sealed):
    """`config.json` of a describer. `head` and `weights` are hashes of weights."""

    format: Literal["aadc-describer"]
    version: Literal[1]
    config: dict[str, Any]
    llm: MadeWith
    head: str
    videos: str
    metrics: DescriberMetrics
    weights: str


@dataclass(frozen=True)
class Saved:
    """A trained projector, the language model it was trained with (source and weight hash), and its record."""

    projector: Projector
    llm: str
    llm_weights: str
    record: DescriberRecord


def describer_folder(head: Path) -> Path:
    return head / "describer"


def save_projector(folder: Path, projector: Projector, record: Mapping) -> None:
    """Write what `load_projector` reads back, in place of what is there, which stays until this is whole."""
    whole = {"format": FORMAT, "version": VERSION, **record, "created_by": f"aadc-net {version('aadc-net')}"}
    publish(folder, projector.state_dict(), whole)


def read_record(folder: Path) -> DescriberRecord | None:
    """`config.json` of a describer, None where there is none. `UserError` if it is not one."""
    path = folder / RECORD
    return records.read_record(path, DescriberRecord, AGAIN) if os.path.lexists(path) else None


def load_projector(head: Path) -> Saved | None:
    """The projector beside a head; None if none was trained.

    Raises:
        UserError: it belongs to other weights of the head, or cannot be read.
    """
    folder = describer_folder(head)
    record = read_record(folder)
    if record is None:
        return None
    head_record = read_head_record(head)
    if head_record is None or head_record.weights != record.head:
        raise UserError(f"{folder}: trained beside another head than the one that is there now; {AGAIN}")
    path = weights_of(folder, record.weights)
    try:
        if sha256_of(path) != record.weights:
            raise UserError(f"{path}: not the weights that {RECORD} was written with; {AGAIN}")
        tensors = load_file(path)
        projector = Projector(tensors["map.weight"].shape[1] // 2, tensors["learned"].shape[1])
        projector.load_state_dict(tensors)
    except (OSError, LookupError, ValueError, TypeError, ArithmeticError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{folder}: cannot be read as a describer ({error}); {AGAIN}") from error
    found = Saved(projector.eval().requires_grad_(False), record.llm.source, record.llm.weights, record)
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise UserError(f"{path}: has weights that are no numbers; {AGAIN}")
    return found


def check_llm(saved: Saved, llm: Llm) -> None:
    """`UserError` if `llm` is not the language model that the projector was trained with."""
    if llm.weights != saved.llm_weights:
        raise UserError(
            f"--llm {llm.source}: not the language model that the describer was trained with ({saved.llm}, weights "
            f"{saved.llm_weights[:8]}); give that one, or train anew: aadc-train-describer --llm {llm.source} --restart"
        )
