"""Options that several commands share: one name, one meaning."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Split(StrEnum):
    """Which rows of the manifest."""

    test = "test"
    train = "train"


Run = Annotated[Path | None, typer.Option(help="Run folder [default: AADC_RUN, else the latest under runs/].")]
SplitName = Annotated[Split, typer.Option("--split", help="Which part of the manifest.")]
Head = Annotated[Path | None, typer.Option(help="Folder of a head trained elsewhere on the same features.")]
Classes = Annotated[
    Path | None, typer.Option(help="Class card (TOML) to score against in place of the head's, known in training or not.")
]
Threshold = Annotated[float, typer.Option(min=0, max=1, help="Score from which a span counts as anomalous.")]
Clip = Annotated[str | None, typer.Option(help="Where the run's CLIP is now, if it has moved: NAME/TAG or folder.")]
Detector = Annotated[str | None, typer.Option(help="Where the run's detector is now, if it has moved: name or folder.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")]
Window = Annotated[
    int | None, typer.Option(min=0, help="Snippets that a score is made from; 0: the whole video [default: the head's own].")
]
Ahead = Annotated[int, typer.Option(min=0, help="How many of them come after it: what a live score waits for.")]
Out = Annotated[Path | None, typer.Option(help="Folder for what comes out [default: in the run's eval/].")]

LlmName = Annotated[
    str | None,
    typer.Option(
        "--llm",
        help="Language model: none (sentences composed of the facts), name, folder, GGUF file, smollm2 "
        "[default: the describer's; none where no describer is].",
    ),
]
LlmUrl = Annotated[
    str | None, typer.Option(help="An OpenAI-compatible server instead, http://HOST:PORT/v1; its key in AADC_LLM_KEY.")
]
LlmTemperature = Annotated[float, typer.Option(min=0, max=2, help="0: the likeliest words; above: drawn.")]
LlmSeed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="What is drawn, is drawn again with the same seed.")]
LlmTimeout = Annotated[float, typer.Option(min=1, max=86400, help="Most seconds for 8 answers; for 16 at --llm-url.")]
