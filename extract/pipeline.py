"""Stage one as a whole: manifest -> plan -> tasks -> shards, here or on a cluster."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aadc.extract.decode_child import DecodeChild
from aadc.extract.old_reader import MADE_BY, of_old_reader
from aadc.extract.plan import Plan
from aadc.extract.progress import ExtractProgress
from aadc.extract.run_folder import RunFolder
from aadc.extract.set_aside import Rejected, write_cut_off, write_rejected
from aadc.extract.shard_task import TOKEN, ShardResult, run_task, token_path
from aadc.extract.shards import ShardHeader, ShardSet, shard_files, shard_index
from aadc.extract.stats import Stats, read_stats
from aadc.manifests.errors import UserError
from aadc.manifests.files import make_folder, replace_file

if TYPE_CHECKING:  # it brings torchvision along, which planning has no use for
    from aadc.extract.features import FrameEmbedder


@dataclass
class Summary:
    """What became of the videos of a run; `truncated` are all that its shards hold, a line each."""

    done: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)
    stats: Stats = field(default_factory=Stats)


def check_fingerprint(run: RunFolder, header: ShardHeader) -> None:
    """Refuse to mix features of different models or settings in one run. `UserError` shows both fingerprints."""
    for path in [*shard_files(run.shards), *sorted(run.parts.glob("*.h5"))]:
        there = shard_index(path).header
        if there.fingerprint != header.fingerprint:
            older = f"they were {MADE_BY}" if of_old_reader(there.sampling) and not of_old_reader(header.sampling) else ""
            raise UserError(
                f"{run.path}: its features have fingerprint {there.fingerprint} ({_in_words(there)}), the command asks for "
                f"{header.fingerprint} ({_in_words(header)}); {older or _SAME_SETTINGS}"
            )


_SAME_SETTINGS = "use the same settings, or another folder with --run"


def _in_words(header: ShardHeader) -> str:
    models = (f"{model.get('source', '?')} {model.get('weights', '?')[:8]}" for model in header.models.values())
    return ", ".join([*models, *(f"{key} {value}" for key, value in header.sampling.items())])


def prepare(run: RunFolder) -> None:
    """Make the folders, and mark them as those of this process's extraction, which workers look for."""
    for folder in (run.shards, run.parts):
        make_folder(folder)
    for mark in run.parts.glob("*.working"):
        mark.unlink(missing_ok=True)
    replace_file(token_path(run), TOKEN)


def extract(run: RunFolder, results: Iterable[ShardResult], before: Mapping[str, Rejected] | None = None) -> Summary:
    """Keep the books while `results` come in, from here or from a cluster.

    rejected.csv names, at any time, all videos of the manifest that are known to be rejected: those of earlier runs
    (`before`, by video) stay until they are judged anew.

    Raises:
        UserError: the disk is full, the folder went away, or what was reported done is in no shard; what is finished stays
            and counts.
    """
    summary, known = Summary(), dict(before or {})
    done: set[str] = set()
    write_rejected(run.rejected, known.values())
    for result in results:
        fresh = {one.video: one for one in (Rejected(*row) for row in result.rejected)}
        summary.rejected += fresh.values()
        done |= result.video_s.keys() - fresh.keys()
        was = dict(known)
        known = {video: one for video, one in known.items() if video not in result.video_s} | fresh
        if known != was:
            write_rejected(run.rejected, known.values())
    summary.done = len(done)
    entries = ShardSet(run.shards).entries.values()
    if lost := done - {entry.video for entry in entries}:
        raise UserError(
            f"{run.shards}: {len(lost)} videos that were reported done are in no shard, {min(lost)} for one; do all workers "
            "write to this very folder?"
        )
    finish(run)
    summary.truncated = write_cut_off(run.cut_off, entries)
    summary.stats = read_stats(sorted(run.shards.glob("*.json")))
    return summary


def finish(run: RunFolder) -> None:
    """Clear away what only an extraction at work needs. All that is finished is in shards by then."""
    shutil.rmtree(run.parts, ignore_errors=True)


def here(plan: Plan, embedder: "FrameEmbedder", progress: ExtractProgress) -> Iterator[ShardResult]:
    """Do the tasks in this process, one after the other."""
    with DecodeChild() as decoder:
        for task in plan.tasks:
            yield run_task(task, embedder, decoder, progress)
