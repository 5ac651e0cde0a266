"""The report: verdicts, curves, key frames that are the frames they claim, and the page in a real browser."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "extract"))
import browser
import videos
from calls import call

from aadc.eval import report as report_module
from aadc.eval.charts import operating_point, pr_path, roc_path, step_path, ticks
from aadc.eval.cli.evaluate import main
from aadc.eval.evaluate import evaluate
from aadc.eval.keyframes import choose_rows, pictures
from aadc.eval.mistakes import called, judge
from aadc.eval.scored_split import ScoredSplit
from aadc.eval.scores import Scored
from aadc.eval.spans import Span, find_spans, period
from aadc.extract.decode_child import DecodeChild
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardHeader, write_shard
from aadc.extract.video_features import VideoFeatures
from aadc.head.checkpoint import save_head
from aadc.head.config import HeadConfig
from aadc.head.model import AnomalyHead
from aadc.head.scoring import SnippetScores
from aadc.head.video_score import VideoScore
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


def test_a_video_is_called_what_was_found_in_it_whatever_is_true():
    assert called([], True, "fight") == "called normal; among anomalies most like fight"
    assert called([], False, "squat") == "called normal; among normal classes most like squat"
    assert called([], False, None) == called([], True, None) == "called normal"
    found = [span(0, 20), span(30, 40, category="fight"), span(50, 60)]
    assert called(found, True, "fight") == "called anomalous: fall, fight"
    assert called(found, True, "theft") == "called anomalous: fall, fight; among anomalies most like theft"
    assert called(found, False, "squat") == "called anomalous: fall, fight; among normal classes most like squat"


@given(st.floats(0.001, 1e6) | st.sampled_from([0.0, 0.04, 0.5, 0.6, 3.6, 59.9, 60.0, 3600.0, float("inf"), float("nan")]))
def test_ticks_are_round_times_and_no_two_are_written_alike(duration_s):
    times, labels = zip(*ticks(duration_s), strict=True)
    assert times[0] == 0 and len(labels) == len(set(labels)) <= 7 and all(a < b for a, b in zip(times, times[1:], strict=False))
    if 0.2 < duration_s < 1e6:
        assert len(times) > 1 and times[-1] <= duration_s * (1 + 1e-6)
    for seconds, label in zip(times, labels, strict=True):
        parts = [float(part) for part in label.split(":")]
        assert sum(part * 60**place for place, part in enumerate(reversed(parts))) == pytest.approx(seconds, abs=1e-6)


def test_short_spans_do_not_begin_and_end_at_the_same_time():
    assert period(24.0, 24.5) == "00:24.0-00:24.5" and period(24, 26.5) == "00:24-00:26"
    assert period(3725.04, 3725.94) == "1:02:05.0-1:02:05.9" and period(24, 26.5, tenths=True) == "00:24.0-00:26.5"
    assert str(span(24 * 25, 24 * 25 + 12)) == "00:24.0-00:24.4 fall"


def test_the_threshold_lies_on_the_curves():
    random = np.random.default_rng(1)
    truth = random.random(2000) < 0.3
    score = np.round(random.random(2000) * 0.7 + 0.3 * truth, 2)
    false, found, precision = operating_point(truth, score, 0.5)
    told = [(bool(t), bool(s >= 0.5)) for t, s in zip(truth, score, strict=True)]
    assert false == told.count((False, True)) / (told.count((False, True)) + told.count((False, False)))
    assert found == told.count((True, True)) / truth.sum() and precision == told.count((True, True)) / (score >= 0.5).sum()
    corners = [(float(x), float(y)) for x, y in re.findall(r"[ML](\d+) (\d+)", roc_path(truth, score))]
    assert min(abs(x - 1000 * false) + abs(y - 1000 * (1 - found)) for x, y in corners) < 15
    assert operating_point(truth, score, 2.0) == (0, 0, None)


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
    trained(run, CARD)
    return run


def trained(run: RunFolder, card: Card) -> None:
    """A head of these classes."""
    import torch

    torch.manual_seed(3)
    model = AnomalyHead(HeadConfig(n_ctx=1), 8, 6, 4, card.names)
    model.set_classes(card.names, torch.randn(len(card.names), 8))
    for weights in model.score.parameters():
        torch.nn.init.normal_(weights, std=1.0)
    save_head(run.head, model, HeadConfig(n_ctx=1), card, "f" * 16, {"source": "none", "weights": "0"}, {}, {})


def test_the_page_in_a_browser(run):
    status, out, _ = call(main, "--run", str(run.path), "--report")
    assert status == 0 and "report.html" in out and "key frames of 3 videos are left out" in out
    html = (run.eval / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:|file:)', html) and "url(" not in html and "@import" not in html
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
    true = [own for own in page.all("i", class_="mark true") if own["style"] == "left:22.22%;width:33.33%"]
    assert len(true) == 4  # frames 20 to 50 of 90, behind the curves of two videos and below them


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


def style_sheets() -> list[dict[str, str]]:
    """Colours of the page by name, light and dark."""
    text = Path(report_module.__file__).with_name("report.jinja").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", text)
    assert len(blocks) == 2
    return [dict(re.findall(r"--(\w+): (#[0-9a-f]{6}|\d+ \d+ \d+);", block)) for block in blocks]


def luminance(colour) -> float:
    """Relative luminance as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one, other) -> float:
    high, low = sorted([luminance(one), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", style_sheets(), ids=["light", "dark"])
def test_colours_can_be_told_from_what_they_lie_on(colours):
    """WCAG: 3 to 1 for what is drawn, 4.5 to 1 for what is read."""
    rgb = {
        name: np.array([int(value[i : i + 2], 16) for i in (1, 3, 5)] if value[0] == "#" else value.split(), float)
        for name, value in colours.items()
    }
    for ground in ("paper", "back"):
        for drawn, least in (("blue", 4.5), ("red", 4.5), ("soft", 4.5), ("ink", 4.5), ("amber", 3)):
            assert contrast(rgb[drawn], rgb[ground]) >= least, (drawn, ground)
    darkest = 0.55 * rgb["cell"] + 0.45 * rgb["paper"]  # a cell of the confusion matrix that has its whole row
    assert contrast(rgb["ink"], darkest) >= 4.5


def test_the_head_of_the_page_says_what_was_done_with_what(run):
    call(main, "--run", str(run.path), "--report", "--threshold", "0.4")
    html = (run.eval / "test-threshold-0.4" / "report.html").read_text()
    made = json.loads((run.eval / "test-threshold-0.4" / "metrics.json").read_text())["made_with"]
    told = dict(re.findall(r"<dt>(.*?)<dd>(.*?)(?=\s*<dt>|\s*</dl>)", html, re.DOTALL))
    assert told["Videos"].startswith("test split of ") and told["Threshold"] == "0.4"
    assert told["Head"].startswith(f"run/head (weights {made['head']['weights'][:8]}")
    assert told["Trained on"].startswith("Test &amp; &lt;b&gt;report") and told["Models"].startswith("detector")
    assert made["date"][:10] in told["Date"]


def test_curves_and_pictures_say_what_they_show(run):
    call(main, "--run", str(run.path), "--report")
    html = (run.eval / "report.html").read_text()
    page = browser.Page(html)
    drawn = page.all("svg")
    assert len(drawn) == 6 and all(own["role"] == "img" for own in drawn)
    (about,) = [own["aria-label"] for own in drawn if "p/1.mp4" in own["aria-label"]]
    assert about.startswith("Anomaly score of p/1.mp4 over 00:03.6: highest ") and "True: 00:00.8-00:02.0 fall." in about
    roc = r"ROC curve over all frames, area \d+\.\d+ %; at the threshold 0.5, "
    assert any(re.match(roc, own["aria-label"]) for own in drawn)
    for own in page.all("img"):
        picture = Image.open(io.BytesIO(base64.b64decode(own["src"].partition(",")[2])))
        assert (int(own["width"]), int(own["height"])) == picture.size and own["alt"]
    assert "true (hatched)" in html and "found (solid)" in html


def seconds_played(run: RunFolder, script: str) -> str:
    """What the page would play, as text, once `script` has clicked."""
    call(main, "--run", str(run.path), "--report")
    told = 'play = (article, seconds) => { at("count").textContent = article.dataset.name + " " + seconds.toFixed(1); };'
    page, complaints = browser.open_page(run.eval / "report.html", told + script)
    assert complaints == ""
    return page.text(id="count")


CLIP = 'const clip = document.querySelector(".plays");'


def test_a_click_on_the_curve_plays_from_there(run):
    click = """const plot = clip.querySelector(".plot"), box = plot.getBoundingClientRect(), clientX = box.left + box.width / 4;
        plot.querySelector("svg").dispatchEvent(new MouseEvent("click", {bubbles: true, clientX}));"""
    assert seconds_played(run, CLIP + click) == "p/1.mp4 0.9"


def test_a_time_plays_from_there_and_leads_to_the_file_without_scripts(run):
    click = 'clip.querySelector("p a.play").dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true}));'
    assert seconds_played(run, CLIP + click) == "p/1.mp4 0.8"
    html = (run.eval / "report.html").read_text()
    film = (run.path.parent / "videos" / "p" / "1.mp4").as_uri()
    links = re.findall(r'<a class="(?:frame )?play" data-at="([\d.]+)" href="([^"]+)"', html)
    assert ("0.8", f"{film}#t=0.8") in links and {link.partition("#")[0] for _, link in links} == {film}


def test_the_video_is_not_loaded_before_it_is_asked_for(run):
    call(main, "--run", str(run.path), "--report")
    assert "<video" not in (run.eval / "report.html").read_text()
    script = CLIP + 'play(clip, 1.5); at("count").textContent = clip.querySelector("video").preload;'
    page, _ = browser.open_page(run.eval / "report.html", script)
    (film,) = page.all("video")
    assert page.text(id="count") == "none" and film["src"].startswith("file://") and "controls" in film
    script = CLIP + 'play(clip, 1.5); clip.querySelector("video").dispatchEvent(new Event("error"));'
    page, _ = browser.open_page(run.eval / "report.html", script)
    assert not page.all("video") and "This browser cannot play p/1.mp4" in page.text(class_="bad")


def test_it_fits_a_telephone(run):
    """400 px wide, as a frame: a window of Chromium is never below 500."""
    call(main, "--run", str(run.path), "--report")
    inside = run.eval / "inside.html"
    told = "parent.postMessage([document.documentElement.scrollWidth, innerWidth].join(), '*')"
    inside.write_text((run.eval / "report.html").read_text() + f"<script>{told}</script>")
    outside = run.eval / "outside.html"
    hear = "<p id=count></p><script>onmessage = event => document.getElementById('count').textContent = event.data</script>"
    outside.write_text(f'{hear}<iframe style="border:0;width:400px;height:3000px" src="inside.html"></iframe>')
    page, _ = browser.open_page(outside)
    wide, window = map(int, page.text(id="count").split(","))
    assert wide <= window == 400


def test_on_paper_no_card_is_cut(run, tmp_path):
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext here")
    call(main, "--run", str(run.path), "--report")
    copies = "for (let n = 0; n < 5; n++) videos.forEach(video => at('videos').append(video.cloneNode(true)));"
    browser.print_page(run.eval / "report.html", tmp_path / "paper.pdf", copies)
    command = ["pdftotext", "-layout", tmp_path / "paper.pdf", "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    pages = [page for page in text.split("\f") if "video score" in page]
    assert len(pages) > 2 and sum(page.count("video score") for page in pages) == 24
    for page in pages:
        assert page.count("video score") == len(re.findall(r"00:03(?!\.)", page))  # the last tick of each curve


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
    heavier = lambda *about: {row: jpeg + bytes(30_000) for row, jpeg in pictures(*about).items()}  # noqa: E731
    monkeypatch.setattr(report_module, "pictures", heavier)
    monkeypatch.setattr(report_module, "room_for_pictures", lambda page: 20_000)
    _, out, _ = call(main, "--run", str(run.path), "--report")
    assert "key frames of the 1 worst videos alone" in out
    articles = (run.eval / "report.html").read_text().split("<article")[1:]
    assert ["<img" in article for article in articles] == [True, False, False, False]
    links = [link for article in articles for link in re.findall(r'href="(.*?)"', article)]
    assert all(re.fullmatch(r"file:///[\w/.%#=-]+", link) for link in links) and "%3Cimg%20src%3Dx" in "".join(links)


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
        scored[row.key] = Scored(
            features, SnippetScores(anomaly, classes, classes, VideoScore(anomaly.max(), classes.mean(0))), spans
        )
    few, split = (ScoredSplit(some, scored, card, card, 5, 1) for some in (rows[:4], rows))
    shards = SimpleNamespace(
        models={"detector": {"class_names": {"1": "person"}}},
        read_videos=lambda keys, _: ((key, scored[key].features) for key in keys),
    )
    jpeg = io.BytesIO()
    Image.new("RGB", (320, 180)).save(jpeg, "JPEG")
    heavy = {row: jpeg.getvalue() + random.bytes(30_000 - len(jpeg.getvalue())) for row in range(T)}
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
    assert "True: not marked in the manifest" in html and "<h2>By class" not in html


def test_what_has_nothing_to_show_is_left_out(run):
    card = Card(title="Two", classes=[CARD.classes[0], CARD.classes[2]])
    rows = [Row(video=row.video, split="test", labels="fall" if row.segments else "walk") for row in ROWS]
    write_manifest(rows, card, run.manifest_csv)
    trained(run, card)
    assert call(main, "--run", str(run.path), "--report")[0] == 0
    html = (run.eval / "report.html").read_text()
    assert "<h2>Confusion" not in html and "<h2>By class" not in html
    assert "among all classes" in html and "normal or not being known" not in html  # that one cannot be wrong here
    assert "<td>fall<td" not in html
    assert "most like" not in html  # of one class there is no other
