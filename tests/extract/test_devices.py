"""Which device and precision: what is chosen, and what is said about it."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from test_extract import make_set, run_here

from aadc.extract import devices
from aadc.extract.devices import choose_device, has_bf16_arithmetic, precision_advice
from aadc.manifests.errors import UserError


@pytest.mark.parametrize(
    ("capabilities", "fast"),
    [
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_f": True, "avx512_bf16": True}, True),
        ({"amx_bf16": True, "amx_tile": True}, True),
        ({"architecture": "arm64", "neon": True, "bf16": True}, True),
        ({"architecture": "arm64", "neon": True, "bf16": False}, False),
    ],
)
def test_bf16_arithmetic_by_the_processors_own_word(monkeypatch, capabilities, fast):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert has_bf16_arithmetic() == fast


@pytest.mark.parametrize(
    ("precision", "device", "fast", "words"),
    [
        ("fp32", "cpu", True, "half the time with --precision bf16"),
        ("fp32", "cpu", False, None),
        ("bf16", "cpu", True, None),
        ("bf16", "cpu", False, "slower than fp32"),
        ("fp32", "cuda", True, None),
        ("bf16", "cuda:1", False, None),
    ],
)
def test_advice_on_precision(monkeypatch, precision, device, fast, words):
    monkeypatch.setattr(devices, "has_bf16_arithmetic", lambda: fast)
    advice = precision_advice(precision, device)
    assert (advice is None) == (words is None)
    assert advice is None or (words in advice and "\n" not in advice)


def test_the_command_says_it_once_and_works_on(monkeypatch, tmp_path, tiny_detr, tiny_clip):
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}})
    for fast, precision, words in ((True, "fp32", "about half the time"), (False, "bf16", "slower than fp32")):
        monkeypatch.setattr(devices, "has_bf16_arithmetic", lambda fast=fast: fast)
        done = run_here(manifest, (tiny_detr, tiny_clip), "--precision", precision, "--run", precision)
        assert done.returncode == 0 and done.stdout.count(words) == 1 and "1 videos done" in done.stdout


def test_a_device_that_is_not_there():
    assert choose_device("cpu") == choose_device("cpu:0") == "cpu"
    assert choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UserError, match="--device cuda:99: not usable here .*--device cpu always works"):
        choose_device("cuda:99")
