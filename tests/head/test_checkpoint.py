"""The head on disk: read back as written, and refused when it is not what it claims to be."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from aadc.extract.video_features import VideoFeatures
from aadc.head.checkpoint import load_head, save_head
from aadc.head.config import HeadConfig
from aadc.head.model import AnomalyHead
from aadc.head.scoring import score_video
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.errors import UserError

CARD = Card(
    title="Test",
    classes=[
        ClassEntry(name="calm", kind="normal", prompt="calm"),
        ClassEntry(name="fall", kind="abnormal", prompt="a fall"),
    ],
)
CLIP = {"source": "somewhere", "weights": "abc"}


def save(folder, **options) -> AnomalyHead:
    config = HeadConfig(**options)
    torch.manual_seed(0)
    model = AnomalyHead(config, 16, 6, 8, CARD.names).eval()
    for tensor in model.state_dict().values():
        torch.nn.init.normal_(tensor)
    save_head(folder, model, config, CARD, "f" * 16, CLIP, {"videos": "0"}, {"val_auc": 0.5, "val_loss": None})
    return model


@pytest.mark.parametrize("options", [{}, {"use_detr": False}, {"use_mtn": False}, {"pooling": "attention"}, {"n_ctx": 0}])
@torch.no_grad()
def test_what_was_saved_is_read(tmp_path, options):
    """Same scores, same settings, and all that evaluation asks about where it comes from."""
    saved = save(tmp_path / "head", **options)
    found = load_head(tmp_path / "head")
    inputs = torch.randn(1, 5, 6), torch.randn(1, 5, *([3] if options.get("pooling") else []), 16)
    for one, other in zip(saved(*inputs, torch.ones(1, 5) > 0), found.model(*inputs, torch.ones(1, 5) > 0), strict=True):
        assert torch.equal(one, other)
    assert not found.model.training
    assert (found.config, found.card, found.fingerprint) == (HeadConfig(**options), CARD, "f" * 16)
    assert (found.clip, found.clip_weights, found.metrics) == ("somewhere", "abc", {"val_auc": 0.5, "val_loss": None})
    assert found.model.classes == ["calm", "fall"]


def edit(folder, **changes) -> None:
    path = folder / "config.json"
    record = {**json.loads(path.read_text()), **changes}
    record.pop("seal", None)
    path.write_text(json.dumps(record))


def flip_a_bit(folder) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def forget_a_tensor(folder) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("score.fc.weight")
    rewrite(folder, tensors)


def put_in_nan(folder) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["score.fc.weight"][0, 0] = np.nan
    rewrite(folder, tensors)


def forget_the_normal_class(folder) -> None:
    card = json.loads((folder / "config.json").read_text())["card"]
    card["classes"][0]["kind"] = "abnormal"
    edit(folder, card=card)


def rewrite(folder, tensors) -> None:
    from aadc.head.checkpoint import sha256_of

    save_file(tensors, folder / "model.safetensors")
    edit(folder, weights=sha256_of(folder / "model.safetensors"))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no trained head in it; run aadc-train-head"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors: cannot be read"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json: cannot be read"),
        (lambda folder: (folder / "config.json").write_text("[]"), "--restart"),
        (lambda folder: edit(folder, version=2), "version: .*--restart"),
        (lambda folder: edit(folder, config={"k": 0}), "config.json: config k: "),
        (flip_a_bit, "not the weights that config.json was written with"),
        (forget_a_tensor, "cannot be read as a head"),
        (put_in_nan, "no numbers"),
        (forget_the_normal_class, "no normal class"),
    ],
)
def test_a_harmed_head_is_refused(tmp_path, harm, said):
    save(tmp_path / "head")
    harm(tmp_path / "head")
    with pytest.raises(UserError, match=said):
        load_head(tmp_path / "head")


@pytest.mark.parametrize("text", ['"level": 0.', '"weights": "', '"prompt": "', '"gamma": ', '"val_auc": 0.'])
def test_one_flipped_bit_in_a_record_is_told(tmp_path, text):
    """What stays a number or a word would change scores and names, and say nothing."""
    save(tmp_path / "head")
    path = tmp_path / "head" / "config.json"
    content = path.read_text()
    place = content.index(text) + len(text)
    path.write_text(content[:place] + chr(ord(content[place]) ^ 1) + content[place + 1 :])
    with pytest.raises(UserError, match=r"config.json.*--restart"):
        load_head(tmp_path / "head")


def test_a_record_of_before_is_read(tmp_path):
    """Earlier ones hold no hash of themselves."""
    save(tmp_path / "head")
    edit(tmp_path / "head", level=0.5)
    assert load_head(tmp_path / "head").level == 0.5


@pytest.mark.parametrize("call", range(6))
def test_killed_at_any_step_of_publishing_there_is_a_head(tmp_path, call):
    """The process is gone before its n-th change of a name in the folder: the old head or the new one is read, and the next
    one is written as if nothing had been."""
    folder = tmp_path / "head"
    save(folder)
    program = KILLED.format(here=str(Path(__file__).parent), call=call, folder=str(folder))
    done = subprocess.run([sys.executable, "-c", program])
    assert done.returncode in (0, 9)
    assert load_head(folder).config.gamma in (1.0, 2.0)
    if done.returncode == 0:
        assert call >= 4 and load_head(folder).config.gamma == 2.0
    save(folder, gamma=3.0)
    assert load_head(folder).config.gamma == 3.0
    assert {path.name for path in folder.glob("*.safetensors")} == {"model.safetensors"}


KILLED = """
import os, sys
sys.path.insert(0, {here!r})
from pathlib import Path
import test_checkpoint
count, real = 0, os.replace
def replace(*args):
    global count
    if count == {call}:
        os._exit(9)
    count += 1
    real(*args)
os.replace = replace
test_checkpoint.save(Path({folder!r}), gamma=2.0)
"""


@pytest.mark.parametrize("name", ["fusion.fc.weight", "mtn.norm.weight"])
def test_an_answer_that_is_no_number_is_no_score(tmp_path, name):
    """Weights may be finite, and still lead out of the numbers."""
    save(tmp_path / "head")
    tensors = load_file(tmp_path / "head" / "model.safetensors")
    tensors[name].fill_(3e38)
    rewrite(tmp_path / "head", tensors)
    rows = {"scene": (4, 16), "detr": (4, 6), "crop": (4, 2, 16), "count": (4,)}
    arrays = {key: np.ones(shape, np.float16 if key != "count" else np.int16) for key, shape in rows.items()}
    video = VideoFeatures("odd.mp4", "test", (), 64, **arrays)
    with pytest.raises(UserError, match="odd.mp4: the head answers with what is no finite number"):
        score_video(load_head(tmp_path / "head"), video)
