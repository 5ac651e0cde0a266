"""Which videos a step sees, and which are kept aside to choose the checkpoint. All chance comes from (seed, step)."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

_LEAST_VALIDATION = 2  # videos of each kind; fewer would choose by chance


class Labelled(Protocol):
    """A video of which is known what is in it."""

    @property
    def abnormal(self) -> bool: ...

    @property
    def labels(self) -> tuple[str, ...]: ...


def split_validation(bags: Sequence[Labelled], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices of the videos to train on and of those to validate on, both in ascending order.

    Within each kind (normal, abnormal) every 1/share-th video is taken, counted along its classes, so that each class
    gives its share; no class, or combination of classes, loses its last training video. Where that leaves few to spare, fewer
    are taken. Without two of each kind there is no validation at all.
    """
    rng = np.random.default_rng([seed, 0])
    taken: list[int] = []
    for abnormal in (False, True):
        order = [int(i) for i in rng.permutation(len(bags)) if bags[i].abnormal == abnormal]
        order.sort(key=lambda i: bags[i].labels)
        first_of_class = {bags[i].labels: i for i in reversed(order)}.values()
        spare = [i for i in order if i not in first_of_class]
        count = min(round(share * len(order)), len(spare))
        if count < _LEAST_VALIDATION:
            return list(range(len(bags))), []
        taken += [spare[round((n + 0.5) * len(spare) / count - 0.5)] for n in range(count)]
    return sorted(set(range(len(bags))) - set(taken)), sorted(taken)


def least_for_validation(share: float) -> int:
    """Fewest videos of each kind with which `split_validation` keeps any: `share` of them must be two."""
    return next(n for n in range(1, 10_000) if round(share * n) >= _LEAST_VALIDATION)


class BalancedSampler:
    """Batches with as many normal as abnormal videos; the smaller kind comes round more often.

    Args:
        abnormal: of each video, whether it is.
        batch: most videos a step; small sets take less, each video of the larger kind once.
        least_steps: an epoch has at least so many.
    """

    def __init__(self, abnormal: Sequence[bool], batch: int, seed: int, least_steps: int):
        self.kinds = [np.flatnonzero(np.asarray(abnormal) == kind) for kind in (False, True)]
        larger = max(map(len, self.kinds))
        self.half = min(batch // 2, larger)
        self.seed = seed
        self.steps_per_epoch = max(least_steps, -(-larger // self.half))
        self.laps: dict[int, tuple[int, np.ndarray]] = {}  # of each kind, the one that was drawn from last

    def batch(self, step: int) -> list[int]:
        """Indices of the videos of a step: a function of the seed and the step alone."""
        chosen: list[int] = []
        for kind, videos in enumerate(self.kinds):
            for draw in range(step * self.half, (step + 1) * self.half):
                lap, place = divmod(draw, len(videos))
                chosen.append(int(videos[self._lap(kind, lap)[place]]))
        return chosen

    def _lap(self, kind: int, lap: int) -> np.ndarray:
        """Order of a kind's videos in its n-th lap; a permutation costs as much as the data set is large, so it is kept."""
        if self.laps.get(kind, (None,))[0] != lap:
            order = np.random.default_rng([self.seed, 1, kind, lap]).permutation(len(self.kinds[kind]))
            self.laps[kind] = (lap, order)
        return self.laps[kind][1]
