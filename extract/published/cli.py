"""`aadc-import`: published features -> shards."""

from pathlib import Path
from typing import Annotated

import typer

from aadc.manifests.command import command_app, run_command

app = command_app()

EXAMPLE = """Example:  aadc-import UCFClipFeatures manifests/ucf.csv

Layouts: vadclip, clip-tsa, lap, i3d, rtfm, c3d-txt, npy; docs/published_features.md tells what
each is, where they are, and what must come out.

Exit status: 0 all is there, 1 some videos are on one side alone or were rejected (rejected.csv in
the run folder), 2 nothing could start."""


@app.command("import", short_help="Features that others published -> shards.", epilog=EXAMPLE)
def import_features(
    folder: Annotated[Path, typer.Argument(help="Folder that the features were unpacked to.")],
    manifest: Annotated[Path, typer.Argument(help="CSV with one video a row; its class card lies beside it.")],
    layout: Annotated[str, typer.Option(help="auto: by names and shapes of the files.")] = "auto",
    crop: Annotated[
        str | None,
        typer.Option(
            help="Number of a crop, mean, or all (the usual one is scored) [default: what the layout's authors take]."
        ),
    ] = None,
    clip: Annotated[
        str | None,
        typer.Option(help="The CLIP they are from, NAME/TAG or folder of an open_clip model, or none [default: the layout's]."),
    ] = None,
    stride: Annotated[int, typer.Option(min=1, max=10_000, help="Frames that a row stands for.")] = 16,
    run: Annotated[Path | None, typer.Option(help="Run folder [default: runs/<manifest name>].")] = None,
) -> None:
    """Bring features that others published into shards, joined to a manifest by the names of the files.

    Stop it whenever you like and start it again: it goes on where it was.
    """
    from aadc.extract.published.command import import_folder

    raise typer.Exit(import_folder(folder, manifest, layout, crop, clip, stride, run))


def main() -> None:
    """Console script."""
    run_command(app, "aadc-import")
