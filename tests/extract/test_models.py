"""Our batched tensor path equals the libraries' own, from preprocessing to embeddings; loading says what is wrong."""

import json
import shutil
import time

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForObjectDetection, DetrImageProcessor, DetrImageProcessorPil, pipeline

from aadc.extract.clip_model import Clip, load_clip
from aadc.extract.crops import square_boxes
from aadc.extract.detect import Detector
from aadc.extract.encode import ClipEncoder
from aadc.extract.features import FrameEmbedder
from aadc.extract.settings import ExtractSettings
from aadc.manifests.errors import UserError


def picture(seed: int, height: int = 90, width: int = 120) -> np.ndarray:
    """A smooth, colourful RGB uint8 picture (H, W, 3) with some noise."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
    large = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(large + random.integers(-12, 13, large.shape), 0, 255).astype(np.uint8)


def as_tensor(images: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def detector(tiny_detr):
    return Detector(str(tiny_detr), boxes=5, threshold=0.3)


@pytest.fixture(scope="module")
def clip(tiny_clip) -> Clip:
    return load_clip(str(tiny_clip))


def test_detr_preprocessing_is_the_processors_own(detector, tiny_detr):
    """Sizes, normalisation and pixel mask, against the processor on one PIL picture after another.

    Tolerance: both backends round to 8 bits after resizing and may differ by one level, 1/255/0.224 = 0.0175.
    """
    images = [picture(seed, 90, 160) for seed in range(3)]
    ours = detector.preprocess_frames(as_tensor(images))
    for processor in (DetrImageProcessor.from_pretrained(tiny_detr), DetrImageProcessorPil.from_pretrained(tiny_detr)):
        for index, image in enumerate(images):
            theirs = processor(images=Image.fromarray(image), return_tensors="pt")
            assert ours["pixel_values"].shape[1:] == theirs["pixel_values"].shape[1:] == (3, 56, 100)
            assert torch.equal(ours["pixel_mask"][index], theirs["pixel_mask"][0])
            difference = (ours["pixel_values"][index] - theirs["pixel_values"][0]).abs()
            assert difference.max() <= 0.018 and difference.mean() < 1e-3


def test_boxes_are_those_of_the_librarys_pipeline(detector, tiny_detr):
    images = [picture(seed) for seed in range(4)]
    found = detector(as_tensor(images))
    reference = pipeline("object-detection", model=str(tiny_detr), threshold=0.3)
    assert found.count.sum() > 0
    for index, image in enumerate(images):
        theirs = sorted(reference(Image.fromarray(image)), key=lambda item: -item["score"])[:5]
        assert found.count[index] == len(theirs)
        for row, item in enumerate(theirs):
            assert found.score[index, row] == pytest.approx(item["score"], abs=1e-3)
            assert detector.class_names[int(found.class_id[index, row])] == item["label"]
            cx, cy, w, h = found.box[index, row].tolist()
            xyxy = [(cx - w / 2) * 120, (cy - h / 2) * 90, (cx + w / 2) * 120, (cy + h / 2) * 90]
            box = [np.clip(item["box"][key], 0, 120 if "x" in key else 90) for key in ("xmin", "ymin", "xmax", "ymax")]
            np.testing.assert_allclose(xyxy, box, atol=1.1)  # the pipeline gives whole pixels


def test_box_score_and_query_feature_are_one_row(detector, tiny_detr):
    """Every kept row is one query of the plain model: its box, its score and its decoder embedding."""
    images = [picture(seed) for seed in range(3)]
    found = detector(as_tensor(images))
    model = AutoModelForObjectDetection.from_pretrained(tiny_detr).eval()
    with torch.no_grad():
        outputs = model(**DetrImageProcessor.from_pretrained(tiny_detr)(images=as_tensor(images), return_tensors="pt"))
    for index in range(3):
        for row in range(int(found.count[index])):
            distance = (outputs.last_hidden_state[index] - found.query[index, row]).norm(dim=-1)
            query = int(distance.argmin())
            assert distance[query] < 1e-3
            probability = outputs.logits[index, query].softmax(-1)[:-1]
            assert float(found.score[index, row]) == pytest.approx(float(probability.max()), abs=1e-4)
            cx, cy, w, h = outputs.pred_boxes[index, query].tolist()
            inside = [max(cx - w / 2, 0), max(cy - h / 2, 0), min(cx + w / 2, 1), min(cy + h / 2, 1)]
            ours = found.box[index, row]
            np.testing.assert_allclose([*(ours[:2] - ours[2:] / 2), *(ours[:2] + ours[2:] / 2)], inside, atol=1e-4)
        np.testing.assert_allclose(found.encoder[index], outputs.encoder_last_hidden_state[index].mean(0), atol=1e-4)
        past = slice(int(found.count[index]), None)
        assert not found.box[index, past].any() and not found.query[index, past].any() and not found.score[index, past].any()


def test_a_threshold_above_all_scores_keeps_nothing(tiny_detr):
    found = Detector(str(tiny_detr), boxes=3, threshold=1.0)(as_tensor([picture(0)]))
    assert found.count.tolist() == [0] and not found.query.any() and found.encoder.isfinite().all()


def test_more_boxes_than_queries(tiny_detr):
    found = Detector(str(tiny_detr), boxes=50, threshold=0.0)(as_tensor([picture(0)]))
    assert found.box.shape == (1, 50, 4) and found.count.tolist() == [12]


@pytest.mark.parametrize("family", ["RTDetrV2", "DFine", "DeformableDetr", "ConditionalDetr", "Yolos"])
def test_other_families_of_detr(tmp_path, family):
    """Anything `AutoModelForObjectDetection` loads: finite features, boxes inside the frame, rows that belong together."""
    import transformers

    small = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "num_queries": 10, "num_labels": 3}
    resnet = {
        "model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1],
        "layer_type": "basic", "out_features": ["stage2", "stage3", "stage4"],
    }  # fmt: skip
    options = {
        "RTDetrV2": {
            **small, "backbone_config": {**resnet, "model_type": "rt_detr_resnet"}, "encoder_hidden_dim": 32,
            "encoder_in_channels": [16, 24, 32], "decoder_in_channels": [32, 32, 32], "encoder_ffn_dim": 32,
            "decoder_ffn_dim": 32, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "num_denoising": 0,
        },
        "DFine": {
            **small, "encoder_hidden_dim": 32, "encoder_in_channels": [512, 1024, 2048],
            "decoder_in_channels": [32, 32, 32], "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
            "encoder_attention_heads": 2, "decoder_attention_heads": 2, "num_denoising": 0,
        },
        "DeformableDetr": {
            **small, "backbone_config": resnet, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
            "encoder_attention_heads": 2, "decoder_attention_heads": 2, "num_feature_levels": 3,
        },
        "ConditionalDetr": {
            **small, "backbone_config": {**resnet, "out_features": ["stage4"]}, "encoder_ffn_dim": 32,
            "decoder_ffn_dim": 32,
            "encoder_attention_heads": 2, "decoder_attention_heads": 2,
        },
        "Yolos": {
            "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
            "image_size": [64, 96], "num_detection_tokens": 10, "num_labels": 3,
        },
    }[family]  # fmt: skip
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForObjectDetection")(getattr(transformers, f"{family}Config")(**options))
    model.save_pretrained(tmp_path)
    processor = transformers.RTDetrImageProcessor if family in ("RTDetrV2", "DFine") else DetrImageProcessor
    processor(size={"height": 64, "width": 96}).save_pretrained(tmp_path)
    found = Detector(str(tmp_path), boxes=4, threshold=0.0)(as_tensor([picture(0), picture(1)]))
    assert found.count.tolist() == [4, 4]
    for values in (found.box, found.score, found.query, found.encoder):
        assert values.isfinite().all()
    low, high = found.box[..., :2] - found.box[..., 2:] / 2, found.box[..., :2] + found.box[..., 2:] / 2
    assert low.min() >= -1e-6 and high.max() <= 1 + 1e-6
    assert found.query.shape[-1] == found.encoder.shape[-1] == 32
    plain = getattr(transformers, f"{family}ForObjectDetection").from_pretrained(tmp_path).eval()
    with torch.no_grad():
        outputs = plain(**processor.from_pretrained(tmp_path)(images=as_tensor([picture(0), picture(1)]), return_tensors="pt"))
    with_no_object = outputs.logits.shape[-1] == plain.config.num_labels + 1
    shares = outputs.logits.softmax(-1)[..., :-1] if with_no_object else outputs.logits.sigmoid()
    for index in range(2):
        for row in range(4):
            distance = (outputs.last_hidden_state[index] - found.query[index, row]).norm(dim=-1)
            query = int(distance.argmin())
            assert distance[query] < 1e-3 * outputs.last_hidden_state[index, query].norm()
            best, class_id = shares[index, query].max(-1)
            assert float(found.score[index, row]) == pytest.approx(float(best), abs=1e-4)
            assert int(found.class_id[index, row]) == int(class_id)
            cx, cy, w, h = outputs.pred_boxes[index, query].tolist()
            inside = np.clip([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], 0, 1)
            np.testing.assert_allclose([*low[index, row], *high[index, row]], inside, atol=1e-4)
        np.testing.assert_allclose(found.score[index], shares[index].amax(-1).sort(descending=True)[0][:4], atol=1e-4)
    alone = Detector(str(tmp_path), boxes=4, threshold=0.0)(as_tensor([picture(1)]))
    np.testing.assert_allclose(alone.encoder[0], found.encoder[1], atol=1e-4)


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_clip_preprocessing_is_open_clips_own(clip, mode, interpolation):
    """Against open_clip's transform on the same PIL crop, for crops of many shapes.

    Tolerance: the resampled pixel may be two 8-bit levels off, 2/255/0.261 = 0.03.
    """
    config = {**clip.preprocess_cfg, "resize_mode": mode, "interpolation": interpolation, "size": (32, 32)}
    encoder = ClipEncoder(Clip(clip.source, clip.model, clip.tokenizer, config, clip.width, clip.weights))
    reference = image_transform_v2(PreprocessCfg(**config), is_train=False)
    for seed, (height, width) in enumerate([(90, 120), (120, 90), (64, 64), (33, 47), (10, 80), (5, 5), (1, 1), (200, 31)]):
        image = picture(seed, height, width)
        ours = encoder.preprocess(torch.from_numpy(image).permute(2, 0, 1))
        theirs = reference(Image.fromarray(image))
        assert ours.shape == theirs.shape == (3, 32, 32)
        assert (ours - theirs).abs().max() <= 0.031, (height, width)


def test_embeddings_are_encode_image_s_own(clip):
    images = [picture(seed, 40 + seed, 60) for seed in range(5)]
    ours = ClipEncoder(clip)([torch.from_numpy(image).permute(2, 0, 1) for image in images])
    reference = image_transform_v2(PreprocessCfg(**clip.preprocess_cfg), is_train=False)
    with torch.no_grad():
        theirs = clip.model.encode_image(torch.stack([reference(Image.fromarray(image)) for image in images]))
    assert torch.nn.functional.cosine_similarity(ours, theirs).min() > 0.9999
    assert ClipEncoder(clip)([]).shape == (0, clip.width)


def test_rows_belong_to_their_frame_and_crop(tiny_detr, tiny_clip, clip):
    """Each crop's embedding is that of its own square of its own frame, whatever else was in the batch."""
    embedder = FrameEmbedder(ExtractSettings(detector=str(tiny_detr), clip=str(tiny_clip), threshold=0.3, boxes=3))
    frames = np.stack([picture(seed) for seed in range(11)])  # more than one batch of frames
    rows = embedder(frames)
    encoder = ClipEncoder(clip)
    assert set(rows["count"].tolist()) - {0}
    for index, frame in enumerate(frames):
        tensor = torch.from_numpy(frame).permute(2, 0, 1)
        np.testing.assert_allclose(rows["scene"][index], encoder([tensor])[0], atol=1e-5)
        squares = square_boxes(rows["box"][index, : rows["count"][index]], 120, 90)
        for row, (x0, y0, x1, y1) in enumerate(squares):
            np.testing.assert_allclose(rows["crop"][index, row], encoder([tensor[:, y0:y1, x0:x1]])[0], atol=1e-5)
        assert not rows["crop"][index, rows["count"][index] :].any()
    alone = embedder(frames[4:5])
    for name in ("scene", "detr", "box", "score", "crop", "query"):
        np.testing.assert_allclose(alone[name][0], rows[name][4], atol=1e-4)


def test_square_boxes():
    """An asymmetric box by hand, then the law: inside the frame, square unless longer than the frame is wide."""
    boxes = np.array([[0.5, 0.5, 0.1, 0.4], [0.0, 0.0, 0.2, 0.1], [0.5, 0.5, 1.0, 1.0]])
    assert square_boxes(boxes, 200, 100).tolist() == [[80, 30, 120, 70], [0, 0, 20, 20], [0, 0, 200, 100]]
    random = np.random.default_rng(0)
    box = np.concatenate([random.random((500, 2)), random.random((500, 2)) ** 2], 1)
    x0, y0, x1, y1 = square_boxes(box, 97, 61).T
    assert (x0 >= 0).all() and (y0 >= 0).all() and (x1 <= 97).all() and (y1 <= 61).all() and (x1 > x0).all() and (y1 > y0).all()
    short = np.maximum(x1 - x0, y1 - y0) <= 61
    assert short.sum() > 300 and ((x1 - x0) == (y1 - y0))[short].all()
    assert square_boxes(np.zeros((0, 4)), 10, 10).shape == (0, 4)


def test_published_configs_load_without_network(tiny_detr, tmp_path):
    """A backbone named the old way, with and without `backbone_kwargs`, gives the very same model."""
    features = []
    for name, extra in [("new", None), ("old", {}), ("older", {"backbone_kwargs": {"out_indices": [1, 2, 3, 4]}})]:
        folder = shutil.copytree(tiny_detr, tmp_path / name)
        if extra is not None:
            config = json.loads((folder / "config.json").read_text())
            config.pop("backbone_config")
            config |= {"backbone": "resnet10t", "use_timm_backbone": True, "use_pretrained_backbone": True, **extra}
            (folder / "config.json").write_text(json.dumps(config))
        detector = Detector(str(folder), boxes=5, threshold=0.0)
        features.append((detector.weights, detector(as_tensor([picture(0)])).encoder))
    assert features[0][0] == features[1][0] == features[2][0]
    assert torch.equal(features[0][1], features[1][1]) and torch.equal(features[0][1], features[2][1])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"detector": "facebook/detr-resnet-50"}, "neither in the local cache nor within reach.*--detector FOLDER"),
        ({"clip": "ViT-B-16/openai"}, "neither in the local cache nor within reach.*--clip FOLDER"),
        ({"clip": "ViT-B-16"}, "NAME/TAG"),
        ({"clip": "ViT-Z-99/openai"}, "knows no such model"),
        ({"clip": "ViT-B-16/nobody"}, "no weights called nobody"),
        ({"clip": "./nowhere"}, "no such folder"),
        ({"detector": "./nowhere"}, "no such folder"),
    ],
)
def test_models_that_cannot_be_had_say_so_at_once(tiny_detr, tiny_clip, settings, words):
    began = time.monotonic()
    with pytest.raises(UserError, match=words):
        FrameEmbedder(ExtractSettings(**{"detector": str(tiny_detr), "clip": str(tiny_clip), **settings}))
    assert time.monotonic() - began < 10


def test_never_a_random_clip_nor_a_pickle(tiny_clip, tmp_path):
    folder = shutil.copytree(tiny_clip, tmp_path / "clip")
    weights = load_file(folder / "open_clip_model.safetensors")
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(UserError, match="safetensors"):
        load_clip(str(folder))
    torch.save(weights, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(UserError, match="pickled"):
        load_clip(str(folder))


def test_openai_weights_get_their_quick_gelu():
    from aadc.extract.clip_model import _name_and_tag

    name, tag = _name_and_tag("ViT-B-16/openai")
    assert open_clip.get_model_config(name)["quick_gelu"] and tag == "openai"
    assert _name_and_tag("ViT-B-16/laion2b_s34b_b88k") == ("ViT-B-16", "laion2b_s34b_b88k")
