"""`aadc-eval` on a run of its own: figures that follow from the scores, refusals, single videos from pixels to answer."""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "extract"))
import videos
from calls import call

from aadc.eval.cli.evaluate import main
from aadc.eval.cli.score import main as score_main
from aadc.extract import cli as extract_cli
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardHeader, ShardSet, write_shard
from aadc.extract.video_features import VideoFeatures
from aadc.head.bags import snippet_features
from aadc.head.checkpoint import load_head, save_head
from aadc.head.config import HeadConfig
from aadc.head.model import AnomalyHead
from aadc.head.scoring import score_video
from aadc.head.window import Window
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.manifest import Row, write_manifest

C, D = 8, 6
CARD = Card(
    title="Test",
    videos="videos",
    classes=[
        ClassEntry(name="walk", kind="normal", prompt="walking"),
        ClassEntry(name="sit", kind="normal", prompt="sitting"),
        ClassEntry(name="fall", kind="abnormal", prompt="falling"),
        ClassEntry(name="fight", kind="abnormal", prompt="fighting"),
    ],
)
ROWS = [
    Row(video="a.mp4", split="train", labels="walk"),
    Row(video="n/1.mp4", split="test", labels="walk"),
    Row(video="n/2.mp4", split="test", labels="sit", frames=70),
    Row(video="p/1.mp4", split="test", labels="walk|fall", segments="20-50:fall"),
    Row(video="p/2.mp4", split="test", labels="fight", segments="0-:fight"),
    Row(video="p/3.mp4", split="test", labels="fall", segments="3-4:fall;30-99:fall"),
]


def features(video: str, split: str, labels, frames: int, seed: int) -> VideoFeatures:
    random = np.random.default_rng(seed)
    snippets = -(-frames // 16)
    frame = np.minimum(np.arange(snippets) * 16 + 8, frames - 1)
    return VideoFeatures(
        video, split, labels, frames, frames, fps=25.0, frame=frame, time=frame / 25,
        scene=random.normal(size=(snippets, C)), detr=random.normal(size=(snippets, D)),
        count=np.ones(snippets), box=np.full((snippets, 2, 4), 0.5), score=np.ones((snippets, 2)),
        class_id=np.zeros((snippets, 2)), crop=random.normal(size=(snippets, 2, C)), query=random.normal(size=(snippets, 2, D)),
    )  # fmt: skip


def head_for(run: RunFolder, fingerprint: str, width: int = C, detr_width: int = D, card: Card = CARD) -> None:
    """An untrained head with some texts: its scores are arbitrary, and that is enough here."""
    torch.manual_seed(0)
    config = HeadConfig(n_ctx=1)
    model = AnomalyHead(config, width, detr_width, 4, card.names)
    model.set_classes(card.names, torch.randn(4, width))
    torch.nn.init.normal_(list(model.score.parameters())[-2], std=2.0)
    save_head(run.head, model, config, card, fingerprint, {"source": "none", "weights": "0"}, {}, {})


@pytest.fixture
def run(tmp_path) -> RunFolder:
    run = RunFolder(tmp_path / "runs" / "set")
    run.shards.mkdir(parents=True)
    write_manifest(ROWS, CARD, run.manifest_csv)
    run.write_record({"settings": {}})
    made = [features(row.video, row.split, row.labels, 60 + 9 * seed, seed) for seed, row in enumerate(ROWS)]
    write_shard(run.shards / "00000.h5", ShardHeader("f" * 16, {}, {"stride": 16}), made)
    head_for(run, "f" * 16)
    return run


@pytest.mark.parametrize(
    ("options", "folder", "window"),
    [
        ((), "", Window(256, 4)),
        (("--window", "0"), "test-window-0", None),
        (("--window", "6"), "test-window-6", Window(6, 4)),
        (("--window", "3", "--ahead", "1"), "test-window-3-ahead-1", Window(3, 1)),
    ],
)
def test_scores_by_another_window_lie_in_a_folder_of_their_own(run, options, folder, window):
    """Each snippet's score, by the paper's rule, is the head's on that snippet's own rows; the files say by which window."""
    torch.manual_seed(1)
    head = load_head(run.head)
    config = head.config.model_copy(update={"rule": "paper"})
    for parameter in head.model.mtn.parameters():  # an untrained network passes everything through
        torch.nn.init.normal_(parameter, std=0.5)
    save_head(run.head, head.model, config, CARD, "f" * 16, {"source": "none", "weights": "0"}, {}, {})
    status, out, _ = call(main, "--run", str(run.path), *options)
    assert status == 0, out
    shards = ShardSet(run.shards)
    with h5py.File(run.eval / folder / "scores.h5") as scores:
        for key in scores:
            detr, vis = snippet_features(shards.read(key), "mean")
            found = scores[key]["score"][::16]
            for s in range(len(detr)):
                low, high = (
                    (0, len(detr)) if window is None else (max(0, s + window.ahead + 1 - window.rows), s + window.ahead + 1)
                )
                part = detr[None, low:high], vis[None, low:high]
                with torch.no_grad():
                    logit = head.model(*part, torch.ones(1, part[0].shape[1], dtype=torch.bool)).logits_BT[0, s - low]
                assert found[s] == pytest.approx(float(logit.sigmoid()), abs=1e-4)
    made_with = json.loads((run.eval / folder / "metrics.json").read_text())["made_with"]
    assert made_with["window"] == (window and window._asdict())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--window", "4"), "does not hold"),
        (("--window", "0", "--ahead", "2"), "whole video"),
        (("--ahead", "300"), "does not hold"),
    ],
)
def test_windows_that_cannot_be_are_a_sentence(run, options, said):
    status, _, error = call(main, "--run", str(run.path), *options)
    assert status == 2 and said in error


def test_figures_follow_from_the_scores(run):
    """The AUC in metrics.json, computed again from scratch: shards, head, manifest, scikit-learn."""
    status, out, _ = call(main, "--run", str(run.path), "--metric", "all")
    assert status == 0 and "frame AUC" in out and "mAP@IoU" in out and "next:" in out
    metrics = json.loads((run.eval / "metrics.json").read_text())
    head, shards = load_head(run.head), ShardSet(run.shards)
    truth, score = [], []
    for row in ROWS[1:]:
        anomaly = score_video(head, shards.read(row.key)).anomaly
        frames = row.frames or shards.entries[row.key].frames
        own = np.zeros(frames, bool)
        for segment in row.segments:
            own[segment.start_frame : segment.end_frame] = True
        truth.append(own)
        score.append([anomaly[min(frame // 16, len(anomaly) - 1)] for frame in range(frames)])
    truth, score = np.concatenate(truth), np.concatenate(score)
    assert metrics["frame"]["auc"] == pytest.approx(roc_auc_score(truth, score), abs=1e-9)
    assert metrics["frame"]["anomalous_frames"] == truth.sum() and metrics["frame"]["frames"] == len(truth)
    assert metrics["videos"] == 5 and metrics["notes"] == [] and len(metrics["map"]["clean"]["map"]) == 5
    assert metrics["interval"]["auc"] is None and "too few videos" in out  # five of them
    with h5py.File(run.eval / "scores.h5") as scores:
        assert list(scores.attrs["classes"]) == CARD.names and len(scores) == 5
        np.testing.assert_allclose(scores["n%2F1.mp4"]["score"][:], score[: len(scores["n%2F1.mp4"]["score"])], atol=1e-6)
        assert scores["p%2F1.mp4"]["classes"].shape == (-(-87 // 16), 4)
        np.testing.assert_allclose(scores["p%2F1.mp4"]["classes"][:].sum(1), 1, atol=1e-5)


def test_the_table_shows_the_asked_figure_first(run):
    _, auc, _ = call(main, "--run", str(run.path))
    _, ap, _ = call(main, "--run", str(run.path), "--metric", "ap")
    assert auc.index("frame AUC") < auc.index("frame AP") and ap.index("frame AP") < ap.index("frame AUC")
    assert "mAP@IoU" not in auc


def test_the_latest_run_is_taken_and_named(run, monkeypatch):
    monkeypatch.chdir(run.path.parent.parent)
    status, out, _ = call(main)
    assert status == 0 and "run: runs/set (the only one)" in out


def test_without_segments_there_are_video_figures_and_a_reason(run):
    rows = [row if row.split == "train" else Row(video=row.video, split="test", labels=row.labels) for row in ROWS]
    write_manifest(rows, CARD, run.manifest_csv)
    status, out, _ = call(main, "--run", str(run.path), "--metric", "all")
    metrics = json.loads((run.eval / "metrics.json").read_text())
    assert status == 0 and metrics["frame"] is None and metrics["map"] is None and metrics["video"]["auc"] is not None
    assert "3 abnormal videos have no segments" in out and "frame AUC" not in out


def test_missing_videos_and_odd_counts_are_named(run):
    rows = [*ROWS, Row(video="gone.mp4", split="test", labels="walk")]
    rows[1] = Row(video="n/1.mp4", split="test", labels="walk", frames=500)
    write_manifest(rows, CARD, run.manifest_csv)
    _, out, _ = call(main, "--run", str(run.path))
    out = " ".join(out.split())
    assert "1 of 6 videos have no features" in out and "gone.mp4" in out
    assert "1 videos decode to a frame count more than a snippet off" in out and "n/1.mp4" in out


def test_a_split_of_one_kind_is_undefined_and_no_crash(run):
    write_manifest([row for row in ROWS if not CARD.is_abnormal(row.labels)], CARD, run.manifest_csv)
    status, out, _ = call(main, "--run", str(run.path), "--metric", "all")
    metrics = json.loads((run.eval / "metrics.json").read_text())
    assert status == 0 and metrics["frame"]["auc"] is None and "AUC is undefined" in out


def test_train_split_has_no_frame_truth(run):
    status, _, _ = call(main, "--run", str(run.path), "--split", "train")
    assert status == 0 and json.loads((run.eval / "train" / "metrics.json").read_text())["videos"] == 1


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (lambda run: head_for(run, "0" * 16), "fingerprint ffffffffffffffff.*0000000000000000"),
        (lambda run: (run.head / "config.json").unlink(), "run aadc-train-head"),
        (lambda run: [path.unlink() for path in run.shards.glob("*.h5")], "run aadc-extract"),
        (lambda run: run.run_json.unlink(), "not a run folder"),
        (lambda run: write_manifest(ROWS[:1], CARD, run.manifest_csv), "no test rows"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(run, breaks, words):
    breaks(run)
    status, _, err = call(main, "--run", str(run.path))
    assert status == 2 and len(err.strip().splitlines()) == 1
    import re

    assert re.search(words, err), err


@pytest.mark.parametrize(
    ("record", "words"), [("[]", "not a set of named values"), ("{}", "settings:"), ('{"settings": {"stride": 0}}', "stride")]
)
def test_a_run_without_settings_cannot_score_a_video(run, record, words):
    run.run_json.write_text(record)
    status, _, err = call(score_main, "--run", str(run.path), str(run.run_json))
    assert status == 2 and len(err.strip().splitlines()) == 1 and words in err and "aadc-extract again" in err


def test_the_protocol_asked_for_stands_out_and_both_are_there(run):
    _, published, _ = call(main, "--run", str(run.path), "--metric", "map")
    _, clean, _ = call(main, "--run", str(run.path), "--metric", "map", "--protocol", "clean")
    assert published.index("mAP@IoU") < published.index("frame AUC")
    for out in (published, clean):
        assert "published" in out and "clean" in out


def test_a_head_of_another_run_and_its_foreign_classes(run, tmp_path):
    """Anomaly scores need no class names; category figures leave out what the head does not know, and say so."""
    other = RunFolder(tmp_path / "other")
    card = Card(title="Other", classes=[*CARD.classes[:3], ClassEntry(name="drown", kind="abnormal", prompt="drowning")])
    head_for(other, "f" * 16, card=card)
    status, out, _ = call(main, "--run", str(run.path), "--head", str(other.head), "--metric", "all")
    (folder,) = run.eval.glob("test-head-????????")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert status == 0 and "1 of the labels are none of the classes that the videos are scored against (fight)" in out
    assert (
        metrics["classes"] == card.names and metrics["frame"]["frames"] and sum(metrics["category"]["abnormal"]["confusion"][0])
    )
    assert metrics["category"]["abnormal"]["classes"] == ["fall", "drown"]


def test_single_videos_from_pixels_to_answer(tmp_path, tiny_detr, tiny_clip, monkeypatch):
    """A run extracted for real: same features, hence same scores, as its shards; one bad file does not stop the rest."""
    monkeypatch.chdir(tmp_path)
    for name, frames in (("one.mp4", 90), ("two.ts", 40), ("short.mp4", 3)):
        (tmp_path / "videos").mkdir(exist_ok=True)
        videos.write_ramp(tmp_path / "videos" / name, frames=frames)
    rows = [Row(video=name, split="test", labels="walk") for name in ("one.mp4", "two.ts", "short.mp4")]
    write_manifest(rows, CARD, tmp_path / "set.csv")
    models = ["--detector", str(tiny_detr), "--clip", str(tiny_clip), "--threshold", "0.3"]
    assert call(extract_cli.main, "set.csv", *models)[0] == 0
    run = RunFolder(Path("runs/set"))
    shards = ShardSet(run.shards)
    head_for(run, shards.fingerprint, width=16, detr_width=32)
    (tmp_path / "videos" / "bad.mp4").write_text("no video")
    status, out, err = call(score_main, "videos", "--threshold", "0.4")
    assert status == 1 and "bad.mp4: not_video" in err
    answers = {path.parent.name: json.loads(path.read_text()) for path in run.eval.glob("videos/*/scores.json")}
    assert len(answers) == 3
    head = load_head(run.head)
    for answer in answers.values():
        stored = shards.read(answer["video"])
        expected = score_video(head, stored).anomaly
        np.testing.assert_allclose(answer["score"], expected, atol=2e-3)
        assert answer["time_s"] == pytest.approx(stored.time.round(3).tolist(), abs=2e-3)
        for span in answer["spans"]:
            assert 0 <= span["start_frame"] < span["end_frame"] <= answer["frames"] and span["category"] in ("fall", "fight")
        inside = np.zeros(answer["frames"], bool)
        for span in answer["spans"]:
            inside[span["start_frame"] : span["end_frame"]] = True
        for snippet, value in enumerate(expected):
            if value >= 0.41:
                assert inside[snippet * 16 : (snippet + 1) * 16].all()
    for picture in run.eval.glob("videos/*/scores.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
    names = sorted(path.parent.name.rpartition("-")[0] for path in run.eval.glob("videos/*/scores.png"))
    assert names == ["one.mp4", "short.mp4", "two.ts"]
    assert call(score_main, "nowhere.mp4")[0] == 2
    assert out.count("highest score") == 3
