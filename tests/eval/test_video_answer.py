"""Where the answers of single videos go, and when one is told to be cut off."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aadc.eval.spans import Span
from aadc.eval.video import answer_folder, list_videos
from aadc.extract.video_features import VideoFeatures
from aadc.manifests.errors import UserError


def test_every_video_has_a_folder_of_its_own(tmp_path):
    paths = [Path("a/clip.mp4"), Path("b/clip.mp4"), Path("a/clip.ts"), Path("c/clip.mp4")]
    folders = [answer_folder(path, tmp_path) for path in paths]
    assert len(set(folders)) == 4 and [folder.parent for folder in folders] == [tmp_path] * 4
    assert [re.fullmatch(r"(.+)-[0-9a-f]{8}", folder.name)[1] for folder in folders] == [path.name for path in paths]
    assert answer_folder(Path("a/clip.mp4").resolve(), tmp_path) == folders[0]  # one video, one folder, however it is named


@given(st.binary(min_size=1, max_size=255).map(lambda raw: raw.replace(b"/", b"-").replace(b"\0", b"-")))
def test_any_name_of_a_file_becomes_a_folder(tmp_path_factory, raw):
    folder = answer_folder(Path(os.fsdecode(raw)), tmp_path_factory.getbasetemp() / "answers")
    folder.mkdir(parents=True, exist_ok=True)
    assert folder.name.isprintable() and len(os.fsencode(folder.name)) <= 255


def test_folders_are_looked_through_and_files_taken_as_they_are(tmp_path):
    for name in ("b.MP4", "deep/a.ts", "notes.txt", "odd.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_videos([tmp_path]) == [tmp_path / "b.MP4", tmp_path / "deep" / "a.ts"]
    assert list_videos([tmp_path / "odd.bin"]) == [tmp_path / "odd.bin"]  # whoever names a file means it
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no videos in this folder"):
        list_videos([tmp_path / "empty"])
    with pytest.raises(UserError, match="no such video"):
        list_videos([tmp_path / "gone.mp4"])


@pytest.mark.parametrize(("frames", "expected", "cut"), [(100, 0, False), (100, 101, False), (100, 300, True)])
def test_cut_off(frames, expected, cut):
    assert VideoFeatures("a", "test", (), frames, expected).truncated is cut


def test_how_sure_a_span_is_has_the_names_of_the_tables():
    assert Span(0, 9, 0.0, 3.0, "fall", 0.971, 0.99, 0.6).sure == "probability 0.97, share 0.60"
    assert Span(0, 9, 0.0, 3.0, "fall", 0.971, 0.99).sure == "probability 0.97"
