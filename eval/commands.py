"""What `aadc-eval` does once its options are read: work, then say what came out and what to do next."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import Progress

from aadc.eval import scores
from aadc.eval.evaluate import evaluate
from aadc.eval.moments import best_moments, write_moments
from aadc.eval.notes import notes_on
from aadc.eval.open_vocabulary import score_against
from aadc.eval.scored_split import ScoredSplit
from aadc.eval.tables import moments_table, print_figures, text_table
from aadc.extract.devices import choose_device
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.head.checkpoint import LoadedHead, load_head, replace_file
from aadc.head.text_tower import load_tower
from aadc.manifests.card import read_card
from aadc.manifests.errors import UserError
from aadc.manifests.shown import say
from aadc.manifests.video_suffixes import passed_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from aadc.eval.describe.videos import Describer

STDERR = Console(stderr=True)
DESCRIPTIONS = "descriptions.jsonl"


def load(run: RunFolder, head: Path | None, classes: Path | None, clip: str | None, device: str) -> LoadedHead:
    """The run's own head or the one named, on its device, scoring against its own classes or those of a card."""
    device = choose_device(device)
    loaded = load_head(head or run.head)
    loaded.model.to(device)
    if classes is None:
        return loaded
    made_with = {"source": loaded.clip, "weights": loaded.clip_weights}
    return score_against(loaded, read_card(classes), load_tower(made_with, clip), device)


def detector_names(run: RunFolder) -> dict[str, str]:
    """The detector's classes by id (as text), as the run's shards have them."""
    return ShardSet(run.shards).models.get("detector", {}).get("class_names", {})


def score_split(
    run: RunFolder,
    head: LoadedHead,
    part: str,
    metric: str,
    protocol: str,
    threshold: float,
    report: bool,
    describer: "Callable[[], Describer] | None" = None,
    references: Path | None = None,
) -> None:
    """Score a split, print its figures, keep scores, spans and metrics.json (and a report) in the run's `eval/`.

    With a describer, which is opened last, say what happened in every video, and with `references` how near that is to what
    people wrote.
    """
    if references:
        from aadc.eval.describe.text_metrics import read_references

        written = read_references(references)
    manifest = run.manifest()
    rows = manifest.split(part)
    if not rows:
        raise UserError(f"{run.manifest_csv}: no {part} rows; --split names the other part")
    shards = ShardSet(run.shards)
    with Progress(console=STDERR, transient=True) as bar:
        task = bar.add_task("scoring", total=len(rows))
        scored = scores.score_split(head, shards, rows, threshold, lambda: bar.advance(task))
    if not scored:
        raise UserError(f"{run.shards}: none of the {len(rows)} {part} videos is in the shards; run aadc-extract again")
    stride = shards.sampling["stride"]
    split = ScoredSplit(rows, scored, manifest.card, head.card, head.config.k, stride)
    with STDERR.status("figures and their intervals"):
        figures = evaluate(split, report or metric in ("map", "all"))
    notes = notes_on(split, figures)
    run.eval.mkdir(parents=True, exist_ok=True)
    scores.write_scores(scored, head.card.names, stride, run.eval)
    record = {"split": part, "fingerprint": head.fingerprint, "classes": head.card.names, **figures, "notes": notes}
    _keep(run, record)
    print_figures(figures, metric, protocol, Console())
    for note in notes:
        typer.echo(f"note: {note}")
    typer.echo(f"all figures: {run.eval / 'metrics.json'}; spans: {run.eval / 'spans.csv'}; scores: {run.eval / 'scores.h5'}")
    if describer:
        from aadc.eval.describe.commands import describe_split

        texts = describe_split(describer(), list(scored.values()), run.eval / DESCRIPTIONS)
        if references:
            from aadc.eval.describe.text_metrics import text_figures

            record["text"] = text_figures({row["video"]: row["text"] for row in texts}, written)
            _keep(run, record)
            Console().print(text_table(record["text"]))
    if report:
        _write_report(run, split, shards, figures, notes, metric, threshold)
    elif describer:
        typer.echo('next: aadc-eval --report shows them beside the curves; aadc-eval --ask "what happened?" VIDEO')
    else:
        typer.echo("next: aadc-eval --report shows every video; aadc-eval --video CLIP what one of your own gets")


def _keep(run: RunFolder, record: dict) -> None:
    replace_file(run.eval / "metrics.json", (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())


def _write_report(
    run: RunFolder, split: ScoredSplit, shards: ShardSet, figures: dict, notes: list[str], metric: str, threshold: float
) -> None:
    from aadc.eval.describe.videos import read_rows
    from aadc.eval.report import add_pictures, make_pages, render, room_for_pictures, videos_of

    title = f"{split.card.title}: {run.path.resolve().name}"
    pages = make_pages(split, shards, read_rows(run.eval / DESCRIPTIONS))
    room = room_for_pictures(render(title, split, figures, pages, metric, threshold, notes))
    with Progress(console=STDERR, transient=True) as bar:
        task = bar.add_task("key frames", total=len(pages))
        pages, left_out = add_pictures(pages, videos_of(run), split.stride, room, lambda: bar.advance(task))
    page = render(title, split, figures, pages, metric, threshold, [*notes, *left_out])
    path = run.eval / "report.html"
    replace_file(path, page.encode())
    for note in left_out:
        typer.echo(f"note: {note}")
    typer.echo(f"report: {path} ({path.stat().st_size / 1e6:.1f} MB); open it in a browser")


def score_videos(
    run: RunFolder,
    head: LoadedHead,
    given: list[Path],
    threshold: float,
    device: str,
    describer: "Callable[[], Describer] | None" = None,
) -> int:
    """Score videos of no manifest, from pixels to answer. Gives the exit status: 1 if some could not be used."""
    from aadc.eval.video import VideoScorer, answer_folders, cut_off, list_videos, write_answer
    from aadc.extract.decode import VideoError

    paths = list_videos(given)
    for folder in filter(Path.is_dir, given):
        if note := passed_over(folder):
            say(f"{folder}: {note}")
    with STDERR.status("loading the models"):
        scorer = VideoScorer(run, head, choose_device(device), threshold)
    describe = describer() if describer else None
    bad = 0
    with scorer.decoder:
        for number, (path, out) in enumerate(zip(paths, answer_folders(paths, run.eval / "videos"), strict=True), 1):
            try:
                with STDERR.status(f"{number} of {len(paths)}: {path.name}"):
                    scored = scorer(path)
            except VideoError as error:
                bad += 1
                typer.echo(f"{path}: {error.reason}: {error}", err=True)
                continue
            write_answer(scored, threshold, out)
            found = "; ".join(map(str, scored.spans)) or "nothing anomalous"
            typer.echo(f"{path}: {found} (highest score {scored.snippets.anomaly.max():.2f}) -> {out / 'scores.png'}")
            if describe:
                from aadc.eval.describe.commands import marked

                told = next(describe([scored]))
                write_answer(scored, threshold, out, {"text": told.text, "how": told.how})
                typer.echo(f"  {marked(told.text, told.how)}")
            if cut_off(scored.features):
                typer.echo(f"  cut off: only {scored.features.frames} of {scored.features.frames_expected} frames decode")
    if bad:
        typer.echo(f"{bad} of {len(paths)} videos could not be used")
    return 1 if bad else 0


def answer(
    run: RunFolder,
    head: LoadedHead,
    describer: "Callable[[], Describer]",
    question: str,
    video: Path,
    threshold: float,
    device: str,
) -> None:
    """Answer a question about a video of the manifest, else a file."""
    from aadc.eval.describe.commands import ask

    shards = ShardSet(run.shards)
    row = next((row for row in run.manifest().rows if row.video == str(video) and row.key in shards.entries), None)
    if row is not None:
        scored = scores.score_split(head, shards, [row], threshold, lambda: None)[row.key]
    elif video.is_file():
        from aadc.eval.video import VideoScorer
        from aadc.extract.decode import VideoError

        scorer = VideoScorer(run, head, choose_device(device), threshold)
        try:
            with scorer.decoder:
                scored = scorer(video)
        except VideoError as error:
            raise UserError(f"{video}: {error.reason}: {error}") from None
    else:
        raise UserError(f"{video}: neither a video of {run.manifest_csv} that is in the shards, nor a file")
    ask(describer(), question, scored)


def find(run: RunFolder, words: str, clip: str | None) -> None:
    """Print the moments of a run that look most like the words, and keep them in `eval/found.csv`."""
    shards = ShardSet(run.shards)
    with STDERR.status("loading CLIP"):
        tower = load_tower(shards.models["clip"], clip)
    with Progress(console=STDERR, transient=True) as bar:
        task = bar.add_task("looking", total=len(shards.keys))
        moments = best_moments(shards, tower, words, tell=lambda: bar.advance(task))
    run.eval.mkdir(parents=True, exist_ok=True)
    path = run.eval / "found.csv"
    write_moments(moments, path)
    Console().print(moments_table(moments[:10], words))
    typer.echo(f"{len(moments)} moments: {path}")
