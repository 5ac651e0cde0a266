"""Where figures come from: what was scored with what, the folder that is its own, and the block that goes with every file."""

import hashlib
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from aadc.eval.scores import Scored
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.head.checkpoint import LoadedHead, read_record
from aadc.head.published import sha256_of
from aadc.head.window import AHEAD
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError
from aadc.manifests.shown import shown

THRESHOLD = 0.5
LIBRARIES = ("aadc-net", "torch", "numpy", "scikit-learn", "h5py")
_THIS_TIME = ("command", "date")  # of the block: they differ between two commands that do the same


@dataclass(frozen=True)
class Choice:
    """What a command was asked to score with what. `head` and `classes` None: those of the run; `out` None: below its eval/.
    `window`, snippets that a score is made from, `ahead` of them after it: None for what the head was trained with, 0 for the
    whole video."""

    split: str = "test"
    threshold: float = THRESHOLD
    head: Path | None = None
    classes: Path | None = None
    out: Path | None = None
    window: int | None = None
    ahead: int = AHEAD

    def head_of(self, run: RunFolder) -> Path:
        return self.head or run.head

    def folder(self, run: RunFolder) -> Path:
        """`eval/` for the test split under the run's own head, classes and the usual threshold; whatever else makes other
        figures has a folder of its own below it, so that no figure replaces one of another kind."""
        if self.out is not None:
            return self.out
        parts = []
        if self.head is not None and self.head.resolve() != run.head.resolve():
            if (record := read_record(self.head)) is None:
                raise UserError(f"{self.head}: no trained head in it; give the right folder with --head")
            parts.append(f"head-{record.weights[:8]}")
        if self.classes is not None:
            parts.append(f"{_plain(self.classes.stem)}-{sha256_of(self.classes)[:8]}")
        if self.threshold != THRESHOLD:
            parts.append(f"threshold-{self.threshold}")
        if self.window is not None:
            parts.append(f"window-{self.window}" + (f"-ahead-{self.ahead}" if self.ahead != AHEAD else ""))
        return run.eval / "-".join([self.split, *parts]) if parts or self.split != "test" else run.eval

    def command(self) -> str:
        """`aadc-eval` with the options that lead to the same folder."""
        words = ["aadc-eval"]
        words += ["--split", self.split] if self.split != "test" else []
        for name, path in (("--head", self.head), ("--classes", self.classes), ("--out", self.out)):
            words += [name, str(path)] if path is not None else []
        words += ["--threshold", str(self.threshold)] if self.threshold != THRESHOLD else []
        words += ["--window", str(self.window)] if self.window is not None else []
        words += ["--ahead", str(self.ahead)] if self.ahead != AHEAD else []
        return shlex.join(words)


def made_with(run: RunFolder, choice: Choice, head: LoadedHead, shards: ShardSet, scored: Mapping[str, Scored]) -> dict:
    """What the figures of a split depend on, and when and how they were asked for; goes into every file that holds some."""
    return {
        **video_made_with(run, choice, head, shards.models),
        "split": choice.split,
        "stride": shards.sampling["stride"],
        "manifest": about_manifest(run),
        "scores": digest_of(scored),
    }


def about_head(folder: Path, head: LoadedHead) -> dict:
    """A head by its weights and settings, and what it was trained on: title of the class card, number of videos."""
    record = read_record(folder)
    return {
        "folder": _text(folder),
        "trained_on": {"title": record.card.title, "videos": record.metrics.get("videos")} if record else None,
        "weights": head.weights,
        "config": head.config.model_dump(),
        "epoch": dict(head.metrics).get("epoch"),
    }


def about_models(models: Mapping) -> dict:
    """The frozen models by name and weights."""
    return {
        kind: {key: about[key] for key in ("source", "weights") if key in about}
        for kind, about in models.items()
        if isinstance(about, Mapping)
    }


def about_manifest(run: RunFolder) -> dict:
    """The run's own copy of manifest and class card, which is what truth is taken from."""
    card = run.manifest_csv.with_suffix(".toml")
    return {"file": _text(run.manifest_csv), "sha256": sha256_of(run.manifest_csv), "card_sha256": sha256_of(card)}


def video_made_with(run: RunFolder, choice: Choice, head: LoadedHead, models: Mapping) -> dict:
    """As `made_with`, for a video of no manifest."""
    return {
        **_about_this_time(),
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in LIBRARIES}},
        "head": about_head(choice.head_of(run), head),
        "classes": {"title": head.card.title, "sha256": _digest(head.card.model_dump_json()), "card": _text(choice.classes)},
        "threshold": choice.threshold,
        "window": None if head.window is None else head.window._asdict(),
        "fingerprint": head.fingerprint,
        "models": about_models(models),
    }


def same(one: Mapping, other: Mapping) -> bool:
    """Whether two blocks speak of the same figures, whenever they were computed."""

    def lasting(block: Mapping) -> dict:
        return {name: value for name, value in block.items() if name not in _THIS_TIME}

    return json.loads(json.dumps(lasting(one))) == lasting(other)


def digest_of(scored: Mapping[str, Scored]) -> str:
    """SHA-256 of all scores: equal where every score is equal to the last bit."""
    digest = hashlib.sha256()
    for key, one in scored.items():
        digest.update(f"{key} {one.features.frames} ".encode())
        digest.update(one.snippets.anomaly.tobytes())
        digest.update(one.snippets.classes.tobytes())
    return digest.hexdigest()


def differing_classes(card: Card, other: Card) -> list[str]:
    """Names of classes that stand in one card alone, or with another kind or prompt."""
    here, there = ({entry.name: entry for entry in one.classes} for one in (card, other))
    return [name for name in {**here, **there} if here.get(name) != there.get(name)]


def _about_this_time() -> dict:
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return {"command": shown(command)[:4000], "date": datetime.now(UTC).isoformat(timespec="seconds")}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _text(path: Path | None) -> str | None:
    return None if path is None else shown(os.path.abspath(path))


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", name)[:40].strip("_") or "classes"
