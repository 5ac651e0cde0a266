"""`aadc-table`: tables like the paper's, from the shards."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from aadc.eval.cli.options import Clip, Device, Out, Run
from aadc.manifests.command import command_app, run_command

app = command_app()

EXAMPLES = """\b
Examples:
  aadc-table ablation
  aadc-table cross --other runs/xd

Exit status: 0 all done, 2 nothing could start."""


class Table(StrEnum):
    """Tables like the paper's."""

    ablation = "ablation"
    k_gamma = "k-gamma"
    cross = "cross"
    classes = "classes"


@app.command(short_help="Tables like the paper's.", epilog=EXAMPLES)
def table(
    name: Annotated[
        Table,
        typer.Argument(
            help="ablation (Tables V to VII), k-gamma (IX), cross (VIII): train heads for it; classes: who is taken for whom."
        ),
    ],
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each row.")] = 3,
    other: Annotated[Path | None, typer.Option(help="Run of a second data set, for cross.")] = None,
    run: Run = None,
    out: Out = None,
    clip: Clip = None,
    device: Device = "auto",
) -> None:
    """Print a table like one of the paper's, training the heads it needs; those trained before are taken as they are."""
    from aadc.eval.table_command import make_table
    from aadc.extract.run_choice import choose_run

    make_table(choose_run(run), name.value, seeds, other, clip, device, out)


def main() -> None:
    """Console script."""
    run_command(app, "aadc-table")
