"""`aadc-score`: any video, from pixels to answer."""

from pathlib import Path
from typing import Annotated

import typer

from aadc.eval.cli.options import (
    Classes,
    Clip,
    Detector,
    Device,
    Head,
    LlmName,
    LlmSeed,
    LlmTemperature,
    LlmTimeout,
    LlmUrl,
    Run,
    Threshold,
)
from aadc.manifests.command import command_app, run_command

app = command_app()

EXAMPLES = """\b
Examples:
  aadc-score clip.mp4
  aadc-score clip.mp4 night/ --csv scored.csv --describe

Exit status: 0 all done, 1 some videos could not be used, 2 nothing could start."""


@app.command(short_help="Any video, from pixels to answer.", epilog=EXAMPLES)
def score(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO|FOLDER", help="Videos, or folders of them.")],
    csv: Annotated[Path | None, typer.Option(readable=False, help="Also write a table: a row a video.")] = None,
    report: Annotated[bool, typer.Option("--report", help="Also write a page with the curves of all these videos.")] = False,
    describe: Annotated[bool, typer.Option("--describe", help="Also say in words what happened.")] = False,
    run: Run = None,
    head: Head = None,
    classes: Classes = None,
    threshold: Threshold = 0.5,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the curves and answers [default: eval/videos/ of the run].")
    ] = None,
    llm: LlmName = None,
    llm_url: LlmUrl = None,
    llm_temperature: LlmTemperature = 0.0,
    llm_seed: LlmSeed = 0,
    llm_timeout: LlmTimeout = 120.0,
    detector: Detector = None,
    clip: Clip = None,
    device: Device = "auto",
) -> None:
    """Score videos of your own with a trained run: when something anomalous happens and what, else which normal thing it is."""
    from aadc.eval.commands import describer_opener, load
    from aadc.eval.describe.commands import LlmOptions
    from aadc.eval.made_with import Choice
    from aadc.eval.score_command import score_videos
    from aadc.eval.video import Models
    from aadc.extract.devices import choose_device
    from aadc.extract.run_choice import choose_run

    folder = choose_run(run)
    choice = Choice("test", threshold, head, classes, out)
    loaded = load(folder, choice, clip, device)
    opener = None
    if describe:
        options = LlmOptions(llm, llm_url, llm_temperature, llm_seed, llm_timeout)
        opener = describer_opener(folder, choice, loaded, options, device)
    score_videos(folder, loaded, choice, videos, Models(choose_device(device), detector, clip), opener, csv, report)


def main() -> None:
    """Console script."""
    run_command(app, "aadc-score")
