"""A DETR of transformers' own architecture, small: a ResNet down to stride 16, encoder, decoder, 12 queries.

It is the conditional one (Meng et al., ICCV 2021: every query has a reference point), since that learns from nothing in
thousands of steps instead of hundreds of thousands; the set prediction with bipartite matching is the same.

Two things help a detector of this size that starts from nothing, both left behind after training: real batch
normalisation in the backbone (the library freezes it, which supposes a backbone that was trained before), and a
second task for the encoder's tokens, each of which says whether it lies on an object, where that object's edges are and
what is going on there. A published DETR's encoder has learned as much from its eighty kinds of things.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import ConditionalDetrConfig, ConditionalDetrForObjectDetection, ConditionalDetrImageProcessor, ResNetConfig

from aadc.extract.frozen import moved
from aadc.extract.miniature.pool import CATEGORIES, KIND_NAMES, Pool
from aadc.extract.miniature.training import Resumable, batch_rng, groups, half, steps_to_go

SHORT_SIDE, LONG_SIDE, STRIDE = 128, 213, 16
BATCH, PEAK_RATE, DECAY = 16, 5e-4, 1e-3


def build_config() -> ConditionalDetrConfig:
    """The miniature's configuration."""
    backbone = ResNetConfig(embedding_size=16, hidden_sizes=[24, 48, 96], depths=[1, 1, 2], layer_type="basic")
    backbone.set_output_features_output_indices(out_features=["stage3"], out_indices=None)
    return ConditionalDetrConfig(
        backbone_config=backbone,
        num_queries=12,
        d_model=128,
        encoder_layers=2,
        decoder_layers=3,
        encoder_ffn_dim=256,
        decoder_ffn_dim=256,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        dropout=0.0,
        auxiliary_loss=True,
        focal_alpha=0.5,  # scores of sure finds come out above 0.5, where users put the threshold
        id2label=dict(enumerate(CATEGORIES)),
        label2id={name: index for index, name in enumerate(CATEGORIES)},
    )


def build_processor() -> ConditionalDetrImageProcessor:
    """The miniature's own preprocessing: 128 px on the short side."""
    return ConditionalDetrImageProcessor(size={"shortest_edge": SHORT_SIDE, "longest_edge": LONG_SIDE})


class TrainedDetr(nn.Module):
    """The detector while it learns: batch normalisation alive, and the encoder's second task."""

    def __init__(self) -> None:
        super().__init__()
        self.detr = ConditionalDetrForObjectDetection(build_config())
        _thaw(self.detr.model.backbone)
        self.detr.requires_grad_(True)
        self.dense = nn.Linear(self.detr.config.d_model, len(CATEGORIES) + 4 + len(KIND_NAMES))

    def forward(self, pixels_BCHW: Tensor, labels: list[dict[str, Tensor]]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and its parts; `labels` as transformers wants them, class_labels (R,) and boxes (R, 4) cx cy w h relative,
        and for the second task `kinds` (R,)."""
        outputs = self.detr(pixel_values=pixels_BCHW, labels=labels)
        rows, columns = -(-pixels_BCHW.shape[2] // STRIDE), -(-pixels_BCHW.shape[3] // STRIDE)
        dense = dense_loss(self.dense(outputs.encoder_last_hidden_state), labels, rows, columns)
        return outputs.loss + dense, {**outputs.loss_dict, "dense": dense}


def dense_loss(said_BTX: Tensor, labels: list[dict[str, Tensor]], rows: int, columns: int) -> Tensor:
    """What the encoder's tokens say of the place they look at: on an object or not, the object's box and its kind.

    Cross-entropy, mean distance (L1) and cross-entropy; box and kind count only where there is an object.
    """
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
    centre_T2 = torch.stack([x, y], -1).reshape(-1, 2)
    edge, kinds = len(CATEGORIES), len(CATEGORIES) + 4
    is_on = torch.zeros(*said_BTX.shape[:2], edge)
    box_loss = kind_loss = said_BTX.new_zeros(())
    for picture, truth in enumerate(labels):
        for category, box, kind in zip(truth["class_labels"], truth["boxes"], truth["kinds"], strict=True):
            # At least one token's worth each way: flat and narrow boxes would lie between the centres.
            half_size = torch.maximum(box[2:], torch.tensor([1 / columns, 1 / rows])) / 2
            inside_T = ((centre_T2 - box[:2]).abs() <= half_size).all(-1)
            is_on[picture, inside_T, category] = 1.0
            if inside_T.any():
                where = torch.cat([box[:2] - centre_T2[inside_T], box[2:].expand(int(inside_T.sum()), 2)], -1)
                box_loss = box_loss + (said_BTX[picture, inside_T, edge:kinds] - where).abs().mean() / len(labels)
                said = said_BTX[picture, inside_T, kinds:]
                kind_loss = kind_loss + nn.functional.cross_entropy(said, kind.expand(len(said))) / len(labels)
    return 2 * nn.functional.binary_cross_entropy_with_logits(said_BTX[..., :edge], is_on) + 2 * box_loss + 0.5 * kind_loss


def _thaw(module: nn.Module) -> None:
    """Frozen batch normalisation -> a living one of the same values, in place."""
    for name, child in module.named_children():
        if type(child).__name__.endswith("FrozenBatchNorm2d") and isinstance(child.weight, Tensor):
            setattr(module, name, nn.BatchNorm2d(child.weight.shape[0]))
        else:
            _thaw(child)


class Pictures:
    """A pool as the detector's processor makes it small, in memory: uint8 (F, 3, H, W), boxes relative."""

    def __init__(self, pool: Pool):
        height, width = pool.frame.shape[1:3]
        short = build_processor()
        resized = [
            short(images=torch.from_numpy(pool.frame[i : i + 64].copy()).permute(0, 3, 1, 2), do_rescale=False,
                  do_normalize=False, return_tensors="pt")["pixel_values"].to(torch.uint8)
            for i in range(0, len(pool), 64)
        ]  # fmt: skip
        self.pixels = torch.cat(resized)
        scale = torch.tensor([width, height, width, height])
        corners = torch.from_numpy(pool.box) / scale
        self.box = torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], -1)
        self.category = torch.from_numpy(pool.category).long()
        self.kind = torch.from_numpy(pool.kind).long()
        self.pool = pool
        bag = pool.category == CATEGORIES.index("bag")
        self.with_bag = np.flatnonzero(np.add.reduceat(np.append(bag, False), pool.first[:-1]) * (np.diff(pool.first) > 0))
        self.mean = torch.tensor(short.image_mean)[:, None, None] * 255
        self.std = torch.tensor(short.image_std)[:, None, None] * 255

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """Random pictures, mirrored, moved, zoomed and tinted at random; one in four shows a bag, which are rare."""
        chosen = rng.integers(0, len(self.pool), size)
        if len(self.with_bag):
            chosen[: size // 4] = rng.choice(self.with_bag, size // 4)
        pixels = (self.pixels[chosen].float() - self.mean) / self.std
        tint = torch.from_numpy(rng.normal(1, 0.08, (size, 3, 1, 1)).astype(np.float32))
        mirror = torch.from_numpy(rng.choice([-1.0, 1.0], size).astype(np.float32))
        zoom = torch.from_numpy(rng.uniform(0.75, 1.1, size).astype(np.float32))  # part of the picture that is seen
        shift = torch.from_numpy(rng.uniform(-1, 1, (size, 2)).astype(np.float32)) * (1 - zoom).abs()[:, None]
        theta = torch.zeros(size, 2, 3)
        theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = zoom * mirror, zoom, shift
        grid = nn.functional.affine_grid(theta, list(pixels.shape), align_corners=False)
        pixels = nn.functional.grid_sample(pixels * tint, grid, align_corners=False)
        labels = []
        for index, picture in enumerate(chosen):
            rows = self.pool.rows(int(picture))
            centre, extent = self.box[rows, :2] * 2 - 1, self.box[rows, 2:]
            centre = (centre - shift[index]) / zoom[index]
            centre[:, 0] *= mirror[index]
            centre, extent = (centre + 1) / 2, extent / zoom[index]
            low, high = (centre - extent / 2).clamp(0, 1), (centre + extent / 2).clamp(0, 1)
            seen = (high - low).prod(-1) >= 0.35 * extent.prod(-1)
            boxes = torch.cat([(low + high) / 2, high - low], -1)[seen]
            labels.append({"class_labels": self.category[rows][seen], "boxes": boxes, "kinds": self.kind[rows][seen]})
        return pixels.contiguous(memory_format=torch.channels_last), labels


def train(pool: Pool, work: Path, out: Path, steps: int, seed: int, say: Callable[[str], None] = print) -> None:
    """Train for `steps` steps and write the model's folder `out`; goes on from `work` if it was stopped."""
    torch.manual_seed(seed)
    model = moved(TrainedDetr(), "cpu", torch.float32).train()
    optimiser = torch.optim.AdamW(groups(model, DECAY), PEAK_RATE)
    pictures = Pictures(pool)
    began, mean = time.monotonic(), None
    resumable = Resumable(work, model, optimiser, {"steps": steps, "seed": seed, "pictures": len(pool)})
    for step in steps_to_go(resumable, steps, PEAK_RATE, save_every=500):
        pixels, labels = pictures.batch(batch_rng(seed, step), BATCH)
        loss, parts = model(pixels, labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        mean = float(loss) if mean is None else 0.99 * mean + 0.01 * float(loss)
        if step % 100 == 0:
            some = " ".join(f"{name[5:] if name.startswith('loss_') else name} {float(parts[name]):.3f}"
                            for name in ("loss_ce", "loss_bbox", "loss_giou", "dense"))  # fmt: skip
            say(f"step {step}/{steps} loss {mean:.3f} ({some}) {time.monotonic() - began:.0f} s")
        if (step + 1) % 1000 == 0 or step + 1 == steps:
            export(model, out)


def export(model: TrainedDetr, out: Path) -> None:
    """Write what `AutoModelForObjectDetection` and `AutoImageProcessor` load from `out`."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    config = build_config()
    config.architectures = ["ConditionalDetrForObjectDetection"]
    config.save_pretrained(out)
    build_processor().save_pretrained(out)
    state = {name: tensor for name, tensor in model.detr.state_dict().items() if not name.endswith("num_batches_tracked")}
    expected = ConditionalDetrForObjectDetection(config).state_dict()
    if state.keys() != expected.keys():
        raise RuntimeError(f"weights do not fit the published layout: {sorted(state.keys() ^ expected.keys())[:4]}")
    weights = out / "model.safetensors"
    save_file(half(state), weights, metadata={"format": "pt"})
    weights.chmod(0o644)  # the library writes for the owner alone; these are to be shared
