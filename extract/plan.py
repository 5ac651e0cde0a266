"""What is left to do for a manifest in a run folder: which videos, in which shards, and which features must go."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aadc.extract.decode import VideoError
from aadc.extract.run_folder import RunFolder
from aadc.extract.set_aside import Rejected, read_rejected
from aadc.extract.shard_layout import Entry
from aadc.extract.shard_task import ShardTask, part_path
from aadc.extract.shards import ShardSet, shard_index
from aadc.extract.video import file_sha256, file_state
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Manifest, Row
from aadc.manifests.video_root import VideoRoot

VIDEOS_PER_SHARD = 16
CHANGED = "changed"  # what --again takes for all videos whose files have changed


@dataclass(frozen=True)
class Plan:
    """Tasks in order (some only publish parts that are finished, or mend labels), and what is known before they start.

    `already` counts videos that are done; `before` holds what earlier runs rejected and no shard holds, by video; `struck` the
    cut off ones that --strict takes out; `changed` names videos whose files are other ones than when they were extracted.
    """

    tasks: list[ShardTask]
    already: int
    before: Mapping[str, Rejected] = field(default_factory=dict)
    struck: Sequence[Rejected] = ()
    changed: Sequence[str] = ()

    @property
    def videos(self) -> list[str]:
        """Videos still to compute."""
        return [row.video for task in self.tasks for row in task.todo]


def make_plan(
    manifest: Manifest, root: Path, run: RunFolder, strict: bool, again: Sequence[str] = (), drop: bool = False
) -> Plan:
    """What is left to do.

    A video that no shard holds belongs to the shard of its row's place in the manifest; one that is in a shard stays there.

    Args:
        root: the folder that the manifest's paths count from.
        strict: reject a video of which only a part decodes, instead of keeping and marking it.
        again: videos to extract anew though they are done; `changed` stands for those whose files hold something else now.
        drop: take videos that the manifest does not name out of the run.
    Raises:
        UserError: the run holds videos that the manifest does not name, or `again` names one that it does not.
    """
    published = ShardSet(run.shards).entries
    rows = {row.key: row for row in manifest.rows}
    foreign = [entry for key, entry in published.items() if key not in rows]
    if foreign and not drop:
        raise UserError(
            f"{run.path}: holds {len(foreign)} video(s) that {manifest.path} does not name, {foreign[0].video} for one; take "
            "them out of the run with --drop, or give this manifest a run of its own with --run FOLDER"
        )
    names = {row.video for row in rows.values()}
    if unknown := [video for video in again if video not in names and video != CHANGED]:
        raise UserError(f"--again {unknown[0]}: {manifest.path} names no such video; write it as it stands there")
    changed = _changed(published, rows, root)
    redo = set(again) & names
    touched: dict[str, int] = {}
    if CHANGED in again and CHANGED not in names:
        others, touched = _compare(changed, root)
        redo |= others
    parts = {path.name for path in run.parts.glob("*.h5")}
    members: dict[int, list[Row]] = {}
    todo: dict[int, list[Row]] = {}
    tasks = {int(entry.path.stem) for entry in foreign}
    struck: list[Rejected] = []
    already = 0
    for place, (key, row) in enumerate(rows.items()):
        entry, part = published.get(key), part_path(run, row)
        number = int(entry.path.stem) if entry else place // VIDEOS_PER_SHARD
        waiting = part.name in parts
        newest = shard_index(part).entries.get(key) if strict and waiting else entry
        if strict and newest and newest.record.truncated and row.video not in redo:
            struck.append(Rejected(row.video, "truncated", f"{newest.record.share} (--strict)"))
            tasks.add(number)
            continue
        members.setdefault(number, []).append(row)
        finished = (entry is not None or waiting) and row.video not in redo
        already += finished
        if not finished:
            todo.setdefault(number, []).append(row)
        relabelled = entry is not None and (entry.split, entry.labels) != (row.split, row.labels)
        if not finished or waiting or row.video in touched or relabelled:
            tasks.add(number)
    still_out = {row.video for key, row in rows.items() if key not in published}
    before = {one.video: one for one in read_rejected(run.rejected) if one.video in still_out}
    root, run = root.resolve(), RunFolder(run.path.resolve())

    def task(number: int) -> ShardTask:
        own = tuple(todo.get(number, ())), tuple(members.get(number, ()))
        return ShardTask(number, *own, root, run, strict, again=frozenset(redo), touched=touched)

    return Plan(
        [task(number) for number in sorted(tasks)],
        already,
        before | {one.video: one for one in struck},
        struck,
        [entry.video for entry in changed if entry.video not in redo and entry.video not in touched],
    )


def _changed(published: Mapping[str, Entry], rows: Mapping[str, Row], root: Path) -> list[Entry]:
    """Extracted videos whose files are there, with another size or time of change than they had then."""
    videos, found = VideoRoot(root), []
    for key, entry in published.items():
        if key not in rows or not entry.record.mtime_ns:
            continue
        try:
            stat = os.stat(videos.path(entry.video))
        except (OSError, UserError):
            continue
        if (stat.st_size, stat.st_mtime_ns) != (entry.record.size, entry.record.mtime_ns):
            found.append(entry)
    return found


def _compare(changed: Sequence[Entry], root: Path) -> tuple[set[str], dict[str, int]]:
    """Those of changed videos whose files hold something else now, and the time of change of those that do not."""
    others: set[str] = set()
    touched: dict[str, int] = {}
    for entry in changed:
        try:
            size, mtime_ns = file_state(root / entry.video)
            same = size == entry.record.size and file_sha256(root / entry.video) == entry.record.sha256
        except VideoError:  # told, with its reason, when it is extracted
            same = False
        if same:
            touched[entry.video] = mtime_ns
        else:
            others.add(entry.video)
    return others, touched
