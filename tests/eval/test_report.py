"""The report: verdicts, curves, key frames that are the frames they claim, and the page in a real browser."""

import base64
import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "extract"))
import browser
import videos
from calls import call

from aadc.eval import report as report_module
from aadc.eval.charts import pr_path, roc_path, step_path
from aadc.eval.cli.evaluate import main
from aadc.eval.evaluate import evaluate
from aadc.eval.keyframes import choose_rows, pictures
from aadc.eval.mistakes import judge
from aadc.eval.scored_split import ScoredSplit
from aadc.eval.scores import Scored
from aadc.eval.spans import Span, find_spans
from aadc.extract.decode_child import DecodeChild
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardHeader, VideoFeatures, write_shard
from aadc.head.checkpoint import save_head
from aadc.head.config import HeadConfig
from aadc.head.model import AnomalyHead
from aadc.head.scoring import SnippetScores
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.manifest import Row, write_manifest

EVIL = '<img src=x onerror="document.title=1">'
CARD = Card(
    title="Test & <b>report</b>",
    classes=[
        ClassEntry(name="walk", kind="normal", prompt="walking"),
        ClassEntry(name="sit", kind="normal", prompt="sitting"),
        ClassEntry(name="fall", kind="abnormal", prompt="falling"),
        ClassEntry(name='"><script>alert(1)</script>', kind="abnormal", prompt="a script"),
    ],
)
ROWS = [
    Row(video="n/10.mp4", split="test", labels="walk"),
    Row(video="n/9.mp4", split="test", labels="sit"),
    Row(video=f"{EVIL}.mp4", split="test", labels='"><script>alert(1)</script>', segments='20-50:"><script>alert(1)</script>'),
    Row(video="p/1.mp4", split="test", labels="walk|fall", segments="20-50:fall"),
]


def span(start: int, end: int, peak: float = 0.9, category: str = "fall") -> Span:
    return Span(start, end, start / 25, end / 25, category, 1.0, peak)


def test_verdicts_by_hand():
    score = np.linspace(0, 1, 100)
    touched = judge([span(0, 21)], [(20, 40, "fall")], True, score, ("fall", "fall"))
    assert touched.words == () and touched.severity == 0
    beside = judge([span(0, 20, 0.8)], [(20, 41, "fall")], True, score, ("fall", "fight"))
    assert beside.words == ("miss", "false alarm", "wrong category")
    assert beside.severity == pytest.approx(max(0.8, 1 - score[40]))
    calm = judge([], [], True, score, (None, None))
    assert calm.words == () and judge([span(3, 9)], [], True, score, ("walk", "walk")).words == ("false alarm",)
    unknown = judge([], [], False, score, ("fall", "fall"))
    assert unknown.words == ("miss",) and unknown.severity == 0
    assert judge([span(3, 9)], [], False, score, ("fall", "fall")).words == ()
    assert sorted([touched, beside, calm, unknown], key=lambda verdict: verdict.order)[0] is beside


def test_rows_to_show():
    anomaly = np.array([0.1, 0.9, 0.8, 0.2, 0.3, 0.95, 0.1, 0.6])
    found = [span(16, 48), span(80, 96, 0.95), span(112, 120, 0.6)]
    verdict = judge(found, [(20, 40, "fall"), (60, 70, "fight")], True, np.repeat(anomaly, 16)[:120], ("fall", "fall"))
    assert choose_rows(anomaly, found, verdict, 16) == {1: "fall", 4: "missed: fight", 5: "false alarm: fall"}
    assert choose_rows(anomaly, [], judge([], [], True, anomaly, (None, None)), 16) == {5: "highest score"}
    calm = judge(found, [(0, 120, "fall")], True, anomaly, ("fall", "fall"))
    other = span(112, 120, 0.6, "fight")  # the weakest, but the only one of its category
    assert choose_rows(anomaly, [found[0], found[1], other], calm, 16) == {5: "fall", 7: "fight"}


@pytest.mark.parametrize("name", ["ramp.mp4", "ramp.ts"])
def test_key_frames_are_the_sampled_frames(tmp_path, name):
    videos.write_ramp(tmp_path / name, frames=90, size=(640, 360))
    with DecodeChild() as decoder:
        made = pictures(decoder, tmp_path / name, 16, [0, 3, 5, 77])
    assert sorted(made) == [0, 3, 5]
    for row, frame in ((0, 8), (3, 56), (5, 88)):
        image = Image.open(io.BytesIO(made[row]))
        assert image.size == (320, 180) and videos.frame_of(np.array(image.convert("RGB"))) == frame


def area(path: str) -> float:
    """Area under a path of the charts, in a square of 1: lines by trapezoids, V and H as they are."""
    x, y, total = 0.0, 0.0, 0.0
    for letter, first, second in re.findall(r"([MLVH])(-?[\d.]+)(?: (-?[\d.]+))?", path):
        if letter in "ML":
            new_x, new_y = float(first), float(second)
        else:
            new_x, new_y = (float(first), y) if letter == "H" else (x, float(first))
        total += 0 if letter == "M" else (new_x - x) * (2000 - y - new_y) / 2
        x, y = new_x, new_y
    return total / 1e6


def test_the_area_under_the_curves_is_the_figure():
    random = np.random.default_rng(0)
    truth = random.random(5000) < 0.2
    score = random.normal(size=5000) + truth
    assert area(roc_path(truth, score)) == pytest.approx(roc_auc_score(truth, score), abs=0.01)
    assert area(pr_path(truth, score)) == pytest.approx(average_precision_score(truth, score), abs=0.01)


def test_a_long_curve_keeps_its_peaks():
    values = np.zeros(7000)
    values[[3, 6543]] = 1
    path = step_path(values, np.arange(1, 7001) / 7000)
    assert len(path) < 12_000 and path.count("V0.0") == 2 and path.endswith("H1000.0")
    assert step_path(np.array([0.25, 0.5]), np.array([0.8, 1])) == "M0 100V75.0H800.0V50.0H1000.0"


def test_times_of_a_camera_that_does_not_keep_step():
    """Ten frames a second, then one: truth, score and found spans stand where they are shown, not at frame / fps."""
    frame = np.array([8, 24, 40, 56])
    shown_at = lambda f: f / 10 if f <= 32 else 3.2 + (f - 32)  # noqa: E731, seconds
    time = np.array([shown_at(f) for f in frame])
    features = VideoFeatures("a.mp4", "test", (), 64, fps=2.0, frame=frame, time=time)
    at = report_module.TimeLine(features)
    assert at(24) == pytest.approx(2.4) and at(40) == pytest.approx(11.2) and at(48) == pytest.approx(19.2)
    ends = at.ends(64, 16)
    assert ends[-1] == 1 and ends[0] == pytest.approx(at(16) / at(64)) and ends[2] == pytest.approx(19.2 / at(64))
    assert ends[2] > 0.6 > 48 / 64 - 0.2 and np.all(np.diff(ends) > 0)
    single = report_module.TimeLine(VideoFeatures("a.mp4", "test", (), 12, fps=6.0, frame=np.array([8]), time=np.array([1.3])))
    assert single(12) == 2.0 and single.ends(12, 16).tolist() == [1.0]


@pytest.fixture
def run(tmp_path) -> RunFolder:
    """Four videos of 90 frames; the head's only input that matters is one number a snippet, so the scores are known."""
    import torch

    run = RunFolder(tmp_path / "run")
    run.shards.mkdir(parents=True)
    write_manifest(ROWS, CARD, run.manifest_csv)
    run.write_record({"settings": {}, "videos": str(tmp_path / "videos")})
    (tmp_path / "videos" / "p").mkdir(parents=True)
    videos.write_ramp(tmp_path / "videos" / "p" / "1.mp4", frames=90)
    frame = np.minimum(np.arange(6) * 16 + 8, 89)
    made = []
    for number, row in enumerate(ROWS):
        random = np.random.default_rng(number)
        made.append(
            VideoFeatures(
                row.video, "test", row.labels, 90, fps=25.0, frame=frame, time=frame / 25, scene=random.normal(size=(6, 8)),
                detr=random.normal(size=(6, 6)), count=np.full(6, 1), box=np.tile([0.5, 0.5, 0.2, 0.4], (6, 2, 1)),
                score=np.full((6, 2), 0.75), class_id=np.ones((6, 2)), crop=random.normal(size=(6, 2, 8)),
                query=np.zeros((6, 2, 6)),
            )
        )  # fmt: skip
    models = {"detector": {"class_names": {"1": "person"}}}
    write_shard(run.shards / "00000.h5", ShardHeader("f" * 16, models, {"stride": 16}), made)
    torch.manual_seed(3)
    model = AnomalyHead(HeadConfig(n_ctx=1), 8, 6, 4, CARD.names)
    model.set_classes(CARD.names, torch.randn(4, 8))
    for weights in model.score.parameters():
        torch.nn.init.normal_(weights, std=1.0)
    save_head(run.head, model, HeadConfig(n_ctx=1), CARD, "f" * 16, {"source": "none", "weights": "0"}, {}, {})
    return run


def test_the_page_in_a_browser(run):
    status, out, _ = call(main, "--run", str(run.path), "--report")
    assert status == 0 and "report.html" in out and "key frames of 3 videos are left out" in out
    html = (run.eval / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', html) and "url(" not in html and "@import" not in html
    page, complaints = browser.open_page(run.eval / "report.html")
    assert complaints == "" and page.text(id="count") == "4 of 4"
    names = [video["data-name"] for video in page.all("article")]
    assert sorted(names) == sorted(row.video for row in ROWS)
    assert [int(video["data-worst"]) for video in page.all("article")] == [1, 2, 3, 4]
    assert len(page.all("script")) == 2 and not [own for own in page.all("img") if "onerror" in own]  # names are text
    shots = page.all("img")
    assert shots and all(own["src"].startswith("data:image/jpeg;base64,") for own in shots)
    caption = re.search(r'alt="00:0(\d)', html)
    picture = Image.open(io.BytesIO(base64.b64decode(shots[0]["src"].partition(",")[2]))).convert("RGB")
    assert int(caption[1]) == videos.frame_of(np.array(picture)) // 25
    box = page.all("span", class_="box")[0]["style"]
    assert box == "left:40.0%;top:30.0%;width:20.0%;height:40.0%"
    red = [own for own in page.all("rect", class_="true") if own["x"] == "222.2"]
    assert len(red) == 2 and red[0]["width"] == "333.3"  # frames 20 to 50 of 90, in two videos


def test_sorting_and_filtering_in_a_browser(run):
    call(main, "--run", str(run.path), "--report")
    page, complaints = browser.open_page(run.eval / "report.html", 'at("sort").value = "name"; show()')
    assert complaints == ""
    assert [video["data-name"] for video in page.all("article")][-3:] == ["n/9.mp4", "n/10.mp4", "p/1.mp4"]
    page, _ = browser.open_page(
        run.eval / "report.html", 'at("find").value = "FALL"; at("find").dispatchEvent(new Event("input"))'
    )
    shown = [video["data-name"] for video in page.all("article") if "hidden" not in video]
    assert shown == ["p/1.mp4"] and page.text(id="count") == "1 of 4"
    assert "no_such_thing" in browser.open_page(run.eval / "report.html", "no_such_thing()")[1]  # so it would be told
    for word in ("miss", "false alarm", "wrong category", "well"):
        page, _ = browser.open_page(run.eval / "report.html", f'at("show").value = "{word}"; show()')
        for video in page.all("article"):
            assert ("hidden" in video) == (word not in video["data-words"].split("|"))


def test_without_videos_the_page_says_so(run, monkeypatch, tmp_path):
    monkeypatch.setenv("AADC_VIDEOS", str(tmp_path / "gone"))
    status, out, _ = call(main, "--run", str(run.path), "--report")
    assert status == 0 and "no key frames: the videos are not at" in out
    html = (run.eval / "report.html").read_text()
    assert "<img" not in html and "no key frames" in html


def test_a_full_page_has_the_worst_videos_alone(run, monkeypatch):
    for row in ROWS:
        path = run.path.parent / "videos" / row.video
        path.parent.mkdir(parents=True, exist_ok=True)
        videos.write_ramp(path, frames=90)
    monkeypatch.setattr(report_module, "room_for_pictures", lambda page: 1)
    _, out, _ = call(main, "--run", str(run.path), "--report")
    assert "key frames of the 1 worst videos alone" in out
    articles = (run.eval / "report.html").read_text().split("<article")[1:]
    assert ["<img" in article for article in articles] == [True, False, False, False]


@pytest.mark.parametrize("videos", [290, 800])  # test videos of UCF-Crime and of XD-Violence
def test_a_page_of_many_videos_stays_below_20_mb(videos, tmp_path, monkeypatch):
    """Scores that jump at every snippet, five boxes a frame, and pictures as heavy as those of a busy street."""
    random, T = np.random.default_rng(0), 500
    card = Card(title="Many", classes=[CARD.classes[0], CARD.classes[2]])
    rows = [
        Row(video=f"{number}.mp4", split="test", labels=["walk", "fall"][number % 2], segments="9-50:fall" * (number % 2))
        for number in range(videos)
    ]
    scored, frame = {}, np.arange(T)
    for row in rows:
        anomaly, classes = random.random(T), random.dirichlet([1, 1], T)
        features = VideoFeatures(
            row.video, "test", row.labels, T, fps=25.0, frame=frame, time=frame / 25, count=np.full(T, 5),
            box=random.uniform(0.2, 0.8, (T, 5, 4)), score=np.full((T, 5), 0.75), class_id=np.ones((T, 5), int),
        )  # fmt: skip
        spans = find_spans(anomaly, classes, card.names, ["normal", "abnormal"], frame, frame / 25, T, 1)
        scored[row.key] = Scored(features, SnippetScores(anomaly, classes, classes), spans)
    few, split = (ScoredSplit(some, scored, card, card, 5, 1) for some in (rows[:4], rows))
    shards = SimpleNamespace(
        models={"detector": {"class_names": {"1": "person"}}},
        read_videos=lambda keys, _: ((key, scored[key].features) for key in keys),
    )
    heavy = {row: random.bytes(30_000) for row in range(T)}
    monkeypatch.setattr(report_module, "pictures", lambda decoder, path, stride, rows: {row: heavy[row] for row in rows})
    monkeypatch.setattr(report_module, "video_path", lambda root, video: root / video)

    pages, figures = report_module.make_pages(split, shards), evaluate(few, False)
    plain = report_module.render("Many", few, figures, pages, "auc", 0.5, [])
    room = report_module.room_for_pictures(plain)
    pages, notes = report_module.add_pictures(pages, tmp_path, 1, room, lambda: None)
    page = report_module.render("Many", few, figures, pages, "auc", 0.5, notes)
    assert page.count("<article") == videos and "worst videos alone" in page
    assert 18e6 < len(page.encode()) < 20e6  # full, and not over


def test_no_frame_truth_no_curves(run):
    rows = [Row(video=row.video, split="test", labels=row.labels) for row in ROWS]
    write_manifest(rows, CARD, run.manifest_csv)
    status, _, _ = call(main, "--run", str(run.path), "--report")
    html = (run.eval / "report.html").read_text()
    assert status == 0 and "no frame-level figures" in html and "<h3>ROC</h3>" not in html and "video AUC" in html
