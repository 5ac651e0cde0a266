"""How long work says where it is."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from aadc.manifests.shown import say


class ProgressLine:
    """A line and a bar on a terminal; elsewhere the line alone, every so many seconds.

    Args:
        every_s: seconds between two lines where there is no terminal.
        line: what is said until the first `show`.
        transient: the bar goes when the work is over.
    """

    def __init__(self, every_s: float, line: str = "", transient: bool = True) -> None:
        self._every_s, self._told = every_s, time.monotonic()
        self._console = Console(stderr=True)
        columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn()
        self._bar = Progress(*columns, console=self._console, transient=transient)
        self._task = self._bar.add_task(line, total=None)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def show(self, line: str, done: int, total: int) -> None:
        """So much of it is done, in any unit."""
        if self._console.is_terminal:
            self._bar.update(self._task, description=line, completed=done, total=max(1, total))
        elif time.monotonic() - self._told > self._every_s:
            self._told = time.monotonic()
            say(line, err=True)


def clock(seconds: float) -> str:
    """`1:02:03`, to the second."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
