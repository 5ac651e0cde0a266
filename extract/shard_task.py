"""The work of one shard: its videos become parts, its parts become the shard. Done here or by a worker of a cluster.

A finished video lies in `parts/` at once; when the last of a shard's videos is finished or rejected, its parts become the
shard. So a kill loses the video in work and nothing else, and whoever takes the task up again goes on from there.
"""

import hashlib
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from aadc.extract.decode import VideoError, VideoFacts
from aadc.extract.decode_child import DecodeChild
from aadc.extract.features import FrameEmbedder
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardHeader, new_shard, open_shard
from aadc.extract.stats import Stats, read_stats, write_stats
from aadc.extract.video import describe, feature_blocks
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Row, video_path


@dataclass(frozen=True)
class ShardTask:
    """Everything a worker has to know: rows still to compute, and all rows that belong into the shard, in order."""

    number: int
    todo: tuple[Row, ...]
    rows: tuple[Row, ...]
    root: Path
    run: RunFolder
    strict: bool


@dataclass
class ShardResult:
    """What became of a task: seconds of video seen by video, the rejected with reason and sentence, the cut off ones."""

    video_s: dict[str, float] = field(default_factory=dict)
    rejected: list[tuple[str, str, str]] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)
    stats: Stats = field(default_factory=Stats)


class Tell(Protocol):
    """Who wants to hear of progress."""

    def advance(self, sampled_frames: int) -> None: ...

    def finish(self, video: str, video_s: float) -> None: ...


def shard_path(run: RunFolder, number: int) -> Path:
    return run.shards / f"{number:05d}.h5"


def part_path(run: RunFolder, row: Row) -> Path:
    """Where a finished video waits for its shard; file names of any length and alphabet become one of fixed form."""
    return run.parts / f"{hashlib.sha256(row.key.encode()).hexdigest()[:32]}.h5"


def mark_path(run: RunFolder, number: int) -> Path:
    """Names the video a shard's worker is at, so that a worker that dies can be told apart from its victims."""
    return run.parts / f"{number:05d}.working"


def run_task(task: ShardTask, embedder: FrameEmbedder, decoder: DecodeChild, tell: Tell) -> ShardResult:
    """Compute the videos a task has left and publish its shard.

    Raises:
        UserError: the disk is full or the folder went away; what is finished stays and counts.
    """
    result = ShardResult()
    mark = mark_path(task.run, task.number)
    for row in task.todo:
        video_s = 0.0
        if not part_path(task.run, row).exists():
            beside = mark.with_suffix(".tmp")  # a worker killed while it writes must not leave an empty mark
            beside.write_text(row.video, encoding="utf-8")
            os.replace(beside, mark)
            try:
                video_s = _extract_video(task, row, embedder, decoder, result, tell)
            except VideoError as error:
                result.rejected.append((row.video, error.reason, error.message))
                result.stats.add(Stats(rejected=1))
        result.video_s[row.video] = video_s
        tell.finish(row.video, video_s)
    _publish(task, embedder.header, result.stats)
    mark.unlink(missing_ok=True)
    return result


def _extract_video(
    task: ShardTask, row: Row, embedder: FrameEmbedder, decoder: DecodeChild, result: ShardResult, tell: Tell
) -> float:
    """Put one video into its part; gives the seconds of video that were seen. `VideoError` if it cannot be used."""
    try:
        path = video_path(task.root, row.video)
    except UserError as error:
        raise VideoError("outside", str(error)) from None
    part_file = part_path(task.run, row)
    stats = Stats(videos=1, precision=embedder.settings.precision, device=embedder.device, hosts=[socket.gethostname()])
    with new_shard(part_file, embedder.header) as part:
        for block in feature_blocks(path, embedder, decoder, stats):
            if isinstance(block, VideoFacts):
                facts = block
                break
            with stats.timed("write"):
                part.append(row.key, block)
            tell.advance(len(block["frame"]))
        if facts.truncated:
            if task.strict:
                raise VideoError("truncated", f"{facts.share} (--strict)")
            result.truncated.append(f"{row.video}: {facts.share}")
        part.describe(describe(facts, path, video=row.video, split=row.split, labels=row.labels))
        stats.video_s = facts.frames / facts.fps if facts.fps else 0.0
        write_stats(stats, part_file.with_suffix(".json"))
    result.stats.add(stats)
    return stats.video_s


def _publish(task: ShardTask, header: ShardHeader, fresh: Stats) -> None:
    """Make the shard out of what it holds already and the parts of its rows, labels as the manifest has them now."""
    path = shard_path(task.run, task.number)
    sources: dict[str, Path] = {}
    if path.exists():
        with open_shard(path) as shard:
            sources = {key: path for key in shard["videos"]}
    for row in task.rows:
        part = part_path(task.run, row)
        if row.key not in sources and part.exists():
            sources[row.key] = part
    parts = [source for source in sources.values() if source != path]
    if sources:
        with new_shard(path, header) as shard:
            for row in task.rows:
                if row.key in sources:
                    shard.copy(sources[row.key], row.key, row.split, row.labels)
    stats = read_stats([path.with_suffix(".json"), *(part.with_suffix(".json") for part in parts)])
    stats.rejected = fresh.rejected
    if sources or stats.rejected:
        write_stats(stats, path.with_suffix(".json"))
    for part in parts:
        part.unlink()
        part.with_suffix(".json").unlink(missing_ok=True)
