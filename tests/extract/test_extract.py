"""The command itself, on real files in real processes: what it writes, what it rejects, and that a kill loses nothing."""

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import videos

from aadc.extract.cli import main
from aadc.extract.decode_child import DecodeChild
from aadc.extract.features import FrameEmbedder
from aadc.extract.sampling import sampled_frames
from aadc.extract.settings import ExtractSettings
from aadc.extract.shards import ShardSet
from aadc.extract.video import video_features
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.manifest import Row, read_manifest, write_manifest

CARD = Card(
    title="Test",
    videos="videos",
    classes=[
        ClassEntry(name="calm", kind="normal", prompt="calm"),
        ClassEntry(name="fight", kind="abnormal", prompt="a fight"),
    ],
)


def make_set(folder: Path, clips: dict[str, dict], labels=("calm",)) -> Path:
    """Videos under folder/videos and the manifest folder/set.csv."""
    for name, options in clips.items():
        path = folder / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        videos.write_ramp(path, **options)
    write_manifest([Row(video=name, split="train", labels=labels) for name in clips], CARD, folder / "set.csv")
    return folder / "set.csv"


def command(manifest: Path, models: tuple[Path, Path], *options: str) -> list[str]:
    program = Path(sys.executable).with_name("aadc-extract")
    return [
        str(program),
        manifest.name,
        "--detector",
        str(models[0]),
        "--clip",
        str(models[1]),
        "--box-threshold",
        "0.3",
        *options,
    ]


def run_here(manifest: Path, models: tuple[Path, Path], *options: str) -> subprocess.CompletedProcess:
    """The command's own `main`, without the seconds that a new process spends on imports."""
    arguments = command(manifest, models, *options)
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(manifest.parent),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", arguments),
        pytest.raises(SystemExit) as left,
    ):
        main()
    return subprocess.CompletedProcess(arguments, left.value.code, out.getvalue(), err.getvalue())


def run(manifest: Path, models: tuple[Path, Path], *options: str) -> subprocess.CompletedProcess:
    """The command as a process of its own."""
    done = subprocess.run(command(manifest, models, *options), cwd=manifest.parent, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def models(tiny_detr, tiny_clip) -> tuple[Path, Path]:
    return tiny_detr, tiny_clip


def contents(folder: Path) -> dict:
    """Every dataset and attribute of all shards of a run, by shard and video."""
    found = {}
    for path in sorted((folder / "shards").glob("*.h5")):
        with h5py.File(path) as shard:
            for key, video in shard["videos"].items():
                found[path.name, key] = ({name: dataset[:] for name, dataset in video.items()}, dict(video.attrs))
    return found


def assert_same_shards(ours: Path, theirs: Path) -> None:
    one, two = contents(ours), contents(theirs)
    assert one.keys() == two.keys() and one
    for place, (arrays, attrs) in one.items():
        assert attrs == two[place][1]
        for name, array in arrays.items():
            assert array.tobytes() == two[place][0][name].tobytes(), (place, name)


def test_what_comes_out(tmp_path, models):
    """Rows are the sampled frames; the file's facts are recorded; --video's path gives the very same features."""
    manifest = make_set(tmp_path, {"a#1 (ü)/x=1.mp4": {"frames": 50}, "b.ts": {"frames": 33}, "c.mkv": {"frames": 1}})
    done = run(manifest, models)
    assert done.returncode == 0, done.stderr
    assert "3 videos done" in done.stdout and "next: aadc-train-head" in done.stdout
    folder = tmp_path / "runs" / "set"
    shards = ShardSet(folder / "shards")
    rows = {row.key: row for row in read_manifest(manifest).rows}
    assert set(shards.keys) == set(rows)
    for key, frames in zip(rows, (50, 33, 1), strict=True):
        video = shards.read(key)
        assert video.frame.tolist() == sampled_frames(frames, 16).tolist()
        np.testing.assert_allclose(video.time, video.frame / 25, atol=2e-3)
        assert (video.frames, video.width, video.height, video.decode_errors) == (frames, 64, 48, 0)
        assert video.labels == ("calm",) and video.split == "train" and video.fps == pytest.approx(25)
        assert video.sha256 == subprocess.run(
            ["sha256sum", str(tmp_path / "videos" / video.video)], capture_output=True, text=True
        ).stdout.split()[0].removeprefix("\\")
    record = json.loads((folder / "run.json").read_text())
    assert record["fingerprint"] == shards.fingerprint and record["settings"]["stride"] == 16
    assert read_manifest(folder / "manifest.csv").rows == read_manifest(manifest).rows
    assert list(csv.reader((folder / "rejected.csv").open())) == [["video", "reason", "what"]]
    stats = json.loads((folder / "shards/00000.json").read_text())
    assert (stats["videos"], stats["rejected"], stats["sampled_frames"], stats["computed_frames"]) == (3, 0, 8, 8)
    assert set(stats["seconds"]) == {"decode", "detect", "encode", "write"} and min(stats["seconds"].values()) > 0
    assert stats["objects"] == sum(int(shards.read(key, ("count",)).count.sum()) for key in shards.keys)  # noqa: SIM118
    assert sorted(path.name for path in folder.iterdir()) == [
        ".lock", "manifest.csv", "manifest.toml", "rejected.csv", "run.json", "shards",
    ]  # fmt: skip

    settings = ExtractSettings(**record["settings"])
    with DecodeChild() as decoder:
        alone = video_features(tmp_path / "videos" / "b.ts", FrameEmbedder(settings), decoder)
    stored = shards.read("b.ts")
    for name, array in alone.arrays().items():
        np.testing.assert_allclose(array.astype(float), stored.arrays()[name].astype(float), atol=2e-3)

    again = run_here(manifest, models)
    assert again.returncode == 0 and "nothing is left to do" in again.stdout


def test_bad_videos_are_recorded_and_the_rest_goes_on(tmp_path, models):
    clips = {f"{name}.mp4": {"frames": 20} for name in ("good", "half", "cut", "gone", "late")}
    clips["cut.mp4"] = {"frames": 120, "container_options": {"movflags": "faststart"}}
    manifest = make_set(tmp_path, clips)
    folder = tmp_path / "videos"
    for name, share in (("half", 0.5), ("cut", 0.6)):
        data = (folder / f"{name}.mp4").read_bytes()
        (folder / f"{name}.mp4").write_bytes(data[: int(len(data) * share)])
    (folder / "gone.mp4").unlink()
    videos.write_audio(folder / "sound.mp4")
    (folder / "empty.mp4").touch()
    (tmp_path / "secret.mp4").write_bytes((folder / "good.mp4").read_bytes())
    (folder / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    extra = [Row(video=f"{name}.mp4", split="train", labels=("calm",)) for name in ("sound", "empty", "link")]
    write_manifest([*read_manifest(manifest).rows, *extra], CARD, manifest)

    done = run_here(manifest, models)
    assert done.returncode == 1, done.stderr
    rejected = {row["video"]: row for row in csv.DictReader((tmp_path / "runs/set/rejected.csv").open())}
    assert {video: row["reason"] for video, row in rejected.items()} == {
        "half.mp4": "unreadable", "gone.mp4": "missing", "sound.mp4": "no_video_stream", "empty.mp4": "empty",
        "link.mp4": "outside",
    }  # fmt: skip
    assert all(row["what"] for row in rejected.values())
    shards = ShardSet(tmp_path / "runs/set/shards")
    assert {entry.video for entry in shards.entries.values()} == {"good.mp4", "cut.mp4", "late.mp4"}
    cut = shards.read("cut.mp4", ())
    assert cut.frames < 110 and cut.frames_expected == 120 and "cut off, kept: cut.mp4" in done.stdout

    strict = run_here(manifest, models, "--strict", "--run", "strict")
    reasons = {row["video"]: row["reason"] for row in csv.DictReader((tmp_path / "strict/rejected.csv").open())}
    assert strict.returncode == 1 and reasons["cut.mp4"] == "truncated"

    videos.write_ramp(folder / "gone.mp4", frames=20)
    mended = run_here(manifest, models)
    assert mended.returncode == 1 and "1 videos done, 3 were done before, 4 rejected" in mended.stdout
    assert {entry.video for entry in ShardSet(tmp_path / "runs/set/shards").entries.values()} == {
        "good.mp4", "cut.mp4", "late.mp4", "gone.mp4",
    }  # fmt: skip


def test_killed_at_random_moments_gives_the_same_shards(tmp_path, models):
    """kill -9 again and again, starting anew each time: the same shards, value by value, and nothing left behind."""
    clips = {f"{number:02d}.mp4": {"frames": 30 + 7 * number} for number in range(20)}  # two shards
    manifest = make_set(tmp_path, clips)
    assert run_here(manifest, models, "--run", "whole").returncode == 0
    random = np.random.default_rng(0)
    kills = 0
    for _ in range(40):
        process = subprocess.Popen(
            command(manifest, models, "--run", "killed"), cwd=tmp_path, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        began, parts = time.monotonic(), tmp_path / "killed" / "parts"
        before = set(parts.glob("*.h5"))
        while process.poll() is None and not set(parts.glob("*.h5")) - before and time.monotonic() - began < 60:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.3))
        if process.poll() is not None:
            assert process.returncode == 0
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        if kills == 2:
            break
    assert kills >= 2
    done = run_here(manifest, models, "--run", "killed")
    assert done.returncode == 0 and " 0 were done before" not in done.stdout
    assert_same_shards(tmp_path / "killed", tmp_path / "whole")
    assert not list((tmp_path / "killed").rglob("*.tmp")) and not (tmp_path / "killed" / "parts").exists()


def test_other_settings_or_another_manifest_do_not_mix(tmp_path, models):
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}, "b.mp4": {"frames": 20}})
    assert run_here(manifest, models).returncode == 0
    refused = run_here(manifest, models, "--stride", "8")
    assert refused.returncode == 2 and refused.stderr.count("fingerprint") == 1
    assert ShardSet(tmp_path / "runs/set/shards").fingerprint in refused.stderr and "--run" in refused.stderr
    write_manifest([Row(video="a.mp4", split="train", labels=("calm",))], CARD, manifest)
    refused = run_here(manifest, models)
    assert refused.returncode == 2 and "b.mp4" in refused.stderr and "--run" in refused.stderr


def test_a_manifest_that_grew_and_a_label_mended(tmp_path, models):
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}, "b.mp4": {"frames": 20}})
    assert run_here(manifest, models).returncode == 0
    before = contents(tmp_path / "runs/set")
    videos.write_ramp(tmp_path / "videos/0.mp4", frames=40)
    rows = [Row(video="0.mp4", split="train", labels=("calm",)), *read_manifest(manifest).rows[:1]]
    write_manifest([*rows, Row(video="b.mp4", split="test", labels=("fight",))], CARD, manifest)
    done = run_here(manifest, models)
    assert done.returncode == 0 and "1 videos done, 2 were done before" in done.stdout
    entries = ShardSet(tmp_path / "runs/set/shards").entries
    assert (entries["b.mp4"].split, entries["b.mp4"].labels) == ("test", ("fight",)) and set(entries) == {
        "0.mp4",
        "a.mp4",
        "b.mp4",
    }
    after = contents(tmp_path / "runs/set")
    for name, array in before["00000.h5", "a.mp4"][0].items():
        np.testing.assert_array_equal(array, after["00000.h5", "a.mp4"][0][name])


def test_a_second_writer_is_kept_out(tmp_path, models):
    import fcntl

    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}})
    (tmp_path / "runs/set").mkdir(parents=True)
    with (tmp_path / "runs/set/.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run_here(manifest, models)
    assert done.returncode == 2 and "another aadc command" in done.stderr
    assert run_here(manifest, models).returncode == 0  # a lock file left behind locks nobody out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--videos", "nowhere"], "no such folder of videos"),
        (["--models", "huge"], "paper, miniature"),
        (["--precision", "int3"], "precision"),
        (["--device", "cuda:7"], "--device cuda:7"),
        (["--clip", "./nowhere"], "./nowhere"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(tmp_path, models, options, words):
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}})
    done = run_here(manifest, models, *options)
    assert done.returncode == 2 and words in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_folder_without_any_of_the_videos_starts_nothing(tmp_path, models):
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}})
    (tmp_path / "elsewhere").mkdir()
    done = run_here(manifest, models, "--videos", "elsewhere")
    assert done.returncode == 2 and "not one of the 1 videos" in done.stderr and not (tmp_path / "runs/set/shards").exists()


@pytest.mark.parametrize("options", [[], ["--workers", "2"]])
def test_interrupt_says_how_to_go_on(tmp_path, models, options):
    """Ctrl-C goes to all processes of a terminal; nothing finished is lost, and the next start goes on."""
    manifest = make_set(tmp_path, {f"{number}.mp4": {"frames": 200} for number in range(12)})
    process = subprocess.Popen(
        [*command(manifest, models), *options], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
    )  # fmt: skip
    while not list((tmp_path / "runs/set/parts").glob("*.h5")) and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "start it again to go on" in stderr and "Traceback" not in stderr
    before = int(re.search(r"12 videos, (\d+) done before", run_here(manifest, models).stdout)[1])
    assert before >= 1


def test_help_is_quick_and_shows_an_example():
    program = Path(sys.executable).with_name("aadc-extract")
    done = subprocess.run([str(program), "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "aadc-extract manifests/ucf.csv" in done.stdout
    code = (
        "import sys, aadc.extract.cli, aadc.extract.run_folder, aadc.extract.shards\n"
        "print([name for name in ('torch', 'transformers', 'decord', 'av') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
