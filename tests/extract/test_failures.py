"""Whatever the models raise: one bad video never ends a run, and models that fail on everything end it soon."""

import csv
import errno
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from test_extract import make_set, models, run_here  # noqa: F401

from aadc.extract.features import FrameEmbedder
from aadc.extract.shards import ShardSet
from aadc.manifests.manifest import read_manifest

ERRORS = [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
    (MemoryError(), "out_of_memory"),
    (np._core._exceptions._ArrayMemoryError((2**40,), np.dtype("f8")), "out_of_memory"),
    (RuntimeError("could not create a primitive"), "out_of_memory"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
    (ValueError("Size must contain 'height' and 'width'"), "model_failed"),
    (KeyError("x"), "model_failed"),
    (RuntimeError(""), "model_failed"),
    (OSError(errno.EMFILE, "Too many open files"), "model_failed"),
    (AssertionError(), "model_failed"),
]


def rejected(folder: Path) -> dict[str, str]:
    return {row["video"]: row["reason"] for row in csv.DictReader((folder / "rejected.csv").open())}


def failing(error: Exception, fails):
    """The embedder, which raises for frames that `fails` says yes to."""
    embed = FrameEmbedder.__call__

    def call(self, rgb, stats=None):
        if fails(rgb):
            raise error
        return embed(self, rgb, stats)

    return mock.patch.object(FrameEmbedder, "__call__", call)


@pytest.mark.parametrize(
    ("error", "word"), ERRORS, ids=lambda value: type(value).__name__ if not isinstance(value, str) else ""
)
def test_one_video_that_the_models_cannot_take(tmp_path, models, error, word):  # noqa: F811
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}, "b.mp4": {"frames": 20, "size": (96, 48)}, "c.mp4": {"frames": 20}})
    with failing(error, lambda rgb: rgb.shape[2] == 96):
        done = run_here(manifest, models)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert rejected(tmp_path / "runs/set") == {"b.mp4": word}
    assert set(ShardSet(tmp_path / "runs/set/shards").entries) == {"a.mp4", "c.mp4"}
    assert type(error).__name__ in done.stdout and not list((tmp_path / "runs/set").rglob("*.tmp"))
    again = run_here(manifest, models)
    assert again.returncode == 0 and rejected(tmp_path / "runs/set") == {} and "1 videos done, 2 were done" in again.stdout


def test_a_picture_too_narrow_for_the_detector(tmp_path, models):  # noqa: F811
    """A processor that keeps the shape would make a width of nothing of it: it is read like any other."""
    clips = {"a.mp4": {"frames": 20}, "b.mkv": {"frames": 3, "size": (2, 2000)}, "c.mp4": {"frames": 20}}
    done = run_here(make_set(tmp_path, clips), models)
    assert done.returncode == 0 and "3 videos done" in done.stdout
    assert rejected(tmp_path / "runs/set") == {}


def test_many_bad_videos_in_a_row_are_no_lost_device(tmp_path, models):  # noqa: F811
    clips = {f"{number}.mp4": {"frames": 20, "size": (96, 48)} for number in range(5)} | {"z.mp4": {"frames": 20}}
    manifest = make_set(tmp_path, clips)
    with failing(MemoryError(), lambda rgb: rgb.shape[2] == 96):
        done = run_here(manifest, models)
    assert done.returncode == 1 and "1 videos done" in done.stdout and len(rejected(tmp_path / "runs/set")) == 5


def test_models_that_fail_on_everything_end_the_run_soon(tmp_path, models):  # noqa: F811
    manifest = make_set(tmp_path, {f"{number:02d}.mp4": {"frames": 20} for number in range(12)})
    seen = []
    with failing(RuntimeError("CUDA error: device-side assert triggered"), lambda rgb: seen.append(rgb.shape) or True):
        done = run_here(manifest, models)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert "fail on an empty picture too" in done.stderr and "device-side assert" in done.stderr and len(seen) < 6
    assert rejected(tmp_path / "runs/set") == {}
    assert run_here(manifest, models).returncode == 0


@pytest.mark.parametrize("value", [np.inf, np.nan, 70000.0, -1e30])
@pytest.mark.parametrize("name", ["scene", "query"])
def test_what_half_precision_cannot_hold_is_no_feature(tmp_path, models, value, name):  # noqa: F811
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}, "b.mp4": {"frames": 20, "size": (96, 48)}})
    embed = FrameEmbedder.__call__

    def call(self, rgb, stats=None):
        rows = embed(self, rgb, stats)
        if rgb.shape[2] == 96:
            rows[name] = rows[name].copy()
            rows[name][-1].flat[0] = value
        return rows

    with mock.patch.object(FrameEmbedder, "__call__", call):
        done = run_here(manifest, models)
    assert done.returncode == 1 and rejected(tmp_path / "runs/set") == {"b.mp4": "not_finite"} and name in done.stdout


def test_a_file_that_changes_while_it_is_read(tmp_path, models):  # noqa: F811
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}, "b.mp4": {"frames": 20, "size": (96, 48)}})
    path = tmp_path / "videos/b.mp4"
    whole = path.read_bytes()

    def grow(rgb):
        if rgb.shape[2] == 96:
            path.write_bytes(whole + b"\0" * 8)
        return False

    with failing(MemoryError(), grow):
        done = run_here(manifest, models)
    assert done.returncode == 1 and rejected(tmp_path / "runs/set") == {"b.mp4": "changed"}
    assert len(read_manifest(manifest).rows) == 2 and run_here(manifest, models).returncode == 0
