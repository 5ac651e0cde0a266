"""`aadc-table`: heads are trained as each row says, once, and the figures are those of the heads."""

import csv
import json
import shutil
import statistics
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "head"))
import synthetic
from calls import call

from aadc.eval import experiments
from aadc.eval.cli.evaluate import main
from aadc.eval.cli.table import main as table_main
from aadc.eval.paper_tables import confusion_table, over_seeds
from aadc.eval.table_command import names_of
from aadc.head.config import HeadConfig
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.manifest import Row, write_manifest


@pytest.fixture(autouse=True)
def short_trainings(monkeypatch):
    """In this process, one after the other, two epochs each; the rows of the tables stay what they are."""
    monkeypatch.setattr(experiments, "MOST_AT_ONCE", 1)
    for table in (experiments.ABLATION, experiments.K_GAMMA, experiments.PLAIN):
        for name, config in table.items():
            monkeypatch.setitem(table, name, config.model_copy(update={"epochs": 2}))


@pytest.fixture
def run(tmp_path, tiny_clip):
    return synthetic.make_run(tmp_path / "run", tiny_clip)


def newest(paths) -> Path:
    return max(paths, key=lambda path: path.stat().st_mtime_ns)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_mean_and_deviation_over_seeds():
    found = {"a": [{"AUC": 0.5, "AP": 0.1}, {"AUC": 0.7, "AP": None}], "b": [{"AUC": 1.0, "AP": 0.2}, {"AUC": 1.0, "AP": 0.2}]}
    table = over_seeds("title", "setting", found)
    spread = statistics.stdev([0.5, 0.7])
    assert table.rows == [["a", f"60.00 ± {100 * spread:.2f}", "-"], ["b", "100.00 ± 0.00", "20.00 ± 0.00"]]
    (first, second) = list(csv.DictReader(table.csv().splitlines()))
    assert float(first["AUC deviation"]) == pytest.approx(spread) and first["AP mean"] == "" and second["seeds"] == "2"
    assert table.markdown().splitlines()[2:5] == [
        "| setting | AUC | AP |", "| --- | ---: | ---: |", f"| a | 60.00 ± {100 * spread:.2f} | - |",
    ]  # fmt: skip
    assert over_seeds("", "", {"a": [{"AUC": 0.5}]}).rows == [["a", "50.00"]]


def test_confusion_has_true_classes_in_rows():
    table = confusion_table("abnormal", {"classes": ["x", "y"], "confusion": [[3, 1], [0, 2]], "accuracy": 5 / 6})
    assert table.rows == [["x", "3", "1"], ["y", "0", "2"]] and "83.3" in table.title and table.heads[1:] == ["x", "y"]


def test_ablation_trains_each_row_as_it_says_and_once(run):
    status, out, _ = call(table_main, "ablation", "--seeds", "2", "--run", str(run.path))
    assert status == 0 and "ablation.md" in out.replace("\n", "")
    heads = {path.parent: json.loads(path.read_text())["config"] for path in run.path.glob("heads/*/seed-*/config.json")}
    found = {(folder.parent.name, c["seed"]): (c["use_detr"], c["use_mtn"]) for folder, c in heads.items()}
    rows = {
        "CLIP-alone": (False, False),
        "with-DETR": (True, False),
        "with-MTN": (False, True),
        "default": (True, True),  # "with DETR and MTN": the head that the other tables ask for, too
    }
    assert found == {(row, seed): what for row, what in rows.items() for seed in (0, 1)}

    # The same figures from the plain command, one head at a time.
    table = {row["setting"]: row for row in rows_of(run.eval / "tables" / "ablation.csv")}
    aucs = []
    for seed in (0, 1):
        call(main, "--run", str(run.path), "--head", str(run.path / "heads" / "with-MTN" / f"seed-{seed}"))
        aucs.append(json.loads(newest(run.eval.glob("test-head-*/metrics.json")).read_text())["frame"]["auc"])
    assert float(table["with MTN"]["frame AUC mean"]) == pytest.approx(statistics.mean(aucs))
    assert float(table["with MTN"]["frame AUC deviation"]) == pytest.approx(statistics.stdev(aucs))
    assert f"{100 * statistics.mean(aucs):.2f}" in (run.eval / "tables" / "ablation.md").read_text()

    # One head is lost: it alone is trained again.
    lost, *others = heads
    before = {folder: (folder / "model.safetensors").stat().st_mtime_ns for folder in others}
    shutil.rmtree(lost)
    call(table_main, "ablation", "--seeds", "2", "--run", str(run.path))
    assert (lost / "config.json").exists()
    assert {folder: (folder / "model.safetensors").stat().st_mtime_ns for folder in others} == before


def test_k_gamma_has_the_paper_s_nine_rows(run):
    status, _, _ = call(table_main, "k-gamma", "--seeds", "1", "--run", str(run.path))
    configs = [json.loads(path.read_text())["config"] for path in run.path.glob("heads/*/seed-0/config.json")]
    assert status == 0 and {(c["k"], c["gamma"]) for c in configs} == {(k, g) for k in (3, 5, 7) for g in (0.5, 1, 2)}
    assert len(rows_of(run.eval / "tables" / "k-gamma.csv")) == 9


def test_cross_meets_classes_it_was_not_trained_on(run, tmp_path, tiny_clip):
    """Not one class of the second set is known to the first, nor are there as many; each run's heads read the other's words."""
    other = synthetic.make_run(tmp_path / "other", tiny_clip, seed=5)
    names = {"walk": "strolling", "sit": "resting", "fall": "tumble", "fire": "blaze"}
    card = Card(
        title="Elsewhere",
        classes=[
            ClassEntry(name="flood", kind="abnormal", prompt="water in the street"),
            *(ClassEntry(name=names[c.name], kind=c.kind, prompt=f"some {names[c.name]}") for c in synthetic.CARD.classes),
        ],
    )
    rows = [
        Row(
            video=row.video, split=row.split, labels=[names[label] for label in row.labels],
            segments=[segment._replace(label=names[segment.label]) for segment in row.segments],
        )
        for row in other.manifest().rows
    ]  # fmt: skip
    write_manifest(rows, card, other.manifest_csv)
    status, out, _ = call(table_main, "cross", "--other", str(other.path), "--seeds", "1", "--run", str(run.path))
    found = {row["data sets"]: row for row in rows_of(run.eval / "tables" / "cross.csv")}
    pairs = [("Synthetic", "Synthetic"), ("Synthetic", "Elsewhere"), ("Elsewhere", "Synthetic"), ("Elsewhere", "Elsewhere")]
    assert status == 0 and list(found) == [f"{trained} -> {tested}" for trained, tested in pairs]
    assert all(row["category, kind known mean"] for row in found.values()), "categories are told on the unknown classes, too"
    assert not set(card.names) & set(run.manifest().card.names)
    head = run.path / "heads" / "default" / "seed-0"
    call(main, "--run", str(other.path), "--head", str(head), "--classes", str(other.manifest_csv.with_suffix(".toml")))
    metrics = json.loads(newest(other.eval.glob("test-head-*/metrics.json")).read_text())
    assert float(found["Synthetic -> Elsewhere"]["frame AUC mean"]) == pytest.approx(metrics["frame"]["auc"])
    assert float(found["Synthetic -> Elsewhere"]["category, kind known mean"]) == pytest.approx(metrics["category"]["accuracy"])


def test_two_runs_of_one_title_are_told_apart(run, tmp_path, tiny_clip):
    other = synthetic.make_run(tmp_path / "other", tiny_clip, train=4, test=4)
    assert names_of(run, other) == {run: str(run.path), other: str(other.path)}


def test_classes_are_the_confusion_matrices_of_the_run_s_own_head(run):
    from aadc.head.train import train_head

    train_head(run, HeadConfig(epochs=2))
    status, _, _ = call(table_main, "classes", "--run", str(run.path))
    call(main, "--run", str(run.path))
    figures = json.loads((run.eval / "metrics.json").read_text())["category"]["abnormal"]
    rows = rows_of(run.eval / "tables" / "classes-abnormal.csv")
    assert status == 0 and [row["true \\ predicted"] for row in rows] == figures["classes"]
    assert [[int(row[name]) for name in figures["classes"]] for row in rows] == figures["confusion"]


def test_cross_needs_two_runs(run):
    for arguments in (["cross"], ["ablation", "--other", str(run.path)]):
        status, _, err = call(table_main, "--run", str(run.path), *arguments)
        assert status == 2 and "--other" in err
    status, _, err = call(table_main, "--run", str(run.path), "cross", "--other", str(run.path))
    assert status == 2 and "this very run" in err
