"""The report: one HTML file that needs no network, for looking at what a head does, worst mistakes first."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from aadc.eval.charts import SHORT_S, operating_point, pr_path, roc_path, step_path, ticks
from aadc.eval.describe.describer import How
from aadc.eval.describe.facts import facts_of
from aadc.eval.describe.reading import vocabulary
from aadc.eval.describe.videos import still_true
from aadc.eval.keyframes import KeyFrame, choose_rows, key_frames, picture_of, pictures
from aadc.eval.metrics import video_scores
from aadc.eval.mistakes import Verdict, called, judge
from aadc.eval.notes import some
from aadc.eval.scored_split import ScoredSplit
from aadc.eval.spans import TimeLine, clock, period
from aadc.eval.tables import alarm_text, figure_rows, interval, percent
from aadc.eval.truth import label_spans
from aadc.extract.decode import VideoError
from aadc.extract.decode_child import DecodeChild
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason, regular
from aadc.manifests.manifest import video_path
from aadc.manifests.shown import shown

FIELDS = ("frame", "time", "count", "box", "score", "class")
HEADLINES = ("frame AUC", "frame AP", "frame AUC, abnormal videos alone", "video AUC", "category accuracy, among all classes")
TOLD = 8  # most spans that the words for a curve tell
LINKED = 20  # most found spans of a video that the page lists; the curve has all
PAGE_BYTES = 19_500_000  # of a page with its pictures, whatever the number of videos


@dataclass(frozen=True)
class Mark:
    """A true or a found span, from `start_s` to `end_s` seconds: its class, and its highest score where it was found."""

    start_s: float
    end_s: float
    label: str
    peak: float | None = None


@dataclass(frozen=True)
class Page:
    """One video of the report. `known`: whether its truth is; `highest`: time (seconds) and value of its highest score; `uri`:
    of its file, None where that is not there."""

    key: str
    video: str
    labels: tuple[str, ...]
    abnormal: bool
    known: bool
    score: float
    called: str
    verdict: Verdict
    true: list[Mark]
    found: list[Mark]
    duration_s: float
    curve: str
    highest: tuple[float, float]
    key_frames: list[KeyFrame]
    text: str | None
    composed: bool
    uri: str | None = None

    @property
    def scale_s(self) -> float:
        """What a second is measured against in the picture of the curve."""
        return max(self.duration_s, 1e-9)

    @property
    def short(self) -> bool:
        """Whether its times are told to a tenth of a second."""
        return self.duration_s < SHORT_S

    def time(self, seconds: float) -> str:
        """A time of the video as it is written."""
        return clock(seconds, self.short)

    def times(self, mark: Mark) -> str:
        """A span's times and class as they are written."""
        return f"{period(mark.start_s, mark.end_s, self.short)} {mark.label}"

    def seek(self, seconds: float) -> str:
        """Its file at a time."""
        return f"{self.uri}#t={seconds:.1f}"

    @property
    def about(self) -> str:
        """What its picture of the curve shows, in words."""
        at, highest = self.highest
        true = "; ".join(map(self.times, self.true[:TOLD])) or ("none" if self.known else "not marked")
        found = "; ".join(map(self.times, self.found[:TOLD])) or "none"
        more = f" and {len(self.found) - TOLD} more" if len(self.found) > TOLD else ""
        return (
            f"Anomaly score of {self.video} over {self.time(self.duration_s)}: highest {highest:.2f} at {self.time(at)}. "
            f"{f'True: {true}. ' if self.labels else ''}Found: {found}{more}."
        )


@dataclass(frozen=True)
class Square:
    """A curve over all frames, in a square: its name and that of its axes, its path and that of a perfect flat classifier,
    where the threshold lies on it (shares of 1; None: nowhere), and what it shows in words."""

    name: str
    x: str
    y: str
    path: str
    floor: str
    point: tuple[float, float] | None
    about: str


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
        choice = split.kinds.count("abnormal" if video.abnormal else "normal") > 1
        best = int(anomaly.argmax())
        text = told.get(row.video, {})
        if text and not still_true(text, facts_of(scored, scored.features, split.classes, names), words):
            text = {}
        pages.append(
            Page(
                row.key,
                row.video,
                row.labels,
                video.abnormal,
                video.truth is not None,
                float(score),
                called(scored.spans, video.abnormal, pair[1] if choice else None),
                verdict,
                [Mark(at(start), at(end), label) for start, end, label in true],
                [Mark(at(span.start_frame), at(span.end_frame), span.category, span.peak) for span in scored.spans],
                at(frames),
                step_path(anomaly, at.ends(frames, split.stride)),
                (float(features.time[best]), float(anomaly[best])),
                key_frames(features, anomaly, rows, names, at(frames) < SHORT_S),
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
        f"{len(old)} descriptions say something else than was found and are left out ({some(old)}); aadc-describe makes "
        "them anew"
    ]


def videos_of(run: RunFolder) -> Path | None:
    """Where the videos of a run are: `AADC_VIDEOS`, else where they were when it was extracted. None: its features were
    imported, and nothing says."""
    if named := os.environ.get("AADC_VIDEOS"):
        return Path(named)
    record = run.record()
    return None if "imported" in record.models else Path(record.videos)


def room_for_pictures(page: str) -> int:
    """Bytes of JPEG that still go into a page without pictures; three of them become four characters."""
    return max(0, PAGE_BYTES - len(page.encode())) * 3 // 4


def add_pictures(
    pages: Sequence[Page], root: Path | None, stride: int, room: int, tell: Callable[[], None]
) -> tuple[list[Page], list[str]]:
    """Link the videos that are there and decode their key frames, worst videos first, until `room` bytes are full. Gives the
    pages and notes on what is left out."""
    if root is None:
        note = "no key frames: the features were imported; if you have the videos, set AADC_VIDEOS to where they are"
        return list(pages), [note]
    if not os.path.isdir(root):
        return list(pages), [f"no key frames: the videos are not at {root}; set AADC_VIDEOS to where they are"]
    done, bad, size = [], [], 0
    with DecodeChild() as decoder:
        for page in pages:
            tell()
            try:
                path = video_path(root, page.video)
                page = replace(page, uri=path.resolve().as_uri() if path.is_file() else None)
                size += len(page.uri or "") * (2 + len(page.true) + len(page.found[:LINKED]) + len(page.key_frames))
                if size < room:
                    jpegs = pictures(decoder, path, stride, [frame.row for frame in page.key_frames])
                    size += sum(map(len, jpegs.values()))
                    made = {row: picture_of(jpeg) for row, jpeg in jpegs.items()}
                    page = replace(page, key_frames=[replace(f, picture=made.get(f.row)) for f in page.key_frames])
            except (VideoError, UserError, OSError, MemoryError) as error:
                bad.append(shown(f"{page.video} ({reason(error)})"))
            done.append(page)
    notes = [f"key frames of {len(bad)} videos are left out: {', '.join(bad[:3])}"] if bad else []
    if size >= room:
        pictured = sum(any(frame.picture for frame in page.key_frames) for page in done)
        notes.append(f"key frames of the {pictured} worst videos alone, so that the page stays small")
    return done, notes


def render(
    title: str,
    split: ScoredSplit | None,
    figures: dict | None,
    pages: Sequence[Page],
    metric: str,
    threshold: float,
    notes: Sequence[str],
    made_with: Mapping | None = None,
    caution: str | None = None,
) -> str:
    """The whole page; `split` and `figures` None where no truth is known.

    `made_with` says what it shows, `caution` what everybody has to know who looks at it.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_as_text
    )
    environment.filters |= {"clock": clock, "percent": percent, "interval": interval, "tail": _tail}
    environment.globals |= {"ticks": ticks}
    rows = figure_rows(figures, metric) if figures else []
    template = Path(__file__).with_name("report.jinja").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        title=title,
        figures=figures,
        rows=rows,
        tiles=[row for row in rows if row[0] in HEADLINES and row[1] is not None],
        alarm=alarm_text(figures["frame"]["at_80_percent_of_events"]) if figures and figures["frame"] else None,
        class_videos=Counter(label for page in pages for label in page.labels),
        curves=_squares(split, figures, threshold) if split and figures else [],
        confusions=[kind for kind in ("abnormal", "normal") if figures and figures["category"][kind]["accuracy"] is not None],
        pages=pages,
        threshold=threshold,
        linked=LINKED,
        notes=notes,
        made_with=made_with or {},
        made_with_text=escape(json.dumps(made_with or {}, indent=1)),
        caution=caution,
        version=version("aadc-net"),
    )


def _tail(path: str) -> str:
    """The last two names of a path; the whole of it is in what the page was made with."""
    return "/".join(Path(path).parts[-2:])


def _as_text(value: object) -> object:
    """Whatever the page is given is text, and no character of it turns the direction of writing or hides another."""
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _squares(split: ScoredSplit, figures: dict, threshold: float) -> list[Square]:
    """ROC and precision over recall of all frames; none where there are frames of one kind alone."""
    if not figures["frame"] or figures["frame"]["auc"] is None:
        return []
    known = [split.videos[place] for place in split.known]
    truth, score = np.concatenate([v.known_truth for v in known]), np.concatenate([v.score for v in known])
    flat = np.concatenate([np.full(len(v.known_truth), float(v.abnormal)) for v in known])
    false, found, precision = operating_point(truth, score, threshold)
    at = f"at the threshold {threshold}, {found:.0%} of the anomalous frames are found"
    normal, anomalous = "normal frames called anomalous", "anomalous frames found"
    called = "nothing is called anomalous" if precision is None else f"{precision:.0%} of the frames called anomalous are"
    return [
        Square(
            "ROC", normal, anomalous, roc_path(truth, score), roc_path(truth, flat), (false, found),
            f"ROC curve over all frames, area {percent(figures['frame']['auc'])} %; {at} and {false:.0%} of the {normal}",
        ),
        Square(
            "Precision and recall", anomalous, "precision", pr_path(truth, score), pr_path(truth, flat),
            None if precision is None else (found, precision),
            f"Precision over recall of all frames, average precision {percent(figures['frame']['ap'])} %; {at} and {called}",
        ),
    ]  # fmt: skip


def scores_shown(page: Path) -> str | None:
    """The digest of the scores that a report shows (see `made_with.digest_of`); None where there is no page, or no digest."""
    try:
        with regular(page).open("rb") as file:
            found = re.search(rb'<meta name="aadc-scores" content="([0-9a-f]{64})">', file.read(4096))
    except OSError:
        return None
    return found[1].decode() if found else None
