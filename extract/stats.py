"""Where the time went: figures of a video, of a shard, of a run, as JSON beside the shard."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter

from pydantic import BaseModel, ConfigDict, Field

from aadc.manifests.errors import UserError
from aadc.manifests.files import replace_file
from aadc.manifests.records import read_record

STAGES = ("decode", "detect", "encode", "write")


class Stats(BaseModel):
    """Counts and seconds. Adding two gives those of both; `decode` is the time spent waiting for frames."""

    model_config = ConfigDict(allow_inf_nan=False)

    videos: int = 0
    rejected: int = 0
    sampled_frames: int = 0
    computed_frames: int = 0
    objects: int = 0
    video_s: float = 0.0
    seconds: dict[str, float] = Field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    precision: str = ""
    device: str = ""
    hosts: list[str] = Field(default_factory=list)

    def add(self, other: "Stats") -> None:
        """Take the figures of `other` in."""
        for name in ("videos", "rejected", "sampled_frames", "computed_frames", "objects", "video_s"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.add_seconds(other)
        self.precision, self.device = other.precision or self.precision, other.device or self.device
        self.hosts = sorted({*self.hosts, *other.hosts})

    def add_seconds(self, other: "Stats", share: float = 1.0) -> None:
        """Take in `share` of the other's seconds; less than all where several were at work at the same time."""
        self.seconds = {stage: self.seconds.get(stage, 0.0) + share * other.seconds.get(stage, 0.0) for stage in STAGES}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the time of a block under one of the stages."""
        began = perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += perf_counter() - began

    def __str__(self) -> str:
        total = sum(self.seconds.values()) or 1.0
        shares = ", ".join(f"{stage} {100 * self.seconds[stage] / total:.0f} %" for stage in STAGES)
        return f"{self.sampled_frames} sampled frames ({self.computed_frames} computed), {self.objects} objects; time: {shares}"


def write_stats(stats: Stats, path: Path) -> None:
    """Write as JSON in one step. `UserError` if that fails."""
    replace_file(path, stats.model_dump_json(indent=1) + "\n")


def read_stats(paths: Iterable[Path]) -> Stats:
    """Sum over those of `paths` that are there and whole: a torn one costs its figures and nothing else."""
    total = Stats()
    for path in paths:
        with suppress(UserError):
            total.add(read_record(path, Stats, "its figures are left out"))
    return total
