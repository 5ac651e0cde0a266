"""`aadc-metrics`: any method's scores -> the figures of the field. Needs no torch."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from aadc.manifests.command import command_app, run_command

app = command_app()

EXAMPLES = """\b
Examples:
  aadc-metrics scores.npz ucf
  aadc-metrics mine/ ucf --against theirs.npz
  aadc-metrics pred.npy ucf --order test.list --protocol vadclip

Exit status: 0 all done, 1 some test videos have no scores, 2 nothing could start."""


class Counted(StrEnum):
    """By whose rules."""

    ours = "ours"
    vadclip = "vadclip"
    rtfm = "rtfm"
    xdviodet = "xdviodet"
    lavad = "lavad"


@app.command(short_help="Figures of any method's scores.", epilog=EXAMPLES)
def metrics(
    scores: Annotated[
        Path, typer.Argument(metavar="SCORES", help="Folder of .npy or .json; .npz; scores.h5; .json; .csv; or one long .npy.")
    ],
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="The CSV with the truth; ucf and xd come with the project.")
    ],
    against: Annotated[
        Path | None, typer.Option(metavar="SCORES", help="Other scores: every difference, with paired intervals.")
    ] = None,
    protocol: Annotated[Counted, typer.Option(help="How frames and areas are counted.")] = Counted.ours,
    classes_of: Annotated[
        Path | None, typer.Option(metavar="SCORES", help="Class scores (T, C) in the class card's order, for mAP@IoU.")
    ] = None,
    order: Annotated[
        Path | None, typer.Option(metavar="LIST", help="For one long row of scores: the videos in its order.")
    ] = None,
    fps: Annotated[float, typer.Option(help="Frames a second, for hours and delays.")] = 30.0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep metrics.json, row.md and row.tex in this folder.")
    ] = None,
) -> None:
    """Compute all figures of the field from any method's scores, with intervals."""
    from aadc.eval.metrics_command import Asked, measure

    status = measure(Asked(scores, manifest, against, protocol.value, classes_of, order, fps, out))
    raise typer.Exit(status)


def main() -> None:
    """Console script."""
    run_command(app, "aadc-metrics")


if __name__ == "__main__":
    main()
