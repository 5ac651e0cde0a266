"""The manifest reader: what is written comes back, what is wrong is told with its line and column, nothing else escapes."""

import re
from contextlib import suppress
from pathlib import Path

import h5py
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Manifest, Row, Segment, read_manifest, video_path, video_root, write_manifest

CARD = Card(
    title="gym",
    classes=[
        ClassEntry(name="walking", kind="normal", prompt="walking"),
        ClassEntry(name="squat", kind="normal", prompt="squat"),
        ClassEntry(name="fall", kind="abnormal", prompt="a fall"),
        ClassEntry(name="fist fight", kind="abnormal", prompt="a fist fight"),
    ],
)
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0/")
videos = st.lists(
    st.text(characters, min_size=1, max_size=8).filter(lambda part: part not in (".", "..")), min_size=1, max_size=3
).map("/".join)
spans = st.builds(
    lambda start, length, label: Segment(start, None if length is None else start + length, label),
    st.integers(0, 10**6),
    st.none() | st.integers(1, 10**6),
    st.sampled_from(CARD.names),
)


@st.composite
def rows(draw) -> list[Row]:
    made = []
    for video in draw(st.lists(videos, min_size=1, max_size=6, unique=True)):
        labels = draw(st.lists(st.sampled_from(CARD.names), min_size=1, unique=True))
        split = draw(st.sampled_from(["train", "test"]))
        segments = draw(st.lists(spans, max_size=3)) if split == "test" and CARD.is_abnormal(labels) else []
        last = max((segment.start_frame for segment in segments), default=0)
        frames = draw(st.none() | st.integers(last + 1, 10**8))
        made.append(Row(video=video, split=split, labels=labels, segments=segments, frames=frames))
    return made


def write(folder: Path, body: str | bytes, header: str = "video,split,labels,segments,frames\n") -> Path:
    path = folder / "gym.csv"
    write_manifest([], CARD, path)
    path.write_bytes(body if isinstance(body, bytes) else (header + body).encode())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_manifest(path)
    return str(caught.value)


@settings(max_examples=200, deadline=None)
@given(made=rows())
def test_any_rows_come_back_as_they_were_written(tmp_path_factory, made):
    """Spaces, quotes, commas, newlines of all kinds, `#`, `=`, right-to-left letters: a path is a path."""
    path = tmp_path_factory.mktemp("m") / "gym.csv"
    write_manifest(made, CARD, path)
    manifest = read_manifest(path)
    assert list(manifest.rows) == made
    assert manifest.card == CARD
    assert manifest.name == "gym"
    assert manifest.split("train") + manifest.split("test") == sorted(made, key=lambda row: row.split == "test")


@settings(deadline=None)
@given(names=st.lists(videos, min_size=1, max_size=20, unique=True))
@example(names=["a/b", "a%2Fb", "a%252Fb", "%", "%25"])
def test_keys_are_distinct_hdf5_names_without_groups(names):
    keys = [Row(video=name, split="test", labels=("fall",)).key for name in names]
    with h5py.File("keys", "w", driver="core", backing_store=False) as file:
        for key in keys:
            file.create_group(key)
        assert sorted(file) == sorted(keys)


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=60) | st.text(st.sampled_from('ab,"\r\n|;:-09 ﻿é'), max_size=60).map(str.encode))
@pytest.mark.parametrize("header", [b"", b"video,split,labels,segments\n"])
def test_rubbish_is_refused_in_words(tmp_path_factory, header, body):
    path = write(tmp_path_factory.mktemp("m"), header + body)
    try:
        read_manifest(path)
    except UserError as error:
        assert str(path) in str(error)


def test_every_bad_row_is_told_at_once_with_line_and_column(tmp_path):
    """One good row, then one bad row for every rule; the row with a newline in its name shifts the lines after it."""
    bad = {
        3: ("a.mp4,Test,fall,,", "split: Input should be 'train' or 'test', not 'Test'"),
        4: ("b.mp4,test,trip|fall|jump,,", "labels: 'trip', 'jump' is not among the card's classes, which are walking"),
        5: ("c.mp4,test,fall,30-20:fall,", "segments: '30-20:fall' holds no frame"),
        6: ("d.mp4,test,fall,20-20:fall,", "segments: '20-20:fall' holds no frame"),
        7: ("e.mp4,test,fall,20:fall,", "segments: '20:fall' is not start-end:label"),
        8: ("f.mp4,test,fall,-1--1:fall,", "segments: '-1--1:fall' is not start-end:label"),
        9: ("g.mp4,test,fall,1-2:trip,", "segments: 'trip' is not among the card's classes"),
        10: ("h.mp4,train,fall,1-2:fall,", "segments: only test rows may have them"),
        11: ("i.mp4,test,walking,1-2:fall,", "segments: 1-2:fall is abnormal, but none of the video's labels is"),
        12: ("j.mp4,test,fall,,many", "frames: 'many' is not a whole number"),
        13: ("k.mp4,test,fall,,0", "frames: Input should be greater than or equal to 1, not '0'"),
        14: ("l.mp4,test,fall,50-60:fall,50", "segments: 50-60:fall begins past the last of the 50 frames"),
        15: ("../m.mp4,test,fall,,", "video: '../m.mp4' is not a plain path below the video root"),
        16: ("/n.mp4,test,fall,,", "video: '/n.mp4' is not a plain path"),
        17: ("./o.mp4,test,fall,,", "video: './o.mp4' is not a plain path"),
        18: ("p//q.mp4,test,fall,,", "video: 'p//q.mp4' is not a plain path"),
        19: (".,test,fall,,", "video: '.' is not a plain path"),
        20: (",test,fall,,", "video: '' is not a plain path"),
        21: ("r,s.mp4,test,fall,,", "6 cells for 5 columns; put quotes around a cell with a comma in it"),
        22: ("good.mp4,test,fall,,", "video: good.mp4 stands already in line 2; remove one"),
        23: ("t.mp4,test,fall|fall,,", "labels: fall stands there twice"),
        24: ("u.mp4,test", "labels: '' is not among the card's classes"),
        25: ("v.mp4,test,fall,9999999999-:fall,", "segments: '9999999999-:fall' is not start-end:label"),
        26: ('"two\nlines.mp4",test,trip,,', "labels: 'trip' is not among"),
        28: ('"w.mp4,test,fall,,', "broken quotes from here on"),
    }
    path = write(tmp_path, "good.mp4,test,fall,0-:fall;5-9:walking,10\n" + "\n".join(row for row, _ in bad.values()))
    message = refusal(path)
    assert message.startswith(f"{path}: {len(bad)} bad rows, nothing was started:\n")
    told = dict(re.findall(r"^  line (\d+): (.*)$", message, flags=re.M))
    assert [int(line) for line in told] == list(bad)
    for line, (_, what) in bad.items():
        assert what in told[str(line)], told[str(line)]


def test_all_faults_of_one_row_are_told(tmp_path):
    message = refusal(write(tmp_path, "../a,maybe,trip,x,y\n"))
    assert "1 bad row, nothing" in message
    for column in ("video", "split", "labels", "segments", "frames"):
        assert f"{column}: " in message


def test_good_rows_with_spaces_and_several_spans(tmp_path):
    body = 'a.mp4,test, fall | fist fight ," 0-10: fall ; 5-:fist fight;",\n\n\n"say ""hi"", now.mp4",train,walking\n'
    manifest = read_manifest(write(tmp_path, body))
    assert manifest.rows == (
        Row(
            video="a.mp4",
            split="test",
            labels=("fall", "fist fight"),
            segments=(Segment(0, 10, "fall"), Segment(5, None, "fist fight")),
        ),
        Row(video='say "hi", now.mp4', split="train", labels=("walking",)),
    )


def test_byte_order_mark_and_crlf_as_excel_writes_them(tmp_path):
    plain = read_manifest(write(tmp_path, "a.mp4,train,walking,,\nb.mp4,test,fall,0-5:fall,9\n")).rows
    text = "﻿video,split,labels,segments,frames\r\na.mp4,train,walking,,\r\nb.mp4,test,fall,0-5:fall,9\r\n"
    assert read_manifest(write(tmp_path, text.encode())).rows == plain


def test_columns_may_come_in_any_order_and_optional_ones_may_lack(tmp_path):
    manifest = read_manifest(write(tmp_path, "fall,a.mp4,test\n", header="labels,video,split\n"))
    assert manifest.rows == (Row(video="a.mp4", split="test", labels=("fall",)),)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("video,labels\n", "no column split"),
        ("video;split;labels\n", "with commas between them"),
        ("video,split,labels,fps\n", "unknown column 'fps'"),
        ("video,split,labels,split\n", "column split twice"),
    ],
)
def test_a_wrong_header_is_told(tmp_path, header, told):
    message = refusal(write(tmp_path, "a.mp4,test,fall,\n", header=header))
    assert "line 1: " in message
    assert told in message
    assert "video,split,labels,segments,frames" in message


def test_what_is_no_manifest_is_told(tmp_path):
    assert "there is no such manifest" in refusal(tmp_path / "none.csv")
    assert "a manifest is a .csv file" in refusal(write(tmp_path, "").with_suffix(".toml"))
    assert "empty; the first line names the columns" in refusal(write(tmp_path, b""))
    assert "no videos in it" in refusal(write(tmp_path, ""))
    assert "not UTF-8 text" in refusal(write(tmp_path, "vidéo".encode("latin-1")))
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.toml").write_bytes((tmp_path / "gym.toml").read_bytes())
    assert "cannot be read" in refusal(tmp_path / "folder.csv")
    with pytest.raises(UserError, match=r"a manifest is a \.csv file"):
        write_manifest([], CARD, tmp_path / "gym.toml")


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    return Manifest(tmp_path / "gym.csv", CARD.model_copy(update={"videos": "clips"}), ())


def test_video_root_is_the_option_else_the_variable_else_the_card(tmp_path, monkeypatch, manifest):
    monkeypatch.delenv("AADC_VIDEOS", raising=False)
    with pytest.raises(UserError, match=r"clips: no such folder of videos \(from videos in .*gym\.toml\)"):
        video_root(manifest, None)
    (tmp_path / "clips").mkdir()
    assert video_root(manifest, None) == tmp_path / "clips"
    monkeypatch.setenv("AADC_VIDEOS", str(tmp_path))
    assert video_root(manifest, None) == tmp_path
    assert video_root(manifest, tmp_path / "clips") == tmp_path / "clips"
    monkeypatch.setenv("AADC_VIDEOS", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"gone: no such folder of videos \(from AADC_VIDEOS\)"):
        video_root(manifest, None)


def test_without_any_root_the_ways_to_give_one_are_told(tmp_path, monkeypatch):
    monkeypatch.delenv("AADC_VIDEOS", raising=False)
    with pytest.raises(UserError, match="Give --videos FOLDER, or set AADC_VIDEOS"):
        video_root(Manifest(tmp_path / "gym.csv", CARD, ()), None)


def test_a_link_may_not_lead_out_of_the_root(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "rooted"  # a name that begins with the root's own
    root.mkdir()
    outside.mkdir()
    (outside / "secret.mp4").touch()
    (root / "inside.mp4").touch()
    (root / "good.mp4").symlink_to("inside.mp4")
    (root / "out.mp4").symlink_to(outside / "secret.mp4")
    (root / "folder").symlink_to(outside)
    (root / "loop.mp4").symlink_to("loop.mp4")
    assert video_path(root, "good.mp4") == root / "good.mp4"
    assert video_path(root, "not there.mp4") == root / "not there.mp4"
    for video in ("out.mp4", "folder/secret.mp4"):
        with pytest.raises(UserError, match=f"{video}: a link leads outside the video root"):
            video_path(root, video)
    with suppress(UserError):  # Python 3.13 finds nothing wrong with a link to itself
        video_path(root, "loop.mp4")
    whole = tmp_path / "link to root"
    whole.symlink_to(root)
    assert video_path(whole, "good.mp4") == whole / "good.mp4"
