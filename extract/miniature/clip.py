"""A CLIP of open_clip's own architecture, small, trained on crops made exactly as extraction makes them.

The image tower is CLIP's own ResNet (RN50 is the published one), not a ViT: at this size it learns from the same pictures
in a third of the time.
"""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from aadc.extract.crops import square_boxes
from aadc.extract.miniature.captions import Caption, caption
from aadc.extract.miniature.pool import KIND_NAMES, Pool
from aadc.extract.miniature.training import Resumable, batch_rng, groups, half, steps_to_go

SIDE = 64
MODEL: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": SIDE, "layers": [2, 2, 2, 1], "width": 12, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 3},
}
# `squash`: a frame is wider than high, and what happens at its sides must not be cut off.
PREPROCESS = {
    "mean": list(open_clip.OPENAI_DATASET_MEAN),
    "std": list(open_clip.OPENAI_DATASET_STD),
    "interpolation": "bicubic",
    "resize_mode": "squash",
}
BATCH, PEAK_RATE, DECAY = 128, 1e-3, 0.05
FRAME_SHARE, CROPS_A_BOX = 0.15, 2
ABNORMAL_FIRST = 8  # kinds from this index on are anomalies: what a frame with one of them is about


def build_model() -> open_clip.CLIP:
    """The architecture with fresh weights."""
    return open_clip.CLIP(**MODEL)


def jittered(box_cxcywh: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Boxes (K, 4) as a detector would find them: moved and stretched by up to a tenth or so."""
    size = box_cxcywh[:, [2, 3]]
    moved = box_cxcywh[:, :2] + size * rng.normal(0, 0.05, size.shape)
    return np.concatenate([moved, size * np.exp(rng.normal(0, 0.08, size.shape))], 1)


def relative_boxes(corners: np.ndarray, width: int, height: int) -> np.ndarray:
    """x0 y0 x1 y1 in px (K, 4) -> cx cy w h relative to the frame."""
    low, high = corners[:, :2] / (width, height), corners[:, 2:] / (width, height)
    return np.concatenate([(low + high) / 2, high - low], 1)


def small_picture(piece_HWC: np.ndarray) -> Tensor:
    """A crop or a frame at CLIP's size, uint8 (3, 64, 64), by the transform that extraction uses."""
    from torchvision.transforms.v2 import functional

    piece = torch.from_numpy(piece_HWC.copy()).permute(2, 0, 1)
    return functional.resize(piece, [SIDE, SIDE], functional.InterpolationMode.BICUBIC, antialias=True)


class Crops:
    """Every box of a pool, cut out a few times, and every whole frame, in memory; with what is true of each."""

    def __init__(self, pool: Pool, seed: int):
        rng = np.random.default_rng([seed, 99])
        height, width = pool.frame.shape[1:3]
        self.crop = torch.zeros(len(pool.box), CROPS_A_BOX, 3, SIDE, SIDE, dtype=torch.uint8)
        self.frame = torch.zeros(len(pool), 3, SIDE, SIDE, dtype=torch.uint8)
        self.frame_kind = np.full(len(pool), -1)
        self.frame_kinds = np.zeros((len(pool), len(KIND_NAMES)), bool)
        for index in range(len(pool)):
            rows, frame = pool.rows(index), pool.frame[index]
            self.frame[index] = small_picture(frame)
            boxes = relative_boxes(pool.box[rows], width, height)
            for turn in range(CROPS_A_BOX):
                for row, (x0, y0, x1, y1) in enumerate(square_boxes(jittered(boxes, rng), width, height), rows.start):
                    self.crop[row, turn] = small_picture(frame[y0:y1, x0:x1])
            kinds = pool.kind[rows]
            if len(kinds):
                area = boxes[:, 2] * boxes[:, 3] + 10.0 * (kinds >= ABNORMAL_FIRST)
                self.frame_kind[index] = kinds[area.argmax()]
                self.frame_kinds[index, kinds] = True
        self.pool = pool
        self.rows_of_kind = [np.flatnonzero(pool.kind == kind) for kind in range(len(KIND_NAMES))]
        self.frames_of_kind = [np.flatnonzero(self.frame_kind == kind) for kind in range(len(KIND_NAMES))]

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, list[Caption], np.ndarray]:
        """Pictures uint8 (B, 3, S, S) mirrored and tinted at random as float in [0, 1], a caption of each, and which caption is
        true of which picture, bool (picture, caption)."""
        pictures, texts, kinds, clothes = [], [], np.zeros((size, len(KIND_NAMES)), bool), np.full((size, 2), -1)
        for place in range(size):
            kind = int(rng.integers(len(KIND_NAMES)))
            if rng.random() < FRAME_SHARE and len(self.frames_of_kind[kind]):
                index = int(rng.choice(self.frames_of_kind[kind]))
                pictures.append(self.frame[index])
                texts.append(caption(rng, kind))
                kinds[place] = self.frame_kinds[index]
            else:
                row = int(rng.choice(self.rows_of_kind[kind]))
                pictures.append(self.crop[row, int(rng.integers(CROPS_A_BOX))])
                clothes[place] = self.pool.shirt[row], self.pool.trousers[row]
                texts.append(caption(rng, kind, *clothes[place]))
                kinds[place, kind] = True
        pixels = torch.stack(pictures).float() / 255
        tint = torch.from_numpy(rng.normal(1, 0.06, (size, 3, 1, 1)).astype(np.float32))
        light = torch.from_numpy(rng.normal(1, 0.12, (size, 1, 1, 1)).astype(np.float32))
        pixels = (pixels * tint * light).clamp(0, 1)
        mirrored = torch.from_numpy(rng.random(size) < 0.5)
        pixels[mirrored] = pixels[mirrored].flip(-1)
        return pixels, texts, is_true(texts, kinds, clothes)


def is_true(texts: list[Caption], kinds: np.ndarray, clothes: np.ndarray) -> np.ndarray:
    """bool (picture, caption): whether a caption holds for a picture, given its kinds (B, K) and its clothes (B, 2)."""
    kind, shirt, trousers = (np.array([getattr(text, name) for text in texts]) for name in ("kind", "shirt", "trousers"))
    holds = np.where(kind >= 0, kinds[:, np.maximum(kind, 0)], True)
    holds &= (shirt < 0) | (clothes[:, :1] == shirt)
    return holds & ((trousers < 0) | (clothes[:, 1:] == trousers))


def contrastive_loss(image_BC: Tensor, text_BC: Tensor, scale: Tensor, true_BB: Tensor) -> Tensor:
    """CLIP's loss in both directions, in which a caption that is true of another picture is not held against it.

    Each picture's own caption is its target; other true ones are left out of the sum in the denominator.
    """
    logits_BB = scale * image_BC @ text_BC.T
    own = torch.eye(len(logits_BB), dtype=torch.bool)
    logits_BB = logits_BB.masked_fill(true_BB & ~own, float("-inf"))
    target = torch.arange(len(logits_BB))
    return (nn.functional.cross_entropy(logits_BB, target) + nn.functional.cross_entropy(logits_BB.T, target)) / 2


def encode_text(model: open_clip.CLIP, tokens_BL: Tensor) -> Tensor:
    """`model.encode_text(normalize=True)` on tokens cut after the longest text: the attention is causal, so nothing changes."""
    length = int(tokens_BL.argmax(-1).max()) + 1
    hidden = model.token_embedding(tokens_BL[:, :length]) + model.positional_embedding[:length]
    hidden = model.ln_final(model.transformer(hidden, attn_mask=model.attn_mask[:length, :length]))
    ends = hidden[torch.arange(len(hidden)), tokens_BL.argmax(-1)]
    return nn.functional.normalize(ends @ model.text_projection, dim=-1)


def train(pool: Pool, work: Path, out: Path, steps: int, seed: int, say: Callable[[str], None] = print) -> None:
    """Train for `steps` steps and write the model's folder `out`; goes on from `work` if it was stopped."""
    torch.manual_seed(seed)
    model = build_model().train()
    optimiser = torch.optim.AdamW(groups(model, DECAY), PEAK_RATE, betas=(0.9, 0.98))
    crops = Crops(pool, seed)
    tokenize = open_clip.SimpleTokenizer()
    mean, std = (torch.tensor(PREPROCESS[name])[:, None, None] for name in ("mean", "std"))
    began, running = time.monotonic(), None
    resumable = Resumable(work, model, optimiser, {"steps": steps, "seed": seed, "pictures": len(pool)})
    for step in steps_to_go(resumable, steps, PEAK_RATE, save_every=250):
        pixels, texts, true = crops.batch(batch_rng(seed, step), BATCH)
        image = model.encode_image((pixels - mean) / std, normalize=True)
        text = encode_text(model, tokenize([one.text for one in texts]))
        loss = contrastive_loss(image, text, model.logit_scale.exp().clamp(max=100), torch.from_numpy(true))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        if step % 50 == 0:
            say(f"step {step}/{steps} loss {running:.3f} scale {model.logit_scale.exp():.1f} {time.monotonic() - began:.0f} s")
        if (step + 1) % 500 == 0 or step + 1 == steps:
            export(model, out)


def export(model: open_clip.CLIP, out: Path) -> None:
    """Write open_clip's local-dir layout to `out`."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}
    (out / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = out / "open_clip_model.safetensors"
    save_file(half(model.state_dict()), weights)
    weights.chmod(0o644)  # the library writes for the owner alone; these are to be shared
