"""The loop of stage one: manifest -> shards, resumable at every video.

A finished video lies in `parts/` at once; when the last of a shard's videos is finished or rejected, its parts become the
shard. So a kill loses the video in work and nothing else, and the shards of a resumed run are those of one never killed.
"""

import csv
import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from aadc.extract.decode import VideoError, VideoFacts
from aadc.extract.decode_child import DecodeChild
from aadc.extract.features import FrameEmbedder
from aadc.extract.progress import ExtractProgress
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardHeader, ShardSet, new_shard, open_shard, read_header
from aadc.extract.video import describe, feature_blocks
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Manifest, Row, video_path

VIDEOS_PER_SHARD = 16


@dataclass
class Summary:
    """What a run of the extraction did: counts of videos, and those rejected or kept though cut off."""

    done: int = 0
    already: int = 0
    sampled_frames: int = 0
    objects: int = 0
    rejected: list[tuple[str, str, str]] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """Rows still to compute by shard number, and the shards whose recorded labels or splits the manifest has changed."""

    todo: dict[int, list[Row]]
    finished: dict[str, Path]
    to_publish: list[int]

    @property
    def rows(self) -> list[Row]:
        return [row for rows in self.todo.values() for row in rows]


def shard_path(run: RunFolder, number: int) -> Path:
    return run.shards / f"{number:05d}.h5"


def part_path(run: RunFolder, row: Row) -> Path:
    """Where a finished video waits for its shard; file names of any length and alphabet become one of fixed form."""
    return run.path / "parts" / f"{hashlib.sha256(row.key.encode()).hexdigest()[:32]}.h5"


def make_plan(manifest: Manifest, run: RunFolder) -> Plan:
    """What is left to do for a manifest in a run folder.

    Raises:
        UserError: the run holds videos that the manifest does not name.
    """
    published = ShardSet(run.shards).entries
    rows = {row.key: (number // VIDEOS_PER_SHARD, row) for number, row in enumerate(manifest.rows)}
    if foreign := [entry.video for key, entry in published.items() if key not in rows]:
        raise UserError(
            f"{run.path}: holds {len(foreign)} video(s) that {manifest.path} does not name, {foreign[0]} for one; give this "
            "manifest a run of its own with --run FOLDER"
        )
    finished = {key: entry.path for key, entry in published.items()}
    todo: dict[int, list[Row]] = {}
    to_publish: dict[int, None] = {}
    for key, (number, row) in rows.items():
        if key in published:
            entry = published[key]
            if (entry.split, entry.labels) != (row.split, row.labels):
                to_publish[int(entry.path.stem)] = None
        elif part_path(run, row).exists():
            finished[key] = part_path(run, row)
            to_publish[number] = None
        else:
            todo.setdefault(number, []).append(row)
            to_publish[number] = None
    return Plan(todo, finished, sorted(to_publish))


def check_fingerprint(run: RunFolder, header: ShardHeader) -> None:
    """Refuse to mix features of different models or settings in one run. `UserError` shows both fingerprints."""
    for path in [*sorted(run.shards.glob("*.h5")), *sorted((run.path / "parts").glob("*.h5"))]:
        with open_shard(path) as shard:
            there = read_header(shard)
        if there.fingerprint != header.fingerprint:
            raise UserError(
                f"{run.path}: its features have fingerprint {there.fingerprint} ({_in_words(there)}), the command asks for "
                f"{header.fingerprint} ({_in_words(header)}); use the same settings, or another folder with --run"
            )


def _in_words(header: ShardHeader) -> str:
    models = ", ".join(f"{model['source']} {model['weights'][:8]}" for model in header.models.values())
    return f"{models}, " + ", ".join(f"{key} {value}" for key, value in header.sampling.items())


def extract(
    manifest: Manifest,
    root: Path,
    run: RunFolder,
    plan: Plan,
    embedder: FrameEmbedder,
    strict: bool,
    progress: ExtractProgress,
) -> Summary:
    """Compute what the plan has left and publish the shards.

    Args:
        root: the folder that the manifest's paths count from.
        strict: reject a video of which only a part decodes, instead of keeping and marking it.
        progress: told of every block and every video.
    Raises:
        UserError: the disk is full or the folder went away; what is finished stays and counts.
    """
    summary = Summary(already=len(plan.finished))
    parts = run.path / "parts"
    for folder in (run.shards, parts):
        folder.mkdir(parents=True, exist_ok=True)
        for torn in folder.glob("*.tmp"):
            torn.unlink()
    _write_rejected(run, [])
    labels = {row.key: row for row in manifest.rows}
    with DecodeChild() as decoder:
        for number in plan.to_publish:
            for row in plan.todo.get(number, ()):
                seconds = 0.0
                try:
                    seconds = _extract_one(row, root, run, embedder, decoder, strict, summary, progress)
                    summary.done += 1
                except VideoError as error:
                    summary.rejected.append((row.video, error.reason, error.message))
                    _write_rejected(run, summary.rejected)
                progress.finish(row.video, seconds)
            _publish(number, labels, manifest, run, embedder.header)
    shutil.rmtree(parts)
    return summary


def _extract_one(
    row: Row,
    root: Path,
    run: RunFolder,
    embedder: FrameEmbedder,
    decoder: DecodeChild,
    strict: bool,
    summary: Summary,
    progress: ExtractProgress,
) -> float:
    """Put one video into its part; gives the seconds of video that were seen. `VideoError` if it cannot be used."""
    try:
        path = video_path(root, row.video)
    except UserError as error:
        raise VideoError("outside", str(error)) from None
    with new_shard(part_path(run, row), embedder.header) as part:
        for block in feature_blocks(path, embedder, decoder):
            if isinstance(block, VideoFacts):
                facts = block
                break
            part.append(row.key, block)
            summary.sampled_frames += len(block["frame"])
            summary.objects += int(block["count"].sum())
            progress.advance(len(block["frame"]))
        if facts.truncated:
            share = f"{facts.frames} of {facts.frames_expected} frames decode"
            if strict:
                raise VideoError("truncated", f"{share} (--strict)")
            summary.truncated.append(f"{row.video}: {share}")
        part.describe(describe(facts, path, video=row.video, split=row.split, labels=row.labels))
    return facts.frames / facts.fps if facts.fps else 0.0


def _publish(number: int, rows: dict[str, Row], manifest: Manifest, run: RunFolder, header: ShardHeader) -> None:
    """Make shard `number` out of what it holds already and the parts of its rows, labels as the manifest has them now."""
    path = shard_path(run, number)
    sources: dict[str, Path] = {}
    if path.exists():
        with open_shard(path) as shard:
            sources = {key: path for key in shard["videos"]}
    for row in manifest.rows[number * VIDEOS_PER_SHARD : (number + 1) * VIDEOS_PER_SHARD]:
        if row.key not in sources and part_path(run, row).exists():
            sources[row.key] = part_path(run, row)
    if not sources:
        return
    order = [key for key in rows if key in sources]
    with new_shard(path, header) as shard:
        for key in order:
            row = rows[key]
            shard.copy(sources[key], key, row.split, row.labels)
    for source in set(sources.values()) - {path}:
        source.unlink()


def _write_rejected(run: RunFolder, rejected: Iterable[tuple[str, str, str]]) -> None:
    beside = run.rejected.with_suffix(".csv.tmp")
    with beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("video", "reason", "what"))
        writer.writerows(rejected)
    os.replace(beside, run.rejected)
