"""Runs for the tests: shards of made-up features whose truth is known, written through the project's own writer.

A snippet's picture is its video's room, the direction of a normal class, and noise; in the planted span of an abnormal
video the directions of its abnormal classes come on top. Life goes on around an anomaly: were its surroundings empty, they
would tell an abnormal video as well as the anomaly does.
"""

import json
from pathlib import Path

import numpy as np

from aadc.extract.clip_model import load_clip
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardHeader, write_shard
from aadc.extract.video_features import VideoFeatures
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.manifest import Row, Segment, write_manifest

STRIDE, BOXES = 16, 2
CARD = Card(
    title="Synthetic",
    classes=[
        ClassEntry(name="walk", kind="normal", prompt="walking"),
        ClassEntry(name="sit", kind="normal", prompt="sitting"),
        ClassEntry(name="fall", kind="abnormal", prompt="a fall"),
        ClassEntry(name="fire", kind="abnormal", prompt="a fire"),
    ],
)


def make_video(
    rng: np.random.Generator,
    name: str,
    split: str,
    labels: tuple[str, ...],
    snippets: int,
    span: slice,
    width: int = 16,
    detr: int = 6,
) -> VideoFeatures:
    """Features of one video whose abnormal labels are planted in rows `span`."""
    directions = 3.0 * np.eye(width)
    picture = 1.0 + 0.3 * rng.normal(size=width) + 0.3 * rng.normal(size=(snippets, 1 + BOXES, width))
    planted = [CARD.names.index(label) for label in labels if CARD.kind(label) == "abnormal"]
    picture += directions[rng.integers(2) if planted else CARD.names.index(labels[0])]
    picture[span] += directions[planted].sum(axis=0)
    encoder = 5.0 * picture[:, 0, :detr] + rng.normal(size=(snippets, detr))
    count = rng.integers(0, BOXES + 1, snippets)
    crop = picture[:, 1:] * (np.arange(BOXES) < count[:, None])[..., None]
    frame = np.arange(snippets) * STRIDE + STRIDE // 2
    zeros = np.zeros((snippets, BOXES))
    return VideoFeatures(
        name, split, labels, frames=snippets * STRIDE, frames_expected=snippets * STRIDE, fps=25.0, width=64, height=48,
        frame=frame, time=frame / 25, scene=picture[:, 0], detr=encoder, count=count, box=np.zeros((snippets, BOXES, 4)),
        score=zeros, class_id=zeros, crop=crop, query=np.zeros((snippets, BOXES, detr)),
    )  # fmt: skip


def make_run(
    folder: Path, clip: Path, train: int = 24, test: int = 8, snippets: tuple[int, int] = (6, 20), seed: int = 0
) -> RunFolder:
    """A run folder as aadc-extract would leave it, half of its videos abnormal, with the spans of test videos as truth."""
    rng = np.random.default_rng(seed)
    rows, videos = [], []
    for split, count in (("train", train), ("test", test)):
        for number in range(count):
            length = int(rng.integers(*snippets))
            start = int(rng.integers(0, length - 3)) if length > 3 else 0
            span = slice(start, start + 3)
            label = CARD.names[number % 4]
            name = f"{split}/{number:03d}.mp4"
            videos.append(make_video(rng, name, split, (label,), length, span))
            truth = (Segment(span.start * STRIDE, min(span.stop, length) * STRIDE, label),)
            segments = truth if split == "test" and CARD.kind(label) == "abnormal" else ()
            rows.append(Row(video=name, split=split, labels=(label,), segments=segments))
    return write_run(folder, clip, rows, videos)


def write_run(folder: Path, clip: Path, rows: list[Row], videos: list[VideoFeatures], fingerprint: str = "f" * 16) -> RunFolder:
    """Shards of eight videos, manifest with card, and run.json."""
    models = {
        "detector": {"source": "none", "weights": "0"},
        "clip": {"source": str(clip), "weights": load_clip(str(clip)).weights},
    }
    header = ShardHeader(fingerprint, models, {"stride": STRIDE, "boxes": BOXES})
    run = RunFolder(folder)
    run.shards.mkdir(parents=True)
    for number, start in enumerate(range(0, len(videos), 8)):
        write_shard(run.shards / f"{number:05d}.h5", header, videos[start : start + 8])
    write_manifest(rows, CARD, run.manifest_csv)
    run.run_json.write_text(json.dumps({"manifest": "synthetic"}))
    return run
