"""Where videos lie: resolved once, links that lead out refused, odd names told, whatever the number of rows."""

import os
from pathlib import Path
from unittest import mock

import pytest

from aadc.manifests import manifest as module
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.changes import changes
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Manifest, Row, copy_manifest, read_manifest, write_manifest
from aadc.manifests.summary import missing_videos
from aadc.manifests.table import listing
from aadc.manifests.video_root import VideoRoot, trouble

CALM, FIGHT = (ClassEntry(name=name, kind=kind, prompt=name) for name, kind in (("calm", "normal"), ("fight", "abnormal")))
CARD = Card(title="t", classes=[CALM, FIGHT])


def row(video: str, labels=("calm",), **other) -> Row:
    return Row(**{"video": video, "split": "test", "labels": labels, **other})


def test_links_inside_and_out(tmp_path):
    root, out = tmp_path / "root", tmp_path / "root-too"  # a name that begins alike is another folder
    (root / "a/b").mkdir(parents=True)
    out.mkdir()
    for path in (root / "a/b/x.mp4", out / "x.mp4"):
        path.write_text("x")
    (root / "in").symlink_to("a/b")
    (root / "out").symlink_to(out)
    (root / "up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (root / "in.mp4").symlink_to("a/b/x.mp4")
    (root / "out.mp4").symlink_to("../root-too/x.mp4")
    (root / "circle.mp4").symlink_to("circle.mp4")
    linked = tmp_path / "linked"
    linked.symlink_to(root)
    for folder in (root, linked, Path(os.path.relpath(root))):
        videos = VideoRoot(folder)
        for inside in ("a/b/x.mp4", "in/x.mp4", "in.mp4", "none.mp4", "none/below.mp4"):
            assert videos.path(inside) == folder / inside
        for outside in ("out/x.mp4", "out.mp4", "up/root-too/x.mp4", "up/x.mp4", "loop/x.mp4", "circle.mp4"):
            with pytest.raises(UserError, match="leads outside"):
                videos.path(outside)


def test_folders_are_resolved_once_whatever_the_number_of_rows(tmp_path):
    (tmp_path / "a").mkdir()
    with mock.patch("os.path.realpath", side_effect=os.path.realpath) as resolved:
        videos = VideoRoot(tmp_path)
        for number in range(500):
            videos.path(f"a/{number}.mp4")
    assert resolved.call_count == 2


def test_what_may_be_the_matter_with_a_file(tmp_path):
    (tmp_path / "x.mp4").write_text("x")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    assert trouble(tmp_path / "x.mp4") is None
    found = {name: trouble(tmp_path / name)[0] for name in ("y.mp4", "x.mp4/y.mp4", "n" * 300, "d/" * 3000, "loop.mp4")}
    assert set(found.values()) == {"missing"} and "that long" in trouble(tmp_path / ("n" * 300))[1]
    assert trouble(tmp_path)[0] == trouble(tmp_path / "pipe.mp4")[0] == "not_video"
    with mock.patch("os.access", return_value=False):
        assert trouble(tmp_path / "x.mp4")[0] == "unreadable"


def test_names_too_long_are_missing_like_others(tmp_path):
    (tmp_path / "x.mp4").write_text("x")
    rows = (row("x.mp4"), row("n" * 300 + ".mp4"), row("/".join(["d" * 200] * 30)))
    missing = missing_videos(Manifest(tmp_path / "m.csv", CARD, rows), tmp_path)
    assert len(missing) == 2 and all("that long" in line for line in missing)


def test_a_list_that_nobody_reads_to_its_end_is_cut(tmp_path):
    assert listing(["a", "b"]) == "\n  a\n  b" and listing(list("abc"), 2) == "\n  a\n  b\n  … and 1 more"
    write_manifest([row("a.mp4")], CARD, tmp_path / "m.csv")
    with (tmp_path / "m.csv").open("a") as file:
        file.writelines(f"{number}.mp4,neither,calm,,\n" for number in range(3000))
    with pytest.raises(UserError, match="3000 bad rows") as told:
        read_manifest(tmp_path / "m.csv")
    assert len(str(told.value)) < 10_000 and "line 3:" in str(told.value) and "and 2950 more" in str(told.value)


def test_a_full_disk_leaves_manifest_and_card_as_they_were(tmp_path):
    path = tmp_path / "m.csv"
    write_manifest([row("a.mp4")], CARD, path)
    before = path.read_bytes(), path.with_suffix(".toml").read_bytes()
    other = Card(title="other", classes=[CALM, FIGHT])
    with (
        mock.patch.object(module, "write_card", side_effect=UserError("full")),
        pytest.raises(UserError, match="full"),
    ):
        write_manifest([row("b.mp4")], other, path)
    with (
        mock.patch.object(module, "write_card", side_effect=OSError(28, "No space left on device")),
        pytest.raises(UserError, match="No space left"),
    ):
        write_manifest([row("b.mp4")], other, path)
    assert (path.read_bytes(), path.with_suffix(".toml").read_bytes()) == before and len(os.listdir(tmp_path)) == 2
    copy_manifest(path, tmp_path / "copy.csv")
    assert read_manifest(tmp_path / "copy.csv").rows == read_manifest(path).rows


def test_what_changed_is_said():
    old = Manifest(Path("m.csv"), CARD, (row("a"), row("b"), row("c"), row("d", ("fight",), segments="0-5:fight")))
    assert changes(old, old) == []
    card = Card(title="t", classes=[FIGHT.model_copy(update={"prompt": "x"}), CALM, FIGHT.model_copy(update={"name": "new"})])
    rows = (row("b", ("fight",)), row("c", split="train"), row("d", ("fight",), segments="0-6:fight"), row("e"), row("f"))
    assert changes(old, Manifest(Path("m.csv"), card, rows)) == [
        "2 rows added, e for one", "1 row removed, a", "1 row relabelled, b", "1 row moved to the other split, c",
        "1 row with other segments or frames, d", "class added: new", "other prompt of fight", "classes in another order",
    ]  # fmt: skip


@pytest.mark.parametrize("prompt", ["", " ", "\t\n", "\u200b", "\u3000 \u200e"])
def test_a_prompt_says_something(prompt):
    with pytest.raises(ValueError, match="prompt"):
        ClassEntry(name="a", kind="normal", prompt=prompt)


def test_no_video_has_more_frames_than_memory_is_kept_for():
    assert row("a", frames="100000000").frames == 10**8
    with pytest.raises(ValueError, match="frames"):
        row("a", frames="999999999")


UCF = {
    "Abuse/Abuse001_x264.mp4": "Anomaly-Videos-Part-1/Abuse/Abuse001_x264.mp4",
    "Fighting/Fighting002_x264.mp4": "UCF_Crimes/Anomaly-Videos-Part-2/Fighting/Fighting002_x264.mp4",
    "Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4": "Training-Normal-Videos-Part-1/Normal_Videos001_x264.mp4",
    "Training_Normal_Videos_Anomaly/Normal_Videos900_x264.mp4": (
        "Training-Normal-Videos-Part-2/Training_Normal_Videos_Anomaly/Normal_Videos900_x264.mp4"
    ),
    "Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4": (
        "Testing_Normal_Videos/Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4"
    ),
}


def test_ucf_crime_is_found_as_its_archives_unpack(tmp_path):
    for place in UCF.values():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    videos = VideoRoot(tmp_path)
    assert {video: videos.path(video) for video in UCF} == {video: tmp_path / place for video, place in UCF.items()}
    for gone in ("Abuse/Abuse002_x264.mp4", "Arrest/Abuse001_x264.mp4", "Normal_Videos001_x264.mp4"):
        assert videos.path(gone) == tmp_path / gone  # another class's video of the same name is another video
    plain = tmp_path / "Abuse/Abuse001_x264.mp4"  # where the manifest says it lies comes first
    plain.parent.mkdir()
    plain.touch()
    assert VideoRoot(tmp_path).path("Abuse/Abuse001_x264.mp4") == plain


def test_a_part_outside_the_root_is_refused(tmp_path):
    (tmp_path / "out/Abuse").mkdir(parents=True)
    (tmp_path / "out/Abuse/a.mp4").touch()
    (tmp_path / "root").mkdir()
    (tmp_path / "root/Anomaly-Videos-Part-1").symlink_to(tmp_path / "out")
    with pytest.raises(UserError, match="leads outside"):
        VideoRoot(tmp_path / "root").path("Abuse/a.mp4")


def test_no_class_of_ones_own_is_looked_for_elsewhere(tmp_path):
    for place in ("walk/1.mp4", "walking fast/2.mp4", "Engine-Part-2/3.mp4"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    videos = VideoRoot(tmp_path)
    for gone in ("walk fast/1.mp4", "walk/2.mp4", "Engineer/3.mp4"):
        assert videos.path(gone) == tmp_path / gone
