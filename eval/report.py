"""The report: one HTML file that needs no network, for looking at what a head does, worst mistakes first."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined

from aadc.eval.charts import pr_path, roc_path, step_path
from aadc.eval.describe.compose import as_text
from aadc.eval.describe.describer import How
from aadc.eval.describe.facts import facts_of
from aadc.eval.keyframes import KeyFrame, choose_rows, data_uri, key_frames, pictures
from aadc.eval.metrics import video_scores
from aadc.eval.mistakes import TrueSpan, Verdict, judge
from aadc.eval.scored_split import ScoredSplit
from aadc.eval.spans import Span, clock
from aadc.eval.tables import figure_rows, percent
from aadc.eval.truth import label_spans
from aadc.extract.decode import VideoError
from aadc.extract.decode_child import DecodeChild
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import video_path

FIELDS = ("frame", "time", "count", "box", "score", "class")
HEADLINES = ("frame AUC", "frame AP", "frame AUC, abnormal videos alone", "video AUC", "category accuracy")
PAGE_BYTES = 19_500_000  # of a page with its pictures, whatever the number of videos


@dataclass(frozen=True)
class Page:
    """One video of the report."""

    key: str
    video: str
    labels: tuple[str, ...]
    abnormal: bool
    score: float
    predicted: str | None
    verdict: Verdict
    true: list[TrueSpan]
    found: list[Span]
    frames: int
    duration_s: float
    curve: str
    key_frames: list[KeyFrame]
    text: str | None
    composed: bool


def make_pages(split: ScoredSplit, shards: ShardSet, descriptions: Sequence[Mapping] = ()) -> list[Page]:
    """All videos of a split, the worst mistakes first, key frames without their pictures.

    `descriptions`: rows of descriptions.jsonl; one that speaks of other facts than are found now is left out.
    """
    names = shards.models.get("detector", {}).get("class_names", {})
    told = {row["video"]: row for row in descriptions}
    pages = []
    scores = video_scores(split.videos, split.k, split.stride)
    for row, video, pair, score in zip(split.there, split.videos, split.categories, scores, strict=True):
        scored, frames = split.scored[row.key], split.frames(row)
        true = label_spans(row, frames, split.card)
        verdict = judge(scored.spans, true, video.truth is not None, video.score, pair)
        anomaly = scored.snippets.anomaly
        features = shards.read(row.key, FIELDS)
        rows = choose_rows(anomaly, scored.spans, verdict, split.stride)
        text = told.get(row.video, {})
        if text.get("facts") != as_text(facts_of(scored, features, split.classes, split.k, names)):
            text = {}
        pages.append(
            Page(
                row.key,
                row.video,
                row.labels,
                video.abnormal,
                float(score),
                pair[1],
                verdict,
                true,
                scored.spans,
                frames,
                frames / features.fps if features.fps else float(features.time[-1]),
                step_path(anomaly, frames, split.stride),
                key_frames(features, anomaly, rows, names),
                text.get("text"),
                text.get("how") == How.composed.value,
            )
        )
    return sorted(pages, key=lambda page: (*page.verdict.order, page.video))


def videos_of(run: RunFolder) -> Path:
    """Where the videos of a run are: `AADC_VIDEOS`, else where they were when it was extracted."""
    return Path(os.environ.get("AADC_VIDEOS") or run.record().videos)


def room_for_pictures(page: str) -> int:
    """Bytes of JPEG that still go into a page without pictures; three of them become four characters."""
    return max(0, PAGE_BYTES - len(page.encode())) * 3 // 4


def add_pictures(
    pages: Sequence[Page], root: Path, stride: int, room: int, tell: Callable[[], None]
) -> tuple[list[Page], list[str]]:
    """Decode the key frames, worst videos first, until `room` bytes are full. Gives the pages and notes on what is left out."""
    if not root.is_dir():
        return list(pages), [f"no key frames: the videos are not at {root}; set AADC_VIDEOS to where they are"]
    done, bad, size = [], [], 0
    with DecodeChild() as decoder:
        for page in pages:
            tell()
            if size >= room:
                done.append(page)
                continue
            try:
                rows = [frame.row for frame in page.key_frames]
                jpegs = pictures(decoder, video_path(root, page.video), stride, rows)
            except (VideoError, UserError) as error:
                bad.append(f"{page.video} ({error})")
                done.append(page)
                continue
            size += sum(map(len, jpegs.values()))
            frames = [replace(f, picture=data_uri(jpegs[f.row]) if f.row in jpegs else None) for f in page.key_frames]
            done.append(replace(page, key_frames=frames))
    notes = [f"key frames of {len(bad)} videos are left out: {', '.join(bad[:3])}"] if bad else []
    if size >= room:
        shown = sum(any(frame.picture for frame in page.key_frames) for page in done)
        notes.append(f"key frames of the {shown} worst videos alone, so that the page stays small")
    return done, notes


def render(
    title: str, split: ScoredSplit, figures: dict, pages: Sequence[Page], metric: str, threshold: float, notes: list
) -> str:
    """The whole page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"clock": clock, "percent": percent}
    known = [split.videos[place] for place in split.known]
    curves = None
    if figures["frame"] and figures["frame"]["auc"] is not None:
        truth, score = np.concatenate([v.truth for v in known]), np.concatenate([v.score for v in known])
        flat = np.concatenate([np.full(len(v.truth), float(v.abnormal)) for v in known])
        curves = [
            ("ROC", "normal frames called anomalous", "anomalous frames found", roc_path(truth, score), roc_path(truth, flat)),
            ("Precision and recall", "anomalous frames found", "precision", pr_path(truth, score), pr_path(truth, flat)),
        ]
    rows = figure_rows(figures, metric)
    template = Path(__file__).with_name("report.jinja").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        title=title,
        figures=figures,
        rows=rows,
        tiles=[row for row in rows if row[0] in HEADLINES],
        curves=curves,
        pages=pages,
        threshold=threshold,
        notes=notes,
        version=version("aadc-net"),
    )
