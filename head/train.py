"""Stage two, shards -> checkpoint: everything around the steps, resumable at every epoch."""

import csv
import hashlib
import io
import json
import math
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from aadc.extract.clip_model import Clip
from aadc.extract.run_folder import RunFolder
from aadc.extract.shard_layout import Entry
from aadc.extract.shards import ShardSet
from aadc.head.bags import Bag, check_widths, load_bags
from aadc.head.checkpoint import AGAIN, load_head, read_record, save_head
from aadc.head.class_vectors import class_vectors, settle
from aadc.head.config import HeadConfig
from aadc.head.model import AnomalyHead
from aadc.head.progress import TrainProgress
from aadc.head.published import RECORD
from aadc.head.sampling import BalancedSampler, split_validation
from aadc.head.text_tower import load_tower
from aadc.head.trainer import Trainer, set_statistics
from aadc.head.training_state import STATE, Progress, differences, load_state, read_state_record, save_state
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError
from aadc.manifests.files import clear_torn, make_folder, replace_file
from aadc.manifests.manifest import Row
from aadc.manifests.records import Record, check_record

LEAST_STEPS = 10  # of an epoch, however few the videos
LOG = "log.csv"
_NARROW = 256  # features of less width are multiplied by one thread
_SAVE_EVERY_S = 10.0


@dataclass(frozen=True)
class Trained:
    """What a training gave: the head's folder, its figures (as in config.json), and whether it had been there before."""

    folder: Path
    metrics: dict
    already: bool = False


def train_head(
    run: RunFolder,
    config: HeadConfig,
    out: Path | None = None,
    clip: str | None = None,
    device: str = "cpu",
    restart: bool = False,
    progress: TrainProgress | None = None,
) -> Trained:
    """Train a head on the shards of a run.

    A training that was stopped goes on where it was and ends with the same weights; one that is finished is left alone
    if it was asked the same.

    Args:
        out: folder of the head; the run's own `head/` if None.
        clip: where the CLIP of the shards is, if not where it was at extraction; its weights must be theirs.
        restart: begin anew, whatever `out` holds; a finished head there is replaced when the new one is done.
    Raises:
        UserError: no shards, another CLIP, only one kind of videos, features that are no numbers, or a training in `out`
            that was begun or finished with other settings or data, or features, losses or weights that are no numbers.
    """
    out = out or run.head
    shards, manifest = ShardSet(run.shards), run.manifest()
    config = without_detector(config, shards)
    rows = [row for row in manifest.split("train") if row.key in shards.entries]
    identity = {
        "config": config.model_dump(),
        "fingerprint": shards.fingerprint,
        "classes": _classes(manifest.card),
        "videos": {row.video: list(row.labels) for row in rows},
        "features": {row.video: _content(shards.entries[row.key]) for row in rows},
    }
    if not restart and (found := _finished(out, identity)):
        return found
    if (kinds := {manifest.card.is_abnormal(row.labels) for row in rows}) == {True} or kinds == {False}:
        kind, other = ("abnormal", "normal") if True in kinds else ("normal", "abnormal")
        raise UserError(
            f"{run.manifest_csv}: all {len(rows)} train videos in the shards are {kind}; training needs {other} ones too: add "
            "some to the manifest and extract again"
        )
    bags = load_bags(shards, rows, manifest.card, config, progress.read if progress else None, out)
    with torch.random.fork_rng(), _few_threads(bags[0].vis.shape[-1]):
        tower = load_tower(shards.models["clip"], clip) if has_clip(shards, clip) else None
        config = settle(config, tower)
        identity["config"] = config.model_dump()
        if tower is not None and config.class_vectors != "free":
            check_widths(rows[0].video, bags[0].detr, bags[0].vis, None, tower.width)
        missing = len(manifest.split("train")) - len(rows)
        make_folder(out)
        clear_torn(out)
        if restart:  # now that a training can begin; a finished head stays until its successor is whole
            (out / STATE).unlink(missing_ok=True)
        snippet_s = _snippet_s(shards, rows)
        metrics = _fit(bags, manifest.card, config, tower, device, out, identity, missing, snippet_s, progress)
    return Trained(out, metrics)


def _content(entry: Entry) -> str:
    """What a video's features were made from, so that other ones are told: the hash of its file; of imported ones, which have
    none, the size of their files and when they were changed."""
    record = entry.record
    return record.sha256[:16] or f"{record.size} bytes, {record.mtime_ns}"


def without_detector(config: HeadConfig, shards: ShardSet) -> HeadConfig:
    """The configuration as the features allow it: where they have no detector's, as imported ones, none takes part."""
    return config if shards.has_detector else config.model_copy(update={"use_detr": False})


def has_clip(shards: ShardSet, clip: str | None) -> bool:
    """Whether the features are of a CLIP that is known; `clip` names where that is now.

    Raises:
        UserError: one is named and they are of none.
    """
    if "clip" in shards.models:
        return True
    if clip is not None:
        shards.models["clip"]  # says what is to be done
    return False


def _snippet_s(shards: ShardSet, rows: Sequence[Row]) -> float | None:
    """How long a snippet lasts in the middle one of these videos, seconds; None where no file says its frame rate."""
    rates = [rate for row in rows if 0 < (rate := shards.entries[row.key].fps) < math.inf]
    return statistics.median(shards.sampling["stride"] / rate for rate in rates) if rates else None


def lock_of(out: Path | None) -> AbstractContextManager[None]:
    """Keeps a second training out of a folder that is not the run's (None: it is, and is locked with it), as a training of
    another run could name it too."""
    if out is None:
        return nullcontext()
    make_folder(out)
    return RunFolder(out).lock()


class HeadMetrics(Record):
    """The figures of a head, as training leaves them in config.json."""

    epoch: int
    epochs_run: int
    videos: int
    validation_videos: int
    missing_videos: int
    val_loss: float | None
    val_auc: float | None
    val_hits: float | None


def _finished(out: Path, identity: dict) -> Trained | None:
    """The head in `out` if it is what a training of this identity gives; None if there is none, or one that is in the making.

    Raises:
        UserError: there is one of another identity, or one that cannot be read. It is not replaced unasked.
    """
    state = read_state_record(out)
    if state:
        identity = _as_settled(identity, state.identity.get("config"))
    if state and not differences(state.identity, identity):
        return None
    if (record := read_record(out)) is None:
        return None
    config = record.config.model_dump()
    if config["class_vectors"] == "auto":  # an earlier head, which did not note it
        config["class_vectors"] = "prompts"
    identity = _as_settled(identity, config)
    found = {"config": config, "fingerprint": record.fingerprint, **record.trained_on}
    found["classes"] = _classes(record.card)
    asked = _as_older_heads_say_it(identity) if isinstance(found.get("videos"), str) else identity
    if differ := differences(found, asked):
        raise UserError(
            f"{out}: holds a finished head of other settings or data ({differ}); keep it and name a folder for the new one "
            "with --out FOLDER, or replace it with --restart"
        )
    load_head(out)  # what is finished can be used
    check_record(record.metrics, f"{out / RECORD}: metrics", HeadMetrics, AGAIN)
    return Trained(out, record.metrics, already=True)


def _as_settled(identity: dict, config: object) -> dict:
    """What was asked, with the kind of class vectors that a training settled on where none was asked for: the features, and so
    the kind, are the same."""
    if identity["config"]["class_vectors"] != "auto" or not isinstance(config, dict):
        return identity
    kind = "prompts" if (noted := config.get("class_vectors", "auto")) == "auto" else noted
    settled = {"class_vectors": kind} | ({} if kind == "prompts" else {"n_ctx": 0})
    return {**identity, "config": {**identity["config"], **settled}}


def _classes(card: Card) -> dict[str, str]:
    """What training reads of each class; their order counts, for weights follow it."""
    return {entry.name: f"{place}, {entry.kind}: {entry.prompt}" for place, entry in enumerate(card.classes, 1)}


def _as_older_heads_say_it(identity: dict) -> dict:
    """Videos as a digest. Of the classes older heads kept one that names nothing: the card in their record is compared."""
    return {**identity, "videos": digest(list(identity["videos"].items()))}


@contextmanager
def _few_threads(width: int) -> Iterator[None]:
    """One thread where products are so small that waking another one takes as long: on two cores beside three other processes,
    steps of width 128 took half as long again with two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if width < _NARROW else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _fit(
    bags: Sequence[Bag],
    card: Card,
    config: HeadConfig,
    clip: Clip | None,
    device: str,
    out: Path,
    identity: dict,
    missing: int,
    snippet_s: float | None,
    progress: TrainProgress | None,
) -> dict:
    """Train on bags, keep the head in `out`, give its figures."""
    learn, validate = split_validation(bags, config.validation, config.seed)
    learn_bags, validation_bags = [bags[i] for i in learn], [bags[i] for i in validate]
    sampler = BalancedSampler([bag.abnormal for bag in learn_bags], config.batch, config.seed, LEAST_STEPS)
    steps = config.epochs * sampler.steps_per_epoch

    torch.manual_seed(config.seed)
    prompts = class_vectors(config, clip, card, learn_bags, device)
    text_width = prompts.initial_contexts.shape[-1]
    model = AnomalyHead(config, bags[0].vis.shape[-1], bags[0].detr.shape[-1], text_width, card.names).to(device)
    with torch.no_grad():
        model.contexts.copy_(prompts.initial_contexts)
    set_statistics(model, learn_bags, config.snippets)
    abnormal = [entry.kind == "abnormal" for entry in card.classes]
    model.score.start_from(prompts(prompts.initial_contexts), abnormal, model.fusion.vis)
    trainer = Trainer(model, prompts, card, config, steps, device)

    state = load_state(out, identity, model, trainer.optimiser, lambda one: _fits(one, config))
    done, best_weights = state or (Progress(), {})
    if not done.history:
        best_weights = _judge(done, trainer, [], validation_bags, best_weights)
    if progress:
        progress.begin(done.epoch * sampler.steps_per_epoch, steps)
    saved = 0.0
    while done.epoch < config.epochs and done.epoch - done.kept_epoch < config.patience:
        losses = []
        for step in range(done.epoch * sampler.steps_per_epoch, (done.epoch + 1) * sampler.steps_per_epoch):
            losses.append(trainer.step(step, [learn_bags[i] for i in sampler.batch(step)]))
            check_finite(losses[-1].values(), f"the loss of step {step + 1}")
            if progress:
                progress.step(step + 1)
        done.epoch += 1
        for name, tensor in model.state_dict().items():
            check_finite(tensor.flatten(), f"{name} after epoch {done.epoch}")
        best_weights = _judge(done, trainer, losses, validation_bags, best_weights)
        _write_log(out, done.history)
        if progress:
            progress.epoch(done.history[-1])
        if time.monotonic() - saved > _SAVE_EVERY_S:
            save_state(out, identity, done, model, trainer.optimiser, best_weights)
            saved = time.monotonic()

    model.load_state_dict(best_weights)
    metrics = {
        **done.history[done.kept_epoch],
        "epochs_run": done.epoch,
        "videos": len(learn),
        "validation_videos": len(validate),
        "missing_videos": missing,
    }
    made_with = {"source": clip.source, "weights": clip.weights} if clip else {"source": "", "weights": ""}
    trained_on = {name: identity[name] for name in ("videos", "features")}
    level = trainer.level(bags)
    save_head(
        out,
        model,
        config,
        card,
        identity["fingerprint"],
        made_with,
        trained_on,
        metrics,
        done.threads,
        snippet_s,
        trainer.calibration(validation_bags, level),
        level,
    )
    (out / STATE).unlink(missing_ok=True)
    return metrics


def _judge(
    done: Progress,
    trainer: Trainer,
    losses: Sequence[dict[str, float]],
    validation_bags: Sequence[Bag],
    best_weights: dict[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Write the epoch into the history; gives the weights to keep: these, or `best_weights` if these are clearly worse.

    Validated is the mean of video AUC and class hits. The latest epoch is kept that falls short of the best by no more than
    one validation video accounts for: localising goes on getting better long after whole videos are told apart, and on a
    small data set the odd video turns over by chance. Epoch 0, the untrained head, is CLIP's own judgement: where every other
    does clearly worse, it stays at that. Without validation videos the last is kept.
    """
    row: dict[str, float | None] = {"epoch": done.epoch}
    row |= {name: sum(one[name] for one in losses) / len(losses) if losses else None for name in ("bce", "nce")}
    if validation_bags:
        found = trainer.validate(validation_bags)
        row |= found
        score = (found["val_auc"] + found["val_hits"]) / 2
        one_video = 1 / len(validation_bags)  # lost when one ends up on the wrong side of all of the other kind
    else:
        trainer.keep_text()
        row |= dict.fromkeys(("val_loss", "val_auc", "val_hits"))
        score = one_video = 0.0
    done.history.append(row)
    if score < done.best - one_video - 1e-9:  # sums of fractions are not exact
        return best_weights
    done.best, done.kept_epoch = max(score, done.best), done.epoch
    return {name: tensor.detach().cpu().clone() for name, tensor in trainer.model.state_dict().items()}


def check_finite(values: Iterable[float] | torch.Tensor, what: str) -> None:
    """`UserError` if a value is no finite number: a training that has left the numbers never comes back."""
    if not torch.as_tensor(values if isinstance(values, torch.Tensor) else list(values)).isfinite().all():
        raise UserError(
            f"training stopped: {what} is no finite number; nothing of it is kept as a head. Take milder settings and --restart"
        )


def _fits(done: Progress, config: HeadConfig) -> bool:
    """Whether a progress is one that a training of these settings can have come to: a row for each epoch, and the start's."""
    columns = {"epoch", "bce", "nce", "val_loss", "val_auc", "val_hits"}
    rows = len(done.history) == done.epoch + 1 and all(set(row) == columns for row in done.history)
    return rows and done.kept_epoch <= done.epoch <= config.epochs and math.isfinite(done.best)


def _write_log(out: Path, history: Sequence[dict]) -> None:
    """log.csv: a line an epoch; empty where there is no validation."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    replace_file(out / LOG, text.getvalue().encode())


def digest(what: object) -> str:
    """Sixteen hex digits that tell whether a list of classes or videos is the same."""
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
