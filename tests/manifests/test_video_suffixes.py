"""One list of what is taken for a video, and a line about the rest."""

import sys
from pathlib import Path

import pytest

from aadc.eval.video import list_videos
from aadc.manifests.cli import main
from aadc.manifests.folder import find_videos
from aadc.manifests.video_suffixes import passed_over

VIDEOS = ("a.mp4", "b.DAV", "c.h264", "d.264", "e.h265", "f.265", "g.hevc", "h.mts", "i.m2ts", "j.vob", "k.asf", "l.mpg")
OTHERS = ("notes.txt", "n.zip", "README", "o.TXT", "p.mp4.part")
HIDDEN = ("._a.mp4", ".DS_Store", ".trash/q.txt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*VIDEOS, *OTHERS, *HIDDEN):
        path = tmp_path / "clips" / "walk" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "clips" / "fall").mkdir()
    (tmp_path / "clips" / "fall" / "z.mkv").touch()
    return tmp_path / "clips"


def test_a_manifest_and_a_single_answer_take_the_same_files(folder):
    wanted = sorted([f"walk/{name}" for name in VIDEOS] + ["fall/z.mkv"])
    assert find_videos(folder) == wanted
    assert sorted(str(path.relative_to(folder)) for path in list_videos([folder])) == wanted


def test_the_rest_is_told(folder, tmp_path, monkeypatch, capsys):
    line = "passed over, no videos by their names: 2 .txt, 1 .part, 1 .zip, 1 without an ending"
    assert passed_over(folder) == line and passed_over(folder / "fall") == ""
    out = str(tmp_path / "m.csv")
    monkeypatch.setattr(sys, "argv", ["aadc-manifest", "folder", str(folder), "--normal", "walk", "--out", out])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code and line in " ".join(capsys.readouterr().out.split())
