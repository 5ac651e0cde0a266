"""Every figure says where it comes from, and none is replaced by one of another kind."""

import json
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from calls import call
from test_eval_command import CARD, ROWS, head_for, run  # noqa: F401, a fixture

from aadc.eval.cli.evaluate import main
from aadc.eval.cli.table import main as table_main
from aadc.eval.made_with import Choice
from aadc.extract.run_folder import RunFolder
from aadc.head.checkpoint import load_head, save_head, sha256_of
from aadc.manifests.card import ClassEntry
from aadc.manifests.manifest import Row, write_manifest


def metrics_of(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def retrain(run: RunFolder) -> None:  # noqa: F811
    """Another head in the place of the run's own."""
    head = load_head(run.head)
    with torch.no_grad():
        list(head.model.score.parameters())[-2].neg_()
    save_head(run.head, head.model, head.config, head.card, head.fingerprint, {"source": "none", "weights": "0"}, {}, {})


def test_the_block_is_in_every_file_and_true(run):  # noqa: F811
    assert call(main, "--run", str(run.path), "--report")[0] == 0
    block = metrics_of(run.eval)["made_with"]
    assert block["head"]["weights"] == sha256_of(run.head / "model.safetensors") and block["head"]["config"]["n_ctx"] == 1
    assert (block["split"], block["threshold"], block["stride"], block["fingerprint"]) == ("test", 0.5, 16, "f" * 16)
    assert block["manifest"]["sha256"] == sha256_of(run.manifest_csv)
    assert block["versions"]["torch"] == torch.__version__.partition("+")[0] or block["versions"]["torch"] == torch.__version__
    assert block["command"].startswith("aadc --run ") and block["date"].endswith("+00:00")
    assert json.loads((run.eval / "made_with.json").read_text()) == block
    with h5py.File(run.eval / "scores.h5") as file:
        assert json.loads(file.attrs["made_with"]) == block
    page = (run.eval / "report.html").read_text()
    assert f'<meta name="aadc-scores" content="{block["scores"]}">' in page and block["head"]["weights"] in page


@pytest.mark.parametrize("other", ["--split train", "--threshold 0.9", "--head HEAD", "--out OUT"])
def test_figures_of_another_kind_have_a_folder_of_their_own(run, tmp_path, other):  # noqa: F811
    call(main, "--run", str(run.path), "--report")
    before = {path: path.read_bytes() for path in run.eval.iterdir() if path.is_file() and path.suffix}
    shutil.copytree(run.head, tmp_path / "head")
    retrain(RunFolder(tmp_path))
    words = other.replace("HEAD", str(tmp_path / "head")).replace("OUT", str(tmp_path / "out")).split()
    status, out, _ = call(main, "--run", str(run.path), *words)
    assert status == 0 and {path: path.read_bytes() for path in before} == before
    folder = {"--split": "train", "--threshold": "test-threshold-0.9"}.get(words[0])
    if words[0] == "--head":
        folder = f"test-head-{sha256_of(tmp_path / 'head' / 'model.safetensors')[:8]}"
    found = metrics_of(run.eval / folder if folder else tmp_path / "out")
    assert found["made_with"]["split"] == found["split"]
    assert f"next: aadc-eval {' '.join(words)} --report --run" in out, "the next command leads to the same folder"


def test_the_run_s_own_head_by_name_is_no_other(run):  # noqa: F811
    assert Choice(head=run.path / "shards" / ".." / "head").folder(run) == run.eval


def test_auc_leaves_map_where_nothing_else_has_changed(run):  # noqa: F811
    call(main, "--run", str(run.path), "--metric", "all")
    whole = metrics_of(run.eval)
    assert whole["map"] and "map_clean" in whole["interval"]
    call(main, "--run", str(run.path), "--metric", "auc")
    again = metrics_of(run.eval)
    assert again["map"] == whole["map"] and again["interval"] == whole["interval"]
    retrain(run)
    call(main, "--run", str(run.path), "--metric", "auc")
    assert metrics_of(run.eval)["map"] is None and "map_clean" not in metrics_of(run.eval)["interval"]


@pytest.mark.parametrize(
    "content", ["", "[1]", "{" * 100_000, '{"made_with": 3}', '{"made_with": {}, "map": 1, "interval": 2}']
)
def test_a_damaged_metrics_json_is_replaced(run, content):  # noqa: F811
    run.eval.mkdir()
    (run.eval / "metrics.json").write_text(content)
    assert call(main, "--run", str(run.path))[0] == 0 and metrics_of(run.eval)["map"] is None


def test_all_shares_are_shares_of_one(run):  # noqa: F811
    """One unit in the file; on the terminal percent."""
    _, out, _ = call(main, "--run", str(run.path), "--metric", "all")
    found = metrics_of(run.eval)
    shares = [
        found["frame"]["auc"],
        *found["map"]["clean"]["map"],
        found["map"]["published"]["mean"],
        *found["interval"]["category_accuracy"],
    ]
    assert all(0 <= share <= 1 for share in shares)
    assert f"{100 * found['map']['clean']['mean']:.2f}" in out
    assert f"{100 * found['interval']['category_accuracy'][1]:.1f}" in out


def test_an_older_report_is_named(run):  # noqa: F811
    _, out, _ = call(main, "--run", str(run.path), "--report")
    assert "shows other scores" not in out
    assert "shows other scores" not in call(main, "--run", str(run.path))[1]
    retrain(run)
    _, out, _ = call(main, "--run", str(run.path))
    assert "report.html is of an earlier command and shows other scores than these" in out
    call(main, "--run", str(run.path), "--report")
    assert "shows other scores" not in call(main, "--run", str(run.path))[1]


def test_a_manifest_changed_after_extraction_is_told(run, tmp_path):  # noqa: F811
    source = tmp_path / "set.csv"
    write_manifest(ROWS, CARD, source)
    run.write_record({"settings": {}, "manifest": str(source)})
    assert "has changed" not in call(main, "--run", str(run.path))[1]
    rows = [
        *ROWS[:3],
        ROWS[3].model_copy(update={"segments": ROWS[3].segments[:0]}),
        Row(video="z.mp4", split="test", labels="sit"),
    ]
    card = CARD.model_copy(
        update={"classes": [*CARD.classes[:3], ClassEntry(name="fight", kind="abnormal", prompt="two people")]}
    )
    write_manifest(rows, card, source)
    _, out, _ = call(main, "--run", str(run.path))
    note = " ".join(out[out.index("note:") :].split())
    for words in (
        "1 row with other segments or frames, p/1.mp4", "1 row added, z.mp4",
        "2 rows removed, p/2.mp4 for one",
        "other prompt of fight",
        "labels of the run's own copy", f"aadc-extract {source} takes",
    ):  # fmt: skip
        assert words in note
    source.write_text("no manifest")
    assert "cannot be read any more" in call(main, "--run", str(run.path))[1]
    source.unlink()
    assert "note: " not in call(main, "--run", str(run.path))[1]


def test_a_class_card_changed_after_training_is_told(run):  # noqa: F811
    entries = [*CARD.classes[:3], ClassEntry(name="fight", kind="abnormal", prompt="two people fighting")]
    write_manifest(ROWS, CARD.model_copy(update={"classes": entries}), run.manifest_csv)
    assert "the class card has changed since the head was trained (fight)" in call(main, "--run", str(run.path))[1]


def test_next_commands_take_the_same_run(run, monkeypatch):  # noqa: F811
    monkeypatch.chdir(run.path.parent.parent)
    other = RunFolder(Path("runs/newer"))
    shutil.copytree(run.path, other.path)
    other.mark_latest()
    assert "next: aadc-eval --report shows" in call(main)[1]
    assert "next: aadc-eval --report --run runs/set shows" in call(main, "--run", "runs/set")[1]


def test_miniature_models_are_told_everywhere_but_on_drawn_scenes(run):  # noqa: F811
    from test_eval_command import features

    from aadc.extract.shards import ShardHeader, write_shard
    from aadc.manifests.scenes import SOURCE

    made = [features(row.video, row.split, row.labels, 60 + 9 * seed, seed) for seed, row in enumerate(ROWS)]
    models = {"detector": {"source": "/opt/miniature/detr"}, "clip": {"source": "x"}}
    write_shard(run.shards / "00000.h5", ShardHeader("f" * 16, models, {"stride": 16}), made)
    for program, *arguments in ([main], [main, "--report"], [table_main, "classes"]):
        assert "they know this project's drawn scenes alone" in call(program, "--run", str(run.path), *arguments)[1]
    assert "they know this project&#39;s drawn scenes alone" in (run.eval / "report.html").read_text()
    write_manifest(ROWS, CARD.model_copy(update={"source": SOURCE}), run.manifest_csv)
    for arguments in ([], ["--report"]):
        assert "drawn scenes" not in call(main, "--run", str(run.path), *arguments)[1]
    assert "drawn scenes" not in (run.eval / "report.html").read_text()


def test_only_what_figures_need_is_kept(run):  # noqa: F811
    """Scene, crops and F (T, D) of a scored split are let go; F comes again, equal, when the describer asks."""
    from aadc.eval.scores import WIDE, score_split
    from aadc.extract.shards import ShardSet
    from aadc.head.scoring import score_video

    head, shards = load_head(run.head), ShardSet(run.shards)
    scored = score_split(head, shards, ROWS, 0.5)
    assert list(scored) == [row.key for row in ROWS]
    for key, one in scored.items():
        assert set(one.features.arrays()) == {"frame", "time", "count", "class"}
        assert not any(hasattr(one.features, name) for name in WIDE)
        np.testing.assert_array_equal(one.snippets.features, score_video(head, shards.read(key)).features)
