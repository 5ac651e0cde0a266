"""`aadc-score`: videos of no manifest, from pixels to answer, whatever one of them may do."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from aadc.eval.commands import STDERR, OpenDescriber
from aadc.eval.made_with import Choice, video_made_with
from aadc.eval.out_folder import check_writable, writing_to
from aadc.eval.scores import Scored
from aadc.eval.sheets import write_rows
from aadc.eval.spans import TimeLine
from aadc.eval.video import Models, VideoScorer, answer_folder, list_videos, most_like, write_answer
from aadc.extract.caution import caution
from aadc.extract.decode import VideoError
from aadc.extract.run_folder import RunFolder
from aadc.head.checkpoint import LoadedHead
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason, replace_file, replacing
from aadc.manifests.shown import say, shown
from aadc.manifests.video_suffixes import passed_over

if TYPE_CHECKING:
    from aadc.eval.describe.describer import Description
    from aadc.eval.describe.videos import Describer
    from aadc.eval.report import Page

COLUMNS = ("video", "seconds", "class", "share", "probability", "highest_score", "spans", "problem")


@dataclass(frozen=True)
class Answer:
    """What is kept of a video once it is scored: what there is to say of it, its row of the table, its page of the report if
    there is one, and what went wrong if something did."""

    lines: list[str]
    row: Sequence[object]
    page: "Page | None" = None
    problem: str | None = None


def score_videos(
    run: RunFolder,
    head: LoadedHead,
    choice: Choice,
    given: list[Path],
    models: Models,
    open_describer: OpenDescriber | None,
    csv: Path | None = None,
    report: bool = False,
) -> None:
    """Score videos of no manifest and keep the answers below `videos/` of the run's eval/, or of the folder named; with `csv` a
    table of all of them, with `report` a page.

    Raises:
        typer.Exit: status 1 if some could not be used.
    """
    paths = list_videos(given)
    for folder in filter(Path.is_dir, given):
        if note := passed_over(folder):
            say(f"{folder}: {note}")
    below = choice.out or run.eval / "videos"
    check_writable(below)
    if csv is not None:
        _check_table(csv)
    with STDERR.status("loading the models"):
        scorer = VideoScorer(run, head, choice.threshold, models)
    about: dict[str, object] = {"made_with": video_made_with(run, choice, head, scorer.embedder.models)}
    if warning := caution(scorer.embedder.models):
        say(warning)
        about["caution"] = warning
    describe = open_describer(scorer.embedder.models["detector"]["class_names"]) if open_describer else None
    rows, pages, bad = [], [], 0
    with scorer.decoder:
        for number, path in enumerate(paths, 1):
            with STDERR.status(f"{number} of {len(paths)}: {escape(shown(path.name))}"):
                answer = _one(path, scorer, answer_folder(path, below), describe, about, report)
            rows.append(answer.row)
            if csv is not None:
                _write_table(rows, csv)
            for line in answer.lines:
                say(line)
            if answer.problem:
                bad += 1
                say(f"{shown(path)}: {answer.problem}", err=True)
            if answer.page:
                pages.append(answer.page)
    if csv is not None:
        say(f"table: {csv}")
    if pages:
        _write_report(below / "report.html", pages, scorer, about)
    if bad:
        say(f"{bad} of {len(paths)} videos could not be used")
        raise typer.Exit(1)


def _check_table(path: Path) -> None:
    """Know before any work that a table may go there.

    Raises:
        UserError: there is something that is not such a table: a video, perhaps, or a file of the run.
    """
    check_writable(path.parent)
    if not os.path.lexists(path):
        return
    try:
        with path.open("rb") as file:
            known = file.read(200).startswith(",".join(COLUMNS).encode())
    except OSError as error:
        raise UserError(f"{path}: cannot be replaced ({reason(error)}); name another file with --csv") from None
    if not known or not path.is_file():
        raise UserError(f"{path}: there is another file already, which is no table of aadc-score; name another one with --csv")


def _write_table(rows: Iterable[Sequence[object]], path: Path) -> None:
    """Whole after each video, an earlier one replaced with the first: nothing is lost with a run that is stopped."""
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        write_rows(file, COLUMNS, rows)


def _one(path: Path, scorer: VideoScorer, out: Path, describe: "Describer | None", about: dict, with_page: bool) -> Answer:
    """One odd video must not end those after it, so whatever is raised is told."""
    lines: list[str] = []
    row: Sequence[object] = (str(path), *[""] * (len(COLUMNS) - 1))
    page = None
    try:
        scored = scorer(path)
        row = _row(path, scored, scorer.head)
        write_answer(scored, scorer.threshold, out, **about)
        lines.append(
            f"{shown(path)}: {verdict(scored, scorer.head)} (highest score {_highest(scored):.2f}) -> {out / 'scores.png'}"
        )
        if scored.features.truncated:
            lines.append(f"  cut off: {scored.features.share}")
        told = next(describe([scored])) if describe else None
        if told:
            from aadc.eval.describe.commands import marked

            write_answer(scored, scorer.threshold, out, {"text": told.text, "how": told.how}, **about)
            lines.append(f"  {marked(told.text, told.how)}")
        if with_page:
            page = _page(path, scored, scorer, told)
    except Exception as error:
        problem = _problem(error)
        return Answer(lines, (*row[:-1], problem), page, problem)
    return Answer(lines, row, page)


def _problem(error: Exception) -> str:
    if isinstance(error, VideoError):
        return f"{error.reason}: {error}"
    if isinstance(error, MemoryError):
        return f"out of memory ({reason(error)}); close other programs"
    return reason(error)


def verdict(scored: Scored, head: LoadedHead) -> str:
    """The spans with their classes; where there are none the likeliest normal class: `squat (share 0.9), nothing anomalous`."""
    if scored.spans:
        return "; ".join(f"{span} ({span.sure})" for span in scored.spans)
    return f"{_named(scored, head)}, nothing anomalous"


def _named(scored: Scored, head: LoadedHead) -> str:
    """`squat (share 0.93)`; the name alone where it is the only class of its kind."""
    name, share = most_like(scored, head)
    return name if share is None else f"{name} (share {share:.2f})"


def _highest(scored: Scored) -> float:
    return float(scored.snippets.anomaly.max())


def _row(path: Path, scored: Scored, head: LoadedHead) -> tuple[object, ...]:
    name, share = most_like(scored, head)
    seconds = f"{TimeLine(scored.features)(scored.features.frames):.1f}"
    spans = "; ".join(f"{one.start_s:.1f}-{one.end_s:.1f} {one.category}, {one.sure}" for one in scored.spans)
    told = "" if share is None else f"{share:.4f}"
    return str(path), seconds, name, told, f"{scored.probability:.4f}", f"{_highest(scored):.4f}", spans, ""


def _page(path: Path, scored: Scored, scorer: VideoScorer, told: "Description | None") -> "Page":
    from aadc.eval.describe.describer import How
    from aadc.eval.scored_report import scored_page

    called = f"called {'anomalous' if scored.spans else 'normal'}: {_named(scored, scorer.head)}"
    names, stride = scorer.embedder.models["detector"]["class_names"], scorer.embedder.settings.stride
    text, how = (told.text, told.how) if told else (None, None)
    return scored_page(path, scored, called, names, stride, text, how in (How.composed, How.unasked))


def _write_report(path: Path, pages: list["Page"], scorer: VideoScorer, about: dict) -> None:
    from aadc.eval.scored_report import scored_report

    with STDERR.status("key frames"):
        stride = scorer.embedder.settings.stride
        page = scored_report("Scored videos", pages, stride, scorer.threshold, about["made_with"], about.get("caution"))
    with writing_to(path.parent):
        replace_file(path, page)
    say(f"report: {path}; open it in a browser")
