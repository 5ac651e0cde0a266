"""Published features: folders in each layout, byte for byte in the described form, become shards; every trap has its sentence.

The features are rows of numbers whose meaning is known here, so that what comes out can be compared with what went in.
"""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aadc.extract.published.arrays import Features, Form, Seen
from aadc.extract.published.command import import_folder
from aadc.extract.published.export import export_npy
from aadc.extract.published.names import read_name
from aadc.extract.run_folder import RunFolder
from aadc.extract.set_aside import read_rejected
from aadc.extract.shards import ShardSet, verify_shard
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Row, Segment, write_manifest
from aadc.manifests.official import shipped

CARD = Card(
    title="Small",
    classes=[
        ClassEntry(name="Normal", kind="normal", prompt="normal"),
        ClassEntry(name="Abuse", kind="abnormal", prompt="abuse"),
    ],
)
LENGTHS = {"Abuse/Abuse001_x264.mp4": 97, "Abuse/Abuse028_x264.mp4": 161, "Train/Normal_1_x264.mp4": 64}
WIDTH = 512


def rows_of(name: str, rows: int, width: int = WIDTH, crop: int = 0) -> np.ndarray:
    """Features that differ by video, crop, row and column, exact in half precision."""
    first = 1 + crop + 16 * list(LENGTHS).index(name)
    return (first + np.arange(rows)[:, None] % 7 + np.arange(width) % 5 / 8).astype(np.float16)


@pytest.fixture
def manifest(tmp_path) -> Path:
    path = tmp_path / "small.csv"
    rows = [
        Row(video="Abuse/Abuse001_x264.mp4", split="train", labels=("Abuse",)),
        Row(video="Train/Normal_1_x264.mp4", split="train", labels=("Normal",)),
        Row(video="Abuse/Abuse028_x264.mp4", split="test", labels=("Abuse",), frames=161,
            segments=(Segment(40, 200, "Abuse"),)),
    ]  # fmt: skip
    write_manifest(rows, CARD, path)
    return path


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def stem(name: str) -> str:
    return Path(name).stem


def vadclip(root: Path, crops=range(10)) -> None:
    """Class folders, ten files a video, (T, 512) float16, T = floor(frames / 16); unpacked twice over, as it happens."""
    for name, frames in LENGTHS.items():
        for crop in crops:
            place = root / "UCFClipFeatures" / "UCFClipFeatures" / Path(name).parent
            save(place / f"{stem(name)}__{crop}.npy", rows_of(name, frames // 16, crop=crop))


def clip_tsa(root: Path) -> None:
    for name, frames in LENGTHS.items():
        save(root / "features" / "train" / Path(name).parent / f"{stem(name)}.npy", rows_of(name, frames // 16))


def lap(root: Path) -> None:
    for name, frames in LENGTHS.items():
        crops = [rows_of(name, frames // 16, 768, crop) for crop in range(10)]
        save(root / f"{stem(name)}_clip.npy", np.stack(crops))
        save(root / f"{stem(name)}_emb.npy", rows_of(name, frames // 16, 768))


def i3d(root: Path) -> None:
    """PEL4VAD's names: the centre without a number, the others with one; T = floor((frames - 1) / 16), float32."""
    for name, frames in LENGTHS.items():
        for crop in range(10):
            end = f"__{crop}" if crop else ""
            array = rows_of(name, (frames - 1) // 16, 1024, crop).astype(np.float32)
            save(root / "train" / f"{stem(name)}{end}.npy", array)


def xd_i3d(root: Path) -> None:
    """XDVioDet's folders: RGB and Flow with the same names, sound beside."""
    for name, frames in LENGTHS.items():
        for crop in range(5):
            for kind in ("RGB", "Flow"):
                save(root / kind / f"{stem(name)}__{crop}.npy", rows_of(name, (frames - 1) // 16, 1024, crop) * (kind == "RGB"))
        save(root / "vggish" / f"{stem(name)}__vggish.npy", np.ones((frames // 16, 128), np.float32))


def rtfm(root: Path) -> None:
    for name, frames in LENGTHS.items():
        crops = [rows_of(name, -(-frames // 16), 2048, crop).astype(np.float32) for crop in range(10)]
        save(root / f"{stem(name)}_i3d.npy", np.stack(crops, axis=1))


def c3d(root: Path) -> None:
    """Sultani's: 32 lines of 4096 numbers."""
    for name in LENGTHS:
        path = root / Path(name).parent / f"{stem(name)}_C.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path, rows_of(name, 32, 4096), fmt="%.5g")


def npy(root: Path) -> None:
    for name, frames in LENGTHS.items():
        save(root / f"{stem(name)}.npy", rows_of(name, frames // 16, 96).T.astype(np.float64))


def crops_mean(name: str, rows: int, width: int, crops: int) -> np.ndarray:
    return np.mean([rows_of(name, rows, width, crop).astype(np.float32) for crop in range(crops)], axis=0)


LAYOUTS = {
    # layout: (maker, layout that is recognised, rows of a video of so many frames, its scene)
    "vadclip": (vadclip, lambda f: f // 16, lambda n, t: rows_of(n, t)),
    "clip-tsa": (clip_tsa, lambda f: f // 16, lambda n, t: rows_of(n, t)),
    "lap": (lap, lambda f: f // 16, lambda n, t: crops_mean(n, t, 768, 10)),
    "i3d": (i3d, lambda f: (f - 1) // 16, lambda n, t: crops_mean(n, t, 1024, 10)),
    "rtfm": (rtfm, lambda f: -(-f // 16), lambda n, t: crops_mean(n, t, 2048, 10)),
    "npy": (npy, lambda f: f // 16, lambda n, t: rows_of(n, t, 96)),
}


def run_import(folder: Path, manifest: Path, run: Path, layout="auto", crop=None, clip=None, stride=16) -> int:
    return import_folder(folder, manifest, layout, crop, clip, stride, run)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_recognised_and_read(tmp_path, manifest, capsys, layout):
    make, rows, scene = LAYOUTS[layout]
    make(tmp_path / "features")
    assert run_import(tmp_path / "features", manifest, tmp_path / "run") == 0
    assert f"files of layout {layout} " in capsys.readouterr().out
    shards = ShardSet(tmp_path / "run" / "shards")
    assert shards.models["imported"]["source"] == layout and not shards.has_detector
    assert ("clip" in shards.models) == (layout in ("vadclip", "lap"))
    for key, entry in shards.entries.items():
        video, count = shards.read(key), rows(LENGTHS[entry.video])
        assert entry.snippets == count and entry.frames == 16 * count
        np.testing.assert_allclose(video.scene, scene(entry.video, count).astype(np.float16), rtol=1e-3)
        assert video.frame.tolist() == list(range(0, 16 * count, 16)) and not video.count.any()
        np.testing.assert_allclose(video.time, video.frame / 30)
        assert video.detr.shape == (count, 0) and video.box.shape == (count, 0, 4)
    for path in (tmp_path / "run" / "shards").glob("*.h5"):
        verify_shard(path)


def test_optical_flow_and_sound_are_passed_over(tmp_path, manifest, capsys):
    xd_i3d(tmp_path / "xd")
    assert run_import(tmp_path / "xd", manifest, tmp_path / "run") == 0
    said = capsys.readouterr().out
    assert "15 files of optical flow passed over" in said and "3 files of sound or captions passed over" in said
    shards = ShardSet(tmp_path / "run" / "shards")
    assert all(shards.read(key).scene.min() >= 1 for key in shards.keys)


def test_features_of_32_parts_lie_on_the_frames_of_the_manifest(tmp_path, manifest):
    """161 frames are 11 rows of 16; row i stands at 16 i frames and shows the part that this is in."""
    c3d(tmp_path / "c3d")
    assert run_import(tmp_path / "c3d", manifest, tmp_path / "run") == 0
    shards = ShardSet(tmp_path / "run" / "shards")
    by_video = {entry.video: shards.read(key) for key, entry in shards.entries.items()}
    test = by_video["Abuse/Abuse028_x264.mp4"]
    parts = [int(row * 32 / 11) for row in range(11)]
    np.testing.assert_array_equal(test.scene, rows_of("Abuse/Abuse028_x264.mp4", 32, 4096)[parts])
    assert len(by_video["Train/Normal_1_x264.mp4"].scene) == 32


@pytest.mark.parametrize(("crop", "first", "views"), [("0", 0, 0), ("5", 5, 0), ("all", 0, 9), ("mean", None, 0)])
def test_crops(tmp_path, manifest, crop, first, views):
    vadclip(tmp_path / "f")
    run_import(tmp_path / "f", manifest, tmp_path / "run", crop=crop)
    shards = ShardSet(tmp_path / "run" / "shards")
    for key, entry in shards.entries.items():
        video, name = shards.read(key), entry.video
        expected = (
            crops_mean(name, len(video.scene), WIDTH, 10) if first is None else rows_of(name, len(video.scene), crop=first)
        )
        np.testing.assert_allclose(video.scene, expected, rtol=1e-3)
        assert video.crop.shape[1] == views and not video.count.any()
        for view in range(views):
            np.testing.assert_array_equal(video.crop[:, view], rows_of(name, len(video.scene), crop=view + 1))


def test_a_crop_that_is_not_there(tmp_path, manifest):
    vadclip(tmp_path / "f", crops=(0, 5))
    with pytest.raises(UserError, match="--crop 3: no video has this crop; there are 0, 5"):
        run_import(tmp_path / "f", manifest, tmp_path / "run", crop="3")
    with pytest.raises(UserError, match="--crop -1"):
        run_import(tmp_path / "f", manifest, tmp_path / "run", crop="-1")
    (tmp_path / "f/UCFClipFeatures/UCFClipFeatures/Abuse/Abuse001_x264__5.npy").unlink()
    assert run_import(tmp_path / "f", manifest, tmp_path / "run", crop="5") == 1
    (one,) = read_rejected(tmp_path / "run" / "rejected.csv")
    assert one.video == "Abuse/Abuse001_x264.mp4" and "no crop 5; it has 0" in one.what


def spoil(change):
    """An array in place of the test video's only file."""
    return lambda path: np.save(path, change(np.load(path)))


class Evil:
    def __reduce__(self):
        return (os.system, ("touch evil",))


def objects(path: Path) -> None:
    np.save(path, np.array([Evil()], object), allow_pickle=True)


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(Evil()))


def zipped(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.ones(3))


def half_a_zip(path: Path) -> None:
    zipped(path)
    path.write_bytes(path.read_bytes()[:200])


TRAPS = {
    "nan": (
        spoil(lambda a: np.where(np.arange(len(a))[:, None] == 3, np.nan, a).astype(a.dtype)),
        "NaN values, first in row 3",
    ),
    "inf": (spoil(lambda a: np.where(np.arange(len(a))[:, None] == 0, np.inf, a).astype(a.dtype)), "infinite values"),
    "objects": (objects, "never opened"),
    "pickle": (pickled, "never opened"),
    "zip": (zipped, "archive of several arrays"),
    "half a zip": (half_a_zip, "cannot be read"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "cannot be read"),
    "nothing": (lambda path: path.write_bytes(b""), "cannot be read"),
    "whole numbers": (spoil(lambda a: a.astype(np.int64)), "holds int64"),
    "no row": (spoil(lambda a: a[:0]), "has no row"),
    "zeros": (spoil(np.zeros_like), "zero in every row"),
    "another width": (spoil(lambda a: a[:, :500]), "10 x 500, and features are 512 wide"),
    "another rate": (spoil(lambda a: np.repeat(a, 3, 0)), "30 rows, one in 16 frames, where the manifest states 161"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_one_bad_video_is_named_and_the_rest_goes_on(tmp_path, manifest, monkeypatch, trap):
    """Nothing in a file is ever run, and what is mended comes in with the same command."""
    monkeypatch.chdir(tmp_path)
    vadclip(tmp_path / "f", crops=(5,))
    path = tmp_path / "f/UCFClipFeatures/UCFClipFeatures/Abuse/Abuse028_x264__5.npy"
    good, (harm, said) = path.read_bytes(), TRAPS[trap]
    harm(path)
    assert run_import(tmp_path / "f", manifest, tmp_path / "run", "vadclip") == 1
    (one,) = read_rejected(tmp_path / "run" / "rejected.csv")
    assert one.video == "Abuse/Abuse028_x264.mp4" and said in one.what
    assert len(ShardSet(tmp_path / "run" / "shards").keys) == 2 and not (tmp_path / "evil").exists()
    path.write_bytes(good)
    assert run_import(tmp_path / "f", manifest, tmp_path / "run", "vadclip") == 0
    assert len(ShardSet(tmp_path / "run" / "shards").keys) == 3 and not read_rejected(tmp_path / "run" / "rejected.csv")


HARMLESS = {
    "lies the other way": (lambda a: a.T, "1 arrays lay the other way round"),
    "an axis of one": (lambda a: a[None], None),
    "float64": (lambda a: a.astype(np.float64), "1 files are of more than half precision"),
    "big endian": (lambda a: a.astype(">f4"), "1 files are of more than half precision"),
    "too large for half": (lambda a: a.astype(np.float64) * 1e9, "10 rows were too large or too small"),
    "too small for half": (lambda a: a.astype(np.float64) * 1e-9, "10 rows were too large or too small"),
    "a row of zeros": (lambda a: a * (np.arange(len(a)) != 4)[:, None], "1 rows are all zero"),
}


@pytest.mark.parametrize("what", HARMLESS)
def test_harmless_forms_give_the_same_directions(tmp_path, manifest, capsys, what):
    vadclip(tmp_path / "f", crops=(5,))
    path = tmp_path / "f/UCFClipFeatures/UCFClipFeatures/Abuse/Abuse028_x264__5.npy"
    change, said = HARMLESS[what]
    np.save(path, change(np.load(path)))
    assert run_import(tmp_path / "f", manifest, tmp_path / "run") == 0
    assert said is None or said in capsys.readouterr().out
    shards = ShardSet(tmp_path / "run" / "shards")
    (video,) = (shards.read(key) for key, entry in shards.entries.items() if entry.split == "test")
    expected = rows_of(video.video, 10, crop=5).astype(np.float64)
    keep = np.arange(10) != 4 if "zeros" in what else slice(None)
    one, two = video.scene.astype(np.float64)[keep], expected[keep]
    cosine = (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    assert (cosine > 1 - 1e-5).all()


@given(st.permutations(range(3)), st.integers(11, 40), st.integers(2, 10))
def test_crops_are_found_on_whichever_axis(axes, rows, views):
    """(T, V, D) in every order, the width being known; the axis of few is that of the crops."""
    import tempfile

    array = np.random.default_rng(0).normal(size=(rows, views, 64)).astype(np.float32)
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, array.transpose(axes))
        file.flush()
        found = Features(Path(file.name), Form(64, axes.index(1)), Seen())
        np.testing.assert_array_equal(np.concatenate(list(found.blocks(rows))), array)


def test_what_is_on_one_side_alone_is_named(tmp_path, manifest, capsys):
    vadclip(tmp_path / "f", crops=(5,))
    folder = tmp_path / "f/UCFClipFeatures/UCFClipFeatures"
    (folder / "Abuse/Abuse001_x264__5.npy").rename(folder / "Abuse/Abuse999_x264__5.npy")
    assert run_import(tmp_path / "f", manifest, tmp_path / "run") == 1
    said = capsys.readouterr().out
    assert "1 videos of the manifest have no features: Abuse/Abuse001_x264.mp4" in said
    assert "1 videos have features (1 files) and are not in the manifest: Abuse999_x264" in said
    (one,) = read_rejected(tmp_path / "run" / "rejected.csv")
    assert one.reason == "missing"


def test_nothing_fits_is_one_sentence(tmp_path, manifest):
    save(tmp_path / "f" / "other__5.npy", np.ones((3, 512), np.float16))
    with pytest.raises(
        UserError, match="not one of its 1 files is of a video of .*it has other for one, and the manifest Abuse001"
    ):
        run_import(tmp_path / "f", manifest, tmp_path / "run")
    with pytest.raises(UserError, match="no such folder"):
        run_import(tmp_path / "nowhere", manifest, tmp_path / "run")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no .npy file"):
        run_import(tmp_path / "empty", manifest, tmp_path / "run")
    with pytest.raises(UserError, match="--layout x: there are auto, vadclip"):
        run_import(tmp_path / "f", manifest, tmp_path / "run", "x")
    with pytest.raises(UserError, match="3 x 512, where i3d is 1024 or 2048 wide"):
        run_import(tmp_path / "f", manifest, tmp_path / "run", "i3d")
    assert not (tmp_path / "run").exists()


def test_two_files_for_one_video(tmp_path, manifest, capsys):
    """The one in the folder that the manifest names is taken; a copy does no harm; two that differ are told apart by nobody."""
    vadclip(tmp_path / "f", crops=(5,))
    home = tmp_path / "f/UCFClipFeatures/UCFClipFeatures"
    save(home / "Normal_Videos_event" / "Normal_1_x264__5.npy", np.ones((4, 512), np.float16))
    assert run_import(tmp_path / "f", manifest, tmp_path / "run") == 0
    assert "1 files are copies of others, or lie elsewhere" in capsys.readouterr().out
    shards = ShardSet(tmp_path / "run" / "shards")
    (video,) = (shards.read(key) for key, entry in shards.entries.items() if "Normal" in entry.video)
    np.testing.assert_array_equal(video.scene, rows_of("Train/Normal_1_x264.mp4", 4, crop=5))
    save(tmp_path / "f" / "again" / "Train" / "Normal_1_x264__5.npy", np.ones((4, 512), np.float16))
    assert run_import(tmp_path / "f", manifest, tmp_path / "other") == 1
    (one,) = read_rejected(tmp_path / "other" / "rejected.csv")
    assert one.reason == "twice" and "differ; remove one" in one.what


def test_cameras_with_equal_names_are_told_apart_by_their_folders(tmp_path):
    rows = [Row(video=f"cam{n}/001.mp4", split="train", labels=("Normal",)) for n in (1, 2)]
    write_manifest(rows, CARD, tmp_path / "two.csv")
    for n in (1, 2):
        save(tmp_path / "f" / f"cam{n}" / "001__0.npy", np.full((5, 512), n, np.float16))
    assert run_import(tmp_path / "f", tmp_path / "two.csv", tmp_path / "run") == 0
    shards = ShardSet(tmp_path / "run" / "shards")
    assert {entry.video: float(shards.read(key).scene[0, 0]) for key, entry in shards.entries.items()} == {
        "cam1/001.mp4": 1.0,
        "cam2/001.mp4": 2.0,
    }


def test_a_video_that_is_called_as_a_crop_of_another_is_told_apart_or_refused(tmp_path):
    """`x__0.npy` was taken for the video x__0 in silence, also where the field's layout means the first crop of x."""
    rows = [Row(video=f"{name}.mp4", split="train", labels=("Normal",)) for name in ("x", "x__0", "y")]
    write_manifest(rows, CARD, tmp_path / "m.csv")

    def brought(*names: str) -> dict[str, float]:
        folder = tmp_path / "-".join(names)
        for number, name in enumerate(names, 1):
            save(folder / f"{name}.npy", np.full((5, 512), number, np.float16))
        run_import(folder, tmp_path / "m.csv", folder / "run")
        shards = ShardSet(folder / "run" / "shards")
        return {entry.video: float(shards.read(key).scene[0, 0]) for key, entry in shards.entries.items()}

    assert brought("x", "x__0", "y") == {"x.mp4": 1, "x__0.mp4": 2, "y.mp4": 3}
    assert brought("x__0", "x__0__0", "y__0") == {"x.mp4": 1, "x__0.mp4": 2, "y.mp4": 3}
    assert brought("x__0__0", "y") == {"x__0.mp4": 1, "y.mp4": 2}
    with pytest.raises(
        UserError, match=r"x__0\.npy: may be of the video x__0 or crop 0 of x, and the manifest has both; name it"
    ):
        brought("x__0", "y__0")
    run = RunFolder(tmp_path / "x-x__0-y" / "run")  # what this program writes out comes back as it was
    export_npy(run, tmp_path / "out", pooled=False)
    run_import(tmp_path / "out", tmp_path / "m.csv", tmp_path / "again")
    shards = ShardSet(tmp_path / "again" / "shards")
    assert {one.video: shards.read(key).scene[0, 0] for key, one in shards.entries.items()} == {
        "x.mp4": 1, "x__0.mp4": 2, "y.mp4": 3,
    }  # fmt: skip


def test_features_of_two_kinds_are_not_mixed(tmp_path, manifest):
    vadclip(tmp_path / "f")
    run_import(tmp_path / "f", manifest, tmp_path / "run", crop="0")
    before = {path: path.read_bytes() for path in (tmp_path / "run" / "shards").iterdir()}
    with pytest.raises(UserError, match="holds other features .*crops 0.* than these .*crops 5"):
        run_import(tmp_path / "f", manifest, tmp_path / "run", crop="5")
    assert before == {path: path.read_bytes() for path in (tmp_path / "run" / "shards").iterdir()}


def test_known_totals_of_ucf_crime(tmp_path, capsys):
    """Rows of all 290 test videos by the rule give the known totals, to the frame; one row less is named."""
    listed = shipped("ucf")
    rows = [row for row in listed.rows if row.split == "test"]
    write_manifest(rows, listed.card, tmp_path / "ucf.csv")
    more = {"Normal_Videos_924_x264", "Normal_Videos_935_x264", "Normal_Videos_940_x264"}
    for row in rows:
        name = stem(row.video)
        save(tmp_path / "f" / f"{name}__5.npy", np.ones((row.frames // 16 + (name in more), 8), np.float16))
    from aadc.extract.published import layouts

    narrow = layouts.Layout("vadclip", "narrow, for this test", (8,), clip="ViT-B-16/openai", crop="test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(layouts.LAYOUTS, "vadclip", narrow)
        assert run_import(tmp_path / "f", tmp_path / "ucf.csv", tmp_path / "run", "vadclip") == 0
        said = capsys.readouterr().out
        assert "test: 290 videos, 69,367 rows, 1,109,872 frames, 84,160 of them anomalous" in said
        assert "these are the known totals" in said
        save(tmp_path / "f" / "Abuse028_x264__5.npy", np.ones((87, 8), np.float16))
        run_import(tmp_path / "f", tmp_path / "ucf.csv", tmp_path / "run", "vadclip")
        said = capsys.readouterr().out
    assert "1 videos read (87 rows), 289 were there before" in said
    assert "1 test videos have other rows than their frames make: Abuse028_x264 (87 rows, not 88)" in said


def test_published_names_are_read(tmp_path):
    videos = {stem(row.video) for row in shipped("xd").rows} | {stem(row.video) for row in shipped("ucf").rows} | {"01_0014"}
    xd = "v=4FzhVu2PR8Y__#1_label_B1"
    for name, video, crop in (
        ("Abuse001_x264__9", "Abuse001_x264", 9),
        ("Abuse001_x264_i3d", "Abuse001_x264", None),
        ("Abuse001_x264_C", "Abuse001_x264", None),
        (xd, xd, None),
        (f"{xd}__4", xd, 4),
        (f"{xd}_clip", xd, None),
        ("01_0014_7", "01_0014", 7),
        ("01_0014", "01_0014", None),
    ):
        assert read_name(name, videos) == (video, crop)


def test_killed_at_any_moment_it_goes_on(tmp_path):
    """SIGKILL in the middle: shards are whole, and the second run reads what is missing and ends with the same features."""
    rows = [Row(video=f"{n:03d}.mp4", split="train", labels=("Normal",)) for n in range(160)]
    write_manifest(rows, CARD, tmp_path / "many.csv")
    for n in range(160):
        save(tmp_path / "f" / f"{n:03d}__0.npy", np.full((20, 64), 1 + n, np.float16))
    program = "import sys; from aadc.extract.published.cli import main; main()"
    words = [sys.executable, "-c", program, str(tmp_path / "f"), str(tmp_path / "many.csv"), "--run", str(tmp_path / "run")]
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shards = tmp_path / "run" / "shards"
    while child.poll() is None and len(list(shards.glob("*.h5"))) < 3:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    finished = {path.name: path.read_bytes() for path in shards.glob("*.h5")}
    assert 3 <= len(finished) < 10
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{160 - 16 * len(finished)} videos read" in done.stdout and f"{16 * len(finished)} were there before" in done.stdout
    assert all((shards / name).read_bytes() == content for name, content in finished.items())
    found = ShardSet(shards)
    assert [float(found.read(row.key, ("scene",)).scene[0, 0]) for row in rows] == [1.0 + n for n in range(160)]
    assert not list(shards.glob("*.tmp"))


def test_exported_and_imported_again(tmp_path, manifest):
    """The same arrays to the bit, under the same names."""
    vadclip(tmp_path / "f", crops=(5,))
    run_import(tmp_path / "f", manifest, tmp_path / "run")
    export_npy(RunFolder(tmp_path / "run"), tmp_path / "out", pooled=True)
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.npy")) == [
        "Abuse/Abuse001_x264__0.npy", "Abuse/Abuse028_x264__0.npy", "Train/Normal_1_x264__0.npy"
    ]  # fmt: skip
    assert run_import(tmp_path / "out", manifest, tmp_path / "again") == 0
    one, two = ShardSet(tmp_path / "run" / "shards"), ShardSet(tmp_path / "again" / "shards")
    assert one.fingerprint == two.fingerprint
    for key in one.keys:
        np.testing.assert_array_equal(one.read(key).scene, two.read(key).scene)
