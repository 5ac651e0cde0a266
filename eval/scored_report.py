"""The page of `aadc-score --report`: videos of no manifest, so no truth and no figures; the most anomalous first."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from aadc.eval.charts import SHORT_S, step_path
from aadc.eval.keyframes import choose_rows, key_frames, picture_of, pictures
from aadc.eval.mistakes import Verdict
from aadc.eval.report import Mark, Page, render, room_for_pictures
from aadc.eval.scores import Scored
from aadc.eval.spans import TimeLine
from aadc.extract.decode import VideoError
from aadc.extract.decode_child import DecodeChild
from aadc.manifests.shown import shown

NOTHING_WRONG = Verdict((), (), False, 0.0)  # nobody knows


def scored_page(
    path: Path, scored: Scored, called: str, names: Mapping[str, str], stride: int, text: str | None, composed: bool
) -> Page:
    """A video's page, key frames without pictures. `called`: what it is called; `names`: the detector's classes by id; `text`:
    its description, `composed` or written by a language model."""
    features, anomaly = scored.features, scored.snippets.anomaly
    at, best = TimeLine(features), int(anomaly.argmax())
    duration_s = at(features.frames)
    rows = choose_rows(anomaly, scored.spans, NOTHING_WRONG, stride)
    return Page(
        key=str(path),
        video=shown(str(path)),
        labels=(),
        abnormal=bool(scored.spans),
        known=False,
        score=float(anomaly[best]),
        called=called,
        verdict=NOTHING_WRONG,
        true=[],
        found=[Mark(at(span.start_frame), at(span.end_frame), span.category, span.peak) for span in scored.spans],
        duration_s=duration_s,
        curve=step_path(anomaly, at.ends(features.frames, stride)),
        highest=(float(features.time[best]), float(anomaly[best])),
        key_frames=key_frames(features, anomaly, rows, names, duration_s < SHORT_S),
        text=text,
        composed=composed,
        uri=path.resolve().as_uri(),
    )


def scored_report(
    title: str,
    pages: list[Page],
    stride: int,
    threshold: float,
    made_with: Mapping,
    caution: str | None,
) -> str:
    """The whole page, the highest scores first, with as many pictures as keep it small; `pages` are those of `scored_page`."""
    pages = sorted(pages, key=lambda page: (-page.score, page.video))

    def page_of(videos: list[Page]) -> str:
        return render(title, None, None, videos, "auc", threshold, [], made_with, caution)

    room = room_for_pictures(page_of(pages))
    done = []
    with DecodeChild() as decoder:
        for page in pages:
            if room > 0:
                try:
                    jpegs = pictures(decoder, Path(page.key), stride, [frame.row for frame in page.key_frames])
                except VideoError:
                    jpegs = {}  # it is gone since: its curve is there
                room -= sum(map(len, jpegs.values()))
                made = {row: picture_of(jpeg) for row, jpeg in jpegs.items()}
                page = replace(page, key_frames=[replace(one, picture=made.get(one.row)) for one in page.key_frames])
            done.append(page)
    return page_of(done)
