"""A shard is whole or not there, tells when it is damaged, and cannot be made to lead anywhere else."""

import dataclasses
import json
import os
import re
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from aadc.extract.shards import DTYPES, ShardHeader, ShardSet, new_shard, open_shard, verify_shard, write_shard
from aadc.extract.video_features import VideoFeatures
from aadc.manifests.errors import UserError

HEADER = ShardHeader("0123456789abcdef", {"clip": {"source": "x"}}, {"stride": 16})


def features(video: str = "a/b.mp4", snippets: int = 3, seed: int = 0, labels=("Normal",)) -> VideoFeatures:
    """Random features of a video, T = snippets, N = 2, C = 4, D = 6."""
    random = np.random.default_rng(seed)
    tails = {
        "frame": (), "time": (), "carried": (), "scene": (4,), "detr": (6,), "count": (), "box": (2, 4), "score": (2,),
        "class": (2,), "crop": (2, 4), "query": (2, 6),
    }  # fmt: skip
    data = {name: (random.normal(size=(snippets, *tail)) * 9).astype(DTYPES[name]) for name, tail in tails.items()}
    data["frame"] = np.arange(snippets, dtype=np.int32) * 16 + 8
    data["time"], data["count"] = data["frame"] / 25, random.integers(0, 3, snippets).astype(np.int16)
    data["seen"] = (data["count"] + random.integers(0, 30, snippets)).astype(np.uint16)
    data["class_id"] = data.pop("class")
    return VideoFeatures(video, "train", labels, frames=snippets * 16, fps=25.0, sha256="00", **data)


def assert_equal(ours: VideoFeatures, theirs: VideoFeatures) -> None:
    assert ours.attributes() == theirs.attributes()
    for name, array in ours.arrays().items():
        np.testing.assert_array_equal(array, theirs.arrays()[name])
        assert array.dtype == DTYPES[name]


names = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(videos=st.lists(names, unique=True, min_size=1, max_size=4), snippets=st.sampled_from([1, 2, 63, 64, 65, 130]))
def test_round_trip(tmp_path_factory, videos, snippets):
    """Any name (slashes, dots, percent signs, spaces, any alphabet) and any length come back as they were."""
    folder = tmp_path_factory.mktemp("shards")
    written = [features(f"{name}.mp4", snippets, seed) for seed, name in enumerate(videos)]
    write_shard(folder / "00000.h5", HEADER, written)
    shards = ShardSet(folder)
    assert sorted(shards.keys) == sorted(video.key for video in written) and shards.fingerprint == HEADER.fingerprint
    for video in written:
        assert_equal(shards.read(video.key), video)
        assert shards.entries[video.key].snippets == snippets


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 130), max_size=5))
def test_appending_in_blocks_is_writing_at_once(tmp_path_factory, cuts):
    folder = tmp_path_factory.mktemp("shards")
    video = features(snippets=130)
    edges = [0, *sorted(cuts), 130]
    with new_shard(folder / "00000.h5", HEADER) as shard:
        for start, end in zip(edges, edges[1:], strict=False):
            shard.append(video.key, {name: array[start:end] for name, array in video.arrays().items()})
        shard.describe(video)
    assert_equal(ShardSet(folder).read(video.key), video)


def test_reading_a_few_datasets_leaves_the_others_out(tmp_path):
    write_shard(tmp_path / "00000.h5", HEADER, [features()])
    part = ShardSet(tmp_path).read("a%2Fb.mp4", ("scene", "count"))
    assert part.scene.shape == (3, 4) and part.arrays().keys() == {"scene", "count"}
    with pytest.raises(AttributeError, match="a/b.mp4: crop was not read"):
        _ = part.crop


def test_five_lines_with_h5py_alone(tmp_path):
    """The reader that docs/shards.md shows."""
    write_shard(tmp_path / "00000.h5", HEADER, [features()])
    with h5py.File(tmp_path / "00000.h5") as shard:
        for video in shard["videos"].values():
            assert video.attrs["video"] == "a/b.mp4"
            assert video["crop"][:].shape == (3, 2, 4) and video["time"][:].dtype == np.float64


def test_a_failure_midway_leaves_what_was_there(tmp_path):
    path = tmp_path / "00000.h5"
    write_shard(path, HEADER, [features(seed=1)])
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="midway"), new_shard(path, HEADER) as shard:
        shard.append("x", features().arrays())
        raise RuntimeError("midway")
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["00000.h5"]


def test_a_full_disk_is_told_and_publishes_nothing(tmp_path):
    """The write itself succeeds; only flushing fails. A limit on the file size stands in for the full disk."""
    code = f"""
import resource, signal
from pathlib import Path
import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})
from test_shards import HEADER, features
from aadc.extract.shards import write_shard
from aadc.manifests.errors import UserError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    write_shard(Path({str(tmp_path)!r}) / "00000.h5", HEADER, [features(snippets=5000)])
except UserError as error:
    print("told:", error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "told:" in done.stdout and "could not be written" in done.stdout, done.stderr
    assert os.listdir(tmp_path) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 20000


def test_every_flipped_bit_in_the_data_is_found(tmp_path):
    path = tmp_path / "00000.h5"
    video = features(snippets=200)
    write_shard(path, HEADER, [video])
    data = bytearray(path.read_bytes())
    place = data.index(np.ascontiguousarray(video.crop[100:102]).tobytes())
    data[place + 7] ^= 4
    path.write_bytes(data)
    with pytest.raises(UserError, match="crop is damaged"):
        verify_shard(path)


def test_every_attribute_that_was_changed_is_told(tmp_path):
    """By a flipped bit, or by hand; also after a video was taken over into another shard with other labels."""
    first, path = tmp_path / ".first.h5", tmp_path / "00000.h5"
    write_shard(first, HEADER, [features()])
    with new_shard(path, HEADER) as shard:
        shard.copy(first, "a%2Fb.mp4", "test", ("fall",), {"mtime_ns": 7})
    assert ShardSet(tmp_path).entries["a%2Fb.mp4"].record.mtime_ns == 7
    whole = path.read_bytes()
    places = {"fps": np.float64(25.0).tobytes(), "labels": b'["fall"]', "models": json.dumps(HEADER.models).encode()}
    for name, written in places.items():
        assert whole.count(written) >= 1, name
        data = bytearray(whole)
        for found in re.finditer(re.escape(written), whole):
            data[found.start() + (6 if name == "fps" else 3)] ^= 1  # a number stays one, a letter too
        path.write_bytes(data)
        with pytest.raises(UserError, match="00000.h5.*not as it was written"):
            ShardSet(tmp_path)
    with h5py.File(first, "r") as file:
        names = {"/": list(file.attrs), "/videos/a%2Fb.mp4": list(file["videos/a%2Fb.mp4"].attrs)}
    assert "rotation" in names["/videos/a%2Fb.mp4"] and "created_by" in names["/"]
    for group, name in [(group, name) for group, its in names.items() for name in its]:
        path.write_bytes(whole)
        with h5py.File(path, "a") as file:
            value = file[group].attrs[name]
            file[group].attrs[name] = value + "x" if isinstance(value, str) else value + np.asarray(1).astype(value.dtype)
        with pytest.raises(UserError, match="00000.h5"):
            ShardSet(tmp_path)
    path.write_bytes(whole)
    ShardSet(tmp_path)


def test_blocks_of_rows_that_hdf5_cannot_find_are_told(tmp_path):
    """One flipped bit in the index of a dataset's chunks: HDF5 gives zeros for rows whose chunk it does not find."""
    path = tmp_path / "00000.h5"
    write_shard(path, HEADER, [features(snippets=200)])
    whole = path.read_bytes()
    indices = [found.start() for found in re.finditer(b"TREE\x01", whole)]
    assert len(indices) == len(DTYPES)
    for index in indices:
        data = bytearray(whole)
        data[index + 32] ^= 64  # the first row of the first chunk: 64, not 0
        path.write_bytes(data)
        with pytest.raises(UserError, match="b.mp4: .* is damaged .*--again a/b.mp4"):
            ShardSet(tmp_path).read("a%2Fb.mp4")
        with pytest.raises(UserError, match="b.mp4: .* is damaged"):
            verify_shard(path)


def test_a_cut_shard_is_named(tmp_path):
    path = tmp_path / "00000.h5"
    write_shard(path, HEADER, [features()])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="00000.h5.*not a readable shard"):
        ShardSet(tmp_path)


def test_shards_of_two_fingerprints_and_a_video_twice_are_refused(tmp_path):
    write_shard(tmp_path / "00000.h5", HEADER, [features()])
    write_shard(tmp_path / "00001.h5", HEADER, [features()])
    with pytest.raises(UserError, match="a/b.mp4 is also in"):
        ShardSet(tmp_path)
    write_shard(tmp_path / "00001.h5", dataclasses.replace(HEADER, fingerprint="f" * 16), [features("c.mp4")])
    with pytest.raises(UserError, match="ffffffffffffffff.*0123456789abcdef"):
        ShardSet(tmp_path)


def hostile(path, change) -> None:
    """A shard of who does not seal attributes: an earlier version, or another program."""
    write_shard(path, HEADER, [features()])
    with h5py.File(path, "a") as file:
        video = file["videos/a%2Fb.mp4"]
        file.attrs.pop("seal")
        video.attrs.pop("seal")
        change(file, video)


def put(name: str, values, dtype=None, **options):
    """A change: another dataset under this name."""

    def change(file, video):
        if name in video:
            video.pop(name)
        video.create_dataset(name, data=np.asarray(values, dtype or DTYPES[name]), **options)

    return change


def say_of(where: str, **attributes):
    """A change: other attributes of the file or of the video; None takes one away."""

    def change(file, video):
        attrs = (file if where == "file" else video).attrs
        for name, value in attributes.items():
            attrs.pop(name, None)
            if value is not None:
                attrs[name] = value

    return change


ODD = [
    None,
    7,
    1.5,
    b"\xff\xfe",
    "",
    "[",
    "[" * 20000,
    "null",
    '"x"',
    "{}",
    "[1]",
    np.arange(3),
    h5py.Empty("f4"),
    np.bytes_(b"a"),
]


@pytest.mark.parametrize(
    "change",
    [
        *(lambda file, video, name=name: video.pop(name) for name in DTYPES if name not in ("carried", "seen")),
        *(put(name, 3) for name in DTYPES),
        *(put(name, np.zeros((3, 9, 9, 9))) for name in DTYPES),
        *(put(name, np.zeros((3, 5))) for name in ("scene", "detr", "score", "class", "frame", "time", "count", "carried")),
        *(put(name, np.zeros((3, 2, 5))) for name in ("crop", "query", "box")),
        *(lambda file, video, n=name: put(n, video[n][:], shuffle=True)(file, video) for name in ("scene", "time")),
        put("scene", [b"abcd"] * 3, "S4"),
        put("frame", [0, 1, 2], np.int64),
        lambda file, video: (video.pop("frame"), video.create_group("frame")),
        lambda file, video: (video.pop("frame"), video.__setitem__("frame", np.dtype("i4"))),
        lambda file, video: (video.pop("frame"), video.create_dataset("frame", data=h5py.Empty("i4"))),
        lambda file, video: video.__setitem__("loop", file["videos"]),
        lambda file, video: file["videos"].__setitem__("root", file["/"]),
        lambda file, video: file["videos"].__setitem__("again", video),
        lambda file, video: file["videos"].create_dataset("other", data=[1]),
        lambda file, video: file["videos"].create_group("empty"),
        lambda file, video: (file.pop("videos"), file.create_dataset("videos", data=[1])),
        lambda file, video: file.pop("videos"),
        *(say_of("file", fingerprint=odd) for odd in (None, 7, "", np.arange(3), h5py.Empty("f4"), "f" * 5000)),
        *(say_of("file", models=odd) for odd in ODD if not isinstance(odd, str) or odd != "{}"),
        *(say_of("file", sampling=odd) for odd in ODD),
        *(say_of("file", sampling=f'{{"stride": {odd}}}') for odd in ("0", '"x"', "1e99", "NaN", "7", "[]")),
        *(
            say_of("file", models=odd)
            for odd in ('{"clip": 3}', '{"clip": {"source": 3}}', '{"detector": {"class_names": [1]}}')
        ),
        *(say_of("video", labels=odd) for odd in ODD),
        *(say_of("video", frames=odd) for odd in (*ODD[:7], 0, -1, 2**40, 2**62, 49, 32, float("nan"))),
        *(say_of("video", fps=odd) for odd in (float("nan"), float("inf"), -1.0, "x", np.arange(2.0))),
        *(say_of("video", video=odd) for odd in (None, 7, "", "other.mp4", np.arange(2))),
        *(say_of("video", split=odd) for odd in (None, 7, "", "neither")),
        *(say_of("video", width=odd) for odd in (-1, "x", 1.5)),
        *(say_of("video", frames_expected=odd) for odd in (-1, "x", float("nan"))),
    ],
)
def test_shards_that_lack_or_contradict_are_refused_by_name(tmp_path, change):
    """No traceback, whatever a file says of itself: one sentence that names it and what to do."""
    hostile(tmp_path / "00000.h5", change)
    with pytest.raises(UserError, match=r"00000\.h5: .*(remove it|extract again)"):
        ShardSet(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("count", [0, 3, 1]), "counts of boxes"),
        (put("count", [0, -1, 1]), "counts of boxes"),
        (put("frame", [8, 24, 48]), "do not ascend"),
        (put("frame", [-1, 24, 40]), "do not ascend"),
        (put("frame", [8, 40, 24]), "do not ascend"),
        (put("time", [0, 2, 1]), "go back"),
        (put("time", [0, np.nan, 1]), "go back"),
        (put("time", [0, 1, np.inf]), "go back"),
        (put("box", np.full((3, 2, 4), np.nan)), "box"),
        (put("score", np.full((3, 2), np.inf)), "score"),
    ],
)
def test_values_that_cannot_be_are_told_when_they_are_read(tmp_path, change, words):
    hostile(tmp_path / "00000.h5", change)
    with pytest.raises(UserError, match=rf"00000\.h5: a/b\.mp4: .*{words}.*--again a/b\.mp4"):
        ShardSet(tmp_path).read("a%2Fb.mp4")


def test_rows_must_be_as_many_as_the_frames_make(tmp_path):
    for frames in (33, 40, 48):
        write_shard(
            tmp_path / "00000.h5", HEADER, [dataclasses.replace(features(), frames=frames, frame=np.array([8, 24, 32]))]
        )
    for frames in (32, 49):
        with pytest.raises(UserError, match="3 rows for"):
            write_shard(tmp_path / "00000.h5", HEADER, [dataclasses.replace(features(), frames=frames)])


def test_shards_of_another_width_do_not_mix(tmp_path):
    write_shard(tmp_path / "00000.h5", HEADER, [features()])
    wide = dataclasses.replace(features("c.mp4"), scene=np.zeros((3, 8)), crop=np.zeros((3, 2, 8)))
    write_shard(tmp_path / "00001.h5", HEADER, [wide])
    with pytest.raises(UserError, match=r"00001\.h5: features are 8 wide.*4"):
        ShardSet(tmp_path)
    with pytest.raises(UserError, match="8 values where there should be 4"):
        write_shard(tmp_path / "00001.h5", HEADER, [features(), wide])


def test_shards_of_earlier_versions_are_read(tmp_path):
    """Without `carried` and `seen`, and without size and time of the file."""

    def older(file, video):
        for name in ("carried", "seen"):
            video.pop(name)
        for name in ("size", "mtime_ns"):
            video.attrs.pop(name)

    hostile(tmp_path / "00000.h5", older)
    video = ShardSet(tmp_path).read("a%2Fb.mp4")
    assert video.carried.tolist() == [False] * 3 and video.seen is None and (video.size, video.mtime_ns) == (0, 0)
    write_shard(tmp_path / "00001.h5", HEADER, [features("c.mp4")])
    assert ShardSet(tmp_path).read("c.mp4").seen.dtype == np.uint16


def test_damage_anywhere_in_a_file_is_one_sentence(tmp_path):
    """Bytes flipped all over, metadata and data: read as before, or refused by name; never another error.

    All over but in the heap of attribute texts: over damage there the HDF5 library itself can go round in circles.
    """
    path = tmp_path / "00000.h5"
    write_shard(path, HEADER, [features(), features("c.mp4", seed=1)])
    whole, random, refused = path.read_bytes(), np.random.default_rng(0), 0
    heaps = [found.start() for found in re.finditer(b"GCOL", whole)]
    places = [place for place in range(len(whole)) if not any(heap <= place < heap + 4096 for heap in heaps)]
    for _ in range(200):
        data = bytearray(whole)
        for place in random.choice(places, 3):
            data[place] ^= 1 << random.integers(8)
        path.write_bytes(data)
        try:
            shards = ShardSet(tmp_path)
            for key, _ in shards.read_videos(shards.keys):
                assert key
        except UserError as error:
            refused += 1
            assert "00000.h5" in str(error)
    assert refused > 20


def test_a_shard_is_looked_over_once_and_opened_once(tmp_path, monkeypatch):
    from aadc.extract import shards as module

    for number in range(3):
        videos = [features(f"{number}/{place}.mp4", seed=place) for place in range(4)]
        write_shard(tmp_path / f"{number:05d}.h5", HEADER, videos)
    module._looked_over.clear()
    looked, opened = [], []
    look, file = module.look_over, h5py.File
    monkeypatch.setattr(module, "look_over", lambda *args: looked.append(args[1].name) or look(*args))
    monkeypatch.setattr(h5py, "File", lambda *args, **options: opened.append(args[0].name) or file(*args, **options))
    shards = ShardSet(tmp_path)
    assert len(looked) == len(opened) == 3
    keys = [key for place in range(4) for key in shards.keys if key.endswith(f"{place}.mp4")]  # one of each shard in turn
    read = dict(shards.read_videos(keys, ("count",)))
    assert read.keys() == set(keys) and all(read[key].key == key for key in keys) and not hasattr(read[keys[0]], "scene")
    assert len(opened) == 6 and len(looked) == 3
    ShardSet(tmp_path).read(keys[0])
    assert len(opened) == 7 and len(looked) == 3
    write_shard(tmp_path / "00001.h5", HEADER, [features("1/new.mp4")])
    looked.clear()
    assert "1%2Fnew.mp4" in ShardSet(tmp_path).entries and looked.count("00001.h5") == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda file, video: (
            video.pop("scene"),
            video.create_dataset("scene", (3, 4), "f2", external=[("/etc/passwd", 0, 24)]),
        ),
        lambda file, video: (video.pop("scene"), video.__setitem__("scene", h5py.ExternalLink("/etc/passwd", "/x"))),
        lambda file, video: (video.pop("scene"), video.__setitem__("scene", h5py.SoftLink("/videos/a%2Fb.mp4/crop"))),
        lambda file, video: file["videos"].__setitem__("other", h5py.ExternalLink("other.h5", "/videos/x")),
        lambda file, video: (video.pop("crop"), video.create_dataset("crop", (10**9, 2, 4), "f2", chunks=(64, 2, 4))),
        lambda file, video: (video.pop("scene"), video.create_dataset("scene", (3, 4), "f8")),
        lambda file, video: (video.pop("scene"), video.create_dataset("scene", (3, 4), "f2", compression="gzip")),
        lambda file, video: (video.pop("scene"), video.create_dataset("scene", (2, 4), "f2")),
        lambda file, video: video.create_dataset("surprise", data=[1]),
        lambda file, video: file.attrs.__setitem__("format", "something else"),
    ],
)
def test_foreign_files_are_refused_before_anything_is_read(tmp_path, change):
    hostile(tmp_path / "00000.h5", change)
    with pytest.raises(UserError, match="not a shard that aadc-extract wrote"):
        ShardSet(tmp_path)


def test_newer_versions_are_told_apart(tmp_path):
    hostile(tmp_path / "00000.h5", lambda file, video: file.attrs.__setitem__("version", 99))
    with pytest.raises(UserError, match="version 99"), open_shard(tmp_path / "00000.h5"):
        pass


@settings(max_examples=30, deadline=None)
@given(values=arrays.arrays(np.float32, (3, 4), elements=st.floats(-1000, 1000, width=32)))
def test_half_precision_is_what_is_lost_and_no_more(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("shards")
    write_shard(folder / "00000.h5", HEADER, [dataclasses.replace(features(), scene=values)])
    read = ShardSet(folder).read("a%2Fb.mp4").scene
    np.testing.assert_array_equal(read, values.astype(np.float16))
