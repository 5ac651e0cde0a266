"""`aadc-eval`: shards and a trained head -> scores, figures, report."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from aadc.eval.cli.options import Ahead, Classes, Clip, Device, Head, Out, Run, Split, SplitName, Threshold, Window
from aadc.manifests.command import command_app, run_command

app = command_app()

EXAMPLES = """\b
Examples:
  aadc-eval --metric auc
  aadc-eval --metric all --report
  aadc-eval --split train

Exit status: 0 all done, 2 nothing could start."""


class Metric(StrEnum):
    """What to put first."""

    auc = "auc"
    ap = "ap"
    map = "map"
    all = "all"


class Protocol(StrEnum):
    """Which mAP@IoU is the headline; both are printed."""

    published = "published"
    clean = "clean"


@app.command(short_help="Figures and report of a split.", epilog=EXAMPLES)
def evaluate(
    metric: Annotated[
        Metric, typer.Option(help="auc (UCF-Crime), ap (XD-Violence), map (mAP@IoU, localisation) or all.")
    ] = Metric.auc,
    report: Annotated[
        bool, typer.Option("--report", help="Also write report.html: figures, curves and every video, worst mistakes first.")
    ] = False,
    protocol: Annotated[
        Protocol, typer.Option(help="mAP@IoU as published code computes it, or mended; both are shown, this one in front.")
    ] = Protocol.published,
    split: SplitName = Split.test,
    run: Run = None,
    head: Head = None,
    classes: Classes = None,
    threshold: Threshold = 0.5,
    window: Window = None,
    ahead: Ahead = 4,
    out: Out = None,
    clip: Clip = None,
    device: Device = "auto",
) -> None:
    """Score the test videos of a run with its head and print the figures of the field."""
    from aadc.eval.commands import load
    from aadc.eval.made_with import Choice
    from aadc.eval.split_command import Wanted, score_split
    from aadc.extract.run_choice import choose_run

    folder = choose_run(run)
    choice = Choice(split.value, threshold, head, classes, out, window, ahead)
    loaded = load(folder, choice, clip, device)
    score_split(folder, loaded, choice, Wanted(metric.value, protocol.value, report))


def main() -> None:
    """Console script. What the command did in 0.1 and others do now, those others do."""
    from aadc.eval.cli.earlier import run_earlier

    run_earlier(sys.argv[1:])
    run_command(app, "aadc-eval")
