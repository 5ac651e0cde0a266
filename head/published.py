"""Weights and the record that vouches for them, replaced together: at every moment one pair of them fits, the old or the new.

Two files cannot be replaced in one step. So the new weights first lie under a name made of their hash, then the record is
replaced, then the weights get their plain name; a reader takes whichever of both names the record's hash points at.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from aadc.manifests.errors import UserError
from aadc.manifests.files import make_folder, reason, regular, replace_file, replacing, sync_folder
from aadc.manifests.records import seal_of

WEIGHTS, RECORD = "model.safetensors", "config.json"


def publish(folder: Path, tensors: Mapping[str, torch.Tensor], record: Mapping) -> None:
    """Put weights and their record (which gets their SHA-256 as `weights`, and its own `seal`) into a folder in place of those
    that are there.

    Raises:
        UserError: they could not be written; what was there is whole.
    """
    make_folder(folder)
    _settle(folder)
    beside = folder / "model.new.safetensors"
    try:
        replace_tensors(beside, tensors)
        digest = sha256_of(beside)
        os.replace(beside, _named_by_hash(folder, digest))
        whole = {**record, "weights": digest}
        replace_file(folder / RECORD, json.dumps({**whole, "seal": seal_of(whole)}, indent=2, allow_nan=False) + "\n")
        os.replace(_named_by_hash(folder, digest), folder / WEIGHTS)
        sync_folder(folder)
    except OSError as error:
        raise UserError(f"{folder}: could not be written ({reason(error)}); free some space and start again") from error


def weights_of(folder: Path, digest: str) -> Path:
    """Where the weights lie that a record with this hash vouches for; whether they are those is the caller's to look at."""
    named = _named_by_hash(folder, digest)
    return named if named.is_file() else folder / WEIGHTS


def replace_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Put tensors into a safetensors file in one step. `UserError` if that fails; the old file is then untouched."""
    flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path, SafetensorError) as beside:
        save_file(flat, beside, metadata=dict(metadata or {}))


def sha256_of(path: Path) -> str:
    """Of a file, in hex."""
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _named_by_hash(folder: Path, digest: str) -> Path:
    return folder / f"model.{digest[:16]}.safetensors"


def _settle(folder: Path) -> None:
    """Bring to its end, or undo, what a killed publication left half done."""
    for left in folder.glob("model.*.safetensors"):
        with suppress(OSError, ValueError, AttributeError):  # a record that cannot be read vouches for nothing
            record = json.loads((folder / RECORD).read_bytes()) if (folder / RECORD).is_file() else {}
            if left == _named_by_hash(folder, str(record.get("weights", ""))) and sha256_of(left) == record["weights"]:
                os.replace(left, folder / WEIGHTS)
                continue
        with suppress(OSError):
            left.unlink()
