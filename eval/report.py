"""The report: one HTML file that needs no network, for looking at what a head does, worst mistakes first."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined

from aadc.eval.charts import pr_path, roc_path, step_path
from aadc.eval.describe.describer import How
from aadc.eval.describe.facts import facts_of
from aadc.eval.describe.reading import vocabulary
from aadc.eval.describe.videos import still_true
from aadc.eval.keyframes import KeyFrame, choose_rows, data_uri, key_frames, pictures
from aadc.eval.metrics import video_scores
from aadc.eval.mistakes import Verdict, judge
from aadc.eval.notes import some
from aadc.eval.scored_split import ScoredSplit
from aadc.eval.spans import Span, clock, seconds_at
from aadc.eval.tables import figure_rows, percent
from aadc.eval.truth import label_spans
from aadc.extract.decode import VideoError
from aadc.extract.decode_child import DecodeChild
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet, VideoFeatures
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason
from aadc.manifests.manifest import video_path
from aadc.manifests.shown import shown

Bar = tuple[float, float, str]  # drawn beside the curve: start and end in seconds, what it is
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
    true: list[Bar]
    found: list[Span]
    found_bars: list[Bar]
    duration_s: float
    curve: str
    key_frames: list[KeyFrame]
    text: str | None
    composed: bool

    @property
    def scale_s(self) -> float:
        """What a second is measured against in the picture of the curve."""
        return max(self.duration_s, 1e-9)


def make_pages(split: ScoredSplit, shards: ShardSet, descriptions: Sequence[Mapping] = ()) -> list[Page]:
    """All videos of a split, the worst mistakes first, key frames without their pictures.

    `descriptions`: rows of descriptions.jsonl; one that says something else than is found now is left out (see `left_out`).
    """
    names = shards.models.get("detector", {}).get("class_names", {})
    told, words = {row["video"]: row for row in descriptions}, vocabulary(split.classes, names.values())
    pages = []
    scores = video_scores(split.videos, split.k, split.stride)
    found = {row.key: one for row, *one in zip(split.there, split.videos, split.categories, scores, strict=True)}
    rows_by_key = {row.key: row for row in split.there}
    for key, features in shards.read_videos(list(rows_by_key), FIELDS):
        row, (video, pair, score) = rows_by_key[key], found[key]
        scored, frames = split.scored[key], split.frames(row)
        true = label_spans(row, frames, split.card)
        verdict = judge(scored.spans, true, video.truth is not None, video.score, pair)
        anomaly = scored.snippets.anomaly
        at = TimeLine(features)
        rows = choose_rows(anomaly, scored.spans, verdict, split.stride)
        text = told.get(row.video, {})
        if text and not still_true(text, facts_of(scored, scored.features, split.classes, split.k, names), words):
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
                [(at(start), at(end), label) for start, end, label in true],
                scored.spans,
                [(at(span.start_frame), at(span.end_frame), str(span)) for span in scored.spans],
                at(frames),
                step_path(anomaly, at.ends(frames, split.stride)),
                key_frames(features, anomaly, rows, names),
                text.get("text"),
                text.get("how") in (How.composed, How.unasked),
            )
        )
    return sorted(pages, key=lambda page: (*page.verdict.order, page.video))


def left_out(pages: Sequence[Page], descriptions: Sequence[Mapping]) -> list[str]:
    """A sentence on the descriptions that `make_pages` left out, or none."""
    told = {row["video"] for row in descriptions}
    if not (old := [page.video for page in pages if page.text is None and page.video in told]):
        return []
    return [
        f"{len(old)} descriptions say something else than was found and are left out ({some(old)}); --describe makes them anew"
    ]


class TimeLine:
    """When the frames of a video are shown, in seconds, by the true times of the sampled ones: not frame / fps, for cameras do
    not keep step. A video of one sampled frame has no other rate than its fps."""

    def __init__(self, features: VideoFeatures):
        self._frame, self._time, self._fps = features.frame, np.maximum.accumulate(features.time), features.fps

    def __call__(self, frame: int) -> float:
        if len(self._frame) == 1 and 0 < self._fps < np.inf:
            return frame / self._fps
        return seconds_at(frame, self._frame, self._time)

    def ends(self, frames: int, stride: int) -> np.ndarray:
        """Where the score of each snippet ends, as a share of the whole: float (T,), the last one 1."""
        last = np.minimum(np.arange(1, len(self._frame) + 1) * stride, frames)
        ends = np.array([self(int(frame)) for frame in last]) / max(self(frames), 1e-9)
        ends[-1] = 1
        return np.clip(ends, 0, 1)


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
            except (VideoError, UserError, OSError, MemoryError) as error:
                bad.append(shown(f"{page.video} ({reason(error)})"))
                done.append(page)
                continue
            size += sum(map(len, jpegs.values()))
            frames = [replace(f, picture=data_uri(jpegs[f.row]) if f.row in jpegs else None) for f in page.key_frames]
            done.append(replace(page, key_frames=frames))
    notes = [f"key frames of {len(bad)} videos are left out: {', '.join(bad[:3])}"] if bad else []
    if size >= room:
        pictured = sum(any(frame.picture for frame in page.key_frames) for page in done)
        notes.append(f"key frames of the {pictured} worst videos alone, so that the page stays small")
    return done, notes


def render(
    title: str,
    split: ScoredSplit,
    figures: dict,
    pages: Sequence[Page],
    metric: str,
    threshold: float,
    notes: Sequence[str],
    made_with: Mapping | None = None,
    caution: str | None = None,
) -> str:
    """The whole page. `made_with` says what it shows, `caution` what everybody has to know who looks at it."""
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
        made_with=made_with or {},
        made_with_text=json.dumps(made_with or {}, indent=1),
        caution=caution,
        version=version("aadc-net"),
    )


def scores_shown(page: Path) -> str | None:
    """The digest of the scores that a report shows (see `made_with.digest_of`); None where there is no page, or no digest."""
    try:
        with page.open("rb") as file:
            found = re.search(rb'<meta name="aadc-scores" content="([0-9a-f]{64})">', file.read(4096))
    except OSError:
        return None
    return found[1].decode() if found else None
