"""The commands as people type them: helps, `aadc`, and the spellings of earlier versions."""

import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

from aadc.eval.cli.earlier import spelled_now
from aadc.manifests.errors import UserError

BIN = Path(sys.executable).parent
NAMES = sorted(one.name for one in entry_points(group="console_scripts") if one.module.startswith("aadc."))


def run(*words: str, **environment: str) -> subprocess.CompletedProcess:
    program, *rest = words
    import os

    return subprocess.run([str(BIN / program), *rest], capture_output=True, text=True, env=os.environ | environment)


@pytest.mark.parametrize("name", NAMES)
def test_every_help_is_quick_narrow_and_shows_an_example(name):
    done = run(name, "--help", COLUMNS="80")
    assert done.returncode == 0 and "Example" in done.stdout and max(map(len, done.stdout.splitlines())) <= 80
    code = "import sys, {0}\nprint([name for name in ('torch', 'sklearn', 'matplotlib', 'av', 'h5py') if name in sys.modules])"
    (script,) = (one for one in entry_points(group="console_scripts") if one.name == name)
    loaded = subprocess.run([sys.executable, "-c", code.format(script.module)], capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]", loaded


def test_a_plot_of_scores_needs_no_library_of_statistics():
    """The live part's scoring process has it open for months; curves of a report are another matter."""
    code = "import sys, aadc.eval.plot\nprint([name for name in ('sklearn', 'scipy', 'pandas') if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]", loaded


def test_aadc_lists_all_and_is_each_of_them():
    listed = run("aadc").stdout + run("aadc").stderr
    assert len(NAMES) >= 11
    for name in NAMES:
        if name != "aadc":
            assert f"  {name.removeprefix('aadc-')} " in listed
            one, other = run("aadc", name.removeprefix("aadc-"), "--help"), run(name, "--help")
            assert one.stdout == other.stdout.replace(f"Usage: {name}", f"Usage: {name.replace('-', ' ', 1)}")
    assert run("aadc", "--version").stdout == f"aadc-net {version('aadc-net')}\n"
    done = run("aadc", "evil")
    assert done.returncode == 2 and "evil" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(shell):
    script = run("aadc-score", "--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1").stdout
    assert "_AADC_SCORE_COMPLETE" in script


def test_an_option_means_one_thing():
    """`--threshold` is a span's and `--clip` the model, wherever they stand."""
    for name in NAMES:
        words = " ".join(run(name, "--help", COLUMNS="200").stdout.split())
        if "--threshold" in words:
            assert "Score from which a span counts" in words, name
        meant = words.partition("--clip")[2].partition("--")[0]
        assert "--clip" not in words or "CLIP" in meant or "open_clip" in meant, name


@pytest.mark.parametrize(
    ("typed", "now"),
    [
        ("--video a.mp4 --video=night --threshold 0.4 --metric auc", "score --threshold 0.4 -- a.mp4 night"),
        ("--video a.mp4 --describe --llm smollm2", "score --describe --llm smollm2 -- a.mp4"),
        ("--find words --run r", "find --run r -- words"),
        ("--ask what? clip.mp4 --run r", "ask --run r -- what? clip.mp4"),
        ("clip.mp4 --ask what?", "ask -- what? clip.mp4"),
        ("--table ablation --seeds 2", "table --seeds 2 -- ablation"),
        ("--describe --report --metric all", "describe --report --metric all"),
        ("--metric text --references uca.json", "describe --references uca.json"),
    ],
)
def test_earlier_spellings_are_what_they_were(typed, now):
    name, arguments, _ = spelled_now(typed.split())
    assert [name, *arguments] == now.split()


@pytest.mark.parametrize("typed", ["--metric auc", "", "--report --run r", "--help", "--threshold --video", "--out --find"])
def test_what_aadc_eval_still_does_is_left_alone(typed):
    """Also where the value of an option looks like another one."""
    assert spelled_now(typed.split()) is None


def test_two_things_at_once_were_never_meant():
    for typed in ("--video a --find b", "--ask b c --report", "--table classes --find x"):
        with pytest.raises(UserError, match="cannot be combined"):
            spelled_now(typed.split())


@pytest.mark.parametrize(
    "typed", ["--video", "--find", "--table", "--ask", "--video a --run", "--find a --metric", "--video -- a.mp4"]
)
def test_a_value_that_is_missing_is_said(typed):
    with pytest.raises(UserError, match="needs a value"):
        spelled_now(typed.split())


@pytest.mark.parametrize(
    "words", [["aadc-score", ""], ["aadc-find", "a", "--out", ""], ["aadc-train-head", "--out="], ["aadc", "eval", "--run", ""]]
)
def test_an_empty_word_is_not_the_current_folder(tmp_path, words):
    """As a script leaves it whose variable is not set."""
    done = subprocess.run([str(BIN / words[0]), *words[1:]], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "is empty" in done.stderr and not list(tmp_path.iterdir())


def test_an_earlier_spelling_after_aadc(tmp_path):
    done = subprocess.run([str(BIN / "aadc"), "eval", "--video", "x"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "aadc-eval --video is now aadc-score" in done.stderr


def test_two_spellings_of_one_thing_exclude_each_other(tmp_path):
    (tmp_path / "x.csv").touch()
    done = run("aadc-extract", str(tmp_path / "x.csv"), "--threshold", "0.5", "--box-threshold", "0.9")
    assert done.returncode == 2 and "give one of them" in done.stderr


def test_a_real_earlier_command_says_how_it_is_spelled_now(tmp_path):
    done = subprocess.run([str(BIN / "aadc-eval"), "--find", "-x-", "--top", "3"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert first == "aadc-eval --find is now aadc-find; this spelling will work until 0.3"
    assert second.startswith("aadc-find: no run under runs/")
