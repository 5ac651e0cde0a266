"""What a command's start costs: commands that need only shards load no models' libraries, and threads wait asleep."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "head"))
from synthetic import make_run

from aadc.head.config import HeadConfig
from aadc.head.train import train_head

WITHOUT = """
import sys
for name in ("open_clip", "torchvision", "transformers", "timm"):
    sys.modules[name] = None  # an import of it fails
from aadc.{package} import main
main()
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_clip):
    run = make_run(tmp_path_factory.mktemp("start") / "run", tiny_clip)
    train_head(run, HeadConfig(epochs=1))
    return run


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("eval.cli.evaluate", ["--metric", "auc", "--run"]),
        ("eval.cli.evaluate", ["--metric", "all", "--report", "--run"]),
        ("head.cli", ["--epochs", "1", "--run"]),
    ],
)
def test_commands_on_shards_need_no_library_of_models(run, package, arguments):
    """A head that is trained already is told so; only a training that begins loads CLIP, for the words of the classes."""
    command = [sys.executable, "-c", WITHOUT.format(package=package), *arguments, str(run.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_a_training_that_begins_does_need_it(run, tmp_path):
    """Else the blocked imports above would show nothing."""
    command = [
        sys.executable,
        "-c",
        WITHOUT.format(package="head.cli"),
        "--out",
        str(tmp_path / "head"),
        "--run",
        str(run.path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0 and "open_clip" in done.stderr


@pytest.mark.parametrize("package", ["extract.decode", "head.trainer", "eval.metrics"])
def test_threads_are_told_to_sleep_before_the_libraries_are_loaded(package):
    """As OpenMP itself says when it is loaded (OMP_DISPLAY_ENV), unless somebody has decided otherwise."""
    code = f"import aadc.{package}, torch"

    def policy(**environment: str) -> str:
        path = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        asked = subprocess.run(
            [sys.executable, "-c", code],
            env=path | {"OMP_DISPLAY_ENV": "true"} | environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert asked.returncode == 0, asked.stderr
        return asked.stderr

    told = policy()
    if "OMP_WAIT_POLICY" not in told:
        pytest.skip("this torch has no OpenMP that tells")
    assert "PASSIVE" in told and "ACTIVE'" not in told.replace("PASSIVE'", "")
    assert "OMP_WAIT_POLICY = 'ACTIVE'" in policy(OMP_WAIT_POLICY="ACTIVE")
