"""The pictures both miniatures learn from: frames of many scenes with their truth, rendered once, kept in one HDF5 file.

frame     uint8 (F, H, W, 3)   after a round trip through H.264
first     int64 (F + 1,)       truth of frame i is rows first[i] to first[i + 1] of the following
box       f32   (R, 4)         x0 y0 x1 y1, px
category  int8  (R,)           0 person, 1 bag
kind      int8  (R,)           index into the attribute `kinds`
shirt, trousers  int8 (R,)     index into the attribute `colours`, -1 for a bag
room      int8  (F,)           index into the attribute `rooms`
"""

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np

from aadc.manifests.scenes.camera import Camera
from aadc.manifests.scenes.kinds import ABNORMAL, KINDS
from aadc.manifests.scenes.look import COLOURS
from aadc.manifests.scenes.rooms import HEIGHT, ROOMS, WIDTH
from aadc.manifests.scenes.scene import FPS, Seen
from aadc.manifests.scenes.story import build_scene
from aadc.manifests.scenes.video import read_video, write_video

CATEGORIES = ("person", "bag")
KIND_NAMES = tuple(kind.name for kind in KINDS)
COLOUR_NAMES = tuple(COLOURS)
SCENE_FRAMES = 24 * FPS
FRAMES_A_SCENE = 8


@dataclass(frozen=True)
class Pool:
    """An open pool; `frame` is mapped from the file, not read."""

    frame: np.ndarray
    first: np.ndarray
    box: np.ndarray
    category: np.ndarray
    kind: np.ndarray
    shirt: np.ndarray
    trousers: np.ndarray
    room: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    def rows(self, index: int) -> slice:
        """Rows of truth of a frame."""
        return slice(int(self.first[index]), int(self.first[index + 1]))


def sample_scene(world: str, seed: int) -> tuple[list[np.ndarray], list[list[Seen]], str]:
    """Some frames of one scene, as they come out of a video, with their truth and the room's name.

    Every second frame is taken from inside the anomaly: kinds would be rare otherwise.
    """
    rng = np.random.default_rng([seed, 7, *world.encode()])
    anomaly = ABNORMAL[seed % len(ABNORMAL)].name
    scene = build_scene(world, seed, SCENE_FRAMES, (anomaly,))
    start, end, _ = scene.spans[0]
    chosen = np.sort(np.concatenate([
        rng.integers(0, scene.frames, FRAMES_A_SCENE // 2), rng.integers(start, end, FRAMES_A_SCENE - FRAMES_A_SCENE // 2)
    ]))  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.mp4"
        write_video(path, map(Camera(scene), chosen.tolist()), crf=int(rng.integers(20, 34)))
        return read_video(path), [scene.truth(int(frame)) for frame in chosen], scene.room.name


def make_pool(path: Path, world: str, seeds: range, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Render `seeds` of a world into `path`; a finished file is left as it is."""
    if path.exists():
        return
    partial = path.with_suffix(".partial")
    rows: list[tuple] = []
    first, rooms, shape = [0], [], (len(seeds) * FRAMES_A_SCENE, HEIGHT, WIDTH, 3)
    with h5py.File(partial, "w") as file, ProcessPoolExecutor(mp_context=get_context("spawn")) as workers:
        frames = file.create_dataset("frame", shape, np.uint8)
        for done, (pictures, truth, room) in enumerate(workers.map(sample_scene, [world] * len(seeds), seeds, chunksize=4)):
            frames[done * FRAMES_A_SCENE : (done + 1) * FRAMES_A_SCENE] = np.stack(pictures)
            for seen in truth:
                rows += [_row(one) for one in seen]
                first.append(len(rows))
                rooms.append(ROOMS.index(room))
            progress(done + 1, len(seeds))
        file["first"] = np.array(first)
        file["room"] = np.array(rooms, np.int8)
        for name, column in zip(("box", "category", "kind", "shirt", "trousers"), zip(*rows, strict=True), strict=True):
            file[name] = np.array(column, np.float32 if name == "box" else np.int8)
        file.attrs.update(world=world, kinds=list(KIND_NAMES), colours=list(COLOUR_NAMES), rooms=list(ROOMS))
    os.replace(partial, path)


def _row(seen: Seen) -> tuple:
    colours = [COLOUR_NAMES.index(name) if name else -1 for name in (seen.shirt, seen.trousers)]
    return seen.box, CATEGORIES.index(seen.category), KIND_NAMES.index(seen.kind), *colours


def open_pool(path: Path) -> Pool:
    """Open a pool for reading."""
    with h5py.File(path, "r") as file:
        offset, shape = file["frame"].id.get_offset(), file["frame"].shape
        columns = {name: file[name][:] for name in file if name != "frame"}
    return Pool(np.memmap(path, np.uint8, "r", offset, shape), **columns)
