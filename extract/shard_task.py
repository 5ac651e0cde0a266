"""The work of one shard: its videos become parts, its parts become the shard. Done here or by a worker of a cluster.

A finished video lies in `parts/` at once; when the last of a shard's videos is finished or rejected, its parts become the
shard. So a kill loses the video in work and nothing else, and whoever takes the task up again goes on from there.
"""

import hashlib
import secrets
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aadc.extract.decode import VideoError, VideoFacts
from aadc.extract.decode_child import DecodeChild
from aadc.extract.failures import FailureError, Failures
from aadc.extract.run_folder import RunFolder
from aadc.extract.set_aside import Rejected
from aadc.extract.shards import ShardHeader, new_shard, shard_index
from aadc.extract.stats import Stats, read_stats, write_stats
from aadc.extract.video import describe, feature_blocks, file_state
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason, replace_file
from aadc.manifests.manifest import Row, video_path

if TYPE_CHECKING:  # it brings torchvision along, which planning has no use for
    from aadc.extract.features import FrameEmbedder

TOKEN = secrets.token_hex(16)  # of this process, the one that plans: it lies in the run folder while the run goes on
_failures = Failures()  # of this process, which has one set of models


@dataclass(frozen=True)
class ShardTask:
    """Everything a worker has to know: rows still to compute, and all rows that belong into the shard, in order.

    Args:
        root, run: absolute, for a worker has a working folder of its own.
        again: videos of `todo` that are computed though they are done already.
        touched: new `mtime_ns` of videos whose files were touched but hold what they held.
        token: what lies in the run's parts/, so that a worker can tell that its folder is the run's.
    """

    number: int
    todo: tuple[Row, ...]
    rows: tuple[Row, ...]
    root: Path
    run: RunFolder
    strict: bool
    again: frozenset[str] = frozenset()
    touched: Mapping[str, int] = field(default_factory=dict)
    token: str = TOKEN


@dataclass
class ShardResult:
    """What became of a task: seconds of video seen by video, the rejected with reason and sentence."""

    video_s: dict[str, float] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
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


def token_path(run: RunFolder) -> Path:
    """Holds the token of the process that leads the extraction."""
    return run.parts / "token"


def check_place(task: ShardTask) -> None:
    """Make sure that the run folder seen from here is the one that the task was planned for.

    Raises:
        UserError: it is gone, or is another one.
    """
    try:
        there = token_path(task.run).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(
            f"{task.run.path}: the run folder went away, or is another one on {socket.gethostname()} ({reason(error)}); it has "
            "to stay, and to be the same for every worker (a shared file system); what is finished counts: start the command "
            "again"
        ) from None
    if there != task.token:
        raise UserError(
            f"{task.run.path}: on {socket.gethostname()} another extraction is at work in it, or it is not the run's folder; "
            "it has to be the same for every worker (a shared file system)"
        )


def run_task(task: ShardTask, embedder: "FrameEmbedder", decoder: DecodeChild, tell: Tell) -> ShardResult:
    """Compute the videos a task has left and publish its shard.

    Raises:
        UserError: the disk is full or the folder went away; what is finished stays and counts.
    """
    result = ShardResult()
    mark = mark_path(task.run, task.number)
    check_place(task)
    _remove(mark)
    path = shard_path(task.run, task.number)
    held = shard_index(path).entries if path.exists() else {}
    for row in task.todo:
        video_s, failure = 0.0, ""
        if row.video in task.again or not part_path(task.run, row).exists():
            check_place(task)
            replace_file(mark, row.video)
            try:
                video_s = _extract_video(task, row, embedder, decoder, result, tell)
                _failures.succeeded()
            except VideoError as error:
                kept = "; its earlier features stay" if row.key in held else ""
                result.rejected.append(Rejected(row.video, error.reason, error.message + kept))
                result.stats.add(Stats(rejected=1))
                failure = error.message if isinstance(error, FailureError) else ""
            if failure:
                _failures.failed(embedder, failure)
        result.video_s[row.video] = video_s
        tell.finish(row.video, video_s)
    _remove(mark)  # before the shard is put together: a worker that dies over that must not have a video blamed
    _publish(task, embedder.header, result.stats)
    return result


def _extract_video(
    task: ShardTask, row: Row, embedder: "FrameEmbedder", decoder: DecodeChild, result: ShardResult, tell: Tell
) -> float:
    """Put one video into its part; gives the seconds of video that were seen. `VideoError` if it cannot be used."""
    try:
        path = video_path(task.root, row.video)
    except UserError as error:
        raise VideoError("outside", str(error)) from None
    state = file_state(path)
    part_file = part_path(task.run, row)
    stats = Stats(videos=1, precision=embedder.settings.precision, device=embedder.device, hosts=[socket.gethostname()])
    with (
        new_shard(part_file, embedder.header) as part,
        closing(feature_blocks(path, embedder, decoder, stats)) as blocks,
    ):
        for block in blocks:
            if isinstance(block, VideoFacts):
                facts = block
                break
            with stats.timed("write"):
                part.append(row.key, block)
            tell.advance(len(block["frame"]))
        if not stats.sampled_frames:
            raise VideoError("no_frames", "not a single frame decodes")
        if facts.truncated and task.strict:
            raise VideoError("truncated", f"{facts.share} (--strict)")
        part.describe(describe(facts, path, state, video=row.video, split=row.split, labels=row.labels))
        stats.video_s = facts.frames / facts.fps if facts.fps else 0.0
        write_stats(stats, part_file.with_suffix(".json"))
    result.stats.add(stats)
    return stats.video_s


def _publish(task: ShardTask, header: ShardHeader, fresh: Stats) -> None:
    """Make the shard out of what it holds already and the parts of its rows, labels as the manifest has them now."""
    path = shard_path(task.run, task.number)
    held = shard_index(path).entries if path.exists() else {}
    sources: dict[str, Path] = {}
    for row in task.rows:
        part = part_path(task.run, row)
        if part.exists():  # of a video that is in the shard too, the part is the newer one
            sources[row.key] = part
        elif row.key in held:
            sources[row.key] = path
    parts = [source for source in sources.values() if source != path]
    if sources:
        with new_shard(path, header) as shard:
            for row in task.rows:
                if row.key in sources:
                    touched = {"mtime_ns": task.touched[row.video]} if row.video in task.touched else {}
                    shard.copy(sources[row.key], row.key, row.split, row.labels, touched)
    else:
        _remove(path)
    stats = read_stats([path.with_suffix(".json"), *(part.with_suffix(".json") for part in parts)])
    stats.rejected = fresh.rejected
    if sources or stats.rejected:
        write_stats(stats, path.with_suffix(".json"))
    for part in parts:
        _remove(part)
        _remove(part.with_suffix(".json"))


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be removed ({reason(error)}); look after the folder and start again") from error
