"""Manifests of one's own clips: what is found, how it is split, what the card says."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aadc.manifests.errors import UserError
from aadc.manifests.folder import (
    Clip,
    ask_normal,
    class_names,
    clips_of_folders,
    clips_of_labels,
    find_videos,
    make_card,
    make_rows,
    marked_by_hand,
    parse_normal,
    readable,
    root_for_card,
    split_clips,
    take_over,
)
from aadc.manifests.manifest import Manifest, Segment, read_manifest, video_path, video_root, write_manifest


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def clips_of(**counts: int) -> list[Clip]:
    return [Clip(f"{name}/{index:03}.mp4", (name,)) for name, count in counts.items() for index in range(count)]


def test_videos_are_found_whatever_they_are_called(tmp_path):
    names = [
        "walk/a b#1=2,'\"%.mp4",
        "walk/новый/день/übung.MKV",
        "walk/new\nline.avi",
        "fall/x.webm",
        "fall/archive.tar.ts",
    ]
    touch(tmp_path, *names, "walk/notes.txt", "walk/mp4", "walk/._a.mp4", ".trash/b.mp4", "walk/pic.jpg")
    (tmp_path / "fall" / "folder.mp4").mkdir()
    assert find_videos(tmp_path) == sorted(names)
    assert class_names(clips_of_folders(tmp_path)) == ["fall", "walk"]


def test_a_manifest_of_odd_names_is_read_back_and_leads_to_the_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AADC_VIDEOS", raising=False)
    root = touch(tmp_path / "my clips", "push, up/a,b.mp4", "push, up/#1 \r.mp4", 'fall "hard"/é\n.mp4', 'fall "hard"/=x.mp4')
    clips = clips_of_folders(root)
    out = Path("manifests/gym.csv")
    card = make_card("gym", class_names(clips), ["push, up"], root_for_card(root, out))
    write_manifest(make_rows(clips, split_clips(clips, 0.5, 0), ["push, up"], whole_clips=True), card, out)
    manifest = read_manifest(out)
    assert {row.video for row in manifest.rows} == {clip.video for clip in clips}
    assert all(video_path(video_root(manifest, None), row.video).is_file() for row in manifest.rows)


@pytest.mark.parametrize(
    ("root", "manifest", "named"),
    [
        ("project/data/gym", "project/manifests/gym.csv", "../data/gym"),
        ("project/gym", "project/gym.csv", "gym"),
        ("elsewhere/gym", "elsewhere/gym/gym.csv", "."),
        ("elsewhere/gym", "project/gym.csv", "/elsewhere/gym"),
        ("project/gym", "elsewhere/gym.csv", "/project/gym"),
    ],
)
def test_the_card_names_the_root_so_that_a_project_can_move(tmp_path, monkeypatch, root, manifest, named):
    for folder in ("project", root, Path(manifest).parent):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.delenv("AADC_VIDEOS", raising=False)
    found = root_for_card(tmp_path / root, tmp_path / manifest)
    assert found == (f"{tmp_path.resolve()}{named}" if named.startswith("/") else named)
    card = make_card("gym", ["fall", "walk"], ["walk"], found)
    assert video_root(Manifest(tmp_path / manifest, card, ()), None).samefile(tmp_path / root)


def test_what_a_manifest_cannot_hold_is_told_all_at_once(tmp_path):
    outside = touch(tmp_path / "outside", "secret.mp4")
    root = touch(tmp_path / "root", "walk/a.mp4")
    (root / "walk" / "out.mp4").symlink_to(outside / "secret.mp4")
    (root / "fall").symlink_to(outside)
    (root / "walk" / "again").symlink_to(root / "walk")  # inside: its files are found at their own place
    Path(os.fsdecode(os.fsencode(root) + b"/walk/caf\xe9.mp4")).touch()
    with pytest.raises(UserError) as caught:
        find_videos(root)
    message = str(caught.value)
    assert message.startswith(f"{root}: 3 of its videos cannot be used, nothing was written:\n")
    assert "walk/out.mp4: a link leads outside" in message
    assert "fall: a link leads outside" in message
    assert r"b'walk/caf\xe9.mp4': the name is not UTF-8; rename it" in message


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((), "no videos in it"),
        (("walk/a.txt",), "no videos in it"),
        (("walk/a.mp4", "b.mp4", "c.mp4"), r"2 video\(s\) lie in no class folder, b.mp4 for one"),
    ],
)
def test_folders_that_make_no_classes_are_refused(tmp_path, names, told):
    with pytest.raises(UserError, match=told):
        clips_of_folders(touch(tmp_path, *names))


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no such folder"):
        clips_of_folders(tmp_path / "none")


def test_a_class_that_cannot_be_a_label_is_refused():
    with pytest.raises(UserError, match=r"gym: name: 'up\|down' has \| in it.*rename the class"):
        make_card("gym", ["up|down", "fall"], ["up|down"], "gym")


def test_labels_come_from_the_file_whatever_the_folders_say(tmp_path):
    root = touch(tmp_path, "fight/a.mp4", "fight/b.mp4", "other/c.mp4", "d.mp4")
    (root / "labels.csv").write_bytes(
        "﻿video,split,label\r\nfight/a.mp4,train,Calm\r\nother/c.mp4,test,Fight|Fall\r\nd.mp4,test,Calm\r\n".encode()
    )
    assert clips_of_labels(root / "labels.csv", root) == [
        Clip("fight/a.mp4", ("Calm",), "train"),
        Clip("other/c.mp4", ("Fight", "Fall"), "test"),
        Clip("d.mp4", ("Calm",), "test"),
    ]


def test_every_bad_row_of_the_labels_is_told(tmp_path):
    root = touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "video,split,label\na.mp4,train,x\ngone.mp4,test,x\nb.mp4,valid,x\na.mp4,test,x\nc.mp4,test,\n../d,test,x\n"
    )
    with pytest.raises(UserError) as caught:
        clips_of_labels(labels, root)
    first, *rest = str(caught.value).split("\n")
    assert first == f"{labels}: 5 bad rows, nothing was started:"
    for told, (line, what) in zip(
        rest,
        [
            (3, "video: there is no video gone.mp4"),
            (4, "split: Input should be 'train' or 'test', not 'valid'"),
            (5, "video: a.mp4 stands already in line 2"),
            (6, "label: empty"),
            (7, "video: '../d' is not a plain path"),
        ],
        strict=True,
    ):
        assert told.startswith(f"  line {line}: {what}")


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    share=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]),
    seed=st.integers(0, 5),
)
def test_every_class_is_split_with_the_same_share(counts, share, seed):
    clips = clips_of(**{f"c{index}": count for index, count in enumerate(counts)})
    splits = split_clips(clips, share, seed)
    assert len(splits) == len(clips)
    for index, count in enumerate(counts):
        tests = sum(split == "test" for clip, split in zip(clips, splits, strict=True) if clip.labels == (f"c{index}",))
        assert abs(tests - share * count) <= 1
        if share in (0, 1):
            assert tests == share * count
        elif count == 1:
            assert tests == 0
        else:
            assert 1 <= tests <= count - 1


@settings(deadline=None)
@given(seed=st.integers(0, 5), order=st.randoms(use_true_random=False))
def test_the_split_hangs_on_names_and_seed_alone(seed, order):
    """Not on the order in which the file system lists the clips, nor on the other classes."""
    clips = clips_of(walk=12, fall=7)
    wanted = dict(zip(clips, split_clips(clips, 0.3, seed), strict=True))
    shuffled = clips_of(walk=12, fall=7, run=5)
    order.shuffle(shuffled)
    found = dict(zip(shuffled, split_clips(shuffled, 0.3, seed), strict=True))
    assert {clip: found[clip] for clip in wanted} == wanted


def test_another_seed_draws_others():
    clips = clips_of(walk=20)
    assert len({tuple(split_clips(clips, 0.5, seed)) for seed in range(5)}) == 5


def test_settled_splits_stay(tmp_path):
    clips = [Clip("a.mp4", ("x",), "test"), Clip("b.mp4", ("x",), "test"), Clip("c.mp4", ("x",), "train")]
    assert split_clips(clips, 0.0, 0) == ["test", "test", "train"]


def test_the_split_is_the_same_in_every_process_and_release():
    """A golden split: whoever changes how clips are drawn changes everybody's test set."""
    script = (
        "from aadc.manifests.folder import Clip, split_clips;"
        "clips = [Clip(f'{c}/{i}.mp4', (c,)) for c in ('fall', 'walk') for i in range(8)];"
        "print(''.join(s[1] for s in split_clips(clips, 0.3, 0)))"
    )
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        assert done.stdout == "errrerrrrrrererr\n"


def test_whole_clips_are_anomalous_from_first_to_last_frame():
    clips = [Clip("a", ("walk",)), Clip("b", ("fall",)), Clip("c", ("fall", "fight", "walk")), Clip("d", ("fall",))]
    splits = ["test", "test", "test", "train"]
    rows = make_rows(clips, splits, ["walk"], whole_clips=True)
    assert [row.segments for row in rows] == [
        (),
        (Segment(0, None, "fall"),),
        (Segment(0, None, "fall"), Segment(0, None, "fight")),
        (),
    ]
    assert Counter(len(row.segments) for row in make_rows(clips, splits, ["walk"], whole_clips=False)) == {0: 4}


CLASSES = ["1", "fall", "push, up", "walk"]


@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        (["walk"], ["walk"]),
        (["walk, fall"], ["walk", "fall"]),
        (["push, up", "walk,walk"], ["push, up", "walk"]),
        (["4,3"], ["walk", "push, up"]),
        (["1"], ["1"]),  # a class of that name comes before the number
    ],
)
def test_normal_classes_by_name_or_number(answers, chosen):
    assert parse_normal(answers, CLASSES, numbers=True) == chosen


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("Walk", "'Walk' is none of the classes: 1, fall, push, up, walk"),
        ("5", "'5' is none"),
        ("0", "'0' is none"),
        (" , ", "no class is normal"),
        ("1,2,3,4", "every class is normal"),
    ],
)
def test_an_answer_that_is_none_is_refused(answer, told):
    with pytest.raises(UserError, match=told):
        parse_normal([answer], CLASSES, numbers=True)


def test_a_number_counts_only_where_it_was_shown():
    with pytest.raises(UserError, match="'2' is none of the classes"):
        parse_normal(["2"], CLASSES)


def test_asking_goes_on_until_the_answer_is_one():
    told: list[str] = []
    answers = iter(["", "jump", "4"])
    assert ask_normal(CLASSES, lambda prompt: next(answers), told.append) == ["walk"]
    assert [line.split(maxsplit=1) for line in told[1:5]] == [[str(n), name] for n, name in enumerate(CLASSES, start=1)]
    assert "no class is normal" in told[5]
    assert "'jump' is none" in told[6]


def test_asking_ends_with_the_input():
    def closed(prompt: str) -> str:
        raise EOFError

    with pytest.raises(UserError, match="--normal"):
        ask_normal(CLASSES, closed, lambda line: None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("RoadAccidents", "road accidents"),
        ("fist_fight", "fist fight"),
        ("Lying-still", "lying still"),
        ("push, up", "push, up"),
        ("TRX", "trx"),
        ("übung 2", "übung 2"),
        ("---", "---"),
    ],
)
def test_prompts_are_words(name, words):
    assert readable(name) == words
    assert make_card("t", ["a b", name], ["a b"], ".").prompts == ["a b", words]


def test_the_card_lists_normal_classes_first():
    card = make_card("gym", ["fall", "run", "squat"], ["squat", "run"], "../gym")
    assert [(entry.name, entry.kind) for entry in card.classes] == [
        ("run", "normal"),
        ("squat", "normal"),
        ("fall", "abnormal"),
    ]
    assert (card.title, card.videos) == ("gym", "../gym")


def test_what_people_wrote_goes_over_to_the_manifest_that_replaces_theirs():
    card = make_card("gym", ["fall", "jump", "walk"], ["walk"], ".")
    clips = clips_of(walk=2, fall=3, jump=1)
    rows = make_rows(clips, ["test"] * 6, ["walk"], whole_clips=False)
    mine = card.model_copy(
        update={"title": "Our gym", "classes": [e.model_copy(update={"prompt": f"{e.name}, seen"}) for e in card.classes]}
    )
    rows[2] = rows[2].model_copy(update={"segments": (Segment(3, 9, "fall"),), "frames": 40})
    rows[3] = rows[3].model_copy(update={"segments": (Segment(0, None, "fall"),)})  # as --whole-clips sets them
    before = Manifest(Path("gym.csv"), mine, tuple(rows))
    assert list(marked_by_hand(before)) == [rows[2].video]
    clips = [*clips_of(walk=2, fall=3), *clips_of(run=1)]
    taken, new = take_over(
        make_rows(clips, ["test"] * 6, ["walk"], False), make_card("x", ["fall", "run", "walk"], ["walk"], "."), before
    )
    assert new.title == "Our gym" and {e.name: e.prompt for e in new.classes} == {
        "walk": "walk, seen",
        "fall": "fall, seen",
        "run": "run",
    }
    assert [row.segments for row in taken] == [(), (), (Segment(3, 9, "fall"),), (), (), ()] and taken[2].frames == 40
    with pytest.raises(UserError, match="gym.csv: fall/000.mp4: segments: .*abnormal"):
        take_over([rows[2].model_copy(update={"labels": ("walk",), "segments": (Segment(3, 9, "fall"),)})], card, before)


def test_a_part_of_ucf_crime_is_no_class(tmp_path):
    with pytest.raises(UserError, match="Anomaly-Videos-Part-1 is no class but a part of UCF-Crime.*aadc-manifest ucf"):
        clips_of_folders(touch(tmp_path, "Anomaly-Videos-Part-1/Abuse/a.mp4", "Training-Normal-Videos-Part-1/b.mp4"))
