"""Proof on real weights: `python -m aadc.extract.check_weights` (or `make check-weights`).

Runs the project's own path on the two pictures that scikit-learn ships, compares everything that a shard and a prompt hold
with the libraries' own pipelines and plain models, and with what anyone can see. Prints a short verdict to paste into an issue.
Needs the network once, for the weights.
"""

import argparse
import sys
from collections.abc import Iterable
from importlib.metadata import version

import numpy as np
import torch
from PIL import Image

from aadc.extract.clip_model import Clip
from aadc.extract.crops import square_boxes
from aadc.extract.detect import load_detector
from aadc.extract.features import FrameEmbedder
from aadc.extract.settings import PRESETS, ExtractSettings
from aadc.manifests.errors import UserError

WORDS = {"china.jpg": "a photo of a temple", "flower.jpg": "a photo of a flower"}


def pictures() -> dict[str, np.ndarray]:
    """scikit-learn's sample pictures by name, RGB uint8 (427, 640, 3)."""
    from sklearn.datasets import load_sample_images

    samples = load_sample_images()
    return {
        name.replace("\\", "/").rsplit("/", 1)[-1]: image for name, image in zip(samples.filenames, samples.images, strict=True)
    }


def check_boxes(embedder: FrameEmbedder, images: dict[str, np.ndarray]) -> tuple[bool, str]:
    """Boxes, scores and names against transformers' own object-detection pipeline."""
    from transformers import pipeline

    settings = embedder.settings
    processor, model = load_detector(settings.detector)  # ours is rearranged for speed, and would only prove itself
    reference = pipeline("object-detection", model=model, image_processor=processor, threshold=settings.threshold)
    worst_px = worst_score = 0.0
    boxes, same = 0, True
    for image in images.values():
        rows = embedder(image[None])
        theirs = sorted(reference(Image.fromarray(image)), key=lambda item: -item["score"])[: settings.boxes]
        same &= len(theirs) == rows["count"][0]
        height, width = image.shape[:2]
        for row, item in zip(range(rows["count"][0]), theirs, strict=False):
            cx, cy, w, h = rows["box"][0, row] * (width, height, width, height)
            ours = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
            their_box = np.array([item["box"][key] for key in ("xmin", "ymin", "xmax", "ymax")])
            worst_px = max(worst_px, float(np.abs(ours - their_box.clip(0, (width, height, width, height))).max()))
            worst_score = max(worst_score, abs(float(rows["score"][0, row]) - item["score"]))
            same &= embedder.detector.class_names[int(rows["class"][0, row])] == item["label"]
            boxes += 1
    passed = same and worst_px < 2 and worst_score < 0.01
    return passed, f"{boxes} boxes, same count and names: {same}, worst {worst_px:.2f} px, worst score {worst_score:.1e}"


@torch.no_grad()
def check_detr_features(embedder: FrameEmbedder, images: dict[str, np.ndarray]) -> tuple[bool, str]:
    """F_DETR and the decoder embedding of every kept box against the plain model's outputs for the query of that box."""
    processor, model = load_detector(embedder.settings.detector)
    ours, theirs = [], []
    for image in images.values():
        rows = embedder(image[None])
        outputs = model(**processor(images=Image.fromarray(image), return_tensors="pt"))
        if (encoder := outputs.get("encoder_last_hidden_state")) is not None:
            ours.append(rows["detr"][0])
            theirs.append(encoder[0].mean(0).numpy())
        for kept in range(rows["count"][0]):
            cx, cy, w, h = outputs.pred_boxes[0].numpy().T
            low, high = (np.stack([cx + side * w / 2, cy + side * h / 2]).clip(0, 1) for side in (-1, 1))
            inside = np.concatenate([(low + high) / 2, high - low]).T  # shards hold the part inside the frame
            query = int(np.abs(inside - rows["box"][0, kept]).sum(1).argmin())
            ours.append(rows["query"][0, kept])
            theirs.append(outputs.last_hidden_state[0, query].numpy())
    return _alike(ours, theirs)


@torch.no_grad()
def check_embeddings(embedder: FrameEmbedder, images: dict[str, np.ndarray], clip: Clip) -> tuple[bool, str]:
    """Embeddings of whole frames and of crops against open_clip's own transform and encoder."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    transform = image_transform_v2(PreprocessCfg(**clip.preprocess_cfg), is_train=False)
    ours, pictures = [], []
    for image in images.values():
        rows, picture = embedder(image[None]), Image.fromarray(image)
        count = int(rows["count"][0])
        ours += [rows["scene"][0], *rows["crop"][0, :count]]
        height, width = image.shape[:2]
        pictures += [
            picture,
            *(picture.crop(corners) for corners in map(tuple, square_boxes(rows["box"][0, :count], width, height).tolist())),
        ]
    theirs = clip.model.encode_image(torch.stack([transform(picture) for picture in pictures])).numpy()
    return _alike(ours, theirs)


def check_bf16(embedder: FrameEmbedder, images: dict[str, np.ndarray]) -> tuple[bool, str]:
    """Features of whole frames in bf16 against those in fp32."""
    halved = FrameEmbedder(embedder.settings.model_copy(update={"precision": "bf16"}), embedder.device)
    pairs = [(embedder(image[None]), halved(image[None])) for image in images.values()]
    ours, theirs = ([rows[name][0] for rows in side for name in ("scene", "detr")] for side in zip(*pairs, strict=True))
    return _alike(ours, theirs, least=0.99)


@torch.no_grad()
def check_prompts(clip: Clip) -> tuple[bool, str]:
    """The prompt encoder without contexts against `encode_text`: token embedding, mask, end token and projection."""
    from aadc.head.prompts import PromptEncoder

    sentences = [*WORDS.values(), "person", "a man who climbs over the fence of a railway yard at night"]
    theirs = clip.model.encode_text(clip.tokenizer(sentences)).numpy()
    encoder = PromptEncoder(clip, sentences, n_ctx=0)
    return _alike(encoder(encoder.initial_contexts).numpy(), theirs)


def _alike(ours: Iterable[np.ndarray], theirs: Iterable[np.ndarray], least: float = 0.999) -> tuple[bool, str]:
    """Whether all pairs of vectors point the same way and have the same length."""
    cosines, lengths = [], []
    for one, other in zip(ours, theirs, strict=True):
        norms = np.linalg.norm(one), np.linalg.norm(other)
        cosines.append(float(one @ other / (norms[0] * norms[1])))
        lengths.append(float(abs(norms[0] / norms[1] - 1)))
    if not cosines:
        return False, "nothing to compare; is --threshold too high?"
    passed = min(cosines) > least and max(lengths) < 10 * (1 - least)
    return passed, f"{len(cosines)} vectors, worst cosine {min(cosines):.6f}, worst length {max(lengths):.1e} off"


def check_meaning(embedder: FrameEmbedder, images: dict[str, np.ndarray], clip: Clip) -> tuple[bool, str]:
    """What anyone can see: each picture is nearer to its own words than to the other's."""
    with torch.no_grad():
        text = torch.nn.functional.normalize(clip.model.encode_text(clip.tokenizer([WORDS[name] for name in images])), dim=-1)
    scene = torch.from_numpy(np.concatenate([embedder(image[None])["scene"] for image in images.values()]))
    share = (100 * torch.nn.functional.normalize(scene, dim=-1) @ text.T).softmax(-1).diagonal()
    return bool((share > 0.9).all()), ", ".join(
        f"{name} is {WORDS[name]!r}: {float(p):.3f}" for name, p in zip(images, share, strict=True)
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="check-weights", description=__doc__.splitlines()[0])
    parser.add_argument("--detector", default=PRESETS["paper"]["detector"])
    parser.add_argument("--clip", default=PRESETS["paper"]["clip"])
    parser.add_argument("--threshold", type=float, default=0.5)
    given = parser.parse_args()
    from aadc.extract.clip_model import load_clip

    try:
        embedder = FrameEmbedder(ExtractSettings(detector=given.detector, clip=given.clip, threshold=given.threshold))
        clip = load_clip(given.clip)
    except UserError as error:
        sys.exit(f"check-weights: {error}")
    images = pictures()
    print(f"detector {given.detector} {embedder.detector.weights[:16]}, CLIP {given.clip} {clip.weights[:16]}")
    print(", ".join(f"{name} {version(name)}" for name in ("aadc-net", "torch", "transformers", "open_clip_torch")))
    checks = {
        "boxes equal transformers' pipeline": check_boxes(embedder, images),
        "F_DETR and queries equal transformers'": check_detr_features(embedder, images),
        "embeddings of frames and crops equal open_clip's": check_embeddings(embedder, images, clip),
        "bf16 is near fp32": check_bf16(embedder, images),
        "the pictures mean what they show": check_meaning(embedder, images, clip),
        "prompts without contexts equal encode_text": check_prompts(clip),  # last: it rearranges the text tower
    }
    for name, (passed, figures) in checks.items():
        print(f"{'PASS' if passed else 'FAIL'}  {name}: {figures}")
    sys.exit(0 if all(passed for passed, _ in checks.values()) else 1)


if __name__ == "__main__":
    main()
