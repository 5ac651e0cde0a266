"""Peak memory of `aadc-eval` on made-up shards as large as UCF-Crime's test set: 290 videos, 69,000 snippets.

    python benchmarks/evaluation_memory.py FOLDER [--report]      # FOLDER is made once (700 MB), and used again

Features are noise of the paper's widths (CLIP 512, DETR 256, five boxes), the head is untrained: memory and time are those of
real features, the figures mean nothing. The command runs in a process of its own; its peak is what the system counted.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardHeader, write_shard
from aadc.extract.video_features import VideoFeatures
from aadc.head.checkpoint import save_head
from aadc.head.config import HeadConfig
from aadc.head.model import AnomalyHead
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.manifest import Row, write_manifest

VIDEOS, SNIPPETS, STRIDE, C, D, BOXES, A_SHARD = 290, 69_000, 16, 512, 256, 5, 16
CARD = Card(
    title="As large as UCF-Crime",
    classes=[ClassEntry(name="Normal", kind="normal", prompt="a normal day")]
    + [ClassEntry(name=f"Kind{number}", kind="abnormal", prompt=f"anomaly {number}") for number in range(13)],
)


def video(row: Row, snippets: int, random: np.random.Generator) -> VideoFeatures:
    def noise(*shape: int) -> np.ndarray:
        return random.standard_normal((snippets, *shape), np.float32)

    frame = np.arange(snippets) * STRIDE + STRIDE // 2
    frames = snippets * STRIDE
    return VideoFeatures(
        row.video, row.split, row.labels, frames, frames, fps=30.0, frame=frame, time=frame / 30, scene=noise(C), detr=noise(D),
        count=random.integers(0, BOXES + 1, snippets), box=np.full((snippets, BOXES, 4), 0.5), score=np.ones((snippets, BOXES)),
        class_id=np.ones((snippets, BOXES)), crop=noise(BOXES, C), query=noise(BOXES, D),
    )  # fmt: skip


def make(run: RunFolder) -> None:
    """Shards, manifest and head; every other video is abnormal in its middle."""
    random = np.random.default_rng(0)
    lengths = random.lognormal(0, 1, VIDEOS)
    lengths = np.maximum((lengths / lengths.sum() * SNIPPETS).astype(int), 3)
    rows = []
    for number, length in enumerate(lengths.tolist()):
        label = CARD.names[1 + number // 2 % 13] if number % 2 else "Normal"
        segments = f"{length // 3 * STRIDE}-{length // 2 * STRIDE + 1}:{label}" if number % 2 else ""
        rows.append(Row(video=f"{number:03d}.mp4", split="test", labels=label, segments=segments))
    run.shards.mkdir(parents=True)
    header = ShardHeader("f" * 16, {"detector": {"class_names": {"1": "person"}}}, {"stride": STRIDE})
    for number, start in enumerate(range(0, VIDEOS, A_SHARD)):
        some = zip(rows[start : start + A_SHARD], lengths[start : start + A_SHARD].tolist(), strict=True)
        write_shard(run.shards / f"{number:05d}.h5", header, (video(row, length, random) for row, length in some))
    write_manifest(rows, CARD, run.manifest_csv)
    torch.manual_seed(0)
    model = AnomalyHead(HeadConfig(), C, D, 512, CARD.names)
    model.set_classes(CARD.names, torch.randn(len(CARD.names), C))
    save_head(run.head, model, HeadConfig(), CARD, "f" * 16, {"source": "none", "weights": "0"}, {}, {})
    run.run_json.write_text(json.dumps({"settings": {}, "videos": "nowhere"}))


def main() -> None:
    run = RunFolder(Path(sys.argv[1]))
    if not run.run_json.exists():
        make(run)
    command = [sys.executable, "-c", "from aadc.eval.cli.evaluate import main; main()", "--run", str(run.path), *sys.argv[2:]]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    print(f"{VIDEOS} videos, {SNIPPETS} snippets: aadc-eval {' '.join(sys.argv[2:])}: peak {peak:.2f} GB, {seconds:.0f} s")


if __name__ == "__main__":
    main()
