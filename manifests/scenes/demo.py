"""A whole data set of scenes: videos, manifest, class card, and the truth beside them for tests.

out/demo.csv  out/demo.toml  out/videos/train-000.mp4 …  out/truth/train-000.json …
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.files import make_folder
from aadc.manifests.manifest import Row, Segment, write_manifest
from aadc.manifests.processes import side_by_side
from aadc.manifests.scenes import SOURCE
from aadc.manifests.scenes.camera import Camera
from aadc.manifests.scenes.kinds import ABNORMAL, KINDS
from aadc.manifests.scenes.scene import FPS, Scene
from aadc.manifests.scenes.story import build_scene, random_room
from aadc.manifests.scenes.video import write_video

CAMERAS = 6  # fixed, as in a building that is watched for weeks; the people and what they do are other ones every time
NORMAL_SHARE = {"train": 0.5, "test": 0.4}
SECONDS = {"train": (20.0, 26.0), "test": (24.0, 34.0)}  # length of a video
SECOND_S = 10.0  # seconds more for a second anomaly
TWICE = 0.2  # share of abnormal videos with two different anomalies


@dataclass(frozen=True)
class Planned:
    """One video of the data set, before it is rendered. `camera`: seed of the set and number of the camera."""

    name: str
    split: str
    seed: int
    frames: int
    anomalies: tuple[str, ...]
    camera: tuple[int, int]
    crf: int

    def scene(self) -> Scene:
        room = random_room(np.random.default_rng([*self.camera, *b"camera"]))
        return build_scene(f"demo-{self.split}", self.seed, self.frames, self.anomalies, room)


def demo_card() -> Card:
    """The class card of every set of scenes."""
    return Card(
        title="Synthetic scenes",
        source=SOURCE,
        licence="MIT",
        videos="videos",
        classes=[ClassEntry(name=kind.name, kind=kind.kind, prompt=kind.prompt) for kind in KINDS],
    )


def plan(seed: int, train: int, test: int) -> list[Planned]:
    """What the set of scenes number `seed` consists of. Every anomaly comes about equally often in both splits."""
    planned = []
    for split, count in (("train", train), ("test", test)):
        rng = np.random.default_rng([seed, len(split)])
        abnormal = count - round(NORMAL_SHARE[split] * count)
        turn = np.concatenate([rng.permutation(len(ABNORMAL)) for _ in range(count // len(ABNORMAL) + 1)])
        for index in range(count):
            anomalies = [ABNORMAL[turn[index]].name] if index < abnormal else []
            if anomalies and rng.random() < TWICE:
                anomalies += [str(rng.choice([kind.name for kind in ABNORMAL if kind.name != anomalies[0]]))]
            frames = round((rng.uniform(*SECONDS[split]) + SECOND_S * (len(anomalies) > 1)) * FPS)
            scene_seed, camera, crf = int(rng.integers(2**31)), (seed, int(rng.integers(CAMERAS))), int(rng.integers(20, 30))
            planned.append(Planned(f"{split}-{index:03d}", split, scene_seed, frames, tuple(anomalies), camera, crf))
    return planned


def write_demo(
    seed: int, out: Path, train: int, test: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> Path:
    """Write a set of scenes below `out` and return its manifest, `out/demo.csv`.

    Args:
        seed: the same seed gives the same frames; train and test videos never share a figure or a course of events.
        out: folder, created when needed; videos of the same name are overwritten.
        train, test: how many videos of each split.
        progress: called with (videos done, videos in all).
    """
    planned = plan(seed, train, test)
    for folder in ("videos", "truth"):
        make_folder(out / folder)
    rows: dict[int, Row] = {}
    for number, row in side_by_side(write_one, [(one, out) for one in planned], min(os.cpu_count() or 1, len(planned))):
        rows[number] = row
        progress(len(rows), len(planned))
    manifest = out / "demo.csv"
    write_manifest([rows[number] for number in sorted(rows)], demo_card(), manifest)
    return manifest


def write_one(planned: Planned, out: Path) -> Row:
    """Render one video with its truth; returns its row of the manifest."""
    scene = planned.scene()
    write_video(out / "videos" / f"{planned.name}.mp4", map(Camera(scene), range(scene.frames)), planned.crf)
    (out / "truth" / f"{planned.name}.json").write_text(json.dumps(truth_of(scene)) + "\n", encoding="utf-8")
    segments = tuple(Segment(*span) for span in scene.spans) if planned.split == "test" else ()
    return Row(video=f"{planned.name}.mp4", split=planned.split, labels=scene.labels, segments=segments, frames=scene.frames)


def truth_of(scene: Scene) -> dict:
    """The truth as JSON knows it: spans, and for every frame the figures and bags in it (`box` x0 y0 x1 y1, px)."""
    return {
        "fps": FPS,
        "frames": scene.frames,
        "room": scene.room.name,
        "spans": [list(span) for span in scene.spans],
        "seen": [
            [{"category": seen.category, "kind": seen.kind, "box": seen.box} for seen in scene.truth(frame)]
            for frame in range(scene.frames)
        ],
    }
