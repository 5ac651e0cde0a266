"""`aadc-score`: videos of no manifest, from pixels to answer, whatever one of them may do."""

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
from aadc.eval.video import Models, VideoScorer, answer_folder, list_videos, most_like, write_answer
from aadc.extract.caution import caution
from aadc.extract.decode import VideoError
from aadc.extract.run_folder import RunFolder
from aadc.head.checkpoint import LoadedHead
from aadc.manifests.files import reason, replace_file, replacing
from aadc.manifests.shown import say, shown
from aadc.manifests.video_suffixes import passed_over

if TYPE_CHECKING:
    from aadc.eval.describe.videos import Describer

COLUMNS = ("video", "seconds", "class", "confidence", "highest_score", "spans", "problem")


@dataclass(frozen=True)
class Answer:
    """What there is to say of a video, its scores if there are some, what went wrong if something did, and its description with
    how that was made."""

    lines: list[str]
    scored: Scored | None = None
    problem: str | None = None
    text: str | None = None
    how: str | None = None


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
        check_writable(csv.parent)
    with STDERR.status("loading the models"):
        scorer = VideoScorer(run, head, choice.threshold, models)
    about: dict[str, object] = {"made_with": video_made_with(run, choice, head, scorer.embedder.models)}
    if warning := caution(scorer.embedder.models):
        say(warning)
        about["caution"] = warning
    describe = open_describer(scorer.embedder.models["detector"]["class_names"]) if open_describer else None
    answers: dict[Path, Answer] = {}
    with scorer.decoder:
        for number, path in enumerate(paths, 1):
            with STDERR.status(f"{number} of {len(paths)}: {escape(shown(path.name))}"):
                answer = _one(path, scorer, choice.threshold, answer_folder(path, below), describe, about)
            answers[path] = answer
            for line in answer.lines:
                say(line)
            if answer.problem:
                say(f"{path}: {answer.problem}", err=True)
            if csv is not None:
                _write_table(answers, head, csv)
    if csv is not None:
        say(f"table: {csv}")
    if report and any(answer.scored for answer in answers.values()):
        _write_report(below / "report.html", answers, scorer, about)
    bad = sum(answer.problem is not None for answer in answers.values())
    if bad:
        say(f"{bad} of {len(paths)} videos could not be used")
        raise typer.Exit(1)


def _one(path: Path, scorer: VideoScorer, threshold: float, out: Path, describe: "Describer | None", about: dict) -> Answer:
    """One odd video must not end those after it, so whatever is raised is told."""
    from aadc.eval.describe.commands import marked

    lines: list[str] = []
    scored, text, how = None, None, None
    try:
        scored = scorer(path)
        write_answer(scored, threshold, out, **about)
        lines.append(f"{path}: {verdict(scored, scorer.head)} (highest score {_highest(scored):.2f}) -> {out / 'scores.png'}")
        if scored.features.truncated:
            lines.append(f"  cut off: {scored.features.share}")
        if describe:
            told = next(describe([scored]))
            text, how = told.text, told.how
            write_answer(scored, threshold, out, {"text": text, "how": how}, **about)
            lines.append(f"  {marked(text, how)}")
    except VideoError as error:
        return Answer(lines, scored, f"{error.reason}: {error}")
    except MemoryError as error:
        return Answer(lines, scored, f"out of memory ({reason(error)}); close other programs")
    except Exception as error:
        return Answer(lines, scored, reason(error))
    return Answer(lines, scored, text=text, how=how)


def verdict(scored: Scored, head: LoadedHead) -> str:
    """The spans with their classes; where there are none the most likely normal class: `squat (0.93), nothing anomalous`."""
    if scored.spans:
        return "; ".join(f"{span} ({span.confidence:.2f})" for span in scored.spans)
    name, share = most_like(scored, head)
    return f"{name} ({share:.2f}), nothing anomalous"


def _highest(scored: Scored) -> float:
    return float(scored.snippets.anomaly.max())


def _write_table(answers: dict[Path, Answer], head: LoadedHead, path: Path) -> None:
    """A row a video, whole after each, so that nothing is lost with a run that is stopped."""
    from aadc.eval.report import TimeLine

    rows = []
    for video, answer in answers.items():
        if (scored := answer.scored) is None:
            rows.append((str(video), "", "", "", "", "", answer.problem))
            continue
        name, share = most_like(scored, head)
        seconds = f"{TimeLine(scored.features)(scored.features.frames):.1f}"
        spans = "; ".join(f"{one.start_s:.1f}-{one.end_s:.1f} {one.category} {one.confidence:.2f}" for one in scored.spans)
        rows.append((str(video), seconds, name, f"{share:.4f}", f"{_highest(scored):.4f}", spans, answer.problem or ""))
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        write_rows(file, COLUMNS, rows)


def _write_report(path: Path, answers: dict[Path, Answer], scorer: VideoScorer, about: dict) -> None:
    from aadc.eval.describe.describer import How
    from aadc.eval.scored_report import Shown, scored_pages, scored_report

    shown_videos = []
    for video, answer in answers.items():
        if (scored := answer.scored) is None:
            continue
        name, share = most_like(scored, scorer.head)
        called = f"called {'anomalous' if scored.spans else 'normal'}: {name} ({share:.2f})"
        shown_videos.append(Shown(video, scored, called, answer.text, answer.how in (How.composed, How.unasked)))
    stride = scorer.embedder.settings.stride
    with STDERR.status("key frames"):
        pages = scored_pages(shown_videos, scorer.embedder.models["detector"]["class_names"], stride)
        page = scored_report("Scored videos", pages, stride, scorer.threshold, about["made_with"], about.get("caution"))
    with writing_to(path.parent):
        replace_file(path, page)
    say(f"report: {path}; open it in a browser")
