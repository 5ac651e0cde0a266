"""`aadc-find`: the moments of a run that look most like some words."""

from typing import Annotated

import typer

from aadc.eval.cli.options import Clip, Out, Run
from aadc.manifests.command import command_app, run_command

app = command_app()

EXAMPLES = """Example:  aadc-find "a person on the floor" --top 20

Exit status: 0 all done, 2 nothing could start."""


@app.command(short_help="Moments that look like some words.", epilog=EXAMPLES)
def find(
    words: Annotated[str, typer.Argument(help="What to look for; a sentence is better than a word.")],
    top: Annotated[int, typer.Option(min=1, max=10_000, help="How many moments to show.")] = 10,
    run: Run = None,
    out: Out = None,
    clip: Clip = None,
) -> None:
    """Look for something in words in all videos of a run. Needs no head: only the shards and CLIP."""
    from aadc.eval import commands
    from aadc.extract.run_choice import choose_run

    commands.find(choose_run(run), words, top, clip, out)


def main() -> None:
    """Console script."""
    run_command(app, "aadc-find")
