"""`import aadc`: the same numbers as the commands leave in files, and nothing heavy before it is needed."""

import copy
import csv
import json
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "eval"))
sys.path.insert(0, str(Path(__file__).parents[1] / "head"))
import synthetic
from calls import call

import aadc
from aadc.eval.cli.evaluate import main as eval_main
from aadc.eval.cli.find import main as find_main
from aadc.head.bags import snippet_features
from aadc.head.cli import main as head_main


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_clip) -> aadc.Run:
    made = synthetic.make_run(tmp_path_factory.mktemp("python") / "run", tiny_clip, train=24, test=8)
    return aadc.train(made.path, epochs=4, seed=3)


def likely_classes(run: aadc.Run, features) -> np.ndarray:
    """Of a whole video, by another computation: softmax over the means of the 5 highest smoothed similarities of each class."""
    detr, vis = snippet_features(features, "mean")
    valid = torch.ones(1, len(detr), dtype=torch.bool)
    with torch.no_grad():
        found = run.head.model(detr[None], vis[None], valid, window=run.head.window)
    raw, smoothed = found.class_logits_BTC[0].numpy(), []
    for snippet in range(len(raw)):
        near = range(max(0, snippet - 2), min(len(raw), snippet + 3))
        smoothed.append(np.average(raw[near], axis=0, weights=[np.exp(-0.5 * (other - snippet) ** 2) for other in near]))
    likely = np.exp(np.sort(smoothed, axis=0)[-5:].mean(0))
    return likely / likely.sum()


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, aadc\nheavy = {'torch', 'h5py', 'sklearn', 'transformers', 'open_clip', 'matplotlib', 'av', 'numpy'}\n"
        "print(heavy & set(sys.modules), set(aadc.__all__) <= set(dir(aadc)), callable(aadc.extract))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set() True True", done
    with pytest.raises(AttributeError):
        aadc.nothing  # noqa: B018


def test_metrics_are_there_without_an_import_of_their_own():
    code = "import sys, aadc\nprint(aadc.metrics.evaluate.__name__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "evaluate False", done


def test_training_is_the_command_s(run, tmp_path):
    out = tmp_path / "head"
    arguments = ["--run", str(run.path), "--out", str(out), "--epochs", "4", "--set", "seed=3"]
    assert call(head_main, *arguments)[0] == 0
    assert (out / "model.safetensors").read_bytes() == (run.head_folder / "model.safetensors").read_bytes()
    assert run.head.config.seed == 3 and run.head.config.epochs == 4
    other = aadc.train(run, out=tmp_path / "other", epochs=1, lr=1e-3)
    assert other.head.config.lr == 1e-3 and other.path == run.path and other.head_folder == tmp_path / "other"


def test_scores_and_figures_are_those_of_the_files(run):
    assert call(eval_main, "--run", str(run.path), "--metric", "all")[0] == 0
    kept = json.loads((run.path / "eval/metrics.json").read_text())
    figures = json.loads(json.dumps(run.figures()))
    assert {name: kept[name] for name in figures} == figures
    with h5py.File(run.path / "eval/scores.h5") as file, (run.path / "eval/spans.csv").open() as spans:
        rows = list(csv.DictReader(spans))
        for key, group in file.items():
            answer = run.score(group.attrs["video"])
            features = run.features(group.attrs["video"])
            np.testing.assert_array_equal(answer.classes, group["classes"])
            for snippet, value in enumerate(answer.score):  # each snippet's score is that of its sampled frame
                assert group["score"][features.frame[snippet]] == value
            own = [row for row in rows if row["video"] == answer.video]
            assert [(s.start_frame, s.end_frame, s.category) for s in answer.spans] == [
                (int(row["start_frame"]), int(row["end_frame"]), row["category"]) for row in own
            ], key
            assert answer.anomalous == bool(own) and answer.category in run.classes and len(answer.time_s) == len(answer.score)
            if not own:
                likely = likely_classes(run, features)
                normal = [place for place, name in enumerate(answer.names) if run.manifest.card.kind(name) == "normal"]
                assert answer.category == answer.names[max(normal, key=lambda place: likely[place])]
                best = answer.names.index(answer.category)
                assert answer.share == pytest.approx(likely[best] / likely[normal].sum(), abs=1e-4)
            assert 0 < answer.probability < 1 and all(0 < span.probability < 1 for span in answer.spans)


def test_a_higher_threshold_gives_fewer_anomalous_snippets(run):
    for video in run.videos[:6]:
        low, high = (sum(s.end_frame - s.start_frame for s in run.score(video, threshold=t).spans) for t in (0.3, 0.9))
        assert low >= high


def test_finding_is_the_command_s(run):
    assert call(find_main, "somebody falls", "--run", str(run.path), "--top", "5")[0] == 0
    with (run.path / "eval/found.csv").open() as file:
        rows = list(csv.DictReader(file))[:5]
    found = run.find("somebody falls", top=5)
    assert [(m.video, m.frame) for m in found] == [(row["video"], int(row["frame"])) for row in rows]


def test_what_goes_wrong_is_one_sentence(run, tmp_path):
    for wrong, words in (
        (lambda: aadc.open_run(tmp_path), "not a run folder"),
        (lambda: run.score("nowhere.mp4"), "neither a video of"),
        (lambda: run.features("nowhere.mp4"), "not a video of"),
        (lambda: aadc.train(run, epochs=0), "epochs"),
        (lambda: aadc.train(run, epoch=3), "epoch"),
        (lambda: aadc.extract(tmp_path / "x.csv"), "x.csv"),
        (lambda: aadc.extract(tmp_path / "x.csv", models="huge"), "huge"),
        (lambda: run.figures(split="train2"), "there are test and train"),
        (lambda: run.find("  "), "no words"),
        (lambda: run.find("a", top=0), "top 0"),
        (lambda: run.score(run.videos[0], threshold=float("nan")), "threshold nan"),
        (lambda: run.score(run.videos[0], threshold=2), "threshold 2"),
        (lambda: run.score("a" * 5000), "neither a video of"),
        (lambda: aadc.train(run, out=""), "empty"),
        (lambda: aadc.Run(run.path, head=tmp_path / "none").head, "none"),
    ):
        with pytest.raises(aadc.UserError, match=words):
            wrong()


def test_copies_and_other_processes_open_the_run_anew(run):
    answer = run.score(run.videos[0])
    for other in (copy.copy(run), copy.deepcopy(run), pickle.loads(pickle.dumps(run))):
        np.testing.assert_array_equal(other.score(run.videos[0]).score, answer.score)
        assert other.head_folder == run.head_folder
    assert pickle.loads(pickle.dumps(aadc.extract)) is aadc.extract


def test_a_path_is_a_name_too(run):
    assert run.features(Path(run.videos[0])).video == run.videos[0] == run.score(Path(run.videos[0])).video


def test_threads_that_share_a_run_get_their_own_answers(tmp_path, tiny_detr, tiny_clip):
    """Real files through one decoder and one head: each thread with its own threshold."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "extract"))
    from concurrent.futures import ThreadPoolExecutor

    import videos
    from test_eval_command import CARD, head_for

    from aadc.manifests.manifest import Row, write_manifest

    (tmp_path / "videos").mkdir()
    for name in ("a.mp4", "b.mp4"):
        videos.write_ramp(tmp_path / "videos" / name, frames=60)
    write_manifest([Row(video="a.mp4", split="test", labels="walk")], CARD, tmp_path / "set.csv")
    made = aadc.extract(tmp_path / "set.csv", run=tmp_path / "run", detector=str(tiny_detr), clip=str(tiny_clip), threshold=0.3)
    head_for(made.folder, made.shards.fingerprint, width=16, detr_width=32)
    given = [(tmp_path / "videos" / name, threshold) for name in ("a.mp4", "b.mp4") for threshold in (0.0, 1.0)] * 2
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: len(made.score(*one).spans), given))
    assert found == [1, 0] * 4


def test_a_folder_of_a_head_has_one_writer(run, tmp_path):
    from aadc.extract.run_folder import RunFolder

    with RunFolder(tmp_path).lock(), pytest.raises(aadc.UserError, match="another aadc command"):
        aadc.train(run, out=tmp_path, epochs=1)


def test_others_may_read_what_is_written(run):
    usual = run.folder.run_json.stat().st_mode
    assert (run.head_folder / "model.safetensors").stat().st_mode == usual
