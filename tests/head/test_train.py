"""Training as a whole, on planted data: what it finds, that it repeats itself, and what it refuses."""

import copy
import csv
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parent))
import synthetic
from synthetic import CARD

from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.head import train as training
from aadc.head.bags import FIELDS, load_bags, snippet_features
from aadc.head.checkpoint import load_head
from aadc.head.config import HeadConfig
from aadc.head.rule import by_rule
from aadc.head.sampling import split_validation
from aadc.head.scoring import score_video
from aadc.head.train import train_head
from aadc.head.training_state import Progress, differences
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Row, write_manifest

SHORT = HeadConfig(epochs=3, patience=3)
SETTLED = SHORT.model_copy(update={"class_vectors": "prompts"})  # as a head notes it


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_clip):
    return synthetic.make_run(tmp_path_factory.mktemp("run") / "run", tiny_clip)


@pytest.fixture(scope="module")
def head(run, tmp_path_factory):
    return train_head(run, SHORT, tmp_path_factory.mktemp("head"))


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_it_finds_the_planted_span(tiny_clip, tmp_path):
    """On videos never trained on: abnormal ones stand out, and within them the planted snippets and their class."""
    run = synthetic.make_run(tmp_path / "run", tiny_clip, train=48)
    out = train_head(run, HeadConfig(k=3, lr=1e-3), tmp_path / "head").folder
    loaded, shards, rows = load_head(out), ShardSet(run.shards), run.manifest().split("test")
    inside, outside, normal, named = [], [], [], []
    for row in rows:
        scores = score_video(loaded, shards.read(row.key, FIELDS))
        if not row.segments:
            normal += scores.anomaly.tolist()
            continue
        (segment,) = row.segments
        span = slice(segment.start_frame // synthetic.STRIDE, segment.end_frame // synthetic.STRIDE)
        inside += scores.anomaly[span].tolist()
        outside += np.delete(scores.anomaly, np.r_[span]).tolist()
        named.append(loaded.model.classes[scores.classes[span].mean(0).argmax()] == row.labels[0])
    truth = [True] * len(inside) + [False] * len(outside)
    assert roc_auc_score(truth, inside + outside) > 0.9
    assert np.mean(inside) > 0.7 > 0.3 > np.mean(normal)
    assert all(named) and len(named) == 4


def test_two_runs_give_the_same_weights(run, head, tmp_path):
    again = train_head(run, SHORT, tmp_path / "again")
    assert weights(again.folder) == weights(head.folder)
    other = train_head(run, SHORT.model_copy(update={"seed": 1}), tmp_path / "other")
    assert weights(other.folder) != weights(head.folder)


class StopAfter:
    """Stands in for the progress bar and stops the training in its n-th epoch, as Ctrl-C would."""

    def __init__(self, epochs: int):
        self.epochs = epochs

    def read(self, videos: int, total: int) -> None: ...

    def begin(self, done: int, steps: int) -> None: ...

    def step(self, done: int) -> None:
        if done > 10 * self.epochs:
            raise KeyboardInterrupt

    def epoch(self, row: dict) -> None: ...


@pytest.mark.parametrize("config", [SHORT, SHORT.model_copy(update={"validation": 0.01})], ids=["validated", "last"])
def test_resumed_equals_uninterrupted(run, tmp_path, monkeypatch, config):
    """Stopped in the second and again in the third epoch, the same weights and the same log come out."""
    monkeypatch.setattr(training, "_SAVE_EVERY_S", 0)
    whole = train_head(run, config, tmp_path / "whole").folder
    out = tmp_path / "stopped"
    for epochs in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            train_head(run, config, out, progress=StopAfter(epochs))
        assert len((out / "log.csv").read_text().splitlines()) == epochs + 2
    train_head(run, config, out)
    assert weights(out) == weights(whole)
    assert (out / "config.json").read_bytes() == (whole / "config.json").read_bytes()
    assert (out / "log.csv").read_bytes() == (whole / "log.csv").read_bytes()
    assert {path.name for path in out.iterdir()} == {"model.safetensors", "config.json", "log.csv"}


def command(run_folder: Path, *options: str) -> list[str]:
    return [str(Path(sys.executable).with_name("aadc-train-head")), "--run", str(run_folder), "--device", "cpu", *options]


def test_killed_with_9_and_started_again(tiny_clip, tmp_path):
    """The real command, killed without warning once it has kept a state, goes on and ends where an unharmed one ends."""
    ours, theirs = (synthetic.make_run(tmp_path / name, tiny_clip) for name in ("ours", "theirs"))
    process = subprocess.Popen(command(ours.path, "--epochs", "4"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state, deadline = ours.head / "state.safetensors", time.monotonic() + 120
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and state.exists() and not (ours.head / "config.json").exists()
    done = subprocess.run(command(ours.path, "--epochs", "4"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == [f"head: {ours.head}", f"next: aadc-eval --metric auc --run {ours.path}"]
    train_head(theirs, HeadConfig(epochs=4), theirs.head)
    assert weights(ours.head) == weights(theirs.head)
    assert (ours.head / "log.csv").read_text() == (theirs.head / "log.csv").read_text()


def test_a_finished_training_is_left_alone(run, head):
    before = {path: path.stat().st_mtime_ns for path in head.folder.iterdir()}
    again = train_head(run, SHORT, head.folder)
    assert again.already and again.metrics == head.metrics
    assert {path: path.stat().st_mtime_ns for path in head.folder.iterdir()} == before


def test_other_settings_replace_neither_a_finished_head_nor_one_in_the_making(run, tmp_path):
    out = tmp_path / "head"
    train_head(run, SHORT, out)
    other = SHORT.model_copy(update={"gamma": 2.0})
    settled = SETTLED.model_copy(update={"gamma": 2.0})
    with pytest.raises(UserError, match="gamma 1.0, now 2.0.*--out FOLDER.*--restart"):
        train_head(run, other, out)
    assert load_head(out).config == SETTLED
    assert not train_head(run, other, out, restart=True).already
    assert load_head(out).config == settled
    with pytest.raises(KeyboardInterrupt):
        train_head(run, SHORT, out, restart=True, progress=StopAfter(1))
    assert load_head(out).config == SETTLED.model_copy(update={"gamma": 2.0}), (
        "a finished head stays until its successor is whole"
    )
    (out / "config.json").unlink()
    with pytest.raises(UserError, match="begun with other settings.*gamma 1.0, now 0.5.*--restart"):
        train_head(run, SHORT.model_copy(update={"gamma": 0.5}), out)
    assert not train_head(run, SHORT.model_copy(update={"gamma": 0.5}), out, restart=True).already


def test_shards_of_other_models_are_not_gone_on_with(tiny_clip, tmp_path):
    """A training begun on one fingerprint refuses another, and shows both."""
    rng = np.random.default_rng(0)
    rows = [Row(video=f"{i}.mp4", split="train", labels=(synthetic.CARD.names[i % 4],)) for i in range(8)]
    videos = [synthetic.make_video(rng, row.video, "train", row.labels, 5, slice(1, 4)) for row in rows]
    one, other = (synthetic.write_run(tmp_path / f, tiny_clip, rows, videos, fingerprint=16 * f) for f in "ab")
    with pytest.raises(KeyboardInterrupt):
        train_head(one, SHORT, tmp_path / "head", progress=StopAfter(1))
    with pytest.raises(UserError, match="fingerprint a{16}, now b{16}"):
        train_head(other, SHORT, tmp_path / "head")


def test_validation_figures_are_those_of_the_kept_head(run, head):
    """Computed again from the checkpoint alone, video by video, with numpy and scikit-learn."""
    shards, manifest, loaded = ShardSet(run.shards), run.manifest(), load_head(head.folder)
    rows = manifest.split("train")
    bags = load_bags(shards, rows, manifest.card, SHORT)
    _, kept = split_validation(bags, SHORT.validation, SHORT.seed)
    scores, hits, truth = [], [], []
    for row in (rows[i] for i in kept):
        detr, vis = snippet_features(shards.read(row.key, FIELDS), "mean")
        with torch.no_grad():
            found = loaded.model(detr[None], vis[None], torch.ones(1, len(detr), dtype=torch.bool), window=loaded.window)
        found = by_rule(found, loaded.config, loaded.card)
        scores.append(np.sort(found.logits_BT[0])[-5:].mean())
        top = np.sort(found.class_logits_BTC[0], axis=0)[-5:].mean(0)
        hits.append(loaded.card.names[top.argmax()] in row.labels)
        truth.append(loaded.card.is_abnormal(row.labels))
    assert len(kept) == head.metrics["validation_videos"] == 4
    assert head.metrics["val_auc"] == pytest.approx(roc_auc_score(truth, scores))
    assert head.metrics["val_hits"] == pytest.approx(np.mean(hits))
    with (head.folder / "log.csv").open() as file:
        log = list(csv.DictReader(file))
    assert [float(line["val_auc"]) for line in log][head.metrics["epoch"]] == head.metrics["val_auc"]
    assert [line["epoch"] for line in log] == ["0", "1", "2", "3"]


def test_half_a_score_lies_between_the_training_videos_of_both_kinds(run, head, tmp_path):
    """By the scores of the whole training videos as any program computes them, held out or not; not by the paper's rule."""
    shards, rows, loaded = ShardSet(run.shards), run.manifest().split("train"), load_head(head.folder)
    abnormal = np.array([loaded.card.is_abnormal(row.labels) for row in rows])

    def logits(level):
        own = replace(loaded, level=level)
        return np.array([score_video(own, shards.read(row.key, FIELDS)).video.anomaly_logit for row in rows])

    raw = logits(0.0)
    assert loaded.level == pytest.approx((np.quantile(raw[~abnormal], 0.9) + np.quantile(raw[abnormal], 0.1)) / 2, abs=1e-4)
    assert abs(loaded.level) > 0.01
    np.testing.assert_allclose(logits(loaded.level), raw - loaded.level, atol=1e-4)
    paper = train_head(run, SHORT.model_copy(update={"rule": "paper", "epochs": 1}), tmp_path / "paper").folder
    assert load_head(paper).level == 0


def test_the_latest_epoch_within_one_video_of_the_best_is_kept(run, tmp_path, monkeypatch):
    """Of four validation videos one is a quarter: 0.80 and 0.76 pass beside 1.0, 0.70 does not. Then patience runs out."""
    script = [(0.6, 0.4), (1.0, 1.0), (0.8, 0.8), (0.9, 0.5), (0.52, 1.0), *[(1.0, 0.4)] * 9]
    seen = []

    def validate(trainer, bags):
        trainer.keep_text()
        seen.append({name: tensor.clone() for name, tensor in trainer.model.state_dict().items()})
        auc, hits = script[len(seen) - 1]
        return {"val_loss": 0.0, "val_auc": auc, "val_hits": hits}

    monkeypatch.setattr(training.Trainer, "validate", validate)
    out = train_head(run, HeadConfig(epochs=12, patience=3), tmp_path / "head")
    assert (out.metrics["epoch"], out.metrics["epochs_run"], out.metrics["validation_videos"]) == (4, 7, 4)
    kept = load_head(out.folder).model.state_dict()
    assert all(torch.equal(tensor, seen[4][name]) for name, tensor in kept.items())
    assert not torch.equal(kept["score.fc.weight"], seen[3]["score.fc.weight"])


@pytest.mark.parametrize("pairs", [2, 3, 12, 47, 121])
def test_one_video_wrong_among_all_of_the_other_kind_is_within_one_video(pairs):
    """Also where the floating-point sums fall a digit short of the bound; two videos wrong are too many."""
    for wrong, kept in ((1, 5), (2, 0)):
        figures = {"val_loss": 0.0, "val_auc": 1 - wrong / pairs, "val_hits": 1.0}
        trainer = SimpleNamespace(validate=lambda bags, figures=figures: figures, model=torch.nn.Linear(1, 1))
        done = Progress(epoch=5, best=1.0)
        training._judge(done, trainer, [], [None] * 2 * pairs, {})
        assert done.kept_epoch == kept and done.best == 1.0


def remake(run, folder: Path, clip: Path, change) -> object:
    """The same train videos in another run, each changed a little."""
    shards, rows = ShardSet(run.shards), run.manifest().split("train")
    videos = [shards.read(row.key) for row in rows]
    for video in videos:
        change(video)
    return synthetic.write_run(folder, clip, rows, videos)


def test_no_detr_ignores_the_detector(run, tiny_clip, tmp_path):
    """Trained on shards that differ in nothing but the detector's features, the heads are byte for byte the same."""
    without = SHORT.model_copy(update={"use_detr": False})

    def scramble(video):
        video.detr = -3 * video.detr[::-1] + 7

    other = remake(run, tmp_path / "other", tiny_clip, scramble)
    one, two = (train_head(r, without, tmp_path / f"{i}").folder for i, r in enumerate((run, other)))
    assert weights(one) == weights(two)
    one, two = (train_head(r, SHORT, tmp_path / f"with{i}").folder for i, r in enumerate((run, other)))
    assert weights(one) != weights(two)


def test_features_that_are_no_numbers_stop_it(run, tiny_clip, tmp_path):
    def spoil(video):
        if video.video == "train/005.mp4":
            video.scene[2, 3] = np.inf

    with pytest.raises(UserError, match="train/005.mp4.*not all finite"):
        train_head(remake(run, tmp_path / "bad", tiny_clip, spoil), SHORT)


@pytest.mark.parametrize("labels", [("fall",), ("walk",)])
def test_one_kind_alone_cannot_be_trained_on(tiny_clip, tmp_path, labels):
    rng = np.random.default_rng(0)
    rows = [Row(video=f"{i}.mp4", split="train", labels=labels) for i in range(3)]
    videos = [synthetic.make_video(rng, row.video, "train", labels, 4, slice(0, 2)) for row in rows]
    with pytest.raises(UserError, match="all 3 train videos.* are (ab)?normal; training needs"):
        train_head(synthetic.write_run(tmp_path / "run", tiny_clip, rows, videos), SHORT)


def test_odd_sets_train_all_the_same(tiny_clip, tmp_path):
    """One-snippet videos, several labels a video, a class nobody has, too few for a validation split."""
    rng = np.random.default_rng(0)
    labels = [("walk",), ("fall", "fire"), ("walk",), ("fall",)]
    rows = [Row(video=f"{i}.mp4", split="train", labels=label) for i, label in enumerate(labels)]
    videos = [
        synthetic.make_video(rng, r.video, "train", r.labels, n, slice(0, 1)) for r, n in zip(rows, (1, 1, 2, 9), strict=True)
    ]
    run = synthetic.write_run(tmp_path / "run", tiny_clip, rows, videos)
    for pooling in ("mean", "attention"):
        done = train_head(run, SHORT.model_copy(update={"pooling": pooling}), restart=True)
        assert done.metrics["validation_videos"] == 0 and done.metrics["epoch"] == 3
        assert done.metrics["val_auc"] is None
        loaded = load_head(run.head)
        for row in rows:
            assert np.isfinite(score_video(loaded, ShardSet(run.shards).read(row.key, FIELDS)).anomaly).all()


def test_another_clip_is_refused(run, tmp_path):
    from safetensors.torch import load_file, save_file

    source = Path(ShardSet(run.shards).models["clip"]["source"])
    moved = tmp_path / "moved"
    moved.mkdir()
    tensors = load_file(source / "open_clip_model.safetensors")
    (moved / "open_clip_config.json").write_bytes((source / "open_clip_config.json").read_bytes())
    save_file(tensors, moved / "open_clip_model.safetensors")
    assert train_head(run, SHORT, tmp_path / "head", clip=str(moved)).metrics["epoch"]
    save_file({**tensors, "ln_final.weight": tensors["ln_final.weight"] + 1}, moved / "open_clip_model.safetensors")
    with pytest.raises(UserError, match="not those the features were made with"):
        train_head(run, SHORT, tmp_path / "other", clip=str(moved))


def test_callers_random_numbers_are_left_alone(run, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train_head(run, HeadConfig(epochs=1), tmp_path / "head")
    assert torch.equal(torch.rand(3), expected)


def test_nothing_but_shards_is_needed(run, tmp_path):
    """On a machine where neither transformers nor a video decoder can be imported, the command trains."""
    program = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('transformers', 'decord', 'av', 'timm'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from aadc.head.cli import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "from aadc.head.scoring import score_video\n"
    )
    copy = tmp_path / "run"
    subprocess.run(["cp", "-r", str(run.path), str(copy)], check=True)
    done = subprocess.run(
        [sys.executable, "-c", program, "--run", str(copy), "--epochs", "2", "--device", "cpu"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((copy / "head" / "config.json").read_text())["metrics"]["epochs_run"] == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--run", "nowhere"], "nowhere: not a run folder"),
        ([], "no run under runs/"),
        (["--run", "empty"], "manifest.csv"),
        (["--run", "unextracted"], "no shards in it; run aadc-extract first"),
        (["--run", "RUN", "--gamma", "0"], "gamma"),
        (["--run", "RUN", "--gamma", "inf"], "gamma"),
        (["--run", "RUN", "--gamma", "nan"], "gamma"),
        (["--run", "RUN", "--gamma", "1e300"], "gamma"),
        (["--run", "RUN", "--seed", str(2**70)], "seed"),
        (["--run", "RUN", "--seed", str(2**32)], "seed"),
        (["--run", "RUN", "--epochs", str(2**70)], "epochs"),
        (["--run", "RUN", "--k", str(2**70)], "k: "),
        (["--run", "RUN", "--clip", "nowhere/at/all"], "nowhere"),
        (["--run", "RUN", "--device", "cuda:99"], "--device cuda:99"),
    ],
)
def test_wrong_use_is_told_in_one_sentence(run, tmp_path, options, said):
    for name in ("empty", "unextracted"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    for suffix in (".csv", ".toml"):
        (tmp_path / "unextracted" / f"manifest{suffix}").write_bytes(run.manifest_csv.with_suffix(suffix).read_bytes())
    program = command(Path("."))[0]
    given = [str(run.path) if option == "RUN" else option for option in options]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([program, *given], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_help_is_quick_and_imports_no_torch():
    program = "import sys; from aadc.head.cli import app; print(sorted({'torch', 'open_clip', 'h5py'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"
    assert "Examples:" in subprocess.run([command(Path("."))[0], "--help"], capture_output=True, text=True).stdout


def damage_state(path: Path, harm) -> None:
    with safe_open(path, "pt") as file:
        record = json.loads(file.metadata()["record"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    record = harm(tensors, record) or record
    save_file(tensors, path, {"record": json.dumps(record)})


def spoil(tensors, record):
    tensors["model.score.fc.weight"][0, 0] = np.nan


def misshape(tensors, record):
    tensors["best.score.fc.weight"] = torch.zeros(3, 3)


def misshape_moment(tensors, record):
    tensors["adam.0.exp_avg"] = torch.zeros(7)


def retype(tensors, record):
    tensors["model.score.fc.weight"] = tensors["model.score.fc.weight"].half()


@pytest.mark.parametrize(
    "harm",
    [
        spoil,
        misshape,
        misshape_moment,
        retype,
        lambda tensors, record: tensors.pop("adam.1.exp_avg") is None,
        lambda tensors, record: tensors.pop("model.score.fc.weight") is None,
        lambda tensors, record: tensors.update(foreign=torch.zeros(1)),
        lambda tensors, record: tensors.update({"adam.x.step": torch.zeros(())}) or {**record, "tensors": len(tensors)},
        lambda tensors, record: ["no record"],
        lambda tensors, record: {**record, "identity": None},
        lambda tensors, record: {name: record[name] for name in ("identity", "tensors")},
        lambda tensors, record: {**record, "progress": {**record["progress"], "epoch": "one"}},
        lambda tensors, record: {**record, "progress": {**record["progress"], "kept_epoch": 99}},
        lambda tensors, record: {**record, "progress": {**record["progress"], "history": [{}]}},
        lambda tensors, record: {**record, "progress": {**record["progress"], "best": math.nan}},
    ],
)  # fmt: skip
def test_a_damaged_state_is_refused_with_the_way_out(run, tmp_path, state_of_one_epoch, harm):
    out = tmp_path / "head"
    shutil.copytree(state_of_one_epoch, out)
    damage_state(out / "state.safetensors", harm)
    with pytest.raises(UserError, match=r"state.safetensors.*--restart"):
        train_head(run, SHORT, out)
    assert not (out / "config.json").exists()


@pytest.mark.parametrize("place", [b'kept_epoch\\": ', b'val_loss\\": ', None], ids=["epoch", "figure", "weight"])
def test_one_flipped_bit_in_a_state_is_told(run, tmp_path, state_of_one_epoch, place):
    """What stays a number, and could be one of this training: gone on with, it would give other weights and say nothing."""
    out = tmp_path / "head"
    shutil.copytree(state_of_one_epoch, out)
    content = bytearray((out / "state.safetensors").read_bytes())
    content[-2 if place is None else content.rindex(place) + len(place)] ^= 1
    (out / "state.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"state.safetensors.*--restart"):
        train_head(run, SHORT, out)


@pytest.fixture(scope="module")
def state_of_one_epoch(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("state") / "head"
    with pytest.raises(KeyboardInterrupt):
        train_head(run, SHORT, out, progress=StopAfter(1))
    return out


def test_an_undamaged_state_is_gone_on_with(run, head, tmp_path, state_of_one_epoch):
    """So that what the damaged ones are refused for is their damage."""
    out = tmp_path / "head"
    shutil.copytree(state_of_one_epoch, out)
    damage_state(out / "state.safetensors", lambda tensors, record: None)
    assert weights(train_head(run, SHORT, out).folder) == weights(head.folder)


def test_a_loss_that_is_no_number_ends_the_training_and_keeps_the_old_head(run, head, tmp_path, monkeypatch):
    out = tmp_path / "head"
    shutil.copytree(head.folder, out)
    monkeypatch.setattr(training.Trainer, "step", lambda *_: {"bce": math.nan, "nce": 0.0})
    with pytest.raises(UserError, match="loss of step 1 is no finite number"):
        train_head(run, SHORT, out, restart=True)
    assert weights(out) == weights(head.folder) and load_head(out).config == SETTLED


def test_restart_removes_nothing_before_a_training_can_begin(run, head, tmp_path):
    out = tmp_path / "head"
    shutil.copytree(head.folder, out)
    with pytest.raises(UserError):
        train_head(run, SHORT, out, clip=str(tmp_path / "no clip"), restart=True)
    assert load_head(out).config == SETTLED


def test_restart_with_videos_of_one_kind_alone_keeps_what_was_there(run, head, tiny_clip, tmp_path):
    """As the real command, on a finished head and on one in the making."""
    rng = np.random.default_rng(0)
    rows = [Row(video=f"{i}.mp4", split="train", labels=("fall",)) for i in range(3)]
    videos = [synthetic.make_video(rng, row.video, "train", row.labels, 4, slice(0, 2)) for row in rows]
    one_kind = synthetic.write_run(tmp_path / "run", tiny_clip, rows, videos)
    shutil.copytree(head.folder, one_kind.head)
    (one_kind.head / "state.safetensors").write_bytes(b"a state")
    before = {path.name: path.read_bytes() for path in one_kind.head.iterdir()}
    done = subprocess.run(command(one_kind.path, "--restart"), capture_output=True, text=True)
    assert done.returncode == 2 and "training needs normal ones too" in done.stderr
    assert {path.name: path.read_bytes() for path in one_kind.head.iterdir() if not path.name.startswith(".")} == before


@pytest.mark.parametrize("left", [5000, 0])
def test_a_disk_that_fills_up_at_publication_leaves_the_old_head(run, head, tmp_path, monkeypatch, left):
    """Training goes through, with its log; the weights then find `left` bytes on the disk."""
    out = tmp_path / "head"
    shutil.copytree(head.folder, out)
    monkeypatch.setattr(training, "_SAVE_EVERY_S", math.inf)
    save_head, before = training.save_head, resource.getrlimit(resource.RLIMIT_FSIZE)

    def on_a_full_disk(*given):
        resource.setrlimit(resource.RLIMIT_FSIZE, (left, before[1]))
        save_head(*given)

    monkeypatch.setattr(training, "save_head", on_a_full_disk)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(UserError, match=r"could not be written \(.*\); free some space"):
            train_head(run, HeadConfig(epochs=1), out, restart=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert weights(out) == weights(head.folder) and load_head(out).config == SETTLED
    assert {path.name for path in out.iterdir()} == {"model.safetensors", "config.json", "log.csv"}
    monkeypatch.setattr(training, "save_head", save_head)
    train_head(run, HeadConfig(epochs=1), out, restart=True)
    assert load_head(out).config.epochs == 1


def test_going_on_with_another_number_of_threads_is_said_and_noted(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "_SAVE_EVERY_S", 0)
    monkeypatch.setattr(training, "_NARROW", 0)  # features this narrow have one thread wherever they are trained on
    before, out = torch.get_num_threads(), tmp_path / "head"
    try:
        torch.set_num_threads(1)
        with pytest.raises(KeyboardInterrupt):
            train_head(run, SHORT, out, progress=StopAfter(1))
        with pytest.raises(KeyboardInterrupt):
            train_head(run, SHORT, out, progress=StopAfter(2))
        assert "threads" not in capsys.readouterr().out
        torch.set_num_threads(2)
        train_head(run, SHORT, out)
    finally:
        torch.set_num_threads(before)
    assert "begun with 1 threads, gone on with 2" in capsys.readouterr().out
    assert json.loads((out / "config.json").read_text())["threads"] == [1, 2] and load_head(out).config == SETTLED


def test_narrow_features_are_trained_by_one_thread_and_leave_the_others_as_they_were(run, tmp_path):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        train_head(run, SHORT, tmp_path / "head")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert json.loads((tmp_path / "head" / "config.json").read_text())["threads"] == 1


def test_what_was_edited_since_is_named_by_the_command(run, head, tmp_path):
    """Class card and manifest, both of the run (another training would come of it) and where it was extracted from (nothing
    comes of it until aadc-extract takes it up)."""
    copy, source = RunFolder(tmp_path / "run"), tmp_path / "set.csv"
    shutil.copytree(run.path, copy.path)
    shutil.copytree(head.folder, copy.head, dirs_exist_ok=True)
    manifest = run.manifest()
    entries = [
        entry.model_copy(update={"prompt": "someone falls"}) if entry.name == "fall" else entry for entry in CARD.classes
    ]
    card = CARD.model_copy(update={"classes": entries})
    rows = [row.model_copy(update={"labels": ("sit",)}) if row.video == "train/000.mp4" else row for row in manifest.rows]
    write_manifest(rows, card, source)
    copy.run_json.write_text(json.dumps({"manifest": str(source)}))
    options = ["--epochs", "3"]
    first = subprocess.run(command(copy.path, *options, "--out", str(tmp_path / "new")), capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    for words in ("1 row relabelled, train/000.mp4", "other prompt of fall", f"aadc-extract {source} takes the changes up"):
        assert words in first.stdout
    write_manifest(rows, card, copy.manifest_csv)
    again = subprocess.run(command(copy.path, *options, "--out", str(tmp_path / "new")), capture_output=True, text=True)
    assert again.returncode == 2 and "has changed since" not in again.stdout
    for words in (
        "class fall (3, abnormal: a fall), now (3, abnormal: someone falls)",
        "1 videos labelled otherwise, such as train/000.mp4", "--restart",
    ):  # fmt: skip
        assert words in again.stderr


def test_features_of_another_width_are_named(run, head, tiny_clip, tmp_path):
    """In training, beside CLIP's own width, and where a head scores: the video, and both widths."""
    rng = np.random.default_rng(0)
    rows = [Row(video=f"{i}.mp4", split="train", labels=(CARD.names[i % 4],)) for i in range(8)]

    def video(number: int, **widths: int):
        return synthetic.make_video(rng, rows[number].video, "train", rows[number].labels, 5, slice(1, 4), **widths)

    narrow = synthetic.write_run(tmp_path / "narrow", tiny_clip, rows, [video(number, width=12) for number in range(8)])
    with pytest.raises(UserError, match="0.mp4: its CLIP features are 12 wide where 16 are expected"):
        train_head(narrow, SHORT)
    for odd, said in (
        ({"detr": 5}, "detector features are 5 wide where 6"),
        ({"width": 12}, "CLIP features are 12 wide where 16"),
    ):
        mixed = [video(number, **(odd if number == 3 else {})) for number in range(8)]
        shards = SimpleNamespace(
            folder=tmp_path,
            several_crops=False,
            entries={row.key: SimpleNamespace(snippets=5) for row in rows},
            read_videos=lambda keys, names, mixed=mixed: zip(keys, map(kept_as_half, mixed), strict=True),
        )
        with pytest.raises(UserError, match=f"3.mp4: its {said}"):
            load_bags(shards, rows, CARD, SHORT)
        with pytest.raises(UserError, match=f"3.mp4: its {said}"):
            score_video(load_head(head.folder), kept_as_half(mixed[3]))


def kept_as_half(video):
    """A made-up video as shards keep it."""
    half = copy.copy(video)
    for name in ("scene", "detr", "crop"):
        setattr(half, name, getattr(video, name).astype(np.float16))
    return half


@pytest.mark.parametrize("size", [100, 4000, 20_000])
def test_a_full_disk_leaves_the_old_head(run, head, tmp_path, size):
    """Files may not grow beyond `size`, as on a full disk: one sentence, status 2, the old head whole."""
    out = tmp_path / "head"
    shutil.copytree(head.folder, out)
    limited = [sys.executable, "-c", LIMITED, str(size), *command(run.path, "--epochs", "2", "--out", str(out), "--restart")]
    done = subprocess.run(limited, capture_output=True, text=True)
    assert done.returncode == 2 and "could not be written" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert weights(out) == weights(head.folder) and load_head(out).config == SETTLED


LIMITED = """
import resource, signal, os, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_what_differs_from_a_finished_head_is_named(run, head, tiny_clip, tmp_path):
    """Other videos, labels and classes, by name."""
    record = json.loads((head.folder / "config.json").read_text())
    identity = {"videos": record["trained_on"]["videos"], "classes": {"fall": "1, abnormal: a fall", "walk": "2, normal: w"}}
    videos = {**identity["videos"], "new.mp4": ["fall"]}
    videos.pop("train/000.mp4")
    videos["train/001.mp4"] = ["fire"]
    said = differences(identity, {"videos": videos, "classes": {"fall": "1, abnormal: falling", "run": "2, normal: r"}})
    for part in (
        "1 videos added, such as new.mp4", "1 videos removed, such as train/000.mp4", "1 videos labelled otherwise",
        "class fall (1, abnormal: a fall), now (1, abnormal: falling)", "class walk (2, normal: w), now not there",
    ):  # fmt: skip
        assert part in said
    assert differences(identity, identity) == ""


def test_a_head_of_features_that_are_others_now_is_not_called_the_same(run, head, tmp_path):
    """A video that was replaced and extracted again, in a training that is finished and in one that goes on. Heads that did
    not note their features stay what they are."""
    copy = RunFolder(tmp_path / "run")
    shutil.copytree(run.path, copy.path)
    shutil.copytree(head.folder, copy.head, dirs_exist_ok=True)
    record = json.loads((copy.head / "config.json").read_text())
    config = HeadConfig(**record["config"])
    with h5py.File(copy.shards / "00000.h5", "r+") as file:
        file["videos/train%2F003.mp4"].attrs["sha256"] = "c" * 64
        file["videos/train%2F003.mp4"].attrs.pop("seal")
    with pytest.raises(UserError, match="finished head .*1 videos with other features, such as train/003.mp4.*--restart"):
        train_head(copy, config)
    identity = {"features": record["trained_on"]["features"]}
    assert "1 videos with other features" in differences(identity, {"features": {**identity["features"], "train/001.mp4": "x"}})
    del record["trained_on"]["features"], record["seal"]
    (copy.head / "config.json").write_text(json.dumps(record))
    assert train_head(copy, config).already
