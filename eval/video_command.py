"""`aadc-eval --video`: videos of no manifest, from pixels to answer, whatever one of them may do."""

from collections.abc import Iterable
from pathlib import Path

import typer
from rich.markup import escape

from aadc.eval.commands import STDERR, OpenDescriber
from aadc.eval.made_with import Choice, video_made_with
from aadc.eval.out_folder import check_writable
from aadc.eval.video import Models, VideoScorer, answer_folder, list_videos, write_answer
from aadc.extract.caution import caution
from aadc.extract.decode import VideoError
from aadc.extract.run_folder import RunFolder
from aadc.head.checkpoint import LoadedHead
from aadc.manifests.files import reason
from aadc.manifests.shown import say, shown
from aadc.manifests.video_suffixes import passed_over


def score_videos(
    run: RunFolder, head: LoadedHead, choice: Choice, given: list[Path], models: Models, open_describer: OpenDescriber | None
) -> None:
    """Score videos of no manifest and keep the answers below `videos/` of the run's eval/, or of the folder named.

    Raises:
        typer.Exit: status 1 if some could not be used.
    """
    paths = list_videos(given)
    for folder in filter(Path.is_dir, given):
        if note := passed_over(folder):
            say(f"{folder}: {note}")
    below = choice.out or run.eval / "videos"
    check_writable(below)
    with STDERR.status("loading the models"):
        scorer = VideoScorer(run, head, choice.threshold, models)
    about = {"made_with": video_made_with(run, choice, head, scorer.embedder.models)}
    if warning := caution(scorer.embedder.models):
        say(warning)
        about["caution"] = warning
    describe = open_describer(scorer.embedder.models["detector"]["class_names"]) if open_describer else None
    bad = 0
    with scorer.decoder:
        for number, path in enumerate(paths, 1):
            with STDERR.status(f"{number} of {len(paths)}: {escape(shown(path.name))}"):
                lines, problem = _one(path, scorer, choice.threshold, answer_folder(path, below), describe, about)
            for line in lines:
                say(line)
            if problem:
                bad += 1
                say(f"{path}: {problem}", err=True)
    if bad:
        say(f"{bad} of {len(paths)} videos could not be used")
        raise typer.Exit(1)


def _one(path: Path, scorer: VideoScorer, threshold: float, out: Path, describe, about: dict) -> tuple[list[str], str | None]:
    """What there is to say of one video, and what went wrong: one odd video must not end those after it, so whatever is raised
    is told."""
    lines: list[str] = []
    try:
        scored = scorer(path)
        write_answer(scored, threshold, out, **about)
        found = "; ".join(map(str, scored.spans)) or "nothing anomalous"
        lines.append(f"{path}: {found} (highest score {scored.snippets.anomaly.max():.2f}) -> {out / 'scores.png'}")
        if scored.features.truncated:
            lines.append(f"  cut off: {scored.features.share}")
        if describe:
            lines += _described(scored, describe, threshold, out, about)
    except VideoError as error:
        return lines, f"{error.reason}: {error}"
    except MemoryError as error:
        return lines, f"out of memory ({reason(error)}); close other programs"
    except Exception as error:
        return lines, reason(error)
    return lines, None


def _described(scored, describe, threshold: float, out: Path, about: dict) -> Iterable[str]:
    from aadc.eval.describe.commands import marked

    told = next(describe([scored]))
    write_answer(scored, threshold, out, {"text": told.text, "how": told.how}, **about)
    return [f"  {marked(told.text, told.how)}"]
