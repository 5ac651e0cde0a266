"""CLIP's text side learns on by itself, against the finished image side: cheap, and what makes paraphrases understood.

(The image side stands still, as in Zhai et al., "LiT: zero-shot transfer with locked-image text tuning", CVPR 2022.)
"""

import time
from pathlib import Path

import numpy as np
import open_clip
import torch
from torch import Tensor, nn

from aadc.extract.miniature.captions import Caption, caption
from aadc.extract.miniature.clip import CROPS_A_BOX, PREPROCESS, Crops, contrastive_loss, encode_text, export, is_true
from aadc.extract.miniature.pool import KIND_NAMES
from aadc.extract.miniature.training import Resumable, batch_rng, groups, steps_to_go

BATCH, PEAK_RATE, DECAY = 256, 5e-4, 0.05


@torch.inference_mode()
def crop_features(model: open_clip.CLIP, crops: Crops) -> Tensor:
    """Normalised features (R, CROPS_A_BOX, C) of every crop, by the image side as it will be used."""
    mean, std = (torch.tensor(PREPROCESS[name])[:, None, None] for name in ("mean", "std"))
    flat = crops.crop.flatten(0, 1)
    parts = [
        model.encode_image((flat[i : i + 256].float() / 255 - mean) / std, normalize=True) for i in range(0, len(flat), 256)
    ]
    return torch.cat(parts).unflatten(0, (-1, CROPS_A_BOX)).clone()


def batch(crops: Crops, features: Tensor, rng: np.random.Generator) -> tuple[Tensor, list[Caption], np.ndarray]:
    """Features (B, C) of crops, all kinds equally often, a caption of each, and which caption is true of which crop."""
    kinds = rng.integers(len(KIND_NAMES), size=BATCH)
    rows = np.array([rng.choice(crops.rows_of_kind[kind]) for kind in kinds])
    clothes = np.stack([crops.pool.shirt[rows], crops.pool.trousers[rows]], 1)
    texts = [caption(rng, int(kind), int(shirt), int(trousers)) for kind, (shirt, trousers) in zip(kinds, clothes, strict=True)]
    image = features[torch.from_numpy(rows), torch.from_numpy(rng.integers(CROPS_A_BOX, size=BATCH))]
    return image, texts, is_true(texts, np.eye(len(KIND_NAMES), dtype=bool)[kinds], clothes)


def train_text(model: open_clip.CLIP, crops: Crops, work: Path, out: Path, steps: int, seed: int, say=print) -> None:
    """Train the text side of a finished `model` for `steps` steps and write its folder `out` anew; resumable."""
    model.eval().requires_grad_(True)
    model.visual.requires_grad_(False)
    model.logit_scale.requires_grad_(False)
    optimiser = torch.optim.AdamW(groups(model, DECAY), PEAK_RATE, betas=(0.9, 0.98))
    features, tokenize = crop_features(model, crops), open_clip.SimpleTokenizer()
    resumable = Resumable(work, model, optimiser, {"text steps": steps, "seed": seed})
    began, running = time.monotonic(), None
    for step in steps_to_go(resumable, steps, PEAK_RATE, save_every=250):
        image, texts, true = batch(crops, features, batch_rng(seed + 1, step))
        text = encode_text(model, tokenize([one.text for one in texts]))
        loss = contrastive_loss(image, text, model.logit_scale.exp(), torch.from_numpy(true))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        if step % 50 == 0:
            say(f"text step {step}/{steps} loss {running:.3f} {time.monotonic() - began:.0f} s")
    export(model, out)
