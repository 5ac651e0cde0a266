"""`aadc-describe`: what happened in every test video, in words that were checked."""

from pathlib import Path
from typing import Annotated

import typer

from aadc.eval.cli.evaluate import Metric, Protocol
from aadc.eval.cli.options import (
    Classes,
    Clip,
    Device,
    Head,
    LlmName,
    LlmSeed,
    LlmTemperature,
    LlmTimeout,
    LlmUrl,
    Out,
    Run,
    Split,
    SplitName,
    Threshold,
)
from aadc.manifests.command import command_app, run_command

app = command_app()

EXAMPLES = """\b
Examples:
  aadc-describe
  aadc-describe --report
  aadc-describe --llm ./Llama-3.2-1B-Instruct

Exit status: 0 all done, 2 nothing could start."""


@app.command(short_help="What happened, in words.", epilog=EXAMPLES)
def describe(
    llm: LlmName = None,
    references: Annotated[
        Path | None, typer.Option(help="JSON with texts of people (UCA's layout): how near are the descriptions to them?")
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Also write report.html, with the words beside the curves.")] = False,
    split: SplitName = Split.test,
    run: Run = None,
    head: Head = None,
    classes: Classes = None,
    threshold: Threshold = 0.5,
    out: Out = None,
    llm_url: LlmUrl = None,
    llm_temperature: LlmTemperature = 0.0,
    llm_seed: LlmSeed = 0,
    llm_timeout: LlmTimeout = 120.0,
    clip: Clip = None,
    device: Device = "auto",
    metric: Annotated[Metric | None, typer.Option(hidden=True)] = None,
    protocol: Annotated[Protocol, typer.Option(hidden=True)] = Protocol.published,
) -> None:
    """Say what happened in every test video, and let no sentence out that the detections contradict."""
    from aadc.eval.commands import describer_opener, load
    from aadc.eval.describe.commands import LlmOptions
    from aadc.eval.made_with import Choice
    from aadc.eval.split_command import Wanted, score_split
    from aadc.extract.run_choice import choose_run

    folder = choose_run(run)
    choice = Choice(split.value, threshold, head, classes, out)
    loaded = load(folder, choice, clip, device)
    options = LlmOptions(llm, llm_url, llm_temperature, llm_seed, llm_timeout)
    opener = describer_opener(folder, choice, loaded, options, device)
    score_split(folder, loaded, choice, Wanted(metric and metric.value, protocol.value, report, references), opener)


def main() -> None:
    """Console script."""
    run_command(app, "aadc-describe")
