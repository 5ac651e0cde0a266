"""The whole pipeline to a figure, through the commands that people type: scenes, features, head, scores, single videos."""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from calls import call

from aadc.eval.cli.evaluate import main as eval_main
from aadc.eval.cli.score import main as score_main
from aadc.extract.cli import main as extract_main
from aadc.extract.published.cli import main as import_main
from aadc.extract.published.export_cli import main as export_main
from aadc.extract.shards import ShardSet
from aadc.head.cli import main as head_main
from aadc.head.fusion import pool_objects
from aadc.manifests.cli import main as manifest_main


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    """Fourteen drawn scenes, the miniature models, one frame in ten, a head trained for a few epochs."""
    folder = tmp_path_factory.mktemp("pipeline")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call(manifest_main, "demo", "--seed", "3", "--train", "10", "--test", "4")[0] == 0
        assert call(extract_main, "demo/demo.csv", "--models", "miniature", "--stride", "10")[0] == 0
        assert call(head_main, "--epochs", "4", "--out", "paper", "--set", "rule=paper")[0] == 0
        assert call(head_main, "--epochs", "4")[0] == 0
        assert call(eval_main, "--metric", "auc", "--head", "paper", "--out", "by-paper")[0] == 0
        status, out, _ = call(eval_main, "--metric", "auc")
    assert status == 0 and "miniature" not in out  # drawn scenes are what they know
    return folder


def test_the_pipeline_finds_what_was_drawn(scenes):
    metrics = json.loads((scenes / "runs" / "demo" / "eval" / "metrics.json").read_text())
    assert metrics["videos"] == 4 and metrics["frame"]["anomalous_frames"] > 100
    assert metrics["frame"]["auc"] >= 0.8, "the truth is in the scenes; a head that learned nothing gets about 0.5"
    assert metrics["frame"]["auc"] > metrics["frame"]["flat_floor"]["auc"], "within the videos, too"


@pytest.mark.parametrize(("options", "by"), [((), "runs/demo/eval"), (("--head", "paper", "--out", "by-paper"), "by-paper")])
def test_a_trained_head_scores_a_single_video_as_its_shard(scenes, monkeypatch, options, by):
    """Pixels to scores by aadc-score, against what the shards gave: the same numbers, of a head whose scores say something."""
    monkeypatch.chdir(scenes)
    status, out, _ = call(score_main, "demo/videos/test-000.mp4", "demo/videos/test-003.mp4", *options)
    assert status == 0 and "they know this project's drawn scenes alone" in out  # nobody can know that these are some
    every = []
    with h5py.File(Path(by, "scores.h5")) as stored:
        for path in Path(by).glob("**/scores.json"):
            answer = json.loads(path.read_text())
            expected = stored[answer["video"]]["score"][::10]
            assert len(answer["score"]) == len(expected)
            np.testing.assert_allclose(answer["score"], expected, atol=2e-4)
            spans = [[span["start_frame"], span["end_frame"]] for span in answer["spans"]]
            assert spans == stored[answer["video"]]["spans"][:].tolist()
            assert answer["caution"] and answer["made_with"]["head"]["weights"]
            every.append(expected)
    assert len(every) == 2
    if options:  # smoothing, and asking both branches, keep a head of few epochs from extremes
        assert np.ptp(np.concatenate(every)) > 0.8
    else:
        assert np.ptp(np.concatenate(every)) > 0.3


def test_exported_and_imported_again_the_scores_are_the_same(scenes, monkeypatch):
    """Out to files that others' heads can read and in again: a head scores both runs alike, to the bit."""
    monkeypatch.chdir(scenes)
    imported = ("--clip", "miniature", "--stride", "10")
    assert call(export_main, "npy", "runs/demo", "features")[0] == 0
    assert call(import_main, "features", "demo/demo.csv", "--run", "runs/in", *imported)[0] == 0
    assert call(head_main, "--run", "runs/in", "--epochs", "2")[0] == 0
    assert call(eval_main, "--run", "runs/in", "--metric", "auc")[0] == 0
    assert call(export_main, "npy", "runs/in", "again")[0] == 0
    assert call(import_main, "again", "demo/demo.csv", "--run", "runs/second", *imported)[0] == 0
    assert call(eval_main, "--run", "runs/second", "--head", "runs/in/head", "--metric", "auc", "--out", "second")[0] == 0
    with h5py.File("runs/in/eval/scores.h5") as one, h5py.File("second/scores.h5") as two:
        assert len(one) == 4 and list(one) == list(two)
        for video in one:
            np.testing.assert_array_equal(one[video]["score"], two[video]["score"])
            np.testing.assert_array_equal(one[video]["classes"], two[video]["classes"])
        assert np.ptp([one[video]["score"][:].max() for video in one]) > 0.01, "the videos are told apart at all"


def test_what_is_exported_of_a_frame_is_what_the_head_reads(scenes, monkeypatch):
    """Eq. 5: the mean of the whole frame and its crops."""
    monkeypatch.chdir(scenes)
    assert call(export_main, "npy", "runs/demo", "means")[0] == 0
    one, two = ShardSet(Path("runs/demo/shards")), {path.stem: np.load(path) for path in Path("means").rglob("*.npy")}
    for key in one.keys:
        features = one.read(key)
        mean = pool_objects(features.scene, features.crop, features.count, "mean").numpy()
        told = two[f"{Path(key).stem}__0"].astype(np.float32)
        np.testing.assert_allclose(told, mean, atol=1e-3)
