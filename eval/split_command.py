"""`aadc-eval` and `aadc-describe`: figures, scores, spans, descriptions and report of a split, and where each comes from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from aadc.eval import scores
from aadc.eval.commands import STDERR, OpenDescriber, detector_names, say_caution
from aadc.eval.evaluate import evaluate
from aadc.eval.made_with import Choice, differing_classes, made_with, same
from aadc.eval.notes import notes_on, some
from aadc.eval.out_folder import writing_to
from aadc.eval.scored_split import ScoredSplit
from aadc.eval.tables import print_figures, text_table
from aadc.extract.manifest_change import changes_since_extraction
from aadc.extract.run_choice import next_step
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.head.checkpoint import LoadedHead
from aadc.manifests.errors import UserError
from aadc.manifests.files import regular, replace_file
from aadc.manifests.shown import say

DESCRIPTIONS, METRICS, REPORT, MADE_WITH = "descriptions.jsonl", "metrics.json", "report.html", "made_with.json"


@dataclass(frozen=True)
class Wanted:
    """Which figure is printed first (`metric`, and which mAP@IoU: `protocol`; None: no figures are printed), whether there is a
    report, and what people wrote of the videos."""

    metric: str | None = "auc"
    protocol: str = "published"
    report: bool = False
    references: Path | None = None


def score_split(
    run: RunFolder, head: LoadedHead, choice: Choice, wanted: Wanted, open_describer: OpenDescriber | None = None
) -> None:
    """Score a split, print its figures, keep scores, spans and metrics.json (and a report) in the folder of this choice.

    With a describer, which is opened last, say what happened in every video, and with references how near that is to what
    people wrote.
    """
    if wanted.references:
        from aadc.eval.describe.text_metrics import read_references

        written = read_references(wanted.references)
    manifest = run.manifest()
    rows = manifest.split(choice.split)
    if not rows:
        raise UserError(f"{run.manifest_csv}: no {choice.split} rows; --split names the other part")
    shards = ShardSet(run.shards)
    caution = say_caution(shards, manifest.card.source)
    with writing_to(choice.folder(run)) as folder:
        if open_describer:
            _check_descriptions(folder / DESCRIPTIONS)
        with Progress(console=STDERR, transient=True) as bar:
            task = bar.add_task("scoring", total=len(rows))
            scored = scores.score_split(
                head, shards, rows, choice.threshold, lambda: bar.advance(task), manifest=run.manifest_csv
            )
        if not scored:
            raise UserError(
                f"{run.shards}: none of the {len(rows)} {choice.split} videos is in the shards; run aadc-extract again"
            )
        split = ScoredSplit(rows, scored, manifest.card, head.card, head.config.k, shards.sampling["stride"])
        with STDERR.status("figures and their intervals"):
            figures = evaluate(split, wanted.report or wanted.metric in ("map", "all"))
        notes = [*notes_on(split, figures), *changes_since_extraction(run, manifest)]
        if choice.classes is None and choice.head is None and (differing := differing_classes(head.card, manifest.card)):
            notes.append(
                f"the class card has changed since the head was trained ({some(differing)}); aadc-train-head takes it up"
            )
        block = made_with(run, choice, head, shards, scored)
        scores.write_scores(scored, head.card.names, split.stride, folder, block)
        replace_file(folder / MADE_WITH, _json(block))
        record = {"split": choice.split, "fingerprint": head.fingerprint, "classes": head.card.names, **figures, "notes": notes}
        record["made_with"] = block
        _keep(folder, record, texts_too=open_describer is None)
        if wanted.metric:
            print_figures(figures, wanted.metric, wanted.protocol, Console())
        for note in notes:
            say(f"note: {note}")
        say(f"all figures: {folder / METRICS}; spans: {folder / 'spans.csv'}; scores: {folder / 'scores.h5'}")
        if open_describer:
            from aadc.eval.describe.commands import describe_split
            from aadc.eval.describe.stated import stated_figures

            describer = open_describer(detector_names(shards))
            texts = describe_split(describer, list(scored.values()), folder / DESCRIPTIONS)
            if wanted.references:
                from aadc.eval.describe.text_metrics import text_figures

                said = {row["video"]: row["text"] for row in texts}
                record["text"] = text_figures(said, written) | stated_figures(texts, scored, rows, describer)
                _keep(folder, record, texts_too=False)
                Console().print(text_table(record["text"]))
        if wanted.report:
            _write_report(run, folder, split, shards, record, wanted.metric or "auc", caution)
        else:
            _say_if_the_report_is_old(folder, block)
    _say_what_is_next(run, choice, wanted, open_describer is not None)


def _check_descriptions(path: Path) -> None:
    """`UserError` where there is something that no descriptions can be written into: scoring and language models take hours."""
    from aadc.eval.describe.videos import read_rows

    read_rows(path)


def _keep(folder: Path, record: dict, texts_too: bool) -> None:
    """Replace metrics.json; what the one before had beyond this one stays where it was made with the same."""
    path = folder / METRICS
    before = _read(path)
    if isinstance(made := before.get("made_with"), dict) and same(record["made_with"], made):
        if record["map"] is None and isinstance(before.get("map"), dict) and isinstance(before.get("interval"), dict):
            intervals = {name: value for name, value in before["interval"].items() if name.startswith("map_")}
            record = {**record, "map": before["map"], "interval": {**record["interval"], **intervals}}
        if texts_too and "text" in before:
            record = {**record, "text": before["text"]}
    replace_file(path, _json(record))


def _read(path: Path) -> dict:
    """A metrics.json as it is, or nothing: it is about to be replaced, so one that cannot be read is no loss."""
    try:
        found = json.loads(regular(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _json(record: Mapping) -> str:
    return json.dumps(record, indent=1, allow_nan=False) + "\n"


def _write_report(
    run: RunFolder, folder: Path, split: ScoredSplit, shards: ShardSet, record: dict, metric: str, caution: str | None
) -> None:
    from aadc.eval.describe.videos import read_rows
    from aadc.eval.report import add_pictures, left_out, make_pages, render, room_for_pictures, videos_of

    title = f"{split.card.title}: {run.path.resolve().name}"
    block, descriptions = record["made_with"], read_rows(folder / DESCRIPTIONS)
    pages = make_pages(split, shards, descriptions)
    untrue = left_out(pages, descriptions)
    notes = [*record["notes"], *untrue]
    about = (metric, block["threshold"])
    room = room_for_pictures(render(title, split, record, pages, *about, notes, block, caution))
    with Progress(console=STDERR, transient=True) as bar:
        task = bar.add_task("key frames", total=len(pages))
        pages, unpictured = add_pictures(pages, videos_of(run), split.stride, room, lambda: bar.advance(task))
    page = render(title, split, record, pages, *about, [*notes, *unpictured], block, caution)
    path = folder / REPORT
    replace_file(path, page)
    for note in [*untrue, *unpictured]:
        say(f"note: {note}")
    say(f"report: {path} ({path.stat().st_size / 1e6:.1f} MB); open it in a browser")


def _say_if_the_report_is_old(folder: Path, block: Mapping) -> None:
    from aadc.eval.report import scores_shown

    path = folder / REPORT
    if path.exists() and scores_shown(path) != block["scores"]:
        say(f"note: {path} is of an earlier command and shows other scores than these; --report makes it anew")


def _say_what_is_next(run: RunFolder, choice: Choice, wanted: Wanted, described: bool) -> None:
    if wanted.report:
        return
    report = next_step(run, f"{choice.command()} --report")
    if described:
        ask = next_step(run, 'aadc-ask "what happened?" VIDEO')
        say(f"next: {report} shows them beside the curves; {ask} answers a question")
    else:
        say(f"next: {report} shows every video; {next_step(run, 'aadc-score VIDEO')} what one of your own gets")
