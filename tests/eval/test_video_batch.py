"""`aadc-score` with videos, names and models that are not as they should be: one never ends those after it."""

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "extract"))
import videos
from calls import call
from test_eval_command import CARD, head_for

from aadc.eval import video as video_module
from aadc.eval.cli.score import main
from aadc.eval.out_folder import writing_to
from aadc.extract import cli as extract_cli
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.manifests.manifest import Row, write_manifest


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_detr, tiny_clip) -> Path:
    """A folder with a run of one video, a head, and the models it was made with."""
    folder = tmp_path_factory.mktemp("batch")
    (folder / "videos").mkdir()
    videos.write_ramp(folder / "videos" / "a.mp4", frames=60)
    write_manifest([Row(video="a.mp4", split="test", labels="walk")], CARD, folder / "set.csv")
    shutil.copytree(tiny_detr, folder / "detr")
    shutil.copytree(tiny_clip, folder / "clip")
    models = ["--detector", str(folder / "detr"), "--clip", str(folder / "clip"), "--threshold", "0.3"]
    run = RunFolder(folder / "runs" / "set")
    assert call(extract_cli.main, str(folder / "set.csv"), "--run", str(run.path), *models)[0] == 0
    head_for(run, ShardSet(run.shards).fingerprint, width=16, detr_width=32)
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch) -> Path:
    shutil.copytree(made / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def clips(folder: Path, source: Path, *names: bytes | str) -> Path:
    (folder / "clips").mkdir(exist_ok=True)
    for name in names:
        shutil.copyfile(source / "videos" / "a.mp4", os.path.join(os.fsencode(folder / "clips"), os.fsencode(name)))
    return folder / "clips"


def answers(folder: Path) -> list[str]:
    return sorted(
        json.loads(path.read_text(encoding="utf-8"))["video"] for path in folder.glob("runs/set/eval/videos/*/scores.json")
    )


def test_names_of_any_bytes_and_signs(folder, made):
    names = [
        b"bad\xff.mp4",
        b"\x1b]0;x\x07\x1b[2J.mp4",
        "$a_{ b^$.mp4",
        "fight [red][b].mp4",
        "日本 é.mp4",
        b"two\nlines.mp4",
        "x" * 251 + ".mp4",
    ]
    status, out, err = call(main, str(clips(folder, made, *names)))
    assert "\x1b" not in out + err and "bad\\udcff.mp4" in out + err
    expected = ["bad\\udcff.mp4", "\\x1b]0;x\\x07\\x1b[2J.mp4", "two\\nlines.mp4", *names[2:5], names[6]]
    if status == 1:  # a decoder that cannot open a name that is no text: told, and the rest is done
        assert len(err.splitlines()) == 1 and "bad\\udcff.mp4: unreadable" in err
        expected = expected[1:]
    assert status in (0, 1) and answers(folder) == sorted(expected)
    assert len(list(folder.glob("runs/set/eval/videos/*/scores.png"))) == len(expected)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("could not create a primitive"), torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), ValueError(),
        OSError(5, "Input/output error"), AssertionError(), KeyError("boxes"), ZeroDivisionError("division by zero"),
    ],
)  # fmt: skip
def test_whatever_one_video_raises_the_rest_goes_on(folder, made, monkeypatch, error):
    real = video_module.video_features

    def features(path, embedder, decoder):
        if path.name == "b.mp4":
            next(decoder.blocks(path, 16))  # in the middle of a video
            raise error
        return real(path, embedder, decoder)

    monkeypatch.setattr(video_module, "video_features", features)
    status, out, err = call(main, str(clips(folder, made, "a.mp4", "b.mp4", "c.mp4")))
    assert status == 1 and answers(folder) == ["a.mp4", "c.mp4"] and "1 of 3 videos could not be used" in out
    (line,) = err.strip().splitlines()
    assert line.partition("b.mp4: ")[2].strip(), "a reason, whatever the library said"


def test_features_that_are_no_numbers_a_full_disk_and_another_writer_cost_one_video(folder, made, monkeypatch):
    real = video_module.video_features

    def features(path, embedder, decoder):
        found = real(path, embedder, decoder)
        if path.name == "b.mp4":
            found.scene[:] = np.nan
        return found

    monkeypatch.setattr(video_module, "video_features", features)
    below = clips(folder, made, "a.mp4", "b.mp4", "c.mp4", "d.mp4")
    (folder / "runs/set/eval/videos").mkdir(parents=True)
    video_module.answer_folder(below / "c.mp4", folder / "runs/set/eval/videos").write_text("a file where a folder should be")
    with writing_to(video_module.answer_folder(below / "d.mp4", folder / "runs/set/eval/videos")):
        status, _, err = call(main, str(below))
    assert status == 1 and answers(folder) == ["a.mp4"] and len(err.strip().splitlines()) == 3
    for words in ("b.mp4: ", "c.mp4: ", "another aadc command"):
        assert words in err


def test_equal_names_do_not_meet_in_one_command_or_in_two(folder, made):
    below = clips(folder, made, "a.mp4")
    (folder / "other").mkdir()
    shutil.copyfile(below / "a.mp4", folder / "other" / "a.mp4")
    for given in (["clips/a.mp4", "clips"], ["other"]):
        assert call(main, *given)[0] == 0
    assert answers(folder) == ["a.mp4", "a.mp4"]  # the first one once, though named twice


def test_models_that_have_moved_are_found_where_they_are_said_to_be(folder, made):
    """By their weights: another folder with the same ones will do, other weights will not."""
    moved = made / "moved"
    shutil.move(made / "detr", moved)
    try:
        clip = str(clips(folder, made, "a.mp4") / "a.mp4")
        status, _, err = call(main, clip)
        assert status == 2 and "--detector" in err
        assert call(main, clip, "--detector", str(moved))[0] == 0
        status, _, err = call(main, clip, "--detector", str(moved), "--clip", str(made / "gone"))
        assert status == 2 and "--clip" in err
    finally:
        shutil.move(moved, made / "detr")


def test_answers_say_what_they_were_made_with(folder, made):
    call(main, str(clips(folder, made, "a.mp4")), "--out", "elsewhere", "--threshold", "0.25")
    (path,) = folder.glob("elsewhere/*/scores.json")
    answer = json.loads(path.read_text())
    assert answer["made_with"]["threshold"] == 0.25 and answer["made_with"]["fingerprint"] and answer["caution"] is None


def test_the_table_and_the_page_tell_of_every_video(folder, made):
    """Spans, the normal class where there is none, and what went wrong; the page shows those that were scored, none other."""
    below = clips(folder, made, "a.mp4", "b <i>.mp4")
    (below / "c.mp4").write_bytes(b"no video")
    status, out, _ = call(main, "clips", "--csv", "tables/scored.csv", "--report", "--threshold", "0.999")
    assert status == 1 and "table: tables/scored.csv" in out and "report: runs/set/eval/videos/report.html" in out
    with Path("tables/scored.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["video"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["clips/a.mp4", "clips/b <i>.mp4", "clips/c.mp4"] and rows["clips/c.mp4"]["problem"]
    kinds = {entry.name: entry.kind for entry in CARD.classes}
    for path in folder.glob("runs/set/eval/videos/*/scores.json"):
        answer = json.loads(path.read_text(encoding="utf-8"))
        row = rows[f"clips/{answer['video']}"]
        assert float(row["highest_score"]) == pytest.approx(max(answer["score"]), abs=1e-4) and not row["problem"]
        assert float(row["seconds"]) == pytest.approx(60 / answer["fps"], abs=0.2)
        assert kinds[row["class"]] == ("abnormal" if answer["spans"] else "normal") and bool(row["spans"]) == bool(
            answer["spans"]
        )
        assert 0 < float(row["share"]) <= 1 and 0 < float(row["probability"]) < 1
        if not answer["spans"]:
            assert f"clips/{answer['video']}: {row['class']} (share {float(row['share']):.2f}), nothing anomalous" in out
    page = Path("runs/set/eval/videos/report.html").read_text(encoding="utf-8")
    assert page.count("<article") == 2 and "b &lt;i&gt;.mp4" in page and "<i>.mp4" not in page and "c.mp4" not in page
    assert "not marked" not in page and "frame AUC" not in page and page.count("data:image/jpeg") >= 2


def test_a_table_replaces_a_table_and_nothing_else(folder, made):
    """A video, by whatever name it goes, a file of the run, a file of somebody's: none of them is written over."""
    below = clips(folder, made, "a.mp4")
    (folder / "mine.csv").write_text("a,b\n1,2\n")
    (folder / "link.csv").symlink_to(below / "a.mp4")
    os.link(below / "a.mp4", folder / "hard.csv")
    (folder / "folder.csv").mkdir()
    (folder / "dangling.csv").symlink_to(folder / "nowhere")
    for name in (
        "clips/a.mp4",
        "mine.csv",
        "link.csv",
        "hard.csv",
        "folder.csv",
        "dangling.csv",
        "runs/set/manifest.csv",
        "/dev/full",
    ):
        before = Path(name).read_bytes() if Path(name).is_file() else None
        status, _, err = call(main, "clips", "--csv", name)
        assert status == 2 and name in err and "--csv" in err and len(err.strip().splitlines()) == 1, err
        assert before is None or Path(name).read_bytes() == before
    assert call(main, "clips", "--csv", "new.csv")[0] == 0
    before = Path("new.csv").read_bytes()
    Path("new.csv").chmod(0o200)
    assert call(main, "clips", "--csv", "new.csv")[0] in (0, 2)  # root reads it all the same
    Path("new.csv").chmod(0o644)
    assert call(main, "clips", "--csv", "new.csv")[0] == 0 and Path("new.csv").read_bytes() == before


def test_a_table_from_before_stays_until_a_video_is_done(folder, made, monkeypatch):
    clips(folder, made, "a.mp4", "b.mp4")
    assert call(main, "clips", "--csv", "t.csv")[0] == 0
    before = Path("t.csv").read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(video_module, "video_features", interrupted)
    assert call(main, "clips", "--csv", "t.csv")[0] == 130
    assert Path("t.csv").read_bytes() == before


def test_a_name_forges_no_line(folder, made):
    forged = "a.mp4: squat (0.99), nothing anomalous\n2 of 2 videos ok.mp4"
    status, out, err = call(main, str(clips(folder, made, forged, "b.mp4")))
    assert status == 0 and not any(line.startswith("2 of 2") for line in (out + err).splitlines())
    status, _, err = call(main, "nowhere\nall well.mp4")
    assert status == 2 and len(err.splitlines()) == 1
