"""A split of a data set with its scores: what every figure and the report are made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aadc.eval.metrics import ScoredVideo, categories
from aadc.eval.scores import Scored
from aadc.eval.truth import counted_frames, expand, first_unseen, frame_truth, has_frame_truth
from aadc.manifests.card import Card
from aadc.manifests.manifest import Row


@dataclass(frozen=True)
class ScoredSplit:
    """`rows` are all of the split, `scored` what the shards had of them, by key. `card` knows the labels of the rows,
    `classes` are those that the videos were scored against, most often the same. `k` is the head's (eq. 7), `stride` that
    of the extraction (frames)."""

    rows: Sequence[Row]
    scored: dict[str, Scored]
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
            *scored.snippets.video,
        )

    def frames(self, row: Row) -> int:
        """How many frames count, see `truth.counted_frames`."""
        return counted_frames(row, self.scored[row.key].features)

    def first_unseen(self, row: Row) -> int:
        """From which frame on nothing was seen, see `truth.first_unseen`; `frames(row)` where all was."""
        return first_unseen(self.frames(row), self.scored[row.key].features.frames, self.stride)

    def class_curves(self, row: Row, frames: int) -> np.ndarray:
        """Class probabilities of the first `frames` frames, float (frames, C); what was never seen speaks for no class."""
        curves = expand(self.scored[row.key].snippets.classes.astype(float), frames, self.stride)
        curves[self.first_unseen(row) :] = 0
        return curves

    @cached_property
    def known(self) -> list[int]:
        """Places in `there` of the videos with frame truth; none if those are all normal and some abnormal ones have no
        truth, for then there is nothing to find."""
        known = [place for place, video in enumerate(self.videos) if video.truth is not None]
        abnormal = any(self.videos[place].abnormal for place in known)
        return known if abnormal or len(known) == len(self.videos) else []

    def kind(self, name: str) -> str:
        """normal or abnormal, of a class that the videos were scored against."""
        return self.classes.kind(name)

    @property
    def names(self) -> list[str]:
        return self.classes.names

    @cached_property
    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.classes.classes]

    @cached_property
    def categories(self) -> list[tuple[str | None, str | None]]:
        """(true, predicted) class of every video, see `metrics.categories`."""
        return categories(self.videos, self.names, self.kinds, self.k)
