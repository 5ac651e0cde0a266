"""`aadc-extract`: videos of a manifest -> shards."""

from pathlib import Path
from typing import Annotated

import typer

from aadc.manifests.command import run_command
from aadc.manifests.errors import UserError

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

EXAMPLE = """Example:  aadc-extract manifests/ucf.csv --videos /data/UCF_Crimes/Videos

Exit status: 0 all videos done, 1 some rejected (see rejected.csv in the run folder), 2 nothing could start."""


@app.command(epilog=EXAMPLE)
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
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Lowest confidence of a kept box.")] = 0.5,
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
    strict: Annotated[bool, typer.Option("--strict", help="Reject videos of which only a part decodes.")] = False,
) -> None:
    """Detect, crop and embed one frame in 16 of every video of a manifest, and keep the features in HDF5 shards.

    Stop it whenever you like and start it again: it goes on where it was.
    """
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
            threshold=threshold,
            gate=gate,
            precision=precision,
            reader=reader,
        )
    except ValidationError as error:
        raise UserError(problems_of(error)) from None
    try:
        with folder.lock():
            status = _extract(listed, root.resolve(), folder, settings, device, strict, workers, scheduler)
    except PermissionError as error:
        raise UserError(f"{folder.path}: cannot be written ({error.strerror}); choose another folder with --run") from None
    raise typer.Exit(status)


def _extract(listed, root: Path, folder, settings, device: str, strict: bool, workers: int, scheduler: str | None) -> int:
    from aadc.extract.pipeline import check_fingerprint, extract, here, make_plan, prepare
    from aadc.extract.progress import ExtractProgress

    plan = make_plan(listed, root, folder, strict)
    sizes = {video: _size(root / video) for video in plan.videos}
    if sizes and not plan.already and not any((root / video).exists() for video in sizes):
        raise UserError(
            f"{root}: not one of the {len(sizes)} videos of {listed.path} is there, {plan.videos[0]} for one; "
            "give the right folder with --videos"
        )
    typer.echo(f"{listed.name}: {len(listed.rows)} videos, {plan.already} done before, {len(sizes)} to do -> {folder.path}")
    if not plan.tasks and folder.record().get("settings") == settings.model_dump():
        folder.keep_manifest(listed)
        typer.echo("nothing is left to do; next: aadc-train-head")
        return 0
    from aadc.extract.devices import choose_device, precision_advice
    from aadc.extract.features import FrameEmbedder

    device = choose_device(device)
    if advice := precision_advice(settings.precision, device):
        typer.echo(advice)
    embedder = FrameEmbedder(settings, device)
    check_fingerprint(folder, embedder.header)
    folder.keep_manifest(listed)
    folder.write_record(
        {
            "manifest": str(listed.path),
            "videos": str(root),
            "settings": settings.model_dump(),
            "fingerprint": embedder.header.fingerprint,
            "models": embedder.models,
            "device": device,
        }
    )
    prepare(folder)
    with ExtractProgress(sizes) as progress:
        if workers == 1 and not scheduler:
            summary = extract(folder, here(plan, embedder, progress))
        else:
            from aadc.extract.cluster import connect, spread

            header = embedder.header
            del embedder  # the workers load their own
            with connect(workers, scheduler) as client:
                results = spread(plan.tasks, client, settings, device, header.fingerprint, progress)
                summary = extract(folder, results)
    rates = progress.rates()
    typer.echo(
        f"{summary.done} videos done, {plan.already} were done before, {len(summary.rejected)} rejected; {rates}\n"
        f"all shards: {summary.stats}"
    )
    for line in summary.truncated:
        typer.echo(f"cut off, kept: {line}")
    for video, reason, what in summary.rejected[:10]:
        typer.echo(f"rejected: {video}: {reason}: {what}")
    if summary.rejected:
        typer.echo(f"all rejected videos: {folder.rejected}; mend them and start the same command again")
    if summary.done or plan.already:
        typer.echo("next: aadc-train-head")
    return 1 if summary.rejected else 0


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def main() -> None:
    """Console script."""
    run_command(app, "aadc-extract")
