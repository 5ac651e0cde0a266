"""One optimisation step and one validation: the arithmetic of training, without files."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from aadc.head.bags import Bag, make_batch
from aadc.head.calibration import Calibration, fit_calibration, level_between
from aadc.head.class_vectors import ClassVectors
from aadc.head.config import HeadConfig
from aadc.head.losses import VideoLosses, video_losses
from aadc.head.model import AnomalyHead, HeadOutput
from aadc.head.rule import by_rule
from aadc.head.scoring import whole_output
from aadc.head.video_score import video_score
from aadc.manifests.card import Card

ROWS_AT_ONCE = 4096  # of a step; gradients add up, so memory stays small and tensors stay near the processor
_WARM_UP_STEPS = 20


class Trainer:
    """Model, optimiser and text tower of one training.

    Everything that is left to chance depends on (seed, step) alone: a stopped training needs no generator's state.
    """

    def __init__(self, model: AnomalyHead, prompts: ClassVectors, card: Card, config: HeadConfig, steps: int, device: str):
        self.model, self.prompts, self.card, self.config, self.steps, self.device = model, prompts, card, config, steps, device
        normal = [place for place, entry in enumerate(card.classes) if entry.kind == "normal"]
        self.normal = normal[0] if len(normal) == 1 else None
        matrices = [p for p in model.parameters() if p.ndim >= 2 and p is not model.contexts]
        rest = [p for p in model.parameters() if p.ndim < 2]
        share = 1.0 if config.class_vectors == "free" else 0.1  # word embeddings are small numbers
        self.optimiser = torch.optim.AdamW([
            {"params": matrices, "weight_decay": config.weight_decay, "share": 1.0},
            {"params": rest, "weight_decay": 0.0, "share": 1.0},
            {"params": [model.contexts], "weight_decay": 0.0, "share": share},
        ])  # fmt: skip

    def step(self, number: int, bags: Sequence[Bag]) -> dict[str, float]:
        """Learn from one batch; gives its mean losses."""
        seed = np.random.SeedSequence([self.config.seed, 2, number]).generate_state(1)[0]
        torch.manual_seed(int(seed))
        for group in self.optimiser.param_groups:
            group["lr"] = group["share"] * self._rate(number)
        self.model.train()
        self.optimiser.zero_grad()
        text_CD = self.prompts(self.model.contexts)
        leaf_CD = text_CD.detach().requires_grad_()
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        for part in _parts(self.drawn(number, bags)):
            losses = self._losses(part, leaf_CD)
            (losses.total(self.config.lambda_).sum() / len(bags)).backward()
            sums += torch.stack([losses.bce.detach().sum(), losses.nce.detach().sum()])
        if text_CD.requires_grad:
            text_CD.backward(leaf_CD.grad)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        bce, nce = (sums / len(bags)).tolist()  # read once: a GPU is waited for once a step
        return {"bce": bce, "nce": nce}

    def drawn(self, number: int, bags: Sequence[Bag]) -> list[Bag]:
        """Of each longer video `snippets` in a row, anywhere in it, by one of its crops, anew at every step."""
        most, random = self.config.snippets, np.random.default_rng([self.config.seed, 3, number])
        start = [int(random.integers(max(1, len(bag) - most + 1))) for bag in bags]
        views = [int(random.integers(1 + len(bag.views))) if bag.views else 0 for bag in bags]
        return [bag.part(first, most, view) for first, bag, view in zip(start, bags, views, strict=True)]

    def _rate(self, number: int) -> float:
        """Linear warm-up, then a cosine towards zero."""
        warm = min(1.0, (number + 1) / _WARM_UP_STEPS)
        return self.config.lr * warm * 0.5 * (1 + np.cos(np.pi * number / self.steps))

    def _losses(self, bags: Sequence[Bag], text_CD: Tensor) -> VideoLosses:
        batch = make_batch(bags, self.card, self.device)
        output = self.model(batch.detr_BTD, batch.vis_BTC, batch.valid_BT, text_CD, self.config.sees)
        return video_losses(output, batch.valid_BT, batch.abnormal_B, batch.labels_BC, self.config, self.normal)

    @torch.no_grad()
    def keep_text(self) -> None:
        """Put the texts of the classes, as the contexts are now, into the model."""
        self.model.set_classes(self.card.names, self.prompts(self.model.contexts))

    @torch.no_grad()
    def validate(self, bags: Sequence[Bag]) -> dict[str, float]:
        """Mean loss (eq. 11), AUC of the video scores, and `hits`: how often the most similar class is one of the video's.
        Of whole videos, scored as `scoring.score_video` scores them."""
        self.keep_text()
        truth, scores, hits, loss = [bag.abnormal for bag in bags], [], [], 0.0
        for bag in bags:
            output = self._whole(bag)
            about = make_batch([bag.part(0, 1)], self.card, self.device)
            all_BT = torch.ones_like(output.logits_BT, dtype=torch.bool)
            losses = video_losses(output, all_BT, about.abnormal_B, about.labels_BC, self.config, self.normal)
            loss += float(losses.total(self.config.lambda_))
            said = video_score(by_rule(output, self.config, self.card), self.config)
            scores.append(said.anomaly_logit)
            hits.append(float(about.labels_BC[0, int(said.classes.argmax())]))
        auc = _auc(np.array(truth), np.array(scores))
        return {"val_loss": loss / len(bags), "val_auc": auc, "val_hits": float(np.mean(hits))}

    def level(self, bags: Sequence[Bag]) -> float:
        """Of the model as it is now, by whole videos of both kinds, learned from or not; 0 by the paper's rule."""
        if self.config.rule == "paper":
            return 0.0
        return level_between(self._anomaly(bags, 0.0), [bag.abnormal for bag in bags])

    def calibration(self, bags: Sequence[Bag], level: float) -> Calibration:
        """Of the model as it is now and its level, by whole videos that were not learned from; none where there are none."""
        return fit_calibration(self._anomaly(bags, level), [bag.abnormal for bag in bags]) if bags else Calibration()

    def _anomaly(self, bags: Sequence[Bag], level: float) -> list[float]:
        """Anomaly logits of whole videos (eq. 7)."""
        outputs = (by_rule(self._whole(bag), self.config, self.card, level=level) for bag in bags)
        return [video_score(output, self.config).anomaly_logit for output in outputs]

    @torch.no_grad()
    def _whole(self, bag: Bag) -> HeadOutput:
        self.model.eval()
        return whole_output(self.model, bag.detr.float(), bag.vis.float(), self.config.sees)


def _auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Share of the pairs of an abnormal and a normal video that the scores put in the right order; a tie is half of one."""
    abnormal, normal = scores[truth], np.sort(scores[~truth])
    below, up_to = (np.searchsorted(normal, abnormal, side) for side in ("left", "right"))
    return float((below + up_to).sum() / (2 * len(abnormal) * len(normal)))


def _parts(bags: Sequence[Bag]) -> Iterator[Sequence[Bag]]:
    """Bags in groups of similar length, so that little is padding, and of `ROWS_AT_ONCE` rows at most (or one bag)."""
    ordered = sorted(bags, key=len, reverse=True)
    while ordered:
        count = max(1, ROWS_AT_ONCE // len(ordered[0]))
        yield ordered[:count]
        ordered = ordered[count:]


def set_statistics(model: AnomalyHead, bags: Sequence[Bag], most: int) -> None:
    """Give the model the mean and the deviation of the training snippets' features; one bag at a time is made larger.
    Of a longer video `most` rows count.

    The visual side has one deviation for all channels: their proportions are what similarity to a text is made of.
    """
    mean, variance = _moments(lambda: (_pooled(_some(bag.vis, most)) for bag in bags))
    model.fusion.vis.set(mean, variance.mean().sqrt().expand_as(mean))
    if model.fusion.detr is not None:
        mean, variance = _moments(lambda: (_some(bag.detr, most) for bag in bags))
        model.fusion.detr.set(mean, (variance + 1e-4 * variance.mean()).sqrt())


def _some(rows: Tensor, most: int) -> Tensor:
    """At most so many rows, spread over all: what a step draws of a video weighs no more than that."""
    return rows[:: -(-len(rows) // most)]


def _pooled(vis: Tensor) -> Tensor:
    if vis.dim() == 2:
        return vis
    present = (vis != 0).any(-1).sum(1, keepdim=True)
    return vis.float().sum(1) / present


def _moments(parts: Callable[[], Iterable[Tensor]]) -> tuple[Tensor, Tensor]:
    """Mean and variance of all rows, in two passes; `parts` begins a pass."""
    rows, total = 0, torch.zeros((), dtype=torch.double)
    for part in parts():
        rows, total = rows + len(part), total + part.double().sum(0)
    mean = total / rows
    variance = sum(((part.double() - mean).square().sum(0) for part in parts()), torch.zeros_like(mean)) / rows
    return mean.float(), variance.float()
