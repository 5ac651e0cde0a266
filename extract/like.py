"""After another run: its settings, and its features of files that are the same. What was extracted once need not be again.

The way from a set of videos to a larger one, or to another choice of them: as with what cameras' events add to a training set.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from aadc.extract.decode import VideoError
from aadc.extract.run_folder import RunFolder
from aadc.extract.settings import ExtractSettings
from aadc.extract.shard_layout import Entry
from aadc.extract.shard_task import part_path
from aadc.extract.shards import ShardSet, new_shard
from aadc.extract.video import file_sha256, file_state
from aadc.manifests.errors import UserError
from aadc.manifests.files import make_folder
from aadc.manifests.manifest import Manifest, Row, video_path


def settings_like(other: RunFolder) -> ExtractSettings:
    """What another run was extracted with.

    Raises:
        UserError: it is no run, or its features were imported.
    """
    found = other.record().settings
    if found is None:
        raise UserError(f"{other.path}: its features were imported, not extracted, so none can be made like them")
    try:
        return ExtractSettings.model_validate(found)
    except ValidationError:
        raise UserError(f"{other.run_json}: its settings are of another version; give them again, without --like") from None


def take_over(other: RunFolder, manifest: Manifest, root: Path, run: RunFolder) -> int:
    """Lay features of the other run where finished videos wait for their shards, of each video of the manifest that this run
    lacks and the other has, under whichever name, from a file of the same content. Only for whoever holds the run's lock.

    Args:
        root: the folder that the manifest's paths count from.
    Returns:
        How many were taken over.
    Raises:
        UserError: the disk is full, or a shard of the other run cannot be read.
    """
    theirs, ours = ShardSet(other.shards), ShardSet(run.shards).entries
    by_size: dict[int, list[Entry]] = {}
    for entry in theirs.entries.values():
        by_size.setdefault(entry.record.size, []).append(entry)
    taken = 0
    for row in manifest.rows:
        part = part_path(run, row)
        if theirs.header is None or row.key in ours or part.exists() or (found := _same_file(by_size, root, row)) is None:
            continue
        entry, mtime_ns = found
        make_folder(run.parts)
        with new_shard(part, theirs.header) as shard:
            now = {"video": row.video, "mtime_ns": mtime_ns}
            shard.copy(entry.path, row.key, row.split, row.labels, now, of=entry.video)
        taken += 1
    return taken


def _same_file(by_size: Mapping[int, list[Entry]], root: Path, row: Row) -> tuple[Entry, int] | None:
    """The other run's entry of a video whose file holds just what the row's does, and when the row's was changed."""
    try:
        path = video_path(root, row.video)
        size, mtime_ns = file_state(path)
        if not (alike := by_size.get(size)):
            return None
        content = file_sha256(path)
    except (VideoError, UserError):  # told, with its reason, when it is extracted
        return None
    return next(((entry, mtime_ns) for entry in alike if entry.record.sha256 == content), None)
