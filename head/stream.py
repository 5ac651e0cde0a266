"""Scores of a stream, snippet by snippet, at a constant cost, by the rule of `window.Window`; recordings are scored so, too."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aadc.head.beside_clip import BesideClip
from aadc.head.checkpoint import LoadedHead
from aadc.head.fusion import pool_objects
from aadc.head.model import AnomalyHead, HeadOutput, Rows
from aadc.head.rule import REACH, by_rule, reach
from aadc.head.window import AHEAD, Window, check_window
from aadc.manifests.errors import UserError

MOST_CARRIED = 4  # missing snippets in a row that the last one stands for
_AT_ONCE = 1024  # snippets that go through the head together, at most


class StreamedScore(NamedTuple):
    """One snippet: its `index` in its epoch (0, 1, …), `anomaly` in [0, 1] (eq. 4), `classes` float32 (C,), a distribution
    (eq. 10). Not `final`: nothing that comes after it was known yet. `carried`: it was missing, and the one before it stands
    for it. `epoch` counts from 0; a new one begins where a gap is not bridged."""

    index: int  # type: ignore[assignment]  # hides tuple.index
    anomaly: float
    classes: np.ndarray
    final: bool
    carried: bool = False
    epoch: int = 0


def as_stored(rows: Mapping[str, np.ndarray], pooling: str) -> tuple[Tensor, Tensor]:
    """Fresh features as the head reads them from a shard, which holds half precision: detector (n, D), visual (n, C), or
    (n, O, C) with attention pooling, both float32.

    Args:
        rows: `scene`, `crop`, `count` and `detr`, as `extract.features.FrameEmbedder` gives them.
        pooling: of the head.
    """
    with np.errstate(over="ignore"):  # what becomes infinite is refused where it is scored
        scene, crop, detr = (rows[name].astype(np.float16) for name in ("scene", "crop", "detr"))
    return torch.from_numpy(detr).float(), pool_objects(scene, crop, rows["count"], pooling)


class WindowedScores:
    """What a head answers of a video or stream that comes in pieces, by one window. Holds the last `window.rows` snippets.

    Args:
        model: in `eval` mode, on any device.
        more: how many snippets before the newest can be asked for again.
    """

    def __init__(self, model: AnomalyHead | BesideClip, window: Window, more: int = 0):
        self.model, self.window, self._keep = model, window, window.rows - 1 + more
        self.count = 0  # snippets that came
        self.answered = 0  # of them, those with a final answer
        self._rows: Rows | None = None  # of the last ones

    @torch.inference_mode()
    def add(self, detr_TD: Tensor, vis_TC: Tensor) -> None:
        """The next snippets, float32; what of those before can be seen no more is let go."""
        device = self.model.text_features.device
        detr, vis = detr_TD[None].to(device), vis_TC[None].to(device)
        new = self.model.rows(detr, vis, torch.ones(detr.shape[:2], dtype=torch.bool, device=device))
        self._rows = (
            new if self._rows is None else Rows(*(torch.cat(both, dim=1) for both in zip(self._rows, new, strict=True)))
        )
        self.count += len(detr_TD)

    def final(self, end: bool = False) -> HeadOutput | None:
        """Answers of the snippets that now have all that comes `ahead` of them; None if there are none. `end`: nothing more
        comes, so these are all."""
        last = self.count if end else self.count - self.window.ahead
        if last <= self.answered:
            return None
        output = self.at(self.window, self.answered, last)
        self.answered = last
        self._forget()
        return output

    @torch.inference_mode()
    def at(self, window: Window, first: int, last: int) -> HeadOutput:
        """Answers of snippets `first` to `last` (not included), which must be among those held, by this window."""
        assert self._rows is not None
        held = self._rows.x_BTD.shape[1]
        valid_BT = torch.ones(1, held, dtype=torch.bool, device=self._rows.x_BTD.device)
        gone = self.count - held
        return self.model.answer(self._rows, valid_BT, window, first - gone, last - gone)

    def _forget(self) -> None:
        assert self._rows is not None
        self._rows = Rows(*(part[:, -self._keep :].clone() if self._keep else part[:, :0] for part in self._rows))


def pieces(rows: int) -> Iterator[slice]:
    """So many rows, in pieces that are worth one call each and small beside the models."""
    for start in range(0, rows, _AT_ONCE):
        yield slice(start, min(start + _AT_ONCE, rows))


class StreamScorer:
    """Scores of one stream. What is pushed in pieces of any size, with `flush` at the end, gets the final scores that
    `aadc.head.scoring.score_video` gives the whole (to 1e-4: sums of other shapes differ in their last digits).

    Args:
        head: in `eval` mode, on any device; several streams can share one.
        window: snippets that a score is made from; None for as many as the head was trained with.
        ahead: how many of them come after it: so many snippets later its score is final, and `REACH` later
            still by the rule `smooth`.
        provisional: give each snippet a score at once, too, by the window that ends with it.
    Raises:
        UserError: a window that cannot be, or none where the head was trained on whole videos.
    """

    def __init__(self, head: LoadedHead, window: int | None = None, ahead: int = AHEAD, provisional: bool = True):
        if window is None:
            if head.config.sees is None:
                raise UserError("the head was trained on whole videos, which a stream is not; give a window, say 256 snippets")
            window = head.config.window
        try:
            self.window = check_window(window, ahead)
        except ValueError as error:
            raise UserError(f"{error}; take a larger window") from None
        self.head, self.provisional, self.epoch, self._reach = head, provisional, 0, reach(head.config)
        self._begin()

    def _begin(self) -> None:
        self._scores = WindowedScores(self.head.model, self.window, self._reach)
        self._answers: HeadOutput | None = None  # final ones, of those without a score yet and their neighbours before
        self._told = 0  # snippets with a final score
        self._carried: set[int] = set()  # indices without a final score yet
        self._last: tuple[Tensor, Tensor] | None = None

    @property
    def count(self) -> int:
        """Snippets of this epoch so far; the next one has this number."""
        return self._scores.count

    def push(self, detr_TD: Tensor | np.ndarray, vis_TC: Tensor | np.ndarray) -> list[StreamedScore]:
        """Score the next snippets (most often one).

        Args:
            detr_TD, vis_TC: features as `as_stored` gives them, float; (n, D) and (n, C), or (n, O, C) with attention pooling.
        Returns:
            The provisional scores of these, and the final ones of those that now have all that follows them.
        Raises:
            UserError: features that are no finite numbers, or of other widths than the head's; nothing is changed then.
        """
        detr, vis = torch.as_tensor(detr_TD).float(), torch.as_tensor(vis_TC).float()
        self._check(detr, vis)
        found: list[StreamedScore] = []
        for part in pieces(len(detr)):
            found += self._push(detr[part], vis[part])
        return found

    def missing(self, snippets: int) -> list[StreamedScore]:
        """So many snippets did not come. The last one that did stands for up to `MOST_CARRIED`; a longer gap ends the epoch, as
        `flush` does."""
        if snippets < 1:
            return []
        if self._last is None:
            return []  # nothing to bridge to
        if snippets > MOST_CARRIED:
            return self.flush()
        self._carried |= set(range(self.count, self.count + snippets))
        return self._push(*(part.expand(snippets, *part.shape[1:]) for part in self._last))

    def flush(self) -> list[StreamedScore]:
        """The stream ends: the final scores that are still due, by what there is of their windows. A new epoch begins."""
        rest = self._final(end=True)
        self.reset()
        return rest

    def reset(self) -> None:
        """Begin a new epoch at snippet 0, with nothing left of what came before."""
        if self.count:
            self.epoch += 1
        self._begin()

    def _check(self, detr: Tensor, vis: Tensor) -> None:
        fusion = self.head.model.fusion
        widths = None if fusion.detr is None else len(fusion.detr.mean), len(fusion.vis.mean)
        if len(detr) != len(vis) or vis.shape[-1] != widths[1] or (widths[0] is not None and detr.shape[-1] != widths[0]):
            raise UserError(
                f"features of shapes {tuple(detr.shape)} and {tuple(vis.shape)}, where the head reads {widths[0] or 'any'} and "
                f"{widths[1]} wide ones, as many of one as of the other"
            )
        if not (detr.isfinite().all() and vis.isfinite().all()):
            raise UserError("features that are no finite numbers cannot be scored; call it a missing snippet")

    def _push(self, detr: Tensor, vis: Tensor) -> list[StreamedScore]:
        first = self.count
        self._scores.add(detr, vis)
        self._last = detr[-1:].clone(), vis[-1:].clone()
        found: list[StreamedScore] = []
        if self.provisional:
            start = max(0, first - self._reach)
            now = self._scores.at(self.window._replace(ahead=0), start, self.count)
            found = self._read(now, start, first, self.count, final=False)
        return found + self._final()

    def _final(self, end: bool = False) -> list[StreamedScore]:
        new = self._scores.final(end)
        if new is not None:
            held = self._answers
            self._answers = new if held is None else HeadOutput(*(torch.cat(two, 1) for two in zip(held, new, strict=True)))
        last = self._scores.answered - (0 if end else self._reach)
        if self._answers is None or last <= self._told:
            return []
        start = self._scores.answered - self._answers.logits_BT.shape[1]
        found = self._read(self._answers, start, self._told, last, final=True)
        self._told, unheard = last, max(0, last - self._reach - start)
        self._answers = HeadOutput(*(part[:, unheard:].clone() for part in self._answers))
        self._carried -= {one.index for one in found}
        return found

    def _read(self, output: HeadOutput, start: int, first: int, last: int, final: bool) -> list[StreamedScore]:
        """Scores of snippets `first` to `last` (not included) by the head's rule; the answers begin at snippet `start`."""
        output = by_rule(output, self.head.config, self.head.card, REACH if final else 0, self.head.level)
        anomaly = output.logits_BT[0].sigmoid().tolist()
        classes = (self.head.config.gamma * output.class_logits_BTC[0]).softmax(-1).cpu().numpy()
        return [
            StreamedScore(at, anomaly[at - start], classes[at - start], final, at in self._carried, self.epoch)
            for at in range(first, last)
        ]
