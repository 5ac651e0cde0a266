"""Full-size DETR-R50 and CLIP ViT-B/16 with random weights, saved in the published layouts.

    python benchmarks/random_checkpoints.py OUT      # writes OUT/detr and OUT/clip (about 770 MB)

Arithmetic, memory and loading are those of the real checkpoints; what they see means nothing. For measurements, and to
try the loading code where nothing can be downloaded. `--old-config` names DETR's backbone the way published files do.
"""

import argparse
import json
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file
from transformers import DetrConfig, DetrForObjectDetection, DetrImageProcessor


def write_detr(folder: Path, old_config: bool = False, seed: int = 0) -> None:
    """`DetrForObjectDetection` with the default configuration (ResNet-50, 100 queries, 91 COCO ids)."""
    torch.manual_seed(seed)
    DetrForObjectDetection(DetrConfig(num_labels=91)).save_pretrained(folder)
    DetrImageProcessor().save_pretrained(folder)
    if old_config:
        path = folder / "config.json"
        config = json.loads(path.read_text())
        config.pop("backbone_config")
        config.update(backbone="resnet50", use_timm_backbone=True, backbone_kwargs={"out_indices": [1, 2, 3, 4]})
        path.write_text(json.dumps(config))


def write_clip(folder: Path, name: str = "ViT-B-16-quickgelu", seed: int = 0) -> None:
    """An open_clip model in the local-dir layout: open_clip_config.json and open_clip_model.safetensors."""
    torch.manual_seed(seed)
    model = open_clip.create_model(name)
    folder.mkdir(parents=True, exist_ok=True)
    preprocess = {key: value for key, value in open_clip.get_model_preprocess_cfg(model).items() if key != "size"}
    config = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2))
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / "open_clip_model.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--old-config", action="store_true", help="DETR's backbone named as in published files")
    given = parser.parse_args()
    write_detr(given.out / "detr", given.old_config)
    write_clip(given.out / "clip")
    print(f"wrote {given.out / 'detr'} and {given.out / 'clip'}")
