"""`aadc-eval`: shards and a trained head -> scores and figures; a video -> answer."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from aadc.manifests.command import run_command
from aadc.manifests.errors import UserError

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

EXAMPLES = """Examples:  aadc-eval --metric auc        aadc-eval --video clip.mp4 --video night/

Exit status: 0 all done, 1 some videos could not be used, 2 nothing could start."""


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


class Split(StrEnum):
    """Which rows of the manifest."""

    test = "test"
    train = "train"


@app.command(epilog=EXAMPLES)
def evaluate(
    metric: Annotated[Metric, typer.Option(help="auc (UCF-Crime), ap (XD-Violence), map (mAP@IoU) or all.")] = Metric.auc,
    protocol: Annotated[
        Protocol, typer.Option(help="mAP@IoU as published code computes it, or mended; both are shown, this one in front.")
    ] = Protocol.published,
    split: Annotated[Split, typer.Option(help="Which part of the manifest to score.")] = Split.test,
    run: Annotated[Path | None, typer.Option(help="Run folder [default: the newest under runs/].")] = None,
    video: Annotated[
        list[Path] | None, typer.Option(help="Score this video, or all in this folder, instead of a split.")
    ] = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Score from which a span counts as anomalous.")] = 0.5,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
) -> None:
    """Score the test videos of a run and print the figures of the field, or score videos of your own."""
    from aadc.extract.run_folder import latest_run

    folder = latest_run(run)
    typer.echo(f"run: {folder.path}" + ("" if run else " (latest)"))
    from aadc.extract.devices import choose_device
    from aadc.head.checkpoint import load_head

    head = load_head(folder.head)
    device = choose_device(device)
    head.model.to(device)
    if video:
        raise typer.Exit(_videos(folder, head, video, threshold, device))
    _split(folder, head, metric.value, protocol.value, split.value, threshold)


def _split(folder, head, metric: str, protocol: str, split: str, threshold: float) -> None:
    import json

    from rich.console import Console
    from rich.progress import Progress

    from aadc.eval.evaluate import evaluate
    from aadc.eval.notes import notes_on
    from aadc.eval.scored_split import ScoredSplit
    from aadc.eval.scores import score_split, write_scores
    from aadc.eval.tables import print_figures
    from aadc.extract.shards import ShardSet
    from aadc.head.checkpoint import replace_file

    manifest = folder.manifest()
    rows = manifest.split(split)
    if not rows:
        raise UserError(f"{folder.manifest_csv}: no {split} rows; --split names the other part")
    shards = ShardSet(folder.shards)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("scoring", total=len(rows))
        scored = score_split(head, shards, rows, threshold, lambda: bar.advance(task))
    if not scored:
        raise UserError(f"{folder.shards}: none of the {len(rows)} {split} videos is in the shards; run aadc-extract again")
    stride = shards.sampling["stride"]
    made = ScoredSplit(rows, scored, manifest.card, head.card, head.config.k, stride)
    figures = evaluate(made, metric in ("map", "all"))
    notes = notes_on(made, figures)
    folder.eval.mkdir(parents=True, exist_ok=True)
    write_scores(scored, head.card.names, stride, folder.eval)
    record = {"split": split, "fingerprint": head.fingerprint, **figures, "notes": notes}
    replace_file(folder.eval / "metrics.json", (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
    print_figures(figures, metric, protocol, Console())
    for note in notes:
        typer.echo(f"note: {note}")
    typer.echo(
        f"all figures: {folder.eval / 'metrics.json'}; spans: {folder.eval / 'spans.csv'}; scores: {folder.eval / 'scores.h5'}"
    )
    typer.echo("next: aadc-eval --video CLIP shows what one video gets")


def _videos(folder, head, given: list[Path], threshold: float, device: str) -> int:
    from aadc.eval.video import VideoScorer, list_videos, write_answer
    from aadc.extract.decode import VideoError

    paths = list_videos(given)
    scorer = VideoScorer(folder, head, device, threshold)
    bad = 0
    with scorer.decoder:
        for number, path in enumerate(paths):
            try:
                scored = scorer(path)
            except VideoError as error:
                bad += 1
                typer.echo(f"{path}: {error.reason}: {error}", err=True)
                continue
            out = folder.eval / "videos" / (path.stem if len(paths) == 1 else f"{number:03d}_{path.stem}")
            write_answer(scored, threshold, out)
            found = "; ".join(str(span) for span in scored.spans) or "nothing anomalous"
            typer.echo(f"{path}: {found} (highest score {scored.snippets.anomaly.max():.2f}) -> {out / 'scores.png'}")
    return 1 if bad else 0


def main() -> None:
    """Console script."""
    run_command(app, "aadc-eval")
