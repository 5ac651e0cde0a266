"""`aadc-extract`: videos of a manifest -> shards."""

from pathlib import Path
from typing import Annotated

import typer

from aadc.manifests.command import command_app, run_command
from aadc.manifests.errors import UserError
from aadc.manifests.shown import say

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
    box_threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lowest confidence of a kept box [default: 0.5].")
    ] = None,
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
        typer.Option(
            metavar="VIDEO",
            help="Extract this video anew though it is done (may be repeated); `changed`: all whose files changed.",
        ),
    ] = None,
    like: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Take settings, and features of the same files, over from this run.")
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Take videos out of the run that the manifest no longer names.")] = False,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, hidden=True)] = None,
) -> None:
    """Detect, crop and embed one frame in 16 of every video of a manifest, and keep the features in HDF5 shards.

    Stop it whenever you like and start it again: it goes on where it was.
    """
    if threshold is not None:
        if box_threshold is not None:
            raise UserError("--threshold is the earlier spelling of --box-threshold: give one of them")
        say("aadc-extract --threshold is now --box-threshold; this spelling will work until 0.3", err=True)
    from pydantic import ValidationError

    from aadc.extract.command import extract_manifest, settings_of
    from aadc.manifests.records import problems_of

    try:
        settings = settings_of(
            models,
            detector=detector,
            clip=clip,
            stride=stride,
            boxes=boxes,
            threshold=box_threshold if threshold is None else threshold,
            gate=gate,
            precision=precision,
            reader=reader,
        )
    except ValidationError as error:
        raise UserError(problems_of(error)) from None
    other = None
    if like is not None:
        from aadc.extract.like import settings_like
        from aadc.extract.run_choice import named_run

        other = named_run(like, "--like ")
        if settings not in (settings_of(), settings_like(other)):
            raise UserError(f"--like {like}: takes all settings of that run; leave those of models, frames and boxes out")
        settings = settings_like(other)
    _, status = extract_manifest(manifest, videos, run, settings, device, workers, scheduler, strict, again or [], drop, other)
    raise typer.Exit(status)


def main() -> None:
    """Console script."""
    run_command(app, "aadc-extract")
