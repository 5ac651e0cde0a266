"""Bags: every training video's features, pooled, half precision, and batches of them.

Shapes: B videos, T snippets, D detector width, C CLIP width (or O objects x C with attention pooling).
"""

# ruff: noqa: N815  shape suffixes name the fields too
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from aadc.extract.shards import ShardSet
from aadc.extract.video_features import VideoFeatures
from aadc.head.config import HeadConfig
from aadc.head.fusion import visual_features
from aadc.head.row_store import RowStore
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Row

FIELDS = ("scene", "detr", "count", "crop")


@dataclass(frozen=True)
class Bag:
    """A video, or some snippets of it in a row, float16: `detr` (T, D), `vis` (T, C), or (T, O, C) with attention pooling.
    `views`: of features published in several crops, `vis` by each of the other crops."""

    video: str
    labels: tuple[str, ...]
    abnormal: bool
    detr: Tensor
    vis: Tensor
    views: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.detr)

    def part(self, start: int, rows: int, view: int = 0) -> "Bag":
        """So many snippets from `start` on, as they look by the usual crop (0) or one of the others."""
        vis = self.views[view - 1] if view else self.vis
        return replace(self, detr=self.detr[start : start + rows], vis=vis[start : start + rows], views=())


class Batch(NamedTuple):
    """Padded bags, float32. `valid_BT` is False where a bag is padded; `labels_BC` is 1 for the classes of a video."""

    detr_BTD: Tensor
    vis_BTC: Tensor
    valid_BT: Tensor
    abnormal_B: Tensor
    labels_BC: Tensor


def snippet_features(features: VideoFeatures, pooling: str) -> tuple[Tensor, Tensor]:
    """What the head reads of a video, at full length: detector (T, D) and visual features, both float32.

    Raises:
        UserError: the video has no snippet, or something in it is not a finite number.
    """
    if len(features.count) == 0:
        raise UserError(f"{features.video}: has no snippet in its shard; extract it again, or take it out of the manifest")
    detr, vis = torch.from_numpy(features.detr).float(), visual_features(features, pooling)
    if not (detr.isfinite().all() and vis.isfinite().all()):
        raise UserError(
            f"{features.video}: its features are not all finite numbers; extract it again, in fp32 if it was not, or take it "
            "out of the manifest"
        )
    return detr, vis


def check_widths(video: str, detr: Tensor, vis: Tensor, detr_width: int | None, clip_width: int) -> None:
    """`UserError` unless a video's features (as `snippet_features` gives them) are as wide as those that are learned from, or
    were. `detr_width` None: the detector takes no part."""
    for what, found, wanted in (("detector", detr.shape[-1], detr_width), ("CLIP", vis.shape[-1], clip_width)):
        if wanted is not None and found != wanted:
            raise UserError(
                f"{video}: its {what} features are {found} wide where {wanted} are expected, as if other models had made them; "
                "extract it again"
            )


def load_bags(
    shards: ShardSet,
    rows: Sequence[Row],
    card: Card,
    config: HeadConfig,
    tell: Callable[[int, int], None] | None = None,
    beside: Path | None = None,
) -> list[Bag]:
    """Bags of these rows of the manifest, in their order; each must be in the shards. `tell` hears (videos read, all). Their
    features lie in a file without a name on the disk of the folder `beside` (None: the shards').

    Raises:
        UserError: no rows, or a video whose features cannot be used, or are of another width than the first one's; no room.
    """
    if not rows:
        raise UserError(f"{shards.folder}: not one train video of the manifest is in the shards; run aadc-extract first")
    wanted = {row.key: row for row in rows}
    places, widths = {}, None
    for key, features in shards.read_videos(wanted, FIELDS):
        crops = features.crop[:, :0]
        if shards.several_crops:
            crops, features.crop = features.crop, crops
        detr, vis = snippet_features(features, config.pooling)
        if widths is None:
            widths = detr.shape[-1], vis.shape[-1]
            snippet_bytes = 2 * (detr[0].numel() + vis[0].numel() * (1 + crops.shape[1]))
            store = RowStore(beside or shards.folder, snippet_bytes * sum(shards.entries[key].snippets for key in wanted))
        check_widths(wanted[key].video, detr, vis, *widths)
        places[key] = store.add((detr, vis))
        for view in range(crops.shape[1]):
            features.scene = crops[:, view]
            places[key] += store.add(snippet_features(features, config.pooling)[1:])
        if tell:
            tell(len(places), len(rows))
    values = store.map()

    def bag(key: str) -> Bag:
        row = wanted[key]
        detr, vis, *views = (values[start : start + math.prod(shape)].view(shape) for start, shape in places[key])
        return Bag(row.video, row.labels, card.is_abnormal(row.labels), detr, vis, tuple(views))

    return [bag(key) for key in wanted]


def make_batch(bags: Sequence[Bag], card: Card, device: str = "cpu") -> Batch:
    """Pad bags to the longest of them."""
    longest = max(len(bag.detr) for bag in bags)
    detr = torch.zeros(len(bags), longest, *bags[0].detr.shape[1:])
    vis = torch.zeros(len(bags), longest, *bags[0].vis.shape[1:])
    valid = torch.zeros(len(bags), longest, dtype=torch.bool)
    labels = torch.zeros(len(bags), len(card.classes))
    for one, bag in enumerate(bags):
        rows = len(bag.detr)
        detr[one, :rows], vis[one, :rows], valid[one, :rows] = bag.detr, bag.vis, True
        labels[one, [card.names.index(label) for label in bag.labels]] = 1
    abnormal = torch.tensor([float(bag.abnormal) for bag in bags])
    return Batch(*(part.to(device) for part in (detr, vis, valid, abnormal, labels)))
