"""`aadc-ask`: a question about a video, answered."""

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

EXAMPLES = """Example:  aadc-ask "did anybody fall?" clip.mp4

Exit status: 0 answered, 2 nothing could start."""


@app.command(short_help="A question about a video, answered.", epilog=EXAMPLES)
def ask(
    question: Annotated[str, typer.Argument(help="In words, in quotes.")],
    video: Annotated[Path, typer.Argument(help="A video of the run's manifest, or a file.")],
    run: Run = None,
    head: Head = None,
    classes: Classes = None,
    threshold: Threshold = 0.5,
    llm: LlmName = None,
    llm_url: LlmUrl = None,
    llm_temperature: LlmTemperature = 0.0,
    llm_seed: LlmSeed = 0,
    llm_timeout: LlmTimeout = 120.0,
    detector: Detector = None,
    clip: Clip = None,
    device: Device = "auto",
) -> None:
    """Answer a question about a video from what was detected in it, and say the moments the answer rests on."""
    from aadc.eval import commands
    from aadc.eval.describe.commands import LlmOptions
    from aadc.eval.made_with import Choice
    from aadc.eval.video import Models
    from aadc.extract.devices import choose_device
    from aadc.extract.run_choice import choose_run

    folder = choose_run(run)
    choice = Choice("test", threshold, head, classes)
    loaded = commands.load(folder, choice, clip, device)
    options = LlmOptions(llm, llm_url, llm_temperature, llm_seed, llm_timeout)
    opener = commands.describer_opener(folder, choice, loaded, options, device)
    commands.answer(folder, loaded, choice, opener, question, video, Models(choose_device(device), detector, clip))


def main() -> None:
    """Console script."""
    run_command(app, "aadc-ask")
