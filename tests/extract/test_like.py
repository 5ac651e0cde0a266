"""A run after another one: its settings, its features of the same files under any name, and nothing else."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_extract import CARD, make_set, models, run_here  # noqa: F401 (a fixture)

from aadc.extract.cli import main
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.manifests.manifest import Row, write_manifest


def call(folder: Path, *options: str):
    """The command without the models that `run_here` names."""
    import contextlib
    import io
    from unittest import mock

    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["aadc-extract", *options]), pytest.raises(SystemExit) as left,
    ):  # fmt: skip
        main()
    return left.value.code, out.getvalue(), err.getvalue()


@pytest.fixture
def sets(tmp_path, models):  # noqa: F811
    """A run of three videos, and a larger set that has two of them under other names, one changed, and a new one."""
    old = make_set(tmp_path / "old", {name: {"frames": 40 + n} for n, name in enumerate(("a.mp4", "b.mp4", "c.mp4"))})
    done = run_here(old, models, "--stride", "8")
    assert done.returncode == 0, done.stderr
    new = tmp_path / "new"
    make_set(new, {"c.mp4": {"frames": 48}, "d.mp4": {"frames": 30}})
    (new / "videos" / "before").mkdir()
    os.link(tmp_path / "old/videos/a.mp4", new / "videos/before/a.mp4")
    shutil.copyfile(tmp_path / "old/videos/b.mp4", new / "videos/b.mp4")
    rows = [
        ("before/a.mp4", "test", "fight"),
        ("b.mp4", "train", "calm"),
        ("c.mp4", "train", "calm"),
        ("d.mp4", "train", "calm"),
    ]
    write_manifest([Row(video=video, split=split, labels=(label,)) for video, split, label in rows], CARD, new / "set.csv")
    return tmp_path / "old/runs/set", new


def test_settings_and_the_same_files_are_taken_over(sets):
    other, new = sets
    status, out, err = call(new, "set.csv", "--like", str(other))
    assert status == 0, err
    assert f"2 videos taken over from {other}" in out and "4 videos, 2 done before, 2 to do" in out
    one, two = ShardSet(other / "shards"), ShardSet(new / "runs/set/shards")
    assert one.fingerprint == two.fingerprint and RunFolder(new / "runs/set").record().settings["stride"] == 8
    theirs = {entry.video: key for key, entry in one.entries.items()}
    ours, keys = {}, {}
    for key, entry in two.entries.items():
        ours[entry.video], keys[entry.video] = entry, key
    assert [ours[video].split for video in ("before/a.mp4", "b.mp4")] == ["test", "train"]
    assert ours["before/a.mp4"].labels == ("fight",)
    for video, before in (("before/a.mp4", "a.mp4"), ("b.mp4", "b.mp4")):
        taken, was = two.read(keys[video]), one.read(theirs[before])
        assert taken.video == video and taken.frames == was.frames
        for name in ("scene", "crop", "detr", "box"):
            np.testing.assert_array_equal(getattr(taken, name), getattr(was, name))
    assert ours["c.mp4"].record.frames == 48, "another file of the same name is another video"
    status, out, _ = call(new, "set.csv", "--like", str(other))
    assert status == 0 and "0 videos taken over" in out and "nothing is left to do" in out and "other files now" not in out


def test_a_run_extracted_from_scratch_is_the_same(sets, models):  # noqa: F811
    other, new = sets
    assert call(new, "set.csv", "--like", str(other), "--run", "runs/like")[0] == 0
    assert run_here(new / "set.csv", models, "--stride", "8", "--run", "runs/anew").returncode == 0
    one, two = ShardSet(new / "runs/like/shards"), ShardSet(new / "runs/anew/shards")
    assert one.fingerprint == two.fingerprint and list(one.keys) == list(two.keys)
    for key in one.keys:
        assert one.entries[key].record == two.entries[key].record
        np.testing.assert_array_equal(one.read(key).scene, two.read(key).scene)


def test_what_cannot_be_is_a_sentence(sets):
    other, new = sets
    status, _, err = call(new, "set.csv", "--like", str(other), "--stride", "4")
    assert status == 2 and "takes all settings of that run" in err
    status, _, err = call(new, "set.csv", "--like", str(new / "nowhere"))
    assert status == 2 and "not a run folder" in err
    (other / "run.json").write_text('{"models": {"imported": {"source": "i3d"}}}')
    status, _, err = call(new, "set.csv", "--like", str(other))
    assert status == 2 and "imported, not extracted" in err
