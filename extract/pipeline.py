"""Stage one as a whole: manifest -> plan -> tasks -> shards, here or on a cluster."""

import csv
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aadc.extract.decode_child import DecodeChild
from aadc.extract.features import FrameEmbedder
from aadc.extract.progress import ExtractProgress
from aadc.extract.run_folder import RunFolder
from aadc.extract.shard_task import ShardResult, ShardTask, part_path, run_task
from aadc.extract.shards import ShardHeader, ShardSet, open_shard, read_header
from aadc.extract.stats import Stats, read_stats
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Manifest

VIDEOS_PER_SHARD = 16


@dataclass(frozen=True)
class Plan:
    """Tasks in order (some only publish parts that are finished, or mend labels), and how many videos are done already."""

    tasks: list[ShardTask]
    already: int

    @property
    def videos(self) -> list[str]:
        """Videos still to compute."""
        return [row.video for task in self.tasks for row in task.todo]


@dataclass
class Summary:
    """What became of the videos of a run."""

    done: int = 0
    rejected: list[tuple[str, str, str]] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)
    stats: Stats = field(default_factory=Stats)


def make_plan(manifest: Manifest, root: Path, run: RunFolder, strict: bool) -> Plan:
    """What is left to do for a manifest in a run folder.

    A video that no shard holds belongs to the shard of its row's place in the manifest; one that is in a shard stays there.

    Args:
        root: the folder that the manifest's paths count from.
        strict: reject a video of which only a part decodes, instead of keeping and marking it.
    Raises:
        UserError: the run holds videos that the manifest does not name.
    """
    published = ShardSet(run.shards).entries
    rows = {row.key: row for row in manifest.rows}
    if foreign := [entry.video for key, entry in published.items() if key not in rows]:
        raise UserError(
            f"{run.path}: holds {len(foreign)} video(s) that {manifest.path} does not name, {foreign[0]} for one; give this "
            "manifest a run of its own with --run FOLDER"
        )
    members: dict[int, list] = {}
    todo: dict[int, list] = {}
    touched: set[int] = set()
    already = 0
    for place, (key, row) in enumerate(rows.items()):
        entry = published.get(key)
        number = int(entry.path.stem) if entry else place // VIDEOS_PER_SHARD
        members.setdefault(number, []).append(row)
        finished = entry is not None or part_path(run, row).exists()
        already += finished
        if not finished:
            todo.setdefault(number, []).append(row)
        if entry is None or (entry.split, entry.labels) != (row.split, row.labels):
            touched.add(number)
    tasks = [
        ShardTask(number, tuple(todo.get(number, ())), tuple(members[number]), root, run, strict) for number in sorted(touched)
    ]
    return Plan(tasks, already)


def check_fingerprint(run: RunFolder, header: ShardHeader) -> None:
    """Refuse to mix features of different models or settings in one run. `UserError` shows both fingerprints."""
    for path in [*sorted(run.shards.glob("*.h5")), *sorted(run.parts.glob("*.h5"))]:
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


def extract(run: RunFolder, results: Iterable[ShardResult]) -> Summary:
    """Keep the books while `results` come in, from here or from a cluster.

    Raises:
        UserError: the disk is full or the folder went away; what is finished stays and counts.
    """
    summary = Summary()
    for result in results:
        summary.rejected += result.rejected
        summary.truncated += result.truncated
        summary.done += len(result.video_s.keys() - {video for video, _, _ in result.rejected})
        if result.rejected:
            _write_rejected(run, summary.rejected)
    shutil.rmtree(run.parts)
    summary.stats = read_stats(sorted(run.shards.glob("*.json")))
    return summary


def prepare(run: RunFolder) -> None:
    """Make the folders and clear away what a killed run left half written."""
    for folder in (run.shards, run.parts):
        folder.mkdir(parents=True, exist_ok=True)
        for torn in (*folder.glob("*.tmp"), *folder.glob("*.working")):
            torn.unlink()
    _write_rejected(run, [])


def here(plan: Plan, embedder: FrameEmbedder, progress: ExtractProgress) -> Iterator[ShardResult]:
    """Do the tasks in this process, one after the other."""
    with DecodeChild() as decoder:
        for task in plan.tasks:
            yield run_task(task, embedder, decoder, progress)


def _write_rejected(run: RunFolder, rejected: Iterable[tuple[str, str, str]]) -> None:
    beside = run.rejected.with_suffix(".csv.tmp")
    with beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("video", "reason", "what"))
        writer.writerows(rejected)
    os.replace(beside, run.rejected)
