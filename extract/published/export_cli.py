"""`aadc-export`: a run's features -> files that other people's code reads."""

from pathlib import Path
from typing import Annotated

import typer

from aadc.manifests.command import command_app, run_command
from aadc.manifests.shown import say

app = command_app(no_args_is_help=True, epilog="Example:  aadc-export npy runs/mine features")


@app.callback(short_help="A run's features -> files that others read.")
def about() -> None:
    """Write a run's features in a published layout, so that other people's heads can be trained on them."""


@app.command(
    epilog="\b\nExample:\n  aadc-export npy runs/mine features\n  aadc-import features manifests/mine.csv --run runs/two"
)
def npy(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Argument(help="Folder to write to.")],
    frames: Annotated[
        bool, typer.Option("--frames", help="Of whole frames alone, without the crops of what was detected.")
    ] = False,
) -> None:
    """VadCLIP's layout: a file a video, NAME__0.npy, float16, one row a snippet.

    A row is the mean of the whole frame and its crops (eq. 5); what the detector itself saw has no place in it.
    """
    from rich.console import Console
    from rich.progress import Progress

    from aadc.extract.published.export import export_npy
    from aadc.extract.run_choice import named_run
    from aadc.extract.shards import ShardSet

    folder = named_run(run)
    shards = ShardSet(folder.shards)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("writing", total=len(shards.keys))
        videos, rows = export_npy(folder, out, not frames, lambda: bar.advance(task))
    stride = shards.sampling["stride"]
    say(f"{videos} videos, {rows} rows of {stride} frames each: {out}")
    if stride != 16:
        say(f"note: code of others takes a row for 16 frames, here it is {stride}; aadc-import has --stride {stride} for it")


def main() -> None:
    """Console script."""
    run_command(app, "aadc-export")
