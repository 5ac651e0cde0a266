"""How the extraction tells where it is: videos, sampled frames a second, times real time, time left."""

import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from aadc.manifests.shown import say


class ExtractProgress:
    """A bar on a terminal; elsewhere a line a minute. The time left goes by bytes of video, the only size known beforehand.

    Args:
        sizes: bytes of every video to do, by name.
    """

    def __init__(self, sizes: Mapping[str, int]):
        self.sizes = sizes
        self.total = sum(sizes.values())
        self.videos = self.frames = self.bytes = 0
        self.seconds_of_video = 0.0
        self.began = self.told = time.monotonic()
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.fields[where]}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            console=self.console,
        )
        self.task = self.bar.add_task("", total=max(1, self.total), where="")

    def __enter__(self) -> "ExtractProgress":
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.console.is_terminal:
            self.bar.stop()

    def advance(self, sampled_frames: int) -> None:
        """So many more frames of it are done."""
        self.frames += sampled_frames
        self._tell()

    def finish(self, video: str, seconds_of_video: float) -> None:
        """It is finished or rejected; it was so many seconds long."""
        self.videos += 1
        self.seconds_of_video += seconds_of_video
        self.bytes += self.sizes[video]
        self.bar.update(self.task, completed=self.bytes)
        self._tell()

    def rates(self) -> str:
        """`12.3 frames/s, 7.9x real time` over the run so far."""
        took = max(time.monotonic() - self.began, 1e-9)
        return f"{self.frames / took:.1f} sampled frames/s, {self.seconds_of_video / took:.1f}x real time"

    def _tell(self) -> None:
        took = time.monotonic() - self.began
        left = ""
        if self.bytes:
            left = f", {_clock(took / self.bytes * (self.total - self.bytes))} left"
        line = f"{self.videos}/{len(self.sizes)} videos, {self.rates()}{left}"
        self.bar.update(self.task, where=line)
        if not self.console.is_terminal and time.monotonic() - self.told > 60:
            self.told = time.monotonic()
            say(line, err=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
