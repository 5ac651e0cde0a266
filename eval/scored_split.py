"""A split of a data set with the scores of a head: what its figures and the report are made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from aadc.eval.metrics import ScoredVideo
from aadc.eval.split import Split
from aadc.eval.truth import counted_frames, expand, first_unseen, frame_truth, has_frame_truth, label_spans
from aadc.manifests.card import Card
from aadc.manifests.manifest import Row

if TYPE_CHECKING:  # it loads torch, which figures can do without
    from aadc.eval.scores import Scored


@dataclass(frozen=True)
class ScoredSplit(Split):
    """`rows` are all of the split, `scored` what the shards had of them, by key. `card` knows the labels of the rows,
    `classes` are those that the videos were scored against, most often the same. `k` is the head's (eq. 7), `stride` that
    of the extraction (frames)."""

    rows: Sequence[Row]
    scored: "dict[str, Scored]"
    card: Card
    classes: Card
    k: int
    stride: int

    @cached_property
    def there(self) -> list[Row]:
        """Rows with scores."""
        return [row for row in self.rows if row.key in self.scored]

    @cached_property
    def videos(self) -> list[ScoredVideo]:
        """Frame scores beside frame truth, in the order of `there`."""
        return [self._video(row) for row in self.there]

    def _video(self, row: Row) -> ScoredVideo:
        """A frame that was never seen keeps the last score, but an anomalous one counts as missed: nobody can have found it."""
        scored, frames = self.scored[row.key], self.frames(row)
        score = expand(scored.snippets.anomaly, frames, self.stride)
        truth = frame_truth(row, frames, self.card) if has_frame_truth(row, self.card) else None
        if truth is not None:
            unseen = self.first_unseen(row)
            score[unseen:][truth[unseen:]] = 0
        return ScoredVideo(
            row.video,
            row.labels,
            self.card.is_abnormal(row.labels),
            scored.features.fps,
            score,
            truth,
            scored.snippets.classes,
            scored.snippets.video.anomaly,
            scored.snippets.video.classes,
            scored.probability,
        )

    def frames(self, row: Row) -> int:
        """How many frames count, see `truth.counted_frames`."""
        return counted_frames(row, self.scored[row.key].features)

    def spans(self, row: Row, frames: int) -> list[tuple[int, int, str]]:
        """True abnormal spans, see `truth.label_spans`."""
        return label_spans(row, frames, self.card)

    def first_unseen(self, row: Row) -> int:
        """From which frame on nothing was seen, see `truth.first_unseen`; `frames(row)` where all was."""
        return first_unseen(self.frames(row), self.scored[row.key].features.frames, self.stride)

    def class_curves(self, row: Row, frames: int) -> np.ndarray:
        """Class probabilities of the first `frames` frames, float (frames, C); what was never seen speaks for no class."""
        curves = expand(self.scored[row.key].snippets.classes.astype(float), frames, self.stride)
        curves[self.first_unseen(row) :] = 0
        return curves
