"""What `aadc-extract` and `aadc.extract` do: plan, extract what is left, say what came of it."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aadc.extract.model_names import MINIATURE
from aadc.extract.plan import Plan
from aadc.extract.run_folder import RUNS, RunFolder
from aadc.extract.settings import PRESETS, ExtractSettings
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Manifest, read_manifest, video_root
from aadc.manifests.shown import say

MOST_LINES = 10


def settings_of(models: str = "paper", **given: Any) -> ExtractSettings:
    """`ExtractSettings` with the detector and CLIP of a preset (`paper`, `miniature`) where none is given (None).

    Raises:
        UserError: there is no such preset.
        pydantic.ValidationError: a value that cannot be.
    """
    if models not in PRESETS:
        raise UserError(f"--models {models}: there are {', '.join(PRESETS)}")
    return ExtractSettings(**PRESETS[models] | {name: value for name, value in given.items() if value is not None})


def extract_manifest(
    manifest: Path,
    videos: Path | None,
    run: Path | None,
    settings: ExtractSettings,
    device: str = "auto",
    workers: int = 1,
    scheduler: str | None = None,
    strict: bool = False,
    again: Sequence[str] = (),
    drop: bool = False,
    like: RunFolder | None = None,
) -> tuple[RunFolder, int]:
    """Extract what of a manifest is not in its run yet; the options are those of `aadc-extract`, `like` the run whose features
    of the same files are taken over.

    Returns:
        The run, and 1 if some videos were rejected, else 0.
    Raises:
        UserError: nothing could start.
    """
    listed = read_manifest(manifest)
    root = video_root(listed, videos)
    folder = RunFolder(run or RUNS / listed.name)
    with folder.lock():
        if like is not None:
            from aadc.extract.like import take_over

            say(f"{take_over(like, listed, root, folder)} videos taken over from {like.path}")
        plan = _plan(listed, root, folder, strict, list(again), drop)
        if not plan.tasks and _asked_before(folder, settings):
            return folder, _nothing_left(listed, folder, plan)
        return folder, _extract(listed, plan, root, folder, settings, device, workers, scheduler)


def _plan(listed: Manifest, root: Path, folder: RunFolder, strict: bool, again: list[str], drop: bool) -> Plan:
    """Plan, and say what is to be known before it starts."""
    from aadc.extract.plan import make_plan
    from aadc.manifests.changes import changes

    plan = make_plan(listed, root, folder, strict, again, drop)
    todo = plan.videos
    if todo and not plan.already and not any(map(os.path.lexists, (root / video for video in todo))):
        raise UserError(
            f"{root}: not one of the {len(todo)} videos of {listed.path} is there, {todo[0]} for one; give the right folder "
            "with --videos"
        )
    say(f"{listed.name}: {len(listed.rows)} videos, {plan.already} done before, {len(todo)} to do -> {folder.path}")
    with suppress(UserError):  # there is none yet, or a torn one that is written anew
        if differences := changes(read_manifest(folder.manifest_csv), listed):
            say(f"the manifest is another one than at the last extraction into this run: {'; '.join(differences)}")
    if plan.changed:
        say(
            f"{len(plan.changed)} extracted videos have other files now (size or time of change), {plan.changed[0]} for one: "
            "--again changed extracts those anew that hold something else"
        )
    return plan


def _asked_before(folder: RunFolder, settings: ExtractSettings) -> bool:
    """Whether run.json says just this; one that is gone or torn says nothing, and is written anew."""
    try:
        return folder.record().settings == settings.model_dump()
    except UserError:
        return False


def _nothing_left(listed: Manifest, folder: RunFolder, plan: Plan) -> int:
    from aadc.extract.old_reader import old_reader
    from aadc.extract.pipeline import finish
    from aadc.extract.set_aside import write_cut_off, write_rejected
    from aadc.extract.shards import ShardSet

    folder.keep_manifest(listed)
    folder.mark_latest()
    finish(folder)
    shards = ShardSet(folder.shards)
    write_rejected(folder.rejected, plan.before.values())
    say("nothing is left to do")
    if told := old_reader(folder):
        say(told)
    _say_cut_off(folder, write_cut_off(folder.cut_off, shards.entries.values()))
    _say_next(listed, folder, shards.models)
    return 0


def _extract(
    listed: Manifest,
    plan: Plan,
    root: Path,
    folder: RunFolder,
    settings: ExtractSettings,
    device: str,
    workers: int,
    scheduler: str | None,
) -> int:
    from aadc.extract.devices import choose_device, precision_advice
    from aadc.extract.features import FrameEmbedder
    from aadc.extract.pipeline import check_fingerprint, extract, here, prepare
    from aadc.extract.progress import ExtractProgress
    from aadc.extract.run_folder import RunRecord

    device = choose_device(device)
    full_size = MINIATURE not in (settings.detector, settings.clip)
    if (full_size or settings.precision != "fp32") and (advice := precision_advice(settings.precision, device)):
        say(advice)
    embedder = FrameEmbedder(settings, device)
    models = embedder.models
    check_fingerprint(folder, embedder.header)
    folder.keep_manifest(listed)
    folder.write_record(
        RunRecord(
            manifest=str(listed.path),
            videos=str(root.resolve()),
            settings=settings.model_dump(),
            fingerprint=embedder.header.fingerprint,
            models=models,
            device=device,
        )
    )
    prepare(folder)
    with ExtractProgress({video: _size(root / video) for video in plan.videos}) as progress:
        if workers == 1 and not scheduler:
            summary = extract(folder, here(plan, embedder, progress), plan.before)
        else:
            from aadc.extract.cluster import connect, spread

            header = embedder.header
            del embedder  # the workers load their own
            with connect(workers, scheduler) as client:
                results = spread(plan.tasks, client, settings, device, header.fingerprint, progress)
                summary = extract(folder, results, plan.before)
    rejected = [*plan.struck, *summary.rejected]
    say(f"{summary.done} videos done, {plan.already} were done before, {len(rejected)} rejected; {progress.rates()}")
    say(f"all shards: {summary.stats}")
    _say_cut_off(folder, summary.truncated)
    for video, why, what in rejected[:MOST_LINES]:
        say(f"rejected: {video}: {why}: {what}")
    if rejected:
        say(f"all rejected videos: {folder.rejected}; mend them and start the same command again")
    if summary.done or plan.already:
        _say_next(listed, folder, models)
    return 1 if rejected else 0


def _say_cut_off(folder: RunFolder, truncated: list[str]) -> None:
    for line in truncated[:MOST_LINES]:
        say(f"cut off, kept: {line}")
    if truncated:
        say(f"all videos cut off and kept: {folder.cut_off}; --strict rejects them")


def _say_next(listed: Manifest, folder: RunFolder, models: Mapping) -> None:
    from aadc.extract.caution import caution
    from aadc.extract.run_choice import next_step

    if warning := caution(models, listed.card.source):
        say(warning)
    say(f"next: {next_step(folder, 'aadc-train-head')}")


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
