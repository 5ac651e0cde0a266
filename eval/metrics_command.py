"""`aadc-metrics`: any method's scores beside a manifest's truth, printed and kept."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from aadc.eval.figure_row import differences_table, latex, row_of
from aadc.eval.given_figures import Figures, evaluate, open_manifest
from aadc.eval.out_folder import writing_to
from aadc.eval.read_scores import GivenScores, read_scores
from aadc.eval.tables import print_figures
from aadc.manifests.files import replace_file
from aadc.manifests.manifest import Manifest
from aadc.manifests.shown import say

METRICS, MARKDOWN, LATEX, AGAINST = "metrics.json", "row.md", "row.tex", "against.json"


@dataclass(frozen=True)
class Asked:
    """What `aadc-metrics` was asked for, see its options."""

    scores: Path
    manifest: Path
    against: Path | None
    protocol: str
    classes: Path | None
    order: Path | None
    fps: float
    out: Path | None


def measure(asked: Asked) -> int:
    """Print all figures, and with `against` all differences; keep them in `out`, if given. Gives the exit status: 1 where test
    videos have no scores."""
    manifest = open_manifest(asked.manifest)
    given = [read_scores(path) for path in (asked.scores, asked.against) if path is not None]
    figures = _figures(asked, given, 0, asked.classes, manifest)
    split = figures.split
    for sentence in figures.about:
        say(sentence)
    metric = "all" if split.protocol.precision == "ap" else "ap_trapezoid"
    print_figures(figures.record, metric, "published", Console(), split.protocol.name)
    for note in figures.notes:
        say(f"note: {note}")
    found = None
    if asked.against is not None:
        other = _figures(asked, given, 1, None, manifest)
        for note in other.notes:
            say(f"note: {other.name}: {note}")
        found = figures.against(other)
        common = len({row.key for row in split.there} & {row.key for row in other.split.there})
        Console().print(differences_table(found, figures.name, other.name, split.protocol.name, common))
    row = row_of(figures.name, split.protocol.name, split.protocol.precision, figures.record)
    for line in [*row.markdown().splitlines(), "", *latex(row).splitlines()]:
        say(line)
    if asked.out is not None:
        with writing_to(asked.out) as folder:
            record = {**figures.record, "about": figures.about, "notes": figures.notes}
            files = {METRICS: record, AGAINST: {name: one._asdict() for name, one in found.items()} if found else None}
            for name, values in files.items():
                if values is None:  # an earlier command's differences are not of these figures
                    (folder / name).unlink(missing_ok=True)
                else:
                    replace_file(folder / name, json.dumps(values, indent=1, allow_nan=False) + "\n")
            replace_file(folder / MARKDOWN, row.markdown())
            replace_file(folder / LATEX, latex(row))
        say(f"all figures: {asked.out / METRICS}")
    return 1 if figures.record["videos_missing"] else 0


def _figures(asked: Asked, given: Sequence[GivenScores], place: int, classes: Path | None, manifest: Manifest) -> Figures:
    """Of one of the sets of scores; the list of --order is of whichever is one long row, or of nothing, which is refused."""
    long = [one.vector is not None for one in given]
    order = asked.order if long[place] or not any(long) else None
    return evaluate(given[place], manifest, asked.protocol, classes=classes, order=order, fps=asked.fps)
