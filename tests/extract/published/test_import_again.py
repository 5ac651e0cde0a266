"""An import that is done again after the manifest has changed: nothing that was read is lost, nothing stays that would not be
made now. What must come out is what an import into a new run gives."""

from pathlib import Path

import numpy as np
import pytest

from aadc.extract.published.command import import_folder
from aadc.extract.run_folder import RunFolder
from aadc.extract.set_aside import read_rejected
from aadc.extract.shards import ShardSet
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Row, write_manifest

CARD = Card(
    title="Small",
    classes=[ClassEntry(name="Quiet", kind="normal", prompt="quiet"), ClassEntry(name="Loud", kind="abnormal", prompt="loud")],
)
WIDTH = 8


def row(name: str, split: str = "train", frames: int = 320) -> Row:
    return Row(video=f"{name}.mp4", split=split, labels=("Quiet" if name < "v20" else "Loud",), frames=frames)


ROWS = [row(f"v{place:02d}") for place in range(40)]  # three shards


def save(folder: Path, name: str, rows: int) -> None:
    folder.mkdir(exist_ok=True)
    first = sum(map(ord, name))
    np.save(folder / f"{name}.npy", (first + np.arange(rows * WIDTH).reshape(rows, WIDTH)).astype(np.float16))


def run_import(tmp_path: Path, rows: list[Row], run: str, crop: str | None = None) -> ShardSet:
    manifest = tmp_path / f"{run}.csv"
    write_manifest(rows, CARD, manifest)
    import_folder(tmp_path / "features", manifest, "npy", crop, None, 16, tmp_path / run)
    return ShardSet(tmp_path / run / "shards")


def same(one: ShardSet, other: ShardSet, keys: list[str]) -> bool:
    return all((one.read(key).scene == other.read(key).scene).all() for key in keys)


@pytest.mark.parametrize(
    "after",
    [
        [row("new"), *ROWS],
        [row("new"), *ROWS[:20], row("newer"), *ROWS[20:]],
        ROWS[::-1],
        [*ROWS[7:], row("new"), *ROWS[:7]],
    ],
    ids=["one more in front", "two more", "sorted the other way", "in another order"],
)
def test_rows_that_came_or_moved_cost_no_video(tmp_path, after):
    for name in [f"v{place:02d}" for place in range(40)] + ["new", "newer"]:
        save(tmp_path / "features", name, 20)
    run_import(tmp_path, ROWS, "run")
    again, fresh = run_import(tmp_path, after, "run"), run_import(tmp_path, after, "fresh")
    keys = [one.key for one in after]
    assert sorted(again.keys) == sorted(fresh.keys) == sorted(keys)
    assert same(again, fresh, keys)


def test_videos_that_a_manifest_names_no_more_are_not_lost(tmp_path):
    for place in range(40):
        save(tmp_path / "features", f"v{place:02d}", 20)
    run_import(tmp_path, ROWS[:4], "run")
    again = run_import(tmp_path, ROWS[2:5], "run")  # v04 comes, and its shard is written anew
    assert sorted(again.keys) == [one.key for one in ROWS[:5]]


def test_parts_of_a_video_are_spread_anew_where_its_row_says_other_frames_or_another_split(tmp_path):
    before = [*ROWS[:6], row("v20", "test", 1600), row("v21", "test", 1600), row("v22", "test", 1600)]
    after = [row("v00", "test", 800), *ROWS[1:6], row("v20", "test", 3200), row("v21", "train", 1600), before[-1]]
    for one in before:
        save(tmp_path / "features", Path(one.video).stem, 32)
    old = run_import(tmp_path, before, "run")
    again, fresh = run_import(tmp_path, after, "run"), run_import(tmp_path, after, "fresh")
    assert [old.entries[key].snippets for key in ("v00.mp4", "v20.mp4", "v21.mp4")] == [32, 100, 100]
    assert [again.entries[key].snippets for key in ("v00.mp4", "v20.mp4", "v21.mp4")] == [50, 200, 32]
    assert same(again, fresh, [one.key for one in after])


def test_rows_that_cannot_be_those_of_the_frames_any_more_are_rejected(tmp_path):
    for one in ROWS[:3]:
        save(tmp_path / "features", Path(one.video).stem, 20)
    run_import(tmp_path, ROWS[:3], "run")
    again = run_import(tmp_path, [*ROWS[:2], row("v02", frames=640)], "run")
    assert again.keys == ["v00.mp4", "v01.mp4"]
    assert [one.video for one in read_rejected(RunFolder(tmp_path / "run").rejected)] == ["v02.mp4"]
    back = run_import(tmp_path, ROWS[:3], "run")
    assert sorted(back.keys) == ["v00.mp4", "v01.mp4", "v02.mp4"]


def test_more_crops_than_the_run_has_are_refused_before_anything_is_written(tmp_path):
    for crop in range(2):
        save(tmp_path / "features", f"v00__{crop}", 20)
    run_import(tmp_path, ROWS[:1], "run", "all")
    for crop in range(3):
        save(tmp_path / "features", f"v01__{crop}", 20)
    with pytest.raises(UserError, match="holds 2 crops of every row, and these are 3; name another folder with --run"):
        run_import(tmp_path, ROWS[:2], "run", "all")
    assert ShardSet(tmp_path / "run" / "shards").keys == ["v00.mp4"]
