"""The one reader of records, the one way to replace a file, and text from elsewhere on a terminal."""

import json
import os
import resource
import subprocess
import sys
import tomllib
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from aadc.manifests.errors import UserError
from aadc.manifests.files import clear_torn, regular, replace_file, replacing
from aadc.manifests.records import Record, parse_record, read_record
from aadc.manifests.shown import shown
from aadc.manifests.table import read_text


class Run(Record):
    videos: str
    stride: int = Field(ge=1)
    share: float = 0.5
    settings: dict[str, int] = {}


GOOD = {"videos": "/data", "stride": 16}
WAY_OUT = "run aadc-extract again"


def test_a_record_is_read_with_what_a_later_version_may_have_added(tmp_path):
    path = tmp_path / "run.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({**GOOD, "new": 1}).encode())
    assert read_record(path, Run, WAY_OUT) == Run(**GOOD)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "it is empty"),
        (b'{"videos": "/da', "cannot be read"),
        (b"\xff\xfe", "not UTF-8"),
        (b"null", "not a set of named values, but None"),
        (b"[1, 2]", "not a set of named values"),
        (b'"text"', "not a set of named values"),
        (b"7" * 10_000, "cannot be read"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"videos": ' + b"[" * 900 + b"]" * 900 + b', "stride": 1}', "videos: "),
        (b'{"videos": null, "stride": 16}', "videos: Input should be a valid string, not None"),
        (b'{"videos": "a", "stride": 0}', "stride: "),
        (b'{"videos": "a", "stride": 1, "share": NaN}', "share: "),
        (b'{"videos": "a", "stride": 1, "share": 1e999}', "share: "),
        (b'{"videos": "a", "stride": 1, "settings": [1]}', "settings: not a set of named values"),
        (b'{"stride": 1}', "videos: Field required"),
    ],
)
def test_whatever_is_wrong_with_a_record_is_one_sentence(tmp_path, content, told):
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_record(path, Run, WAY_OUT)
    said = str(caught.value)
    assert told in said and said.startswith(f"{path}: ") and said.endswith(WAY_OUT) and "\n" not in said and len(said) < 600


def test_records_that_cannot_be_opened(tmp_path):
    for path in (tmp_path / "none.json", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(UserError, match="run aadc-extract again"):
            read_record(path, Run, WAY_OUT)


def test_a_record_as_large_as_the_disk_is_not_read(tmp_path):
    path = tmp_path / "run.json"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UserError, match="larger than any such record"):
        read_record(path, Run, WAY_OUT)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["videos", "stride", "share", "x"]), inner),
)


@given(JSON | st.text() | st.binary())
def test_no_content_raises_anything_else(content):
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    for parse in (json.loads, tomllib.loads):
        try:
            assert parse_record(text, "run.json", Run, WAY_OUT, parse).stride >= 1
        except UserError as error:
            assert str(error).startswith("run.json: ")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "head.json"
    replace_file(path, "old")
    with pytest.raises(KeyError), replacing(path) as beside:
        beside.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(UserError, match="head.json: could not be written"), replacing(path) as beside:
        pass  # nothing written
    assert path.read_text() == "old"


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "figures.json"
    path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(UserError, match="figures.json: could not be written .*; free some space"):
            replace_file(path, "x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "metrics.json"
    script = (
        "import sys; from pathlib import Path; from aadc.manifests.files import replace_file\n"
        "for _ in range(200): replace_file(Path(sys.argv[1]), sys.argv[2] * 1000)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(path), letter]) for letter in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert path.read_text() in ("a" * 1000, "b" * 1000) and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_cleared(tmp_path):
    (tmp_path / "scores.h5.123.tmp").touch()
    (tmp_path / "scores.h5").touch()
    clear_torn(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.h5"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("fight [red]\\x", "fight [red]\\x"),
        ("日本語\u3000ファイル é", "日本語\u3000ファイル é"),
        ("\x1b]0;done\x07", "\\x1b]0;done\\x07"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nall videos done", "a\\nall videos done"),
        ("abc\u202e4pm.exe\u200b", "abc\\u202e4pm.exe\\u200b"),
        ("bad\udcff.mp4", "bad\\udcff.mp4"),
        ("a\u2028b\x85", "a\\u2028b\\x85"),
    ],
)
def test_text_from_elsewhere_is_shown_as_text(text, what):
    assert shown(text) == what


@given(st.text())
def test_what_is_shown_has_no_control_characters(text):
    assert all(unicodedata.category(c)[0] != "C" and c not in "\u2028\u2029" for c in shown(text))
    shown(text).encode()


SCRIPT = """
import sys, typer
from aadc.manifests.command import run_command
from aadc.manifests.errors import UserError
from aadc.manifests.shown import say
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
@app.command()
def go(name: str):
    say(f"video {name} \\u2026")
    open("seen.txt", "w", encoding="utf-8").write(f"{sys.stdin.isatty()} {name}")
    if name == "quiet": raise OSError()
    if name == "memory": raise MemoryError()
    raise UserError(f"{name}: is no video \\x1b[2J")
run_command(app, "aadc-x")
"""


def go(name, tmp_path, shell="", **environment):
    (tmp_path / "go.py").write_text(SCRIPT)
    line = f'"{sys.executable}" go.py "$NAME" {shell}'
    env = {**os.environ, "NAME": name, "AADC_DEBUG": "", **environment}
    return subprocess.run(["bash", "-c", line], cwd=tmp_path, env=env, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "utf-8"])
def test_terminals_that_are_not_utf8(tmp_path, encoding):
    done = go("日本語.mp4", tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 2 and b"Traceback" not in done.stderr
    name = "日本語" if encoding == "utf-8" else "\\u65e5\\u672c\\u8a9e"
    assert f"{name}.mp4" in done.stdout.decode(encoding)
    assert done.stderr.decode(encoding) == f"aadc-x: {name}.mp4: is no video \\x1b[2J\n"


def test_names_are_utf8_in_a_locale_that_is_not(tmp_path):
    done = go("日本語.mp4", tmp_path, LC_ALL="C", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 2 and b"Traceback" not in done.stderr
    assert (tmp_path / "seen.txt").read_text(encoding="utf-8") == "False 日本語.mp4"


@pytest.mark.parametrize("shell", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(tmp_path, shell):
    done = go("a.mp4", tmp_path, shell)
    assert done.returncode == 2 and b"Traceback" not in done.stderr
    assert (tmp_path / "seen.txt").read_text() == "False a.mp4"


@pytest.mark.parametrize(("name", "told"), [("quiet", "OSError"), ("memory", "out of memory")])
def test_errors_without_a_text_still_say_something(tmp_path, name, told):
    assert f"aadc-x: {told}" in go(name, tmp_path).stderr.decode()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_neither_a_pipe_nor_a_device_is_waited_for(tmp_path, make):
    """Nobody ever writes into the pipe, and the device never ends: each is one sentence."""
    path = tmp_path / "run.json"
    make(path)
    with pytest.raises(UserError, match=r"json: cannot be read \(it is a pipe or device, no file\); run aadc-extract again"):
        read_record(path, Run, WAY_OUT)
    with pytest.raises(UserError, match=r"run\.json: cannot be read \(it is a pipe or device, no file\)"):
        read_text(path)


def test_what_a_shell_hands_over_as_a_file_is_read(tmp_path):
    """`<(command)`: a pipe below /dev, named on purpose."""
    reading, writing = os.pipe()
    os.write(writing, b"a,b\n")
    os.close(writing)
    assert read_text(Path(f"/dev/fd/{reading}")) == "a,b\n"
    os.close(reading)
    assert regular(tmp_path) == tmp_path  # folders are told of by whoever opens them
    with pytest.raises(FileNotFoundError):
        regular(tmp_path / "none")
