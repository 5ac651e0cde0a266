"""`aadc-train-describer`: a trained head and a frozen language model -> video tokens it can read."""

from pathlib import Path
from typing import Annotated

import typer

from aadc.manifests.command import command_app, run_command
from aadc.manifests.shown import say

app = command_app()

EXAMPLE = """Example:  aadc-train-describer --llm smollm2

Exit status: 0 trained, 2 nothing could start, 130 interrupted."""


@app.command(short_help="Teach a language model to read videos.", epilog=EXAMPLE)
def train(
    run: Annotated[Path | None, typer.Option(help="Run folder [default: AADC_RUN, else the latest under runs/].")] = None,
    llm: Annotated[
        str | None,
        typer.Option(help="Language model: name, folder, GGUF file, or smollm2 [default: meta-llama/Llama-3.2-1B-Instruct]."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, max=1_000_000, help="Training steps.")] = 300,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same weights (CPU).")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, whatever an earlier training left.")] = False,
) -> None:
    """Train the projector that shows a frozen language model what the head saw, from video-level labels.

    Stop it whenever you like and start it again: it goes on where it was.
    """
    from aadc.eval.describe.llm import DEFAULT, Llm
    from aadc.eval.describe.train import DescriberConfig, train_describer
    from aadc.extract.caution import caution
    from aadc.extract.devices import choose_device
    from aadc.extract.run_choice import choose_run, next_step
    from aadc.extract.shards import ShardSet
    from aadc.head.checkpoint import load_head
    from aadc.head.progress import TrainProgress

    folder = choose_run(run)
    head = load_head(folder.head)
    if told := caution(ShardSet(folder.shards).models, head.card.source):
        say(told)
    config = DescriberConfig(steps=steps, seed=seed)
    with folder.lock(), TrainProgress() as progress:
        metrics = train_describer(folder, head, Llm(llm or DEFAULT, choose_device(device)), config, restart, progress)
    if metrics["already"]:
        say("trained before with these settings; --restart would train it again")
    held = f"validation loss {metrics['val_loss']:.3f}" if metrics["val_loss"] is not None else "no videos held out"
    say(
        f"{metrics['videos']} videos trained on, {metrics['validation_videos']} held out; step {metrics['step']} of "
        f"{metrics['steps']} is kept, {held}"
    )
    say(f"describer: {folder.head / 'describer'}")
    say(f"next: {next_step(folder, 'aadc-describe')}")


def main() -> None:
    """Console script."""
    run_command(app, "aadc-train-describer")
