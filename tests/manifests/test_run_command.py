"""How commands end, seen from outside: exit status, one sentence, no traceback unless asked for."""

import importlib
import os
import resource
import signal
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

SCRIPT = """
import errno, sys, time, typer
from aadc.manifests.command import run_command
from aadc.manifests.errors import UserError

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

@app.command()
def go(how: str):
    if how == "bad input":
        raise UserError("gym.csv: line 3: no such class")
    if how == "full disk":
        raise OSError(errno.ENOSPC, "No space left on device", "shard.h5")
    if how == "bug":
        raise ValueError("oops")
    if how == "some failed":
        raise typer.Exit(1)
    if how == "wait":
        print("waiting", flush=True)
        time.sleep(60)

run_command(app, "aadc-x")
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.parametrize(
    ("how", "status", "stderr"),
    [
        ("nothing", 0, ""),
        ("some failed", 1, ""),
        ("bad input", 2, "aadc-x: gym.csv: line 3: no such class\n"),
        ("full disk", 2, "aadc-x: [Errno 28] No space left on device: 'shard.h5' (AADC_DEBUG=1 shows where)\n"),
    ],
)
def test_exit_status_and_what_is_said(how, status, stderr):
    done = run(how, AADC_DEBUG="")
    assert (done.returncode, done.stdout, done.stderr) == (status, "", stderr)


def test_a_library_that_memory_is_too_small_for_is_a_sentence(tmp_path):
    """A real limit on the address space, and real libraries."""
    program = Path(sys.executable).with_name("aadc-train-head")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    done = subprocess.run(
        [str(program), "--run", str(tmp_path / "run")], capture_output=True, text=True, env={**os.environ, "AADC_DEBUG": ""},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (300 * 2**20, 300 * 2**20)),
    )  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "aadc-train-head: " in done.stderr and ("memory" in done.stderr)


def test_wrong_usage_is_2_and_shows_how():
    done = run()
    assert done.returncode == 2
    assert "Usage: aadc-x" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("how", "error"), [("bad input", "UserError: gym.csv"), ("full disk", "OSError: [Errno 28]")])
def test_debug_shows_the_traceback(how, error):
    done = run(how, AADC_DEBUG="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert error in done.stderr


def test_a_bug_keeps_its_traceback():
    done = run("bug", AADC_DEBUG="")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ValueError: oops" in done.stderr


def test_ctrl_c_is_130_and_says_so():
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "wait"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr == "aadc-x: interrupted; start it again to go on\n"


def test_helps_name_arguments_plainly_and_fit_a_terminal(monkeypatch):
    """Of every command and what is below it: MANIFEST, not {manifest}; 80 columns; completion is not in each help."""
    monkeypatch.setenv("COLUMNS", "80")
    scripts = [one for one in entry_points(group="console_scripts") if one.module.startswith("aadc.")]
    seen = 0
    for script in scripts:
        app = importlib.import_module(script.module).app
        command = typer.main.get_command(app)
        below = [] if script.name == "aadc" else sorted(getattr(command, "commands", {}))
        for words in ([], *([name] for name in below)):
            told = CliRunner().invoke(app, [*words, "--help"], prog_name=script.name)
            assert told.exit_code == 0 and told.stdout.startswith(f"Usage: {script.name}")
            assert "{" not in told.stdout and "--show-completion" not in told.stdout, told.stdout
            assert "list[" not in told.stdout and "str>" not in told.stdout.partition("Options:")[0], told.stdout
            assert max(map(len, told.stdout.splitlines())) <= 80, told.stdout
            seen += 1
        assert any(one.name == "install_completion" for one in command.params)
    assert seen > 25
    asked = CliRunner().invoke(importlib.import_module("aadc.extract.cli").app, [], prog_name="aadc-extract")
    assert asked.exit_code == 2 and "Missing argument 'MANIFEST'" in asked.output
