"""The trained head on disk: `model.safetensors` and `config.json`, never a pickle.

config.json: format, version, config (HeadConfig), card (the classes it was trained on), fingerprint (of the shards), clip
(source and weight hash of the text tower), trained_on (videos with their labels, and what their features were made from),
metrics (of the epoch that was kept), weights (SHA-256 of model.safetensors), created_by, seal (hash of all of these).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from safetensors import SafetensorError
from safetensors.torch import load_file

from aadc.head.beside_clip import BesideClip
from aadc.head.calibration import Calibration, evidence
from aadc.head.config import HeadConfig
from aadc.head.model import AnomalyHead
from aadc.head.published import RECORD, publish, sha256_of, weights_of
from aadc.head.window import Window
from aadc.manifests import records
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError
from aadc.manifests.records import Sealed

FORMAT, VERSION = "aadc-head", 1
AGAIN = "train it again with aadc-train-head --restart"


class MadeWith(records.Record):
    """The CLIP whose text tower a head was trained with: where it was, hash of its weights; both empty where there is none."""

    source: str
    weights: str


class HeadRecord(Sealed):
    """`config.json` of a head. `weights` is the SHA-256 of its weights, `threads` how many computed them: a list, where a
    stopped training went on with another number (None: not noted); `snippet_s` how long a snippet lasted in training (seconds,
    median over the videos), which is the clock of live scoring (None: not noted); `level` is the anomaly logit
    that a score of 0.5 stands for; `calibration` makes probabilities of scores (as they are, where no videos were kept for
    validation)."""

    format: Literal["aadc-head"]
    version: Literal[1]
    config: HeadConfig
    card: Card
    fingerprint: str
    clip: MadeWith
    trained_on: dict[str, Any]
    metrics: dict[str, float | int | None]
    weights: str
    threads: int | list[int] | None = None
    snippet_s: float | None = Field(None, gt=0)
    level: float = Field(0.0, allow_inf_nan=False)
    calibration: Calibration = Calibration()

    @field_validator("config", mode="before")
    @classmethod
    def _as_it_was(cls, config: Any) -> Any:
        """Heads that know of no window were trained on whole videos, and of no rule, trained and scored by the paper's."""
        return {"window": 0, "rule": "paper", **config} if isinstance(config, dict) else config

    @field_validator("card")
    @classmethod
    def _both_kinds(cls, card: Card) -> Card:
        if {entry.kind for entry in card.classes} != {"normal", "abnormal"}:
            raise ValueError("has no normal class, or no abnormal one, and no head is trained so")
        return card


@dataclass(frozen=True)
class LoadedHead:
    """A trained head, in `eval` mode on the CPU, with what it was trained on and the SHA-256 of its `weights`. `window`: what a
    snippet's score is made from (None: the whole video), at first as in training; `snippet_s`, `level` and `calibration` as
    in `HeadRecord`; `trained`: the head as it was trained, where `card` has other words; anomaly scores are its own (None: it
    is this one)."""

    model: AnomalyHead | BesideClip
    config: HeadConfig
    card: Card
    fingerprint: str
    clip: str
    clip_weights: str
    metrics: dict
    weights: str = ""
    window: Window | None = None
    snippet_s: float | None = None
    level: float = 0.0
    calibration: Calibration = Calibration()
    trained: "LoadedHead | None" = None

    def sure(self, anomaly_T: np.ndarray) -> float:
        """How sure it is that something anomalous happens in a run of snippets with these scores: a probability."""
        return self.calibration(evidence(anomaly_T, self.config.k))


def save_head(
    folder: Path,
    model: AnomalyHead,
    config: HeadConfig,
    card: Card,
    fingerprint: str,
    clip: Mapping[str, str],
    trained_on: Mapping[str, Any],
    metrics: Mapping,
    threads: Sequence[int] = (),
    snippet_s: float | None = None,
    calibration: Calibration | None = None,
    level: float = 0.0,
) -> None:
    """Write a head that `load_head` reads back, in place of one that is there, which stays until this one is whole.

    Args:
        clip: `source` and `weights` (hash) of the CLIP whose text tower it was trained with.
        trained_on: videos and features, which tell whether a training asked for again is the same.
        threads: numbers of threads that it was computed with; empty for as many as there are now.
        snippet_s: seconds a snippet lasted in training, None where that is not known.
        calibration: of its scores; None: they are taken as they are.
        level: anomaly logit that a score of 0.5 stands for.
    """
    record = {
        "format": FORMAT,
        "version": VERSION,
        "config": config.model_dump(),
        "card": card.model_dump(),
        "fingerprint": fingerprint,
        "clip": dict(clip),
        "trained_on": dict(trained_on),
        "metrics": dict(metrics),
        "threads": list(threads) if len(threads) > 1 else next(iter(threads), torch.get_num_threads()),
        "snippet_s": snippet_s,
        "level": level,
        "calibration": (calibration or Calibration()).model_dump(),
        "created_by": f"aadc-net {version('aadc-net')}",
    }
    publish(folder, model.state_dict(), record)


def load_head(folder: Path) -> LoadedHead:
    """Read a trained head.

    Raises:
        UserError: no head there, another version, or weights that are not those of the record.
    """
    record = read_record(folder)
    if record is None:
        raise UserError(f"{folder}: no trained head in it; run aadc-train-head first")
    path = weights_of(folder, record.weights)
    try:
        if sha256_of(path) != record.weights:
            raise UserError(f"{path}: not the weights that {RECORD} was written with; {AGAIN}")
        tensors = load_file(path)
        model = build_head(record.config, record.card, tensors)
    except (OSError, LookupError, ValueError, TypeError, ArithmeticError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{path}: cannot be read as a head ({error}); {AGAIN}") from error
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise UserError(f"{path}: has weights that are no numbers; {AGAIN}")
    clip = record.clip
    about = (record.config, record.card, record.fingerprint, clip.source, clip.weights, record.metrics, record.weights)
    return LoadedHead(
        model.eval(),
        *about,
        window=record.config.sees,
        snippet_s=record.snippet_s,
        level=record.level,
        calibration=record.calibration,
    )


def build_head(config: HeadConfig, card: Card, tensors: Mapping[str, torch.Tensor]) -> AnomalyHead:
    """The head whose `state_dict` the tensors are; their shapes say how wide it is."""
    detr_width = tensors["fusion.project.weight"].shape[1] if config.use_detr else 0
    model = AnomalyHead(config, tensors["text_features"].shape[1], detr_width, tensors["contexts"].shape[2], card.names)
    model.load_state_dict(tensors)
    return model


def read_record(folder: Path) -> HeadRecord | None:
    """`config.json` of a head folder, None where there is none. `UserError` if it is not one."""
    path = folder / RECORD
    return records.read_record(path, HeadRecord, AGAIN) if os.path.lexists(path) else None
