"""Proof on real weights: `python -m aadc.extract.check_weights` (or `make check-weights`).

Runs the project's own path on the two pictures that scikit-learn ships, compares it with the libraries' own pipelines, and
with what anyone can see. Prints a short verdict to paste into an issue. Needs the network once, for the weights.
"""

import argparse
import sys
from importlib.metadata import version

import numpy as np
import torch
from PIL import Image

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


def check_embeddings(embedder: FrameEmbedder, images: dict[str, np.ndarray], clip) -> tuple[bool, str]:
    """Whole-frame embeddings against open_clip's own transform and encoder."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    transform = image_transform_v2(PreprocessCfg(**clip.preprocess_cfg), is_train=False)
    with torch.no_grad():
        theirs = clip.model.encode_image(torch.stack([transform(Image.fromarray(image)) for image in images.values()]))
    ours = torch.from_numpy(np.concatenate([embedder(image[None])["scene"] for image in images.values()]))
    worst = float(torch.nn.functional.cosine_similarity(ours, theirs).min())
    return worst > 0.999, f"worst cosine {worst:.6f}"


def check_meaning(embedder: FrameEmbedder, images: dict[str, np.ndarray], clip) -> tuple[bool, str]:
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
        "embeddings equal open_clip's": check_embeddings(embedder, images, clip),
        "the pictures mean what they show": check_meaning(embedder, images, clip),
    }
    for name, (passed, figures) in checks.items():
        print(f"{'PASS' if passed else 'FAIL'}  {name}: {figures}")
    sys.exit(0 if all(passed for passed, _ in checks.values()) else 1)


if __name__ == "__main__":
    main()
