"""How training tells where it is: epoch, losses, validation, time left."""

import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn


class TrainProgress:
    """A bar on a terminal; elsewhere a line every half minute."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.bar = Progress(TextColumn("{task.description}"), BarColumn(), console=self.console, transient=True)
        self.task = self.bar.add_task("reading shards", total=None)
        self.steps = self.done = self.first = 0
        self.figures = ""
        self.began = self.told = time.monotonic()

    def __enter__(self) -> "TrainProgress":
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.console.is_terminal:
            self.bar.stop()

    def read(self, videos: int, total: int) -> None:
        """So many videos are in memory."""
        self._show(f"reading shards: {videos}/{total} videos", videos, total)

    def begin(self, done: int, steps: int) -> None:
        """Steps begin, `done` of them done by an earlier run."""
        self.first, self.done, self.steps, self.began = done, done, steps, time.monotonic()

    def step(self, done: int) -> None:
        """So many steps are done."""
        self.done = done
        took = time.monotonic() - self.began
        left = took / max(1, done - self.first) * (self.steps - done)
        self._show(f"step {done}/{self.steps}{self.figures}, at most {_clock(left)} left", done, self.steps)

    def epoch(self, row: Mapping[str, float | None]) -> None:
        """An epoch is done; `row` is its line in the log."""
        assert row["bce"] is not None and row["nce"] is not None  # an epoch that is done had steps
        loss = row["bce"] + row["nce"]
        validation = "" if row["val_auc"] is None else f", validation AUC {row['val_auc']:.3f}, class {row['val_hits']:.3f}"
        self.figures = f", epoch {row['epoch']}: loss {loss:.3f}{validation}"

    def _show(self, line: str, done: int, total: int) -> None:
        if self.console.is_terminal:
            self.bar.update(self.task, description=line, completed=done, total=total)
        elif time.monotonic() - self.told > 30:
            self.told = time.monotonic()
            print(line, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
