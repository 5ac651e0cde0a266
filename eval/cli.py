"""`aadc-eval`: shards and a trained head -> scores and figures; a video, or words, -> answer."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from aadc.manifests.command import run_command
from aadc.manifests.errors import UserError

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

EXAMPLES = """Examples:  aadc-eval --metric auc     aadc-eval --video clip.mp4 --video night/     aadc-eval --find "a lost bag"
           aadc-eval --describe       aadc-eval --ask "was anybody on the phone?" clip.mp4

Exit status: 0 all done, 1 some videos could not be used, 2 nothing could start."""


class Metric(StrEnum):
    """What to put first."""

    auc = "auc"
    ap = "ap"
    map = "map"
    all = "all"
    text = "text"


class Protocol(StrEnum):
    """Which mAP@IoU is the headline; both are printed."""

    published = "published"
    clean = "clean"


class Split(StrEnum):
    """Which rows of the manifest."""

    test = "test"
    train = "train"


class Table(StrEnum):
    """Tables like the paper's."""

    ablation = "ablation"
    k_gamma = "k-gamma"
    cross = "cross"
    classes = "classes"


@app.command(epilog=EXAMPLES)
def evaluate(
    asked_of: Annotated[
        Path | None, typer.Argument(metavar="VIDEO", help="With --ask: a video of the manifest, or a file.")
    ] = None,
    metric: Annotated[
        Metric,
        typer.Option(help="auc (UCF-Crime), ap (XD-Violence), map (mAP@IoU), all, or text (descriptions beside --references)."),
    ] = Metric.auc,
    protocol: Annotated[
        Protocol, typer.Option(help="mAP@IoU as published code computes it, or mended; both are shown, this one in front.")
    ] = Protocol.published,
    split: Annotated[Split, typer.Option(help="Which part of the manifest to score.")] = Split.test,
    run: Annotated[Path | None, typer.Option(help="Run folder [default: the newest under runs/].")] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Also write report.html: figures, curves and every video, worst mistakes first.")
    ] = False,
    video: Annotated[
        list[Path] | None, typer.Option(help="Score this video, or all in this folder, instead of a split.")
    ] = None,
    describe: Annotated[
        bool, typer.Option("--describe", help="Also say what happened in every video, in words that were checked.")
    ] = False,
    ask: Annotated[str | None, typer.Option(help="Answer a question about VIDEO, instead.")] = None,
    references: Annotated[
        Path | None, typer.Option(help="JSON with texts of people (UCA's layout), for --metric text.")
    ] = None,
    llm: Annotated[
        str | None,
        typer.Option(
            help="Language model: name, folder, GGUF file, smollm2; none: composed words [default: the describer's, else none]."
        ),
    ] = None,
    llm_url: Annotated[
        str | None, typer.Option(help="An OpenAI-compatible server instead, http://HOST:PORT/v1; its key in AADC_LLM_KEY.")
    ] = None,
    llm_temperature: Annotated[float, typer.Option(min=0, max=2, help="0: the likeliest words; above: drawn.")] = 0.0,
    llm_seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="What is drawn, is drawn again with the same seed.")] = 0,
    llm_timeout: Annotated[
        float, typer.Option(min=1, max=86400, help="Most seconds for 8 answers; for 16 at --llm-url.")
    ] = 120.0,
    find: Annotated[
        str | None, typer.Option(help="Look for something in words in all videos of the run, instead; needs no head.")
    ] = None,
    table: Annotated[
        Table | None,
        typer.Option(help="Train heads for a table like the paper's: ablation (V-VII), k-gamma (IX), cross (VIII); classes."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each row of a --table.")] = 3,
    other: Annotated[Path | None, typer.Option(help="Run of a second data set, for --table cross.")] = None,
    head: Annotated[Path | None, typer.Option(help="Folder of a head trained elsewhere on the same features.")] = None,
    classes: Annotated[
        Path | None, typer.Option(help="Class card (TOML) to score against in place of the head's, known in training or not.")
    ] = None,
    clip: Annotated[
        str | None,
        typer.Option(help="Where the run's CLIP is now, for --video, --ask, --find and --classes: NAME/TAG or folder."),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Where the run's detector is now, for --video and --ask: name or folder.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for what comes out [default: in the run's eval/, another head, card … its own].")
    ] = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Score from which a span counts as anomalous.")] = 0.5,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
) -> None:
    """Score the test videos of a run and print the figures; or score videos of your own, find words, answer a question."""
    if (bool(video) + (find is not None) + report + (table is not None) + (ask is not None)) > 1:
        raise UserError("--video, --find, --table, --ask and --report cannot be combined: give one of them")
    if (ask is None) != (asked_of is None):
        raise UserError('--ask needs a question and a video, and a video alone goes with --video: aadc-eval --ask "…?" VIDEO')
    if (find is not None or table is not None) and (describe or llm or llm_url):
        raise UserError(
            "--describe, --llm and --llm-url go with figures, --report, --video and --ask, not with --find or --table"
        )
    if video and references is not None:
        raise UserError("--references goes with the figures of a split, not with --video")
    if (metric is Metric.text) != (references is not None):
        raise UserError("--metric text and --references FILE belong together")
    if (find is not None or table is not None) and (head or classes):
        raise UserError("--head and --classes go with figures, --report and --video, not with --find or --table")
    if other is not None and table is None:
        raise UserError("--other goes with --table cross alone")
    if ask is not None and out is not None:
        raise UserError("--ask writes no file, so there is nothing for --out; leave it out")
    if detector is not None and not video and ask is None:
        raise UserError("--detector goes with --video and --ask, which alone look at pictures")
    from aadc.extract.run_choice import choose_run

    folder = choose_run(run)
    if table is not None:
        from aadc.eval.table_command import make_table

        make_table(folder, table.value, seeds, other, clip, device, out)
        return
    from aadc.eval import commands
    from aadc.eval.made_with import Choice

    if find is not None:
        commands.find(folder, find, clip, out)
        return
    choice = Choice(split.value, threshold, head, classes, out)
    loaded = commands.load(folder, choice, clip, device)
    open_describer = None
    if describe or ask is not None or metric is Metric.text:
        from aadc.eval.describe.commands import LlmOptions

        options = LlmOptions(llm, llm_url, llm_temperature, llm_seed, llm_timeout)
        open_describer = commands.describer_opener(folder, choice, loaded, options, device)
    if ask is not None or video:
        from aadc.eval.video import Models
        from aadc.extract.devices import choose_device

        models = Models(choose_device(device), detector, clip)
        if ask is not None:
            commands.answer(folder, loaded, choice, open_describer, ask, asked_of, models)
            return
        from aadc.eval.video_command import score_videos

        score_videos(folder, loaded, choice, video, models, open_describer)
        return
    from aadc.eval.split_command import Wanted, score_split

    score_split(folder, loaded, choice, Wanted(metric.value, protocol.value, report, references), open_describer)


def main() -> None:
    """Console script."""
    run_command(app, "aadc-eval")
