"""How training tells where it is: epoch, losses, validation, time left."""

import time
from collections.abc import Mapping

from aadc.manifests.progress import ProgressLine, clock


class TrainProgress(ProgressLine):
    """A line every half minute where there is no terminal."""

    def __init__(self) -> None:
        super().__init__(every_s=30, line="reading shards")
        self.steps = self.done = self.first = 0
        self.figures = ""
        self.began = time.monotonic()

    def read(self, videos: int, total: int) -> None:
        """So many videos are in memory."""
        self.show(f"reading shards: {videos}/{total} videos", videos, total)

    def begin(self, done: int, steps: int) -> None:
        """Steps begin, `done` of them done by an earlier run."""
        self.first, self.done, self.steps, self.began = done, done, steps, time.monotonic()

    def step(self, done: int) -> None:
        """So many steps are done."""
        self.done = done
        took = time.monotonic() - self.began
        left = took / max(1, done - self.first) * (self.steps - done)
        self.show(f"step {done}/{self.steps}{self.figures}, at most {clock(left)} left", done, self.steps)

    def epoch(self, row: Mapping[str, float | None]) -> None:
        """An epoch is done; `row` is its line in the log."""
        assert row["bce"] is not None and row["nce"] is not None  # an epoch that is done had steps
        loss = row["bce"] + row["nce"]
        validation = "" if row["val_auc"] is None else f", validation AUC {row['val_auc']:.3f}, class {row['val_hits']:.3f}"
        self.figures = f", epoch {row['epoch']}: loss {loss:.3f}{validation}"
