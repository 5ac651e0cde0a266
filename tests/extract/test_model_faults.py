"""Models that are damaged, foreign or unfit are told in one sentence; odd answers and odd pictures are met; names last."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from aadc.extract.clip_model import load_clip
from aadc.extract.decode import FrameBlock, VideoFacts
from aadc.extract.detect import Detector, load_detector
from aadc.extract.devices import halving
from aadc.extract.encode import ClipEncoder
from aadc.extract.features import FrameEmbedder
from aadc.extract.frozen import same_answer
from aadc.extract.model_names import named, place
from aadc.extract.settings import PRESETS, ExtractSettings, fingerprint
from aadc.extract.text_side import takes_prompts, text_side
from aadc.extract.video import video_features
from aadc.manifests.errors import UserError

DAMAGES = {
    "cut short": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "of something else": lambda data: b"\x89PNG\r\n" * 40,
    "a list": lambda data: b"[1, 2]",
    "too deep": lambda data: b"[" * 100_000,
}
FILES = [
    ("detector", "model.safetensors"), ("detector", "config.json"), ("detector", "preprocessor_config.json"),
    ("clip", "open_clip_model.safetensors"), ("clip", "open_clip_config.json"),
]  # fmt: skip


@pytest.mark.parametrize(("option", "name"), FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_models_are_one_sentence(tiny_detr, tiny_clip, tmp_path, option, name, damage):
    folder = shutil.copytree({"detector": tiny_detr, "clip": tiny_clip}[option], tmp_path / "model")
    file = folder / name
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    load = {"detector": load_detector, "clip": load_clip}[option]
    with pytest.raises(UserError) as caught:
        load(str(folder))
    told = str(caught.value)
    assert str(folder) in told and f"--{option}" in told and "\n" not in told


def test_a_detector_is_never_filled_up_with_random_numbers(tiny_detr, tmp_path):
    folder = shutil.copytree(tiny_detr, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if "bbox_predictor" in name and name.endswith("weight"))
    del weights[gone]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="weights lack 1 .*bbox_predictor"):
        load_detector(str(folder))


def test_a_pickle_beside_the_weights_is_not_read(tiny_clip, tmp_path):
    """Not even where open_clip by itself would prefer it."""
    folder = shutil.copytree(tiny_clip, tmp_path / "clip")
    (folder / "open_clip_model.safetensors").rename(folder / "model.safetensors")
    zeros = {name: torch.zeros_like(value) for name, value in load_file(folder / "model.safetensors").items()}
    torch.save(zeros, folder / "open_clip_pytorch_model.bin")
    assert load_clip(str(folder)).weights == load_clip(str(tiny_clip)).weights


def clip_folder(folder: Path, model: nn.Module, config: dict) -> Path:
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    save_file({name: value.clone() for name, value in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    return folder


SIZES = {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}


@pytest.mark.parametrize(
    "kind", ["CoCa", "read at the first token", "image side of several answers", "image side of another width"]
)
def test_clips_that_cannot_serve_are_refused_before_the_first_frame_and_others_serve(tiny_detr, tmp_path, kind):
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8}
    if kind == "CoCa":
        vision |= {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
        text = SIZES | {"embed_cls": True, "output_tokens": True}
        config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text, "multimodal_cfg": SIZES | {"attn_pooler_heads": 2}}
        config["custom_text"] = True
        model = open_clip.CoCa(**{key: value for key, value in config.items() if key != "custom_text"})
    elif kind.startswith("read"):
        config = {
            "embed_dim": 16,
            "vision_cfg": vision,
            "text_cfg": SIZES | {"pool_type": "first", "no_causal_mask": True},
            "custom_text": True,
        }
        model = open_clip.CustomTextCLIP(16, vision, config["text_cfg"])
    elif kind.endswith("answers"):
        config = {"embed_dim": 16, "vision_cfg": vision | {"output_tokens": True}, "text_cfg": SIZES}
        model = open_clip.CLIP(**config)
    else:
        bare = {"timm_model_name": "test_vit", "timm_model_pretrained": False, "timm_pool": "avg", "timm_proj": "none"}
        config = {"embed_dim": 16, "vision_cfg": bare | {"image_size": 32}, "text_cfg": SIZES, "custom_text": True}
        model = open_clip.CustomTextCLIP(16, config["vision_cfg"], SIZES)
    folder = clip_folder(tmp_path / "clip", model, config)
    if not kind.endswith("width"):  # without contexts there are whole sentences: heads on it have class_vectors=texts
        clip = load_clip(str(folder))
        assert clip.width == 16 and takes_prompts(clip.model) == kind.endswith("answers")
        FrameEmbedder(ExtractSettings(detector=str(tiny_detr), clip=str(folder)))
        return
    with pytest.raises(UserError, match="gives? .*one vector|not give one vector") as caught:
        FrameEmbedder(ExtractSettings(detector=str(tiny_detr), clip=str(folder)))
    assert str(folder) in str(caught.value) and "--clip" in str(caught.value)


def test_text_sides_that_take_no_prompts(tiny_clip):
    """One that masks its padding, and a whole model of another library."""
    model = load_clip(str(tiny_clip)).model
    assert text_side(model, "x")[0] is model
    model.use_pad_mask = True
    for unfit in (model, SimpleNamespace(text=nn.Linear(2, 2), text_pool_type="argmax")):
        with pytest.raises(UserError, match="^x: its text tower takes no learnable prompts"):
            text_side(unfit, "x")


def answer(boxes: list, probabilities: list, query: torch.Tensor) -> dict:
    """What a detector with sigmoid scores and one class would say of one frame."""

    class Outputs(dict):
        __getattr__ = dict.__getitem__

    return Outputs(
        logits=torch.logit(torch.tensor([probabilities]))[..., None],
        pred_boxes=torch.tensor([boxes]),
        last_hidden_state=query[None],
        encoder_last_hidden_state=torch.ones(1, 3, 2),
    )


def test_seen_counts_what_the_cut_leaves_out_and_nothing_that_is_not_in_the_frame():
    detector = Detector.__new__(Detector)
    detector.model = SimpleNamespace(config=SimpleNamespace(num_labels=1))
    detector.threshold = 0.5
    nan = float("nan")
    boxes = [
        [0.5, 0.5, 0.2, 0.2], [1.4, 0.5, 0.2, 0.2], [0.5, -0.2, 0.9, 0.4], [nan, 0.5, 0.2, 0.2], [0.9, 0.9, 0.4, 0.4],
        [0.3, 0.3, 0.1, 0.1], [0.3, 0.3, 0.0, 0.1], [0.2, 0.2, 0.1, 0.1],
    ]  # fmt: skip
    scores = [0.6, 0.99, 0.98, 0.97, 0.8, 0.7, 0.9, 0.4]
    query = torch.arange(16.0).view(8, 2)
    query[3] = nan
    for most, kept in [(2, [4, 5]), (10, [4, 5, 0])]:
        detector.boxes = most
        found = detector._best(answer(boxes, scores, query))
        assert found.seen.tolist() == [3] and found.count.tolist() == [len(kept)]
        assert found.query[0, : len(kept)].tolist() == query[kept].tolist()
        for values in (found.box, found.score, found.query):
            assert values.isfinite().all() and not values[0, len(kept) :].any()
    np.testing.assert_allclose(found.box[0, 0], [0.85, 0.85, 0.3, 0.3], atol=1e-6)  # its part inside


def test_seen_is_among_the_rows(tiny_detr, tiny_clip):
    frames = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), np.uint8)
    few, all_of_them = (
        FrameEmbedder(ExtractSettings(detector=str(tiny_detr), clip=str(tiny_clip), boxes=boxes, threshold=0.3))(frames)
        for boxes in (1, 12)
    )
    assert few["seen"].tolist() == all_of_them["seen"].tolist() == all_of_them["count"].tolist()
    assert few["seen"].max() > 1 and few["count"].max() == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2000), (2000, 2), (5000, 3), (1, 5000)])
@pytest.mark.parametrize("models", ["miniature", "tiny"])
def test_pictures_of_any_shape(tiny_detr, tiny_clip, size, models):
    places = {"detector": str(tiny_detr), "clip": str(tiny_clip)} if models == "tiny" else PRESETS["miniature"]
    rows = FrameEmbedder(ExtractSettings(**places, threshold=0.0))(np.full((2, *size, 3), 90, np.uint8))
    assert rows["count"].tolist() == [5, 5] and all(np.isfinite(values).all() for values in rows.values())


def test_the_middle_of_a_long_picture_is_what_the_whole_one_gives(tiny_clip, monkeypatch):
    """Cut before it is enlarged or after: the same pixels."""
    encoder = ClipEncoder(load_clip(str(tiny_clip)))
    for shape in [(3, 3, 200), (3, 201, 4), (3, 1, 77)]:
        picture = torch.from_numpy(np.random.default_rng(1).integers(0, 256, shape, np.uint8))
        ours = encoder.preprocess(picture)
        monkeypatch.setattr("aadc.extract.encode._LONGEST", 10_000)
        difference = (encoder.preprocess(picture) - ours).abs()
        assert difference.mean() < 0.1 and difference.max() < 0.4, shape  # half of an enlarged pixel to the side; of another: 1
        monkeypatch.undo()


def test_less_at_once_where_memory_is_short():
    sizes = []

    def compute(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError
        return batch * 2

    assert torch.cat(halving(compute, torch.arange(11))).tolist() == list(range(0, 22, 2))
    assert sizes == [11, 5, 2, 3, 6, 3, 3]

    def never(batch: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        halving(never, torch.arange(4))


def test_detector_and_encoder_go_on_with_less_at_once(tiny_detr, tiny_clip, monkeypatch):
    embedder = FrameEmbedder(ExtractSettings(detector=str(tiny_detr), clip=str(tiny_clip), threshold=0.3))
    frames = np.random.default_rng(0).integers(0, 256, (5, 40, 50, 3), np.uint8)
    expected = embedder(frames)
    for module, most in ((embedder.detector.model, 1), (embedder.encoder.visual, 2)):
        whole = module.forward

        def forward(*images, whole=whole, most=most, **named):
            if len(images[0] if images else named["pixel_values"]) > most:
                raise torch.OutOfMemoryError
            return whole(*images, **named)

        monkeypatch.setattr(module, "forward", forward)
    for name, values in embedder(frames).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-4)


def test_miniatures_are_called_what_they_are(tmp_path):
    """Also by a run of an installation that is gone; a folder that is there is taken as it is."""
    settings = ExtractSettings(**PRESETS["miniature"])
    assert (settings.detector, settings.clip) == ("miniature", "miniature")
    old = {"detector": "/old/site-packages/aadc/extract/miniature/detr", "clip": "C:\\env\\aadc\\extract\\miniature\\clip"}
    assert ExtractSettings(**old) == settings == ExtractSettings(detector=place("miniature", "detr"), clip="miniature")
    assert load_clip(old["clip"]).source == "miniature" and load_clip("miniature").weights == load_clip(old["clip"]).weights
    mine = tmp_path / "extract" / "miniature" / "clip"
    mine.mkdir(parents=True)
    assert named(str(mine), "clip") == place(str(mine), "clip") == str(mine)
    models = FrameEmbedder(settings).models
    assert models["detector"]["source"] == models["clip"]["source"] == "miniature"


def test_dab_detr_gives_its_encoders_feature(tmp_path):
    from transformers import DabDetrConfig, DabDetrForObjectDetection, DetrImageProcessor

    backbone = {
        "model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1],
        "layer_type": "basic", "out_features": ["stage4"],
    }  # fmt: skip
    torch.manual_seed(0)
    config = DabDetrConfig(
        backbone_config=backbone, hidden_size=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=32, decoder_ffn_dim=32,
        encoder_attention_heads=2, decoder_attention_heads=2, num_queries=6, num_labels=3,
    )  # fmt: skip
    plain = DabDetrForObjectDetection(config).eval()
    plain.save_pretrained(tmp_path)
    processor = DetrImageProcessor(size={"height": 64, "width": 96})
    processor.save_pretrained(tmp_path)
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 40, 50), np.uint8))
    with torch.no_grad():
        outputs = plain(**processor(images=list(frames), return_tensors="pt"), output_hidden_states=True)
    detector = Detector(str(tmp_path), boxes=3, threshold=0.0)
    assert detector.feature == "encoder"
    np.testing.assert_allclose(detector(frames).encoder, outputs.encoder_last_hidden_state.mean(1), atol=1e-4)


def test_where_the_feature_comes_from_is_in_the_fingerprint():
    def models(**more: str) -> dict:
        return {"detector": {"weights": "a", "preprocess": {}, **more}, "clip": {"weights": "b", "preprocess": {}}}

    settings = ExtractSettings()
    prints = [fingerprint(models(feature=name), settings) for name in ("encoder", "backbone map", "decoder queries")]
    assert len(set(prints)) == 3 and prints[0] == fingerprint(models(), settings)  # DETR's earlier runs go on


class Backwards(nn.Module):
    """A normalisation registered after its convolution and used before it: folding changes its answer."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)
        self.norm.running_mean += torch.tensor([1.0, -2.0, 3.0])

    def forward(self, x):
        return torch.nn.functional.pad(self.conv(self.norm(x)).mean((2, 3)), (0, 13))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_tower_that_speed_would_change_stays_plain(tiny_clip, dtype):
    clip = load_clip(str(tiny_clip))
    torch.manual_seed(0)
    clip.model.visual = Backwards().eval().requires_grad_(False)
    encoder = ClipEncoder(clip, "cpu", dtype)
    picture = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 40, 50), np.uint8))
    ours, theirs = encoder([picture])[0], clip.model.visual(encoder.preprocess(picture)[None])[0]
    assert (ours - theirs).norm() < (1e-5 if dtype == torch.float32 else 0.05) * theirs.norm()


def test_a_detector_that_speed_would_change_stays_plain(tiny_detr, monkeypatch):
    def spoilt(model, device, dtype):
        for values in model.bbox_predictor.parameters():
            values += 0.1
        return model

    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 40, 50), np.uint8))
    expected = Detector(str(tiny_detr), 5, 0.0)(frames)
    monkeypatch.setattr("aadc.extract.detect.frozen", spoilt)
    np.testing.assert_allclose(Detector(str(tiny_detr), 5, 0.0)(frames).box, expected.box, atol=1e-4)


def test_same_answer_allows_rounding_and_no_more():
    values = torch.randn(100, generator=torch.Generator().manual_seed(0))
    assert same_answer(values, values * (1 + 1e-5), torch.float32) and not same_answer(values, values * 1.01, torch.float32)
    assert same_answer(values, values.bfloat16(), torch.bfloat16) and not same_answer(values, values * 1.2, torch.bfloat16)
    assert not same_answer(values, values * float("nan"), torch.float32) and not same_answer(values, values[:9], torch.float32)


def test_seen_is_carried_over_by_the_gate_and_stored(tiny_detr, tiny_clip, tmp_path):
    random = np.random.default_rng(0)
    one, other = random.integers(0, 256, (2, 40, 50, 3), np.uint8)
    blocks = [np.stack([one, one, other]), np.stack([other, one])]

    class Decoder:
        def blocks(self, path: Path, stride: int, reader: str):
            for start, rgb in zip((0, 3), blocks, strict=True):
                yield FrameBlock(np.arange(start, start + len(rgb)), np.arange(start, start + len(rgb)) / 5, rgb)
            yield VideoFacts(50, 40, 5.0, 0, 5, 5)

    settings = ExtractSettings(detector=str(tiny_detr), clip=str(tiny_clip), boxes=1, threshold=0.3, gate=5.0)
    embedder = FrameEmbedder(settings)
    (tmp_path / "a.mp4").write_bytes(b"x")
    features = video_features(tmp_path / "a.mp4", embedder, Decoder())
    assert features.carried.tolist() == [False, True, False, True, False]
    expected = embedder(np.concatenate(blocks))["seen"]
    assert features.seen.tolist() == expected.tolist() and features.seen.dtype == np.uint16 and expected.max() > 1


@pytest.mark.parametrize("part", ["detector", "clip"])
def test_a_name_that_no_file_can_have_is_one_sentence(tiny_detr, tiny_clip, part):
    given = {"detector": str(tiny_detr), "clip": str(tiny_clip), part: "/" + "a" * 5000}
    with pytest.raises(UserError, match=f"--{part}"):
        FrameEmbedder(ExtractSettings(**given))
