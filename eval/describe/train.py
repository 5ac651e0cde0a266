"""Training the projector: LLaMA frozen, gradients through it to the video tokens; resumable."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from aadc.eval.describe.examples import Example, Names, draw
from aadc.eval.describe.facts import plain
from aadc.eval.describe.llm import Llm
from aadc.eval.describe.projector import LEARNED_TOKENS, Projector, word_tokens
from aadc.eval.describe.saved import describer_folder, load_projector, read_record, save_projector
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.head.bags import FIELDS
from aadc.head.checkpoint import LoadedHead
from aadc.head.checkpoint import read_record as read_head_record
from aadc.head.config import MOST
from aadc.head.progress import TrainProgress
from aadc.head.sampling import split_validation
from aadc.head.scoring import SnippetScores, score_video
from aadc.head.train import check_finite, digest
from aadc.head.training_state import STATE, Progress, differences, load_state, read_state_record, save_state
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError
from aadc.manifests.files import clear_torn, make_folder
from aadc.manifests.manifest import Row

_JUDGED_EVERY = 20  # steps
_WARM_UP = 10  # steps
_MAP_LR = 0.01  # of the peak rate: the map has many inputs and starts near its goal, the learned tokens do not
_LEARNED_FROM = " The assistant says what the surveillance video shows"


class DescriberConfig(BaseModel):
    """Settings of a projector's training, saved with it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: int = Field(300, ge=1, le=MOST)
    batch: int = Field(4, ge=1, le=MOST, description="answers a step")
    lr: float = Field(1e-2, gt=0, le=1, description="peak learning rate of AdamW")
    seed: int = Field(0, ge=0, lt=2**32)


def new_projector(examples: Sequence[Example], llm: Llm) -> Projector:
    """A projector whose video tokens start as the words of the classes, as well as ridge regression can tell."""
    projector = Projector(examples[0].features.shape[1], llm.width)
    table_VE = llm.table.float()
    with torch.no_grad():
        pooled = torch.stack([projector.pool(one.features, one.logits) for one in examples])
        words = torch.stack([word_tokens([llm.embed(f" {plain(n)}").float() for n in one.said]) for one in examples])
        learned = llm.embed(_LEARNED_FROM).float()
        learned = learned.repeat(-(-LEARNED_TOKENS // len(learned)), 1)[:LEARNED_TOKENS]
        projector.start_from(pooled, words.cpu(), learned.cpu(), table_VE.mean(0).cpu())
    return projector


def answer_loss(llm: Llm, prompts: Sequence[Tensor], answers: Sequence[str]) -> Tensor:
    """Mean cross-entropy of the answers' tokens after their prompts (each (L, E)), over all tokens of the batch."""
    rows, targets = [], []
    for prompt, answer in zip(prompts, answers, strict=True):
        tokens = [*llm.tokenizer(f" {answer}", add_special_tokens=False).input_ids, llm.tokenizer.eos_token_id]
        ids = torch.tensor(tokens, device=prompt.device)
        rows.append(torch.cat([prompt, llm.model.get_input_embeddings()(ids[:-1])]))
        targets.append(ids)
    # Padding stands behind and attention looks back only, so no mask is needed.
    hidden_BLE = llm.model.base_model(inputs_embeds=torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)).last_hidden_state
    said = torch.cat([h[len(row) - len(ids) : len(row)] for h, row, ids in zip(hidden_BLE, rows, targets, strict=True)])
    return functional.cross_entropy(llm.model.get_output_embeddings()(said).float(), torch.cat(targets))


def step_loss(projector: Projector, llm: Llm, examples: Sequence[Example], names: Names, chance: random.Random) -> Tensor:
    """The loss of one answer for each of these videos."""
    prompts, answers = [], []
    for example in examples:
        request, answer, shown = draw(example, names, chance)
        tokens = projector(example.features, example.logits) if shown else projector(None)
        prompts.append(llm.prompt(replace(request, tokens=tokens)))
        answers.append(answer)
    return answer_loss(llm, prompts, answers)


def examples_of(run: RunFolder, head: LoadedHead) -> list[Example]:
    """The training videos in a run's shards, as the head sees them. Their segments are not read.

    Raises:
        UserError: there are none, or the shards are not those of the head.
    """
    shards, card = ShardSet(run.shards), head.card
    rows = _rows(run, shards)
    if not rows:
        raise UserError(f"{run.shards}: not one train video of the manifest is in the shards; run aadc-extract first")
    if shards.fingerprint != head.fingerprint:
        raise UserError(f"{shards.folder}: not the shards the head was trained on; train it again with aadc-train-head")
    return [_example(row, score_video(head, shards.read(row.key, FIELDS)), card) for row in rows]


def _rows(run: RunFolder, shards: ShardSet) -> list[Row]:
    return [row for row in run.manifest().split("train") if row.key in shards.entries]


def _example(row: Row, scores: SnippetScores, card: Card) -> Example:
    anomaly = torch.from_numpy(scores.anomaly).clamp(1e-4, 1 - 1e-4)
    by_kind = {kind: tuple(label for label in row.labels if card.kind(label) == kind) for kind in ("abnormal", "normal")}
    return Example(torch.from_numpy(scores.features), anomaly.logit(), row.labels, by_kind["abnormal"], by_kind["normal"])


def train_describer(
    run: RunFolder,
    head: LoadedHead,
    llm: Llm,
    config: DescriberConfig,
    restart: bool = False,
    progress: TrainProgress | None = None,
) -> dict:
    """Train the projector beside a run's head. Gives its figures (as in config.json), `already` among them if it was there.

    A training that was stopped goes on from the last step that was judged and ends with the same weights.

    Raises:
        UserError: no training videos, or a training begun with other settings, another head or language model.
    """
    folder, shards = describer_folder(run.head), ShardSet(run.shards)
    head_record = read_head_record(run.head)
    assert head_record is not None  # the head was loaded from there
    identity = {
        "config": config.model_dump(),
        "head": head_record.weights,
        "llm": {"source": llm.source, "weights": llm.weights},
        "videos": digest([(row.video, row.labels) for row in _rows(run, shards)]),
    }
    state = None if restart else read_state_record(folder)
    if not restart and (state is None or differences(state.identity, identity)) and (there := read_record(folder)):
        found = {**there.model_dump(include=set(identity)), "llm": there.llm.model_dump()}
        if differ := differences(found, identity):
            if found["head"] == identity["head"]:
                raise UserError(f"{folder}: holds a describer of other settings or data ({differ}); replace it with --restart")
        else:
            load_projector(run.head)  # what is finished can be used
            return {**there.metrics.model_dump(), "already": True}
    llm.hurry()
    names = shards.models.get("detector", {}).get("class_names", {})
    kinds = {kind: [c.name for c in head.card.classes if c.kind == kind] for kind in ("abnormal", "normal")}
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        examples = examples_of(run, head)
        make_folder(folder)
        clear_torn(folder)
        if restart:  # now that a training can begin; a finished describer stays until its successor is whole
            (folder / STATE).unlink(missing_ok=True)
        every = Names(kinds["abnormal"], kinds["normal"], list(names.values()))
        projector, metrics = _fit(examples, every, llm, config, head, folder, identity, progress)
    save_projector(folder, projector, {**identity, "metrics": metrics})
    (folder / STATE).unlink(missing_ok=True)
    return {**metrics, "already": False}


def _fit(
    examples: Sequence[Example],
    names: Names,
    llm: Llm,
    config: DescriberConfig,
    head: LoadedHead,
    folder: Path,
    identity: dict,
    progress: TrainProgress | None,
) -> tuple[Projector, dict]:
    learn, validate = split_validation(examples, head.config.validation, head.config.seed)  # those the head was not trained on
    held_out = [examples[place] for place in validate]
    projector = new_projector([examples[place] for place in learn], llm)
    optimiser = torch.optim.AdamW(
        [
            {"params": [projector.learned, projector.null, projector.sharpness], "share": 1.0},
            {"params": list(projector.map.parameters()), "share": _MAP_LR},
        ],
        weight_decay=0.0,
    )
    state = load_state(folder, identity, projector, optimiser, lambda one: _fits(one, config))
    done, best = state or (Progress(best=math.inf), {})
    if progress:
        progress.begin(done.epoch, config.steps)
    losses: list[float] = []
    for step in range(done.epoch, config.steps):
        chance = random.Random(f"{config.seed} {step}")
        for group in optimiser.param_groups:
            group["lr"] = config.lr * group["share"] * _schedule(step, config.steps)
        batch = [examples[place] for place in chance.sample(learn, min(config.batch, len(learn)))]
        loss = step_loss(projector, llm, batch, names, chance)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        check_finite(losses[-1:], f"the loss of step {step + 1}")
        if (step + 1) % _JUDGED_EVERY == 0 or step + 1 == config.steps:
            done.epoch = step + 1
            value = _held_out_loss(projector, llm, held_out, names, config.batch)
            for name, tensor in projector.state_dict().items():
                check_finite(tensor.flatten(), f"{name} after step {step + 1}")
            best = _judge(done, projector, losses, value, best)
            save_state(folder, identity, done, projector, optimiser, best)
            losses = []
            if progress:
                row = done.history[-1]
                validation = "" if row["val_loss"] is None else f", validation {row['val_loss']:.3f}"
                progress.figures = f", loss {row['loss']:.3f}{validation}"
        if progress:
            progress.step(step + 1)
    projector.load_state_dict(best)
    row = next(row for row in done.history if row["step"] == done.kept_epoch)
    return projector, {**row, "steps": done.epoch, "videos": len(learn), "validation_videos": len(validate)}


def _fits(done: Progress, config: DescriberConfig) -> bool:
    """Whether a progress is one that a training of these settings can have come to."""
    rows = all(set(row) == {"step", "loss", "val_loss"} for row in done.history)
    kept = rows and any(row["step"] == done.kept_epoch for row in done.history)
    return kept and done.kept_epoch <= done.epoch <= config.steps and not math.isnan(done.best)


def _judge(done: Progress, projector: Projector, losses: Sequence[float], value: float | None, best: dict) -> dict:
    """Note how training stands; gives the weights to keep: those of the lowest loss on the videos held out, else the last."""
    done.history.append({"step": done.epoch, "loss": sum(losses) / len(losses), "val_loss": value})
    if value is not None and value > done.best:
        return best
    done.best, done.kept_epoch = (math.inf if value is None else value), done.epoch
    return {name: tensor.detach().clone() for name, tensor in projector.state_dict().items()}


@torch.no_grad()
def _held_out_loss(projector: Projector, llm: Llm, held_out: Sequence[Example], names: Names, few: int) -> float | None:
    """Mean loss of two answers a video held out, the same ones every time, `few` videos at once; None without videos."""
    if not held_out:
        return None
    chance = random.Random("held out")
    total = 0.0
    for start in [*range(0, len(held_out), few)] * 2:
        part = held_out[start : start + few]
        total += step_loss(projector, llm, part, names, chance).item() * len(part)
    return total / (2 * len(held_out))


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to zero."""
    return min(1.0, (step + 1) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))
