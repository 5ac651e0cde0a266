"""UCF-Crime and XD-Violence: the shipped manifests against published totals, and the builders against the lists."""

import json
from collections import Counter
from pathlib import Path

import pytest

from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Row, Segment, write_manifest
from aadc.manifests.official import XD_CLASSES, build_ucf, build_xd, shipped, ucf_card, xd_card

ROOT = Path(__file__).parents[2]
LISTS = ROOT.parent / "shared" / "data" / "annotations"
SEGMENTS = ROOT.parent / "shared" / "golden" / "test_segments.json"
needs_lists = pytest.mark.skipif(not LISTS.is_dir(), reason="the official lists are not here")
needs_segments = pytest.mark.skipif(not SEGMENTS.is_file(), reason="the published test segments are not here")


def positive_frames(rows: list[Row]) -> int:
    """Frames inside any segment, counted one by one."""
    return sum(len({f for s in row.segments for f in range(s.start_frame, s.end_frame)}) for row in rows)


def test_shipped_ucf_has_the_published_totals():
    rows = shipped("ucf").rows
    splits = Counter((row.split, row.labels == ("Normal",)) for row in rows)
    assert splits == {("train", True): 800, ("train", False): 810, ("test", True): 150, ("test", False): 140}
    assert Counter(len(row.segments) for row in rows if row.split == "test") == {0: 150, 1: 124, 2: 16}
    assert positive_frames(rows) == 84_189
    assert all(row.segments for row in rows if row.split == "test" and row.labels != ("Normal",))
    assert Counter(row.labels[0] for row in rows if row.split == "train")["RoadAccidents"] == 127
    assert sum("Normal_Videos" in row.video for row in rows) == 950


def test_shipped_xd_has_the_published_totals():
    rows = shipped("xd").rows
    splits = Counter((row.split, row.labels == ("normal",)) for row in rows)
    assert splits == {("train", True): 2049, ("train", False): 1905, ("test", True): 300, ("test", False): 500}
    by_class = Counter(segment.label for row in rows for segment in row.segments)
    codes = {code: by_class[name] for code, name in XD_CLASSES.items()}
    assert codes == {"A": 0, "B1": 245, "B2": 214, "B4": 154, "B5": 15, "B6": 494, "G": 150}
    assert by_class.total() == 1272
    assert max(len(row.segments) for row in rows) == 23
    assert max(len(row.labels) for row in rows) == 3
    # The published frame truth is made from the plain list: 538,324 frames (test_xd_without_the_multiclass_list). The
    # multi-class list has one span more (139 frames) and leaves four gaps of one frame: 538,324 + 139 - 4.
    assert positive_frames(rows) == 538_459


@pytest.mark.parametrize(("name", "card", "abnormal"), [("ucf", ucf_card(), 13), ("xd", xd_card(), 6)])
def test_shipped_cards_are_the_builders_and_their_prompts_words(name, card, abnormal):
    assert shipped(name).card == card
    assert [entry.kind for entry in card.classes] == ["normal"] + ["abnormal"] * abnormal
    assert all(prompt.replace(" ", "").isalpha() and prompt.islower() for prompt in card.prompts)


@needs_lists
@pytest.mark.parametrize(("name", "build"), [("ucf", build_ucf), ("xd", build_xd)])
def test_the_lists_give_the_shipped_files_byte_for_byte(tmp_path, name, build):
    built = build(LISTS)
    write_manifest(built.rows, built.card, tmp_path / f"{name}.csv")
    for file in (f"{name}.csv", f"{name}.toml"):
        assert (tmp_path / file).read_bytes() == (ROOT / "manifests" / file).read_bytes()


@needs_segments
@pytest.mark.parametrize("name", ["ucf", "xd"])
def test_segments_are_those_of_the_published_evaluation(name):
    """The golden file has another order of videos in UCF-Crime and whole-length segments for normal videos."""
    code_of = {label: code for code, label in XD_CLASSES.items()}
    ours = Counter(
        tuple((s.start_frame, s.end_frame, code_of.get(s.label, s.label)) for s in row.segments)
        for row in shipped(name).rows
        if row.segments
    )
    golden = Counter(
        tuple((int(start), int(end), label) for (start, end), label in zip(item["segments"], item["labels"], strict=True))
        for item in json.loads(SEGMENTS.read_text())[name]
        if item["labels"] != ["A"]
    )
    assert ours == golden
    assert ours.total() == {"ucf": 140, "xd": 500}[name]


@needs_lists
def test_xd_notes_that_the_two_temporal_lists_differ():
    assert build_xd(LISTS).notes == ["the two temporal lists differ in 143 frames of 5 videos; the multi-class one was taken"]


@needs_lists
def test_xd_without_the_multiclass_list(tmp_path):
    """The plain list gives the published frame truth to the frame, and says that it does not know classes."""
    for name in ("xd_train.txt", "xd_test.txt", "xd_temporal_test.txt"):
        (tmp_path / name).write_bytes((LISTS / name).read_bytes())
    built = build_xd(tmp_path)
    assert positive_frames(built.rows) == 538_324
    assert len(built.notes) == 1
    assert "47 test videos have several labels" in built.notes[0]


UCF = {
    "ucf_train.txt": "Abuse/Abuse001_x264.mp4\nTraining_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4\n",
    "ucf_test.txt": "Arson/Arson011_x264.mp4\nTesting_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4\n",
    "ucf_temporal_test.txt": "Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1  \n"
    "Arson011_x264  Arson  150  420  680  1267  \n",
}
XD = {
    "xd_train.txt": "Film.1995__#00-01_label_B1-0-0\nv=abc__#1_label_B1\nv=abc__#1_label_A\n",
    "xd_test.txt": "Film.1995__#01-02_label_B2-G-0\nv=x-y__#1_label_A\nv=z__#1_label_B4-0-0\n",
    "xd_temporal_multiclass_test.txt": "v=z__#1_label_B4-0-0.mp4 B1 0 9\nFilm.1995__#01-02_label_B2-G-0 B2 5  9 G 7 20",
    "xd_temporal_test.txt": "v=z__#1_label_B4-0-0.mp4 0 9\nFilm.1995__#01-02_label_B2-G-0 5 20\n",
}


def lists(folder: Path, files: dict[str, str], **changes: str | None) -> Path:
    """The small lists above, with some files replaced or (None) left out."""
    for name, text in {**files, **{f"{key}.txt": text for key, text in changes.items()}}.items():
        if text is not None:
            (folder / name).write_text(text)
    return folder


def faults(build, folder: Path) -> list[str]:
    with pytest.raises(UserError) as caught:
        build(folder)
    first, *rest = str(caught.value).split("\n")
    assert first.startswith(f"{folder}: {len(rest)} fault")
    return [line.strip() for line in rest]


def test_ucf_rows_from_small_lists(tmp_path):
    assert build_ucf(lists(tmp_path, UCF)).rows == [
        Row(video="Abuse/Abuse001_x264.mp4", split="train", labels=("Abuse",)),
        Row(video="Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4", split="train", labels=("Normal",)),
        Row(
            video="Arson/Arson011_x264.mp4",
            split="test",
            labels=("Arson",),
            segments=(Segment(150, 420, "Arson"), Segment(680, 1267, "Arson")),
        ),
        Row(video="Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4", split="test", labels=("Normal",)),
    ]


def test_xd_rows_from_small_lists(tmp_path):
    rows = build_xd(lists(tmp_path, XD)).rows
    assert [(row.video, row.labels) for row in rows] == [
        ("Film.1995__#00-01_label_B1-0-0.mp4", ("fighting",)),
        ("v=abc__#1_label_B1.mp4", ("fighting",)),
        ("v=abc__#1_label_A.mp4", ("normal",)),
        ("Film.1995__#01-02_label_B2-G-0.mp4", ("shooting", "explosion")),
        ("v=x-y__#1_label_A.mp4", ("normal",)),
        ("v=z__#1_label_B4-0-0.mp4", ("riot",)),
    ]
    assert rows[3].segments == (Segment(5, 9, "shooting"), Segment(7, 20, "explosion"))
    assert rows[5].segments == (Segment(0, 9, "fighting"),)


def test_xd_plain_spans_stand_once_under_each_label(tmp_path):
    rows = build_xd(lists(tmp_path, XD, xd_temporal_multiclass_test=None)).rows
    assert rows[3].segments == (Segment(5, 20, "shooting"), Segment(5, 20, "explosion"))
    assert rows[5].segments == (Segment(0, 9, "riot"),)


def test_published_names_of_the_lists_are_known(tmp_path):
    renamed = {
        "Anomaly_Train.txt": UCF["ucf_train.txt"],
        "Anomaly_Test.txt": UCF["ucf_test.txt"],
        "Temporal_Anomaly_Annotation.txt": UCF["ucf_temporal_test.txt"],
    }
    assert len(build_ucf(lists(tmp_path, renamed)).rows) == 4


@pytest.mark.parametrize("lacking", list(UCF) + ["xd_train.txt", "xd_test.txt"])
def test_a_missing_list_is_named(tmp_path, lacking):
    build = build_ucf if lacking in UCF else build_xd
    lists(tmp_path, {name: text for name, text in (UCF | XD).items() if name != lacking})
    with pytest.raises(UserError, match=f"there is no {lacking}"):
        build(tmp_path)


def test_every_inconsistent_ucf_line_is_named(tmp_path):
    folder = lists(
        tmp_path,
        UCF,
        ucf_train="Abuse/A1_x264.mp4\nabuse/A2_x264.mp4\nAbuse/A1_x264.mp4\n../A3.mp4\n",
        ucf_test="Arson/R1.mp4\nArson/R2.mp4\nArson/R3.mp4\nArson/R4.mp4\nTesting_Normal_Videos_Anomaly/N1.mp4\nArson/R5.mp4",
        ucf_temporal_test="R1 Arson 9 5 -1 -1\nR2 Abuse 1 2 -1 -1\nR3 Arson 1\nR4 Arson 1 -1 -1 -1\n"
        "N1 Normal 3 4 -1 -1\nR9 Arson 1 2\nR9 Arson 1 2\n",
    )
    told = faults(build_ucf, folder)
    expected = [
        "ucf_temporal_test.txt: line 1: '9 5' is no span",
        "ucf_temporal_test.txt: line 3: not a name, a category and pairs",
        "ucf_temporal_test.txt: line 4: '1 -1' is no span",
        "ucf_temporal_test.txt: line 7: R9 stands there twice",
        "ucf_temporal_test.txt: line 2: R2 is Abuse here, Arson in line 2 of ucf_test.txt",
        "ucf_train.txt: line 2: labels: 'abuse' is not among the card's classes",
        "ucf_train.txt: line 3: Abuse/A1_x264.mp4 stands already in ucf_train.txt, line 1",
        "ucf_train.txt: line 4: video: '../A3.mp4' is not a plain path",
        "ucf_test.txt: line 1: R1 is abnormal, but has no span in the temporal list",
        "ucf_test.txt: line 3: R3 is abnormal",
        "ucf_test.txt: line 4: R4 is abnormal",
        "ucf_test.txt: line 5: N1 is normal, but has spans in the temporal list",
        "ucf_test.txt: line 6: R5 is abnormal",
        "R9 has spans, but is in no line of the test list",
    ]
    for what in expected:
        assert sum(line.startswith(what) for line in told) == 1, what
    assert len(told) == len(expected)


def test_every_inconsistent_xd_line_is_named(tmp_path):
    folder = lists(
        tmp_path,
        XD,
        xd_train="a_label_B3-0-0\nb_label_A-B1-0\nc\nd_label_0-0-0\ne_label_B1-B1-0\n",
        xd_test="f_label_B1-0-0\ng_label_A\n",
        xd_temporal_multiclass_test="f_label_B1-0-0 B1 5 9 B9 2 3 B1 7 7\ng_label_A B1 1 2\nh_label_G-0-0 G 1\n",
        xd_temporal_test=None,
    )
    told = faults(build_xd, folder)
    expected = [
        "xd_temporal_multiclass_test.txt: line 1: B9 is none of the codes A B1 B2 B4 B5 B6 G",
        "xd_temporal_multiclass_test.txt: line 1: '7 7' is no span",
        "xd_temporal_multiclass_test.txt: line 3: after the name come groups of a code and two frame numbers",
        "xd_train.txt: line 1: a_label_B3-0-0 does not end in _label_ and codes",
        "xd_train.txt: line 2: b_label_A-B1-0 does not end",
        "xd_train.txt: line 3: c does not end",
        "xd_train.txt: line 4: d_label_0-0-0 does not end",
        "xd_train.txt: line 5: labels: fighting stands there twice",
        "xd_test.txt: line 2: segments: 1-2:fighting is abnormal, but none of the video's labels is",
    ]
    for what in expected:
        assert sum(line.startswith(what) for line in told) == 1, what
    assert len(told) == len(expected)
