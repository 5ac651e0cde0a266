"""A split of a data set with scores, wherever they come from: what every figure is made from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from aadc.eval.metrics import ScoredVideo, categories, joint_categories
from aadc.manifests.card import Card
from aadc.manifests.manifest import Row


class Split(ABC):
    """`rows` are all of the split. `card` knows their labels, `classes` are those that the videos were scored against, most
    often the same. A video's score is made of its `k` highest snippets (eq. 7) of `stride` frames each."""

    rows: Sequence[Row]
    card: Card
    classes: Card
    k: int
    stride: int

    @property
    @abstractmethod
    def there(self) -> list[Row]:
        """Rows with scores."""

    @property
    @abstractmethod
    def videos(self) -> list[ScoredVideo]:
        """Frame scores beside frame truth, in the order of `there`."""

    @abstractmethod
    def frames(self, row: Row) -> int:
        """How many frames of a video count."""

    @abstractmethod
    def class_curves(self, row: Row, frames: int) -> np.ndarray:
        """Class probabilities of the first `frames` frames, float (frames, C)."""

    @abstractmethod
    def spans(self, row: Row, frames: int) -> list[tuple[int, int, str]]:
        """True abnormal spans (start_frame, end_frame, label), half-open, cut at `frames`."""

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
        """Of the classes that the videos were scored against."""
        return self.classes.names

    @cached_property
    def kinds(self) -> list[str]:
        """normal or abnormal, of each of `names`."""
        return [entry.kind for entry in self.classes.classes]

    @cached_property
    def categories(self) -> list[tuple[str | None, str | None]]:
        """(true, predicted) class of every video among those of its kind, see `metrics.categories`."""
        return categories(self.videos, self.names, self.kinds, self.k)

    @cached_property
    def joint_categories(self) -> list[tuple[str | None, str | None]]:
        """(true, predicted) class of every video among all, see `metrics.joint_categories`."""
        return joint_categories(self.videos, self.names, self.k)
