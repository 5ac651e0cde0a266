"""The latest run never surprises: which one is taken is said, and the next command names it where it has to."""

import os
from pathlib import Path

import pytest

from aadc.extract.caution import SCENES_ONLY, caution
from aadc.extract.old_reader import of_old_reader
from aadc.extract.run_choice import choose_run, next_step
from aadc.extract.run_folder import RunFolder
from aadc.extract.settings import ExtractSettings
from aadc.extract.shards import ShardHeader, write_shard
from aadc.manifests.errors import UserError
from aadc.manifests.scenes.demo import demo_card

SAMPLING = ExtractSettings(detector="miniature", clip="miniature").sampling()


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AADC_RUN", raising=False)

    def make(name: str, when: int) -> RunFolder:
        run = RunFolder(Path("runs") / name)
        run.path.mkdir(parents=True)
        run.run_json.write_text("{}")
        os.utime(run.run_json, ns=(when, when))
        return run

    return [make("old", 1), make("my gym", 2), make("new", 3)]


def test_the_latest_is_taken_and_the_others_are_named(runs, capsys):
    assert choose_run(None).path == Path("runs/new")
    assert capsys.readouterr().out == "run: runs/new (latest of 3; others: my gym, old; --run takes one)\n"


def test_a_run_worked_on_again_is_the_latest(runs, capsys):
    runs[0].mark_latest()
    assert choose_run(None).path == runs[0].path


def test_the_environment_is_a_default_and_the_option_goes_before(runs, monkeypatch, capsys):
    monkeypatch.setenv("AADC_RUN", "runs/my gym")
    assert choose_run(None).path == Path("runs/my gym") and "(AADC_RUN)" in capsys.readouterr().out
    assert choose_run(Path("runs/old")).path == Path("runs/old") and capsys.readouterr().out == "run: runs/old\n"
    monkeypatch.setenv("AADC_RUN", "runs/none")
    with pytest.raises(UserError, match="AADC_RUN runs/none: not a run folder"):
        choose_run(None)


def test_a_run_of_an_earlier_reader_is_told_wherever_a_run_is_taken(runs, capsys):
    runs[2].shards.mkdir()
    for sampling, old in (({"stride": 16}, True), ({"stride": 16, "reader": "pyav/1"}, True), (SAMPLING, False)):
        write_shard(runs[2].shards / "00000.h5", ShardHeader("f" * 16, {}, sampling), [])
        choose_run(None)
        assert ("runs/new/shards: made by an earlier reader" in capsys.readouterr().out) is old, sampling
    (runs[2].shards / "00000.h5").write_bytes(b"torn")  # told by whatever reads it
    choose_run(None)
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize("reader", [None, "", "pyav", "pyav/", "pyav/x", 7.5, [], "pyav/" + "9" * 5000])
def test_a_reader_that_says_no_version_is_an_old_one(reader):
    assert of_old_reader({"reader": reader}) and of_old_reader({})


def test_a_link_that_leads_nowhere_is_no_run(runs):
    (Path("runs") / "gone").mkdir()
    (Path("runs") / "gone" / "run.json").symlink_to("nowhere")
    assert choose_run(None).path == runs[2].path


def test_the_next_command_names_the_run_only_where_it_must(runs, monkeypatch):
    assert next_step(runs[2], "aadc-eval") == "aadc-eval"
    assert next_step(RunFolder(runs[2].path.resolve()), "aadc-eval") == "aadc-eval"
    assert next_step(runs[1], "aadc-eval --metric auc") == "aadc-eval --metric auc --run 'runs/my gym'"
    monkeypatch.setenv("AADC_RUN", "runs/my gym")
    assert next_step(runs[1], "aadc-eval") == "aadc-eval"
    assert next_step(runs[2], "aadc-eval") == "aadc-eval --run runs/new"


def test_without_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AADC_RUN", raising=False)
    with pytest.raises(UserError, match="run aadc-extract MANIFEST first"):
        choose_run(None)
    assert next_step(RunFolder(Path("elsewhere")), "aadc-eval") == "aadc-eval --run elsewhere"


def test_miniature_models_are_named_on_anything_but_drawn_scenes():
    miniature = {"clip": {"source": "miniature"}, "detector": {"source": "/old/site-packages/aadc/extract/miniature/detr"}}
    assert caution(miniature) == SCENES_ONLY and caution(miniature, "a gym's cameras") == SCENES_ONLY
    assert caution(miniature, demo_card().source) is None
    assert caution({"clip": {"source": "ViT-B-16/openai"}}) is None
