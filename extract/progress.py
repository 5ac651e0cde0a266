"""How the extraction tells where it is: videos, sampled frames a second, times real time, time left."""

import time
from collections.abc import Mapping

from aadc.manifests.progress import ProgressLine, clock


class ExtractProgress(ProgressLine):
    """A line a minute where there is no terminal. The time left goes by bytes of video, the only size known beforehand.

    Args:
        sizes: bytes of every video to do, by name.
    """

    def __init__(self, sizes: Mapping[str, int]):
        super().__init__(every_s=60, transient=False)
        self.sizes = sizes
        self.total = sum(sizes.values())
        self.videos = self.frames = self.bytes = 0
        self.seconds_of_video = 0.0
        self.began = time.monotonic()

    def advance(self, sampled_frames: int) -> None:
        """So many more frames of it are done."""
        self.frames += sampled_frames
        self._tell()

    def finish(self, video: str, seconds_of_video: float) -> None:
        """It is finished or rejected; it was so many seconds long."""
        self.videos += 1
        self.seconds_of_video += seconds_of_video
        self.bytes += self.sizes[video]
        self._tell()

    def rates(self) -> str:
        """`12.3 frames/s, 7.9x real time` over the run so far."""
        took = max(time.monotonic() - self.began, 1e-9)
        return f"{self.frames / took:.1f} sampled frames/s, {self.seconds_of_video / took:.1f}x real time"

    def _tell(self) -> None:
        took = time.monotonic() - self.began
        left = ""
        if self.bytes:
            left = f", {clock(took / self.bytes * (self.total - self.bytes))} left"
        self.show(f"{self.videos}/{len(self.sizes)} videos, {self.rates()}{left}", self.bytes, self.total)
