"""`--set key=value`: every setting of the head by its name."""

import subprocess
import sys
from pathlib import Path

import pytest

from aadc.head.config import HeadConfig, settings_of
from aadc.manifests.errors import UserError


def test_values_are_read_as_what_they_are():
    words = ["lr=1e-4", "use_mtn=false", "pooling=attention", " k = 7", "lambda=0.5"]
    config = HeadConfig.model_validate({"epochs": 3} | settings_of(words))
    assert (config.lr, config.use_mtn, config.pooling, config.k, config.lambda_, config.epochs) == (
        1e-4,
        False,
        "attention",
        7,
        0.5,
        3,
    )


def test_every_setting_can_be_set():
    defaults = HeadConfig()
    words = [f"{name}={getattr(defaults, name)}" for name in HeadConfig.model_fields]
    assert HeadConfig.model_validate(settings_of(words)) == defaults


@pytest.mark.parametrize(
    ("words", "what"),
    [(["lr"], "KEY=VALUE"), (["rate=1"], "there are k, gamma"), (["k=1", "k=2"], "twice"), (["=3"], "no setting")],
)
def test_what_is_no_setting_is_said(words, what):
    with pytest.raises(UserError, match=what):
        settings_of(words)


def test_a_setting_with_an_option_of_its_own_is_given_once(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    program = Path(sys.executable).with_name("aadc-train-head")
    command = [str(program), "--run", str(tmp_path), "--k", "2", "--set", "k=3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "give one of them" in done.stderr
