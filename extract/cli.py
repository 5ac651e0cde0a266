"""`aadc-extract`: videos of a manifest -> shards."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aadc.manifests.command import command_app, run_command
from aadc.manifests.errors import UserError
from aadc.manifests.shown import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aadc.extract.plan import Plan
    from aadc.extract.run_folder import RunFolder
    from aadc.extract.settings import ExtractSettings
    from aadc.manifests.manifest import Manifest

MOST_LINES = 10
app = command_app()

EXAMPLE = """Example:  aadc-extract manifests/ucf.csv --videos /data/UCF_Crimes/Videos

Exit status: 0 all videos done, 1 some rejected (see rejected.csv in the run folder), 2 nothing could start."""


@app.command(short_help="Videos of a manifest -> feature shards.", epilog=EXAMPLE)
def extract(
    manifest: Annotated[Path, typer.Argument(help="CSV with one video a row; its class card lies beside it.")],
    videos: Annotated[
        Path | None, typer.Option(help="Folder the manifest's paths count from (else AADC_VIDEOS, else the card's).")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Run folder [default: runs/<manifest name>].")] = None,
    models: Annotated[
        str, typer.Option(help="paper (DETR-R50 + CLIP ViT-B/16) or miniature (shipped, synthetic scenes only).")
    ] = "paper",
    detector: Annotated[str | None, typer.Option(help="Another DETR-family detector: published name or folder.")] = None,
    clip: Annotated[str | None, typer.Option(help="Another open_clip model: NAME/TAG or folder.")] = None,
    stride: Annotated[int, typer.Option(min=1, help="Look at one frame in this many.")] = 16,
    boxes: Annotated[int, typer.Option(min=1, max=100, help="Most boxes kept a frame.")] = 5,
    box_threshold: Annotated[float, typer.Option(min=0, max=1, help="Lowest confidence of a kept box.")] = 0.5,
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16.")] = "fp32",
    gate: Annotated[
        float,
        typer.Option(
            min=0, help="Carry features over while no part of the picture changes by this many of 256 levels (0: off)."
        ),
    ] = 0.0,
    reader: Annotated[str, typer.Option(help="pyav, or decord where a file provably suits it.")] = "pyav",
    workers: Annotated[int, typer.Option(min=1, help="Local processes that share the work, one a GPU if there are GPUs.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="An existing Dask cluster, tcp://HOST:PORT, instead.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
    strict: Annotated[
        bool, typer.Option("--strict", help="Reject videos of which only a part decodes, those done before too.")
    ] = False,
    again: Annotated[
        list[str] | None,
        typer.Option(help="Extract this video anew though it is done (may be repeated); `changed`: all whose files changed."),
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Take videos out of the run that the manifest no longer names.")] = False,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, hidden=True)] = None,
) -> None:
    """Detect, crop and embed one frame in 16 of every video of a manifest, and keep the features in HDF5 shards.

    Stop it whenever you like and start it again: it goes on where it was.
    """
    if threshold is not None:
        say("aadc-extract --threshold is now --box-threshold; this spelling will work until 0.3", err=True)
    from pydantic import ValidationError

    from aadc.extract.run_folder import RUNS, RunFolder
    from aadc.extract.settings import PRESETS, ExtractSettings
    from aadc.manifests.manifest import read_manifest, video_root
    from aadc.manifests.records import problems_of

    listed = read_manifest(manifest)
    root = video_root(listed, videos)
    folder = RunFolder(run or RUNS / listed.name)
    if models not in PRESETS:
        raise UserError(f"--models {models}: there are {', '.join(PRESETS)}")
    try:
        settings = ExtractSettings(
            detector=detector or PRESETS[models]["detector"],
            clip=clip or PRESETS[models]["clip"],
            stride=stride,
            boxes=boxes,
            threshold=box_threshold if threshold is None else threshold,
            gate=gate,
            precision=precision,
            reader=reader,
        )
    except ValidationError as error:
        raise UserError(problems_of(error)) from None
    with folder.lock():
        plan = _plan(listed, root, folder, strict, again or [], drop)
        if not plan.tasks and _asked_before(folder, settings):
            status = _nothing_left(listed, folder, plan)
        else:
            status = _extract(listed, plan, root, folder, settings, device, workers, scheduler)
    raise typer.Exit(status)


def _plan(listed: "Manifest", root: Path, folder: "RunFolder", strict: bool, again: list[str], drop: bool) -> "Plan":
    """Plan, and say what is to be known before it starts."""
    from aadc.extract.plan import make_plan
    from aadc.manifests.changes import changes
    from aadc.manifests.manifest import read_manifest

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


def _asked_before(folder: "RunFolder", settings: "ExtractSettings") -> bool:
    """Whether run.json says just this; one that is gone or torn says nothing, and is written anew."""
    try:
        return folder.record().settings == settings.model_dump()
    except UserError:
        return False


def _nothing_left(listed: "Manifest", folder: "RunFolder", plan: "Plan") -> int:
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
    listed: "Manifest",
    plan: "Plan",
    root: Path,
    folder: "RunFolder",
    settings: "ExtractSettings",
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
    if advice := precision_advice(settings.precision, device):
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
    say(
        f"{summary.done} videos done, {plan.already} were done before, {len(rejected)} rejected; {progress.rates()}\n"
        f"all shards: {summary.stats}"
    )
    _say_cut_off(folder, summary.truncated)
    for video, why, what in rejected[:MOST_LINES]:
        say(f"rejected: {video}: {why}: {what}")
    if rejected:
        say(f"all rejected videos: {folder.rejected}; mend them and start the same command again")
    if summary.done or plan.already:
        _say_next(listed, folder, models)
    return 1 if rejected else 0


def _say_cut_off(folder: "RunFolder", truncated: list[str]) -> None:
    for line in truncated[:MOST_LINES]:
        say(f"cut off, kept: {line}")
    if truncated:
        say(f"all videos cut off and kept: {folder.cut_off}; --strict rejects them")


def _say_next(listed: "Manifest", folder: "RunFolder", models: "Mapping") -> None:
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


def main() -> None:
    """Console script."""
    run_command(app, "aadc-extract")
