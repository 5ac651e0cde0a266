"""Where the answers of single videos go, and when one is told to be cut off."""

from pathlib import Path

import pytest

from aadc.eval.video import answer_folders, cut_off, list_videos
from aadc.extract.shards import VideoFeatures
from aadc.manifests.errors import UserError


def test_every_video_has_a_folder_of_its_own(tmp_path):
    paths = [Path("a/clip.mp4"), Path("b/clip.mp4"), Path("a/clip.ts"), Path("c/clip.mp4")]
    names = [folder.name for folder in answer_folders(paths, tmp_path)]
    assert names == ["clip.mp4", "clip.mp4 (2)", "clip.ts", "clip.mp4 (3)"]


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
    assert cut_off(VideoFeatures("a", "test", (), frames, expected)) is cut
