"""`aadc-export npy`: a run's features as VadCLIP's are published, so that other people's heads can be trained on them."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aadc.extract.published.joined import names_of
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.manifests.errors import UserError
from aadc.manifests.files import make_folder, replacing

CROP = 0  # number of the only crop


def export_npy(run: RunFolder, out: Path, pooled: bool, tell: Callable[[], None] = lambda: None) -> tuple[int, int]:
    """Write `<video without its ending>__0.npy`, float16 (T, D), for every video of the shards.

    Args:
        pooled: of a frame with boxes, the mean of the whole frame and its crops, each of length 1 (eq. 5, what the head reads),
            else the whole frame alone. Without boxes both are the whole frame, to the bit as it was.
    Returns:
        Videos and rows.
    Raises:
        UserError: no shards, a video whose name would lead out of the folder, or the disk is full.
    """
    shards, manifest = ShardSet(run.shards), run.manifest()
    rows = 0
    called = {row.key: name for row, name in zip(manifest.rows, names_of(manifest.rows), strict=True)}
    if not (keys := [key for key in called if key in shards.entries]):
        raise UserError(f"{run.shards}: no video of the manifest is in the shards; run aadc-extract or aadc-import first")
    for key, features in shards.read_videos(keys, ("scene", "crop", "count")):
        target = out / called[key].parent / f"{called[key].name}__{CROP}.npy"
        make_folder(target.parent)
        values = features.scene if not pooled else _pooled(features.scene, features.crop, features.count)
        with replacing(target, way_out="free some space, or name another folder") as beside, beside.open("wb") as file:
            np.save(file, np.ascontiguousarray(values), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        rows += len(values)
        tell()
    return len(keys), rows


def _pooled(scene_TD: np.ndarray, crop_TND: np.ndarray, count_T: np.ndarray) -> np.ndarray:
    """Eq. 5 where a row has boxes; the row itself where it has none."""
    if not count_T.any():
        return scene_TD
    things_TOD = np.concatenate([scene_TD[:, None], crop_TND], 1).astype(np.float32)
    things_TOD /= np.maximum(np.linalg.norm(things_TOD, axis=-1, keepdims=True), 1e-12)
    things_TOD[np.arange(things_TOD.shape[1]) > count_T[:, None]] = 0
    mean_TD = things_TOD.sum(1) / (1 + count_T[:, None])
    return np.where(count_T[:, None] > 0, mean_TD, scene_TD).astype(np.float16)
