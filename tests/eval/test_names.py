"""Names of people's classes and files are text wherever they go: terminal, tables, CSV, Markdown, HTML, pictures."""

import csv
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from calls import call
from test_eval_command import features, head_for

from aadc.eval.cli.evaluate import main
from aadc.eval.cli.table import main as table_main
from aadc.eval.paper_tables import confusion_table
from aadc.eval.plot import drawable, plot_scores
from aadc.eval.sheets import cell
from aadc.eval.spans import Span
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardHeader, write_shard
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.manifest import Row, write_manifest

NORMAL = ["[bold]walk", "a_{b}"]
ABNORMAL = ["fight [/x]", "theft of $5_{ to $9^"]
EVIL = '<img src=x onerror="alert(1)">'
VIDEOS = ["\x1b]0;title\x07\x1b[2J.mp4", f"{EVIL}.mp4", "=HYPERLINK(1).mp4", "all videos done\n2 rejected.mp4", "\u202egpm.4"]


@pytest.fixture
def run(tmp_path) -> RunFolder:
    """Classes and videos named so that markup, formulas, terminals or pages would take them for something else."""
    entries = [ClassEntry(name=name, kind="normal", prompt=name) for name in NORMAL]
    entries += [ClassEntry(name=name, kind="abnormal", prompt=name) for name in ABNORMAL]
    card = Card(title=f"[red]{EVIL} | \x1b[31m", classes=entries)
    run = RunFolder(tmp_path / "run")
    run.shards.mkdir(parents=True)
    labels = [NORMAL[0], ABNORMAL[0], ABNORMAL[1], NORMAL[1], ABNORMAL[0]]
    rows = [
        Row(video=video, split="test", labels=(label,), segments=f"20-50:{label}" if label in ABNORMAL else "")
        for video, label in zip(VIDEOS, labels, strict=True)
    ]
    write_manifest(rows, card, run.manifest_csv)
    run.write_record({"settings": {}})
    made = [features(row.video, row.split, row.labels, 90, seed) for seed, row in enumerate(rows)]
    write_shard(
        run.shards / "00000.h5", ShardHeader("f" * 16, {"detector": {"class_names": {"0": EVIL}}}, {"stride": 16}), made
    )
    head_for(run, "f" * 16, card=card)
    return run


def plain(out: str) -> str:
    return " ".join(out.replace("│", " ").split())


def test_on_the_terminal_they_stand_as_they_are_written(run):
    for arguments in (["--metric", "all", "--threshold", "0"], ["classes"], ["--report"]):
        status, out, err = call(table_main if arguments == ["classes"] else main, "--run", str(run.path), *arguments)
        assert status == 0, err
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e]", out + err), "no character may do anything but be seen"
        if "--report" not in arguments:
            for name in ABNORMAL:
                assert name.replace(" ", "") in out.replace("│", "").replace(" ", "").replace("\n", "") or name in plain(out)


def test_in_sheets_they_are_no_formulas(run):
    call(main, "--run", str(run.path), "--threshold", "0")
    with (run.eval / "test-threshold-0.0" / "spans.csv").open(newline="", encoding="utf-8") as file:
        found = [row["video"] for row in csv.DictReader(file)]
    assert "'=HYPERLINK(1).mp4" in found and "\\x1b]0;title\\x07\\x1b[2J.mp4" in found
    assert len(set(found)) == len(VIDEOS)
    assert [cell(value) for value in ("=1", "+1", "-1", "@x", "a=1", -1, 0.5, "")] == [
        "'=1",
        "'+1",
        "'-1",
        "'@x",
        "a=1",
        -1,
        0.5,
        "",
    ]


class Tags(HTMLParser):
    """Tags and attributes as a browser would see them."""

    def __init__(self, html: str):
        super().__init__()
        self.seen: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.text += text


def test_in_the_report_they_are_no_tags(run):
    """Without a browser: a parser finds the page's own script, no picture, no handler, and every name as text."""
    assert call(main, "--run", str(run.path), "--report", "--threshold", "0.0")[0] == 0
    html = (run.eval / "test-threshold-0.0" / "report.html").read_text(encoding="utf-8")
    page = Tags(html)
    assert EVIL not in html and [tag for tag, _ in page.seen].count("script") == 1
    assert not [own for tag, own in page.seen if tag == "img" or any(name.startswith("on") for name in own)]
    assert not re.search(r'(src|href)="(?!data:)', html)
    for name in [*ABNORMAL, *NORMAL, EVIL]:
        assert name in page.text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e]", html) and r"\u202egpm.4" in page.text


def test_in_markdown_they_are_cells():
    table = confusion_table("abnormal", {"classes": ["a|b", "*x*"], "confusion": [[1, 0], [0, 1]], "accuracy": 1.0})
    lines = table.markdown().splitlines()[2:]
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines] == [4] * 4 and r"a\|b" in lines[2]


ANY = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from(ABNORMAL + VIDEOS)


@settings(deadline=None, max_examples=30)
@given(ANY, ANY)
def test_any_text_can_be_drawn(tmp_path_factory, title, category):
    path = tmp_path_factory.getbasetemp() / "drawn.png"
    span = Span(0, 16, 0.0, 0.5, category, 1.0, 0.9)
    plot_scores(np.arange(3) / 2, np.array([0.9, 0.1, 0.2]), [span], 0.5, title, path, caution="$x_{")
    with Image.open(path) as picture:
        assert picture.size[0] == 1080


def test_what_the_font_has_not_is_written_out(recwarn):
    assert drawable("caf\u00e9 \u65e5\udcff\n$") == "caf\u00e9 \\u65e5\\udcff\\n$"
    assert drawable("x" * 500, 40) == "x" * 39 + "…"
    assert not recwarn.list
