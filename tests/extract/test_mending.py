"""A run can be mended: video by video, record by record, without losing what is finished."""

import csv
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from unittest import mock

import h5py
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import videos
from test_extract import CARD, contents, make_set, models, run_here  # noqa: F401

from aadc.extract.features import FrameEmbedder
from aadc.extract.shards import ShardSet
from aadc.manifests.manifest import Row, read_manifest, write_manifest


@pytest.fixture
def made(tmp_path, models):  # noqa: F811
    """A finished run of a.mp4, b.mp4, and cut.mp4, which is cut off; and how to call the command again."""
    clips = {"a.mp4": {"frames": 20}, "b.mp4": {"frames": 24}}
    clips["cut.mp4"] = {"frames": 120, "container_options": {"movflags": "faststart"}}
    manifest = make_set(tmp_path, clips)
    cut = tmp_path / "videos/cut.mp4"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 6 // 10])
    assert run_here(manifest, models).returncode == 0

    def call(*options: str):
        return run_here(manifest, models, *options)

    call.manifest, call.run, call.videos = manifest, tmp_path / "runs/set", tmp_path / "videos"
    return call


def table(path: Path) -> list[dict]:
    return list(csv.DictReader(path.open(newline="")))


def held(made) -> set[str]:
    return set(ShardSet(made.run / "shards").entries)


def test_a_replaced_file_is_noticed_and_extracted_again(made):
    before = contents(made.run)
    assert "other files" not in made().stdout
    videos.write_ramp(made.videos / "a.mp4", frames=60)
    said = made()
    assert said.returncode == 0 and "1 extracted videos have other files now" in said.stdout and "a.mp4" in said.stdout
    done = made("--again", "changed")
    assert done.returncode == 0 and "1 videos done, 2 were done before" in done.stdout
    shards = ShardSet(made.run / "shards")
    assert shards.entries["a.mp4"].frames == 60 and "other files" not in made().stdout
    for place, (arrays, _) in before.items():
        if place[1] != "a.mp4":
            assert all((array == contents(made.run)[place][0][name]).all() for name, array in arrays.items())


def test_a_file_that_was_only_touched_is_not_computed_again(made):
    os.utime(made.videos / "a.mp4", ns=(1, 1))
    assert "1 extracted videos have other files" in made().stdout
    with mock.patch.object(FrameEmbedder, "__call__", side_effect=AssertionError("computed")):
        done = made("--again", "changed")
    assert done.returncode == 0 and "0 videos done, 3 were done before" in done.stdout
    assert "other files" not in made().stdout


def test_again_by_name_and_one_that_fails_keeps_its_features(made):
    before = contents(made.run)
    done = made("--again", "a.mp4", "--again", "b.mp4")
    assert done.returncode == 0 and "2 videos done, 1 were done before" in done.stdout
    assert {place: arrays.keys() for place, (arrays, _) in contents(made.run).items()} == {
        place: arrays.keys() for place, (arrays, _) in before.items()
    }
    (made.videos / "a.mp4").write_bytes(b"no video")
    done = made("--again", "changed")
    assert done.returncode == 1 and "its earlier features stay" in done.stdout and held(made) == {"a.mp4", "b.mp4", "cut.mp4"}
    assert [row["video"] for row in table(made.run / "rejected.csv")] == ["a.mp4"]
    refused = made("--again", "c.mp4")
    assert refused.returncode == 2 and "--again c.mp4" in refused.stderr


def test_strict_judges_what_is_done(made):
    for _ in range(2):
        again = made()
        assert again.returncode == 0 and "cut off, kept: cut.mp4" in again.stdout and "cut_off.csv" in again.stdout
    frames = ShardSet(made.run / "shards").entries["cut.mp4"].frames
    assert table(made.run / "cut_off.csv") == [{"video": "cut.mp4", "frames": str(frames), "frames_expected": "120"}]
    with mock.patch.object(FrameEmbedder, "__call__", side_effect=AssertionError("computed")):
        strict = made("--strict")
    assert strict.returncode == 1 and held(made) == {"a.mp4", "b.mp4"} and not (made.run / "cut_off.csv").exists()
    assert [(row["video"], row["reason"]) for row in table(made.run / "rejected.csv")] == [("cut.mp4", "truncated")]
    assert made().returncode == 0 and held(made) == {"a.mp4", "b.mp4", "cut.mp4"}
    assert table(made.run / "rejected.csv") == []


def test_videos_that_the_manifest_names_no_more(made):
    rows = read_manifest(made.manifest).rows
    write_manifest(rows[1:], CARD, made.manifest)
    refused = made()
    assert refused.returncode == 2 and "--drop" in refused.stderr and held(made) == {"a.mp4", "b.mp4", "cut.mp4"}
    dropped = made("--drop")
    assert dropped.returncode == 0 and held(made) == {"b.mp4", "cut.mp4"} and "1 row removed, a.mp4" in dropped.stdout
    write_manifest([Row(video="a.mp4", split="train", labels=("calm",))], CARD, made.manifest)
    assert made("--drop").returncode == 0 and held(made) == {"a.mp4"}


def test_who_was_rejected_stays_known_until_mended(made, models):  # noqa: F811
    extra = [Row(video=f"{name}.mp4", split="train", labels=("calm",)) for name in ("gone", "bad,\r\n\"x'")]
    write_manifest([*read_manifest(made.manifest).rows, *extra], CARD, made.manifest)
    assert made().returncode == 1
    rejected = [row["video"] for row in table(made.run / "rejected.csv")]
    assert rejected == [row.video for row in extra]
    with mock.patch("aadc.extract.pipeline.run_task", side_effect=KeyboardInterrupt):  # ended before it judged them again
        made()
    assert [row["video"] for row in table(made.run / "rejected.csv")] == rejected
    videos.write_ramp(made.videos / "gone.mp4", frames=20)
    assert made().returncode == 1
    assert [row["video"] for row in table(made.run / "rejected.csv")] == rejected[1:]


@pytest.mark.parametrize("content", [None, "", "[]", "{", '{"videos": null}', "[" * 100_000, "\udcff"])
def test_run_json_gone_or_torn_is_written_anew(made, content):
    whole = json.loads((made.run / "run.json").read_text())
    if content is None:
        (made.run / "run.json").unlink()
    else:
        (made.run / "run.json").write_bytes(content.encode(errors="surrogateescape"))
    done = made()
    assert done.returncode == 0, done.stderr
    assert json.loads((made.run / "run.json").read_text()) == whole and held(made) == {"a.mp4", "b.mp4", "cut.mp4"}
    assert "nothing is left to do" in made().stdout


@pytest.mark.parametrize("content", ["", "{", "[]", '{"seconds": {}}', '{"seconds": {"decode": NaN}}', '{"videos": "x"}'])
def test_torn_figures_cost_figures_alone(made, content):
    for path in (made.run / "shards").glob("*.json"):
        path.write_text(content)
    videos.write_ramp(made.videos / "c.mp4", frames=20)
    rows = [*read_manifest(made.manifest).rows, Row(video="c.mp4", split="train", labels=("calm",))]
    write_manifest(rows, CARD, made.manifest)
    done = made()
    assert done.returncode == 0 and "1 videos done" in done.stdout and "c.mp4" in held(made)


@pytest.mark.parametrize("name", ["later.h5", "0.h5", "000000.h5", "-0001.h5", "٠٠٠٠١.h5"])
def test_a_shard_under_a_name_that_is_no_number_is_refused_by_all(made, name):
    (made.run / "shards/00000.h5").rename(made.run / "shards" / name)
    refused = made()
    assert refused.returncode == 2 and name in refused.stderr and "named by its number" in refused.stderr
    with pytest.raises(Exception, match="named by its number"):
        ShardSet(made.run / "shards")


def test_what_a_kill_leaves_is_cleared_away_though_nothing_is_left_to_do(made):
    (made.run / "parts").mkdir()
    left = [
        made.run / name for name in ("parts/00000.working", "shards/00000.h5.77.tmp", "run.json.77.tmp", "parts/x.h5.7.tmp")
    ]
    for path in left:
        path.write_bytes(b"x")
    assert "nothing is left to do" in made().stdout
    assert not any(path.exists() for path in left) and not (made.run / "parts").exists()


def test_a_part_left_by_a_kill_after_its_shard_was_published(made, tmp_path):
    """The newer of the two counts, and nothing is computed."""
    whole = contents(made.run)
    (made.run / "parts").mkdir()
    from aadc.extract.run_folder import RunFolder
    from aadc.extract.shard_task import part_path

    row = read_manifest(made.manifest).rows[0]
    shards = ShardSet(made.run / "shards")
    from aadc.extract.shards import write_shard

    write_shard(part_path(RunFolder(made.run), row), shards.header, [shards.read(row.key)])
    done = made()
    assert done.returncode == 0 and "0 videos done, 3 were done before" in done.stdout and not (made.run / "parts").exists()
    assert {place: arrays["scene"].tobytes() for place, (arrays, _) in contents(made.run).items()} == {
        place: arrays["scene"].tobytes() for place, (arrays, _) in whole.items()
    }


def test_names_that_no_file_can_have_are_rows_like_others(tmp_path, models):  # noqa: F811
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}})
    (tmp_path / "videos/loop.mp4").symlink_to("loop.mp4")
    names = ["n" * 300 + ".mp4", "/".join(["d" * 200] * 25) + "/x.mp4", "ü" * 200 + ".mp4", "a.mp4/inside.mp4", "loop.mp4"]
    rows = [Row(video=name, split="train", labels=("calm",)) for name in names]
    write_manifest([*read_manifest(manifest).rows, *rows], CARD, manifest)
    done = run_here(manifest, models)
    assert done.returncode == 1 and "1 videos done" in done.stdout, done.stderr
    rejected = {row["video"]: row["reason"] for row in table(tmp_path / "runs/set/rejected.csv")}
    assert rejected == dict.fromkeys(names[:4], "missing") | {"loop.mp4": "outside"}
    program = Path(sys.executable).with_name("aadc-manifest")
    check = subprocess.run([program, "check", manifest], capture_output=True, text=True)
    assert check.returncode == 1 and "5 of 6 videos cannot be read" in check.stdout and not check.stderr


def test_a_folder_of_videos_that_may_not_be_entered(tmp_path, models):  # noqa: F811
    """Told of its videos, not of the run folder. (Root may enter all, so the refusal is put in.)"""
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}, "shut/b.mp4": {"frames": 20}})
    look = os.stat

    def refused(path, *args, **options):
        if "shut/b" in os.fspath(path):
            raise PermissionError(13, "Permission denied", str(path))
        return look(path, *args, **options)

    with mock.patch("os.stat", refused):
        done = run_here(manifest, models)
    assert done.returncode == 1 and "--run" not in done.stdout + done.stderr, done.stderr
    assert [(row["video"], row["reason"]) for row in table(tmp_path / "runs/set/rejected.csv")] == [
        ("shut/b.mp4", "unreadable")
    ]


def test_a_run_folder_that_cannot_be_written(tmp_path, models):  # noqa: F811
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}})
    (tmp_path / "file").write_text("")
    for folder in ("file", "file/below", "n" * 300, "/proc/1/run"):
        done = run_here(manifest, models, "--run", folder)
        assert done.returncode == 2 and folder in done.stderr and len(done.stderr.strip().splitlines()) == 1
        assert "AADC_DEBUG" not in done.stderr


def test_the_run_folder_vanishes(made):
    write_manifest(
        [*read_manifest(made.manifest).rows, Row(video="z.mp4", split="train", labels=("calm",))], CARD, made.manifest
    )
    videos.write_ramp(made.videos / "z.mp4", frames=20)
    embed = FrameEmbedder.__call__

    def call(self, rgb, stats=None):
        if made.run.exists():
            made.run.rename(made.run.with_name("elsewhere"))
        return embed(self, rgb, stats)

    with mock.patch.object(FrameEmbedder, "__call__", call):
        done = made()
    assert done.returncode == 2 and str(Path("runs/set")) in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert "AADC_DEBUG" not in done.stderr
    made.run.with_name("elsewhere").rename(made.run)
    assert made().returncode == 0 and "z.mp4" in held(made)


def test_another_folder_at_the_workers_end_is_no_success(made):
    """What a worker sees under the run's path must be the run's folder: a token in it tells."""
    from aadc.extract.pipeline import prepare
    from aadc.extract.plan import make_plan
    from aadc.extract.run_folder import RunFolder
    from aadc.extract.shard_task import check_place
    from aadc.manifests.errors import UserError

    listed, there = read_manifest(made.manifest), RunFolder(made.run.parent / "new")
    (task,) = make_plan(listed, made.videos, RunFolder(Path(os.path.relpath(there.path))), strict=False).tasks
    assert task.run.path.is_absolute() and task.root.is_absolute()
    with pytest.raises(UserError, match="same for every worker"):
        check_place(task)
    prepare(there)
    check_place(task)
    (there.parts / "token").write_text("another's")
    with pytest.raises(UserError, match="same for every worker"):
        check_place(task)


def test_done_elsewhere_is_not_done(made):
    from aadc.extract.pipeline import extract, prepare
    from aadc.extract.run_folder import RunFolder
    from aadc.extract.shard_task import ShardResult
    from aadc.manifests.errors import UserError

    folder = RunFolder(made.run)
    prepare(folder)
    with pytest.raises(UserError, match="1 videos that were reported done are in no shard, z.mp4"):
        extract(folder, [ShardResult(video_s={"a.mp4": 1.0, "z.mp4": 1.0})])


def test_the_next_command_names_the_run_where_it_must(made):
    assert "next: aadc-train-head\n" in made().stdout
    assert "next: aadc-train-head\n" in made("--run", "runs/other").stdout
    assert "next: aadc-train-head\n" in made().stdout  # nothing was left to do, and yet it is the latest
    assert "next: aadc-train-head --run elsewhere\n" in made("--run", "elsewhere").stdout


def test_a_reading_error_names_shard_and_video_and_its_way_out_is_real(made):
    path = made.run / "shards/00000.h5"
    scene = ShardSet(made.run / "shards").read("b.mp4", ("scene",)).scene
    data = bytearray(path.read_bytes())
    data[data.index(scene.tobytes()) + 1] ^= 4
    path.write_bytes(data)
    from aadc.manifests.errors import UserError

    with pytest.raises(UserError, match="00000.h5: b.mp4: scene is damaged.*--again b.mp4"):
        ShardSet(made.run / "shards").read("b.mp4")
    assert made("--again", "b.mp4").returncode == 0
    assert ShardSet(made.run / "shards").read("b.mp4").scene.tobytes() == scene.tobytes()


def test_rows_of_an_earlier_reader_are_told(made):
    with h5py.File(made.run / "shards/00000.h5", "a") as file:
        sampling = json.loads(file.attrs["sampling"])
        sampling.pop("reader", None)
        file.attrs.pop("seal")
        file.attrs.update(fingerprint="0" * 16, sampling=json.dumps(sampling))
    (made.run / "run.json").unlink()
    from aadc.extract.settings import ExtractSettings

    with_reader = lambda self: {"stride": self.stride, "reader": 2}  # noqa: E731
    with mock.patch.object(ExtractSettings, "sampling", with_reader):
        done = made()
    assert done.returncode == 2 and "earlier reader" in done.stderr and "--run" in done.stderr


def test_manifest_and_card_are_copied_whole(made):
    """A disk that is full halfway leaves both as they were."""
    before = [(made.run / name).read_bytes() for name in ("manifest.csv", "manifest.toml")]
    write_manifest(read_manifest(made.manifest).rows, CARD.model_copy(update={"title": "new"}), made.manifest)
    copy = shutil.copyfile

    def full(source, target):
        if str(source).endswith(".toml"):
            raise OSError(28, "No space left on device")
        return copy(source, target)

    with mock.patch("shutil.copyfile", full):
        done = made()
    assert done.returncode == 2 and "No space left" in done.stderr
    assert [(made.run / name).read_bytes() for name in ("manifest.csv", "manifest.toml")] == before
    assert "other title" in made().stdout and read_manifest(made.run / "manifest.csv").card.title == "new"
    assert stat.S_ISREG((made.run / "manifest.csv").stat().st_mode)
