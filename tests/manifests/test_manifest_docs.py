"""docs/manifests.md: its examples are read, its messages are what the command prints, its figures are counted."""

import re
from collections import Counter
from pathlib import Path

import pytest

from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Segment, read_manifest
from aadc.manifests.official import shipped

DOCS = (Path(__file__).parents[2] / "docs" / "manifests.md").read_text(encoding="utf-8")


@pytest.fixture
def example(tmp_path) -> Path:
    """The CSV and the card of the page, as files."""
    for kind in ("csv", "toml"):
        (block,) = re.findall(rf"^```{kind}\n(.*?)^```$", DOCS, flags=re.M | re.S)
        (tmp_path / f"gym.{kind}").write_text(block, encoding="utf-8")
    return tmp_path / "gym.csv"


def test_the_example_is_a_manifest(example):
    manifest = read_manifest(example)
    assert [row.video for row in manifest.rows][-1] == "push, up/bea.mp4"
    assert manifest.rows[2].segments == (Segment(1210, 1345, "fall"), Segment(2100, None, "fall"))
    assert manifest.rows[2].frames == 2400
    assert manifest.card.videos == "../videos/gym"


def test_the_quoted_message_is_what_is_told(example, monkeypatch):
    lines = example.read_text().splitlines()
    lines[2] = lines[2].replace("squat|fall", "sqat")
    lines[4] = lines[4].replace(",,", ",90-80:fall,")
    example.write_text("\n".join(lines))
    monkeypatch.chdir(example.parent)
    with pytest.raises(UserError) as caught:
        read_manifest(Path("gym.csv"))
    quoted = DOCS.split("$ aadc-manifest check gym.csv\n")[1].split("\n\n")[0].replace("\n    ", "\n").strip()
    assert quoted == f"aadc-manifest: {caught.value}"


@pytest.mark.parametrize(("name", "title"), [("ucf", "UCF-Crime"), ("xd", "XD-Violence")])
def test_the_table_of_totals_is_counted(name, title):
    rows = shipped(name).rows
    counts = Counter((row.split, row.labels[0].lower() == "normal") for row in rows)
    frames = sum(len({f for s in row.segments for f in range(s.start_frame, s.end_frame)}) for row in rows)
    totals = [
        counts["train", True] + counts["train", False],
        counts["train", True],
        counts["test", True] + counts["test", False],
        counts["test", True],
        sum(len(row.segments) for row in rows),
        frames,
    ]
    (line,) = [line for line in DOCS.splitlines() if line.startswith(f"| {title} |")]
    assert [int(cell.split()[0].replace(",", "")) for cell in line.strip("| ").split("|")[1:]] == totals


def test_figures_told_of_xd_are_counted():
    """The shared sources, the videos of several labels, the overlaps: all of it can be seen in the shipped manifest."""
    rows = shipped("xd").rows
    source = {row.video: row.video.split("__")[0] for row in rows}
    train = {source[row.video] for row in rows if row.split == "train"}
    test = [source[row.video] for row in rows if row.split == "test"]
    assert f"{sum(name in train for name in test)} of the 800 test clips" in DOCS
    assert f"({len(train & set(test))} sources)" in DOCS
    several = Counter(row.split for row in rows if len(row.labels) > 1)
    assert f"{several['train']} train and {several['test']} test videos have several" in DOCS
    overlaps = [
        (row.video, one.label == other.label)
        for row in rows
        for index, one in enumerate(row.segments)
        for other in row.segments[index + 1 :]
        if max(one.start_frame, other.start_frame) < min(one.end_frame, other.end_frame)
    ]
    assert f"{len(overlaps)} pairs of spans of one video overlap ({len({video for video, _ in overlaps})} videos), " in DOCS
    assert f"{sum(same for _, same in overlaps)} of them within one class" in DOCS
    spans = [[segment[:2] for segment in row.segments] for row in rows]
    assert f"In {sum(found != sorted(found) for found in spans)} videos spans are not in order" in DOCS
