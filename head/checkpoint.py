"""The trained head on disk: `model.safetensors` and `config.json`, never a pickle.

config.json: format, version, config (HeadConfig), card (the classes it was trained on), fingerprint (of the shards), clip
(source and weight hash of the text tower), trained_on (digests of classes and videos), metrics (of the epoch that was
kept), weights (SHA-256 of model.safetensors), created_by.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from aadc.head.config import HeadConfig
from aadc.head.model import AnomalyHead
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError
from aadc.manifests.records import problems_of

FORMAT, VERSION = "aadc-head", 1
WEIGHTS, RECORD = "model.safetensors", "config.json"


@dataclass(frozen=True)
class LoadedHead:
    """A trained head, in `eval` mode on the CPU, with what it was trained on."""

    model: AnomalyHead
    config: HeadConfig
    card: Card
    fingerprint: str
    clip: str
    clip_weights: str
    metrics: dict


def save_head(
    folder: Path,
    model: AnomalyHead,
    config: HeadConfig,
    card: Card,
    fingerprint: str,
    clip: Mapping[str, str],
    trained_on: Mapping[str, str],
    metrics: Mapping,
) -> None:
    """Write a head that `load_head` reads back. The record goes first and comes last: it vouches for the weights.

    Args:
        clip: `source` and `weights` (hash) of the CLIP whose text tower it was trained with.
        trained_on: digests that tell whether a training asked for again is the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    replace_tensors(folder / WEIGHTS, model.state_dict())
    record = {
        "format": FORMAT,
        "version": VERSION,
        "config": config.model_dump(),
        "card": card.model_dump(),
        "fingerprint": fingerprint,
        "clip": dict(clip),
        "trained_on": dict(trained_on),
        "metrics": dict(metrics),
        "weights": sha256_of(folder / WEIGHTS),
        "created_by": f"aadc-net {version('aadc-net')}",
    }
    replace_file(folder / RECORD, (json.dumps(record, indent=2) + "\n").encode())


def load_head(folder: Path) -> LoadedHead:
    """Read a trained head.

    Raises:
        UserError: no head there, another version, or weights that are not those of the record.
    """
    record = read_record(folder)
    if record is None:
        raise UserError(f"{folder}: no trained head in it; run aadc-train-head first")
    path = folder / WEIGHTS
    try:
        config, card = HeadConfig.model_validate(record["config"]), Card.model_validate(record["card"])
        if sha256_of(path) != record["weights"]:
            raise UserError(f"{path}: not the weights that {RECORD} was written with; train again with aadc-train-head")
        tensors = load_file(path)
        model = build_head(config, card, tensors)
    except ValidationError as error:
        raise UserError(f"{folder / RECORD}: {problems_of(error)}; train again with aadc-train-head") from None
    except (OSError, KeyError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{path}: cannot be read as a head ({error}); train again with aadc-train-head") from error
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise UserError(f"{path}: has weights that are no numbers; train again with aadc-train-head")
    clip = record["clip"]
    return LoadedHead(model.eval(), config, card, record["fingerprint"], clip["source"], clip["weights"], record["metrics"])


def build_head(config: HeadConfig, card: Card, tensors: Mapping[str, torch.Tensor]) -> AnomalyHead:
    """The head whose `state_dict` the tensors are; their shapes say how wide it is."""
    detr_width = tensors["fusion.project.weight"].shape[1] if config.use_detr else 0
    model = AnomalyHead(config, tensors["text_features"].shape[1], detr_width, tensors["contexts"].shape[2], card.names)
    model.load_state_dict(tensors)
    return model


def read_record(folder: Path) -> dict | None:
    """`config.json` of a head folder, None where there is none. `UserError` if it is not one."""
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); train again with aadc-train-head") from None
    if not isinstance(record, dict) or (record.get("format"), record.get("version")) != (FORMAT, VERSION):
        raise UserError(f"{path}: not a head of version {VERSION}; train again with aadc-train-head")
    return record


def replace_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Put tensors into a safetensors file in one step: the old one or the new one, never half of it."""
    beside = path.with_name(path.name + ".tmp")
    flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(flat, beside, metadata=dict(metadata or {}))
    _publish(beside, path)


def replace_file(path: Path, content: bytes) -> None:
    """Put bytes into a file in one step."""
    beside = path.with_name(path.name + ".tmp")
    beside.write_bytes(content)
    _publish(beside, path)


def _publish(beside: Path, path: Path) -> None:
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(beside, path)


def sha256_of(path: Path) -> str:
    """Of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
