"""What all tests share: no network, small thread counts, and two tiny random models in the published layouts."""

import contextlib
import json
import os
import signal
from pathlib import Path

import hypothesis
import pytest

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Tests run two at a time. Two threads of one, on cores that are taken, wait for each other longer than either computes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Where the tests run in the background of a shell, it has Ctrl-C ignored in them and in all they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """The one long test of a file of its own comes first: begun last, one worker waited for it and the other had nothing."""
    items.sort(key=lambda item: item.path.name != "test_tour.py")


@pytest.fixture(autouse=True)
def everyday_priority():
    """The AV1 encoder of a test video gives the process that calls it real-time priority, where it may. Threads that wait for
    each other in turns then never let the others run; so it is taken back before the next test."""
    yield
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):
            if os.sched_getscheduler(int(thread)) != os.SCHED_OTHER:
                os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture(scope="session")
def tiny_detr(tmp_path_factory) -> Path:
    """A DETR of transformers' own architecture with random weights, a few layers deep, its processor set to 64 px."""
    import torch
    from transformers import DetrConfig, DetrForObjectDetection, DetrImageProcessor

    folder = tmp_path_factory.mktemp("models") / "detr"
    backbone = {
        "model_type": "timm_backbone", "backbone": "resnet10t", "features_only": True,
        "use_pretrained_backbone": False, "out_indices": [1, 2, 3, 4],
    }  # fmt: skip
    torch.manual_seed(0)
    config = DetrConfig(
        backbone_config=backbone, num_queries=12, d_model=32, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_labels=4,
    )  # fmt: skip
    model = DetrForObjectDetection(config)
    torch.nn.init.normal_(model.class_labels_classifier.weight, std=1.0)  # scores that differ between queries
    model.save_pretrained(folder)
    DetrImageProcessor(size={"shortest_edge": 64, "longest_edge": 100}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory) -> Path:
    """A CLIP of open_clip's own architecture with random weights, in the local-dir layout."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("models") / "clip"
    folder.mkdir()
    model_cfg = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    torch.manual_seed(0)
    model = open_clip.CLIP(**model_cfg)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_cfg, "preprocess_cfg": {}}))
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    return folder
