"""What the loop from decisions to a better head is for: a dismissed nuisance scores lower, anomalies as high as before."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import synthetic

from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.extract.video_features import VideoFeatures
from aadc.head.checkpoint import load_head
from aadc.head.config import HeadConfig
from aadc.head.scoring import score_video
from aadc.head.train import train_head
from aadc.manifests.manifest import Row

CONFIG = HeadConfig(epochs=12, patience=12, lr=2e-3)  # so high that a test is short
SPAN = slice(5, 8)  # snippets of the new activity


def nuisance(rng: np.random.Generator, name: str, split: str) -> VideoFeatures:
    """A normal video in which something new is done for three snippets: a fall's direction, and one of its own."""
    made = synthetic.make_video(rng, name, split, ("walk",), 13, SPAN)
    picture = np.zeros(16)
    picture[synthetic.CARD.names.index("fall")], picture[9] = 3.0, 4.5
    made.scene[SPAN] += picture
    made.detr[SPAN] += 5.0 * picture[: made.detr.shape[1]]
    there = np.arange(synthetic.BOXES) < made.count[SPAN, None]
    made.crop[SPAN] += there[..., None] * picture
    return made


@pytest.fixture(scope="module")
def heads(tmp_path_factory, tiny_clip):
    """Two heads: of a run as it was, and of the same run with 24 dismissed clips of the nuisance as normal videos. Eight
    clips beside 32 videos, less of either direction: what came out hung on the seed."""
    folder = tmp_path_factory.mktemp("learning")
    first = synthetic.make_run(folder / "first", tiny_clip, train=96, test=16, snippets=(10, 20))
    rng = np.random.default_rng(5)
    clips = [nuisance(rng, f"clip-{number}.mp4", "train") for number in range(24)]
    shards = ShardSet(first.shards)
    videos = [shards.read(row.key) for row in first.manifest().rows]
    rows = [*first.manifest().rows, *(Row(video=clip.video, split="train", labels=("walk",)) for clip in clips)]
    learned = synthetic.write_run(folder / "learned", tiny_clip, rows, [*videos, *clips])
    for run in (first, learned):
        train_head(run, CONFIG)
    return first, learned


def peaks(run: RunFolder, videos: list[VideoFeatures]) -> np.ndarray:
    head = load_head(run.head)
    return np.array([score_video(head, video).anomaly.max() for video in videos])


def test_a_dismissed_nuisance_scores_lower_and_anomalies_stay(heads):
    first, learned = heads
    rng = np.random.default_rng(77)
    new = [nuisance(rng, f"new-{number}.mp4", "test") for number in range(8)]  # none that was trained on
    shards = ShardSet(first.shards)
    tests = [row for row in first.manifest().rows if row.split == "test"]
    falls = [shards.read(row.key) for row in tests if first.manifest().card.is_abnormal(row.labels)]
    before, after = peaks(first, new), peaks(learned, new)
    found = peaks(first, falls) >= 0.5
    assert (before >= 0.5).mean() >= 0.75, "the nuisance is one: the first head takes it for an anomaly"
    assert (after >= 0.5).mean() <= 0.25 and (after < before).all()
    assert found.mean() >= 0.6 and (peaks(learned, falls)[found] >= 0.5).all(), "no anomaly that was found is lost"
