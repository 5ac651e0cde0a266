"""What a training step costs at UCF-Crime's scale, part by part, and how much of a training is reading shards.

    python benchmarks/head.py                 # 1610 videos, 256 snippets, 64 + 64 a step, width 512, 14 prompts
    python benchmarks/head.py --steps 5 --sample 32

Features are random (the arithmetic is the same), the text tower is CLIP ViT-B/16's with random weights. Steps are those of
`aadc.head.trainer`, timed from outside. Reading is measured on a sample of shards written to a temporary folder, cached by
the system, and scaled to all videos.
"""

import argparse
import platform
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import open_clip
import torch

from aadc.extract.clip_model import Clip
from aadc.extract.shards import ShardHeader, ShardSet, write_shard
from aadc.extract.video_features import VideoFeatures
from aadc.head import trainer as trainer_module
from aadc.head.bags import Bag, load_bags
from aadc.head.config import HeadConfig
from aadc.head.model import AnomalyHead
from aadc.head.prompts import PromptEncoder
from aadc.head.sampling import BalancedSampler
from aadc.head.train import LEAST_STEPS
from aadc.head.trainer import Trainer, set_statistics
from aadc.manifests.manifest import Row, read_manifest

WIDTH, DETR, BOXES = 512, 256, 5
SNIPPETS_A_VIDEO = 450  # UCF-Crime: 13.7 million frames in 1,900 videos, one in 16


class Parts:
    """Wall time by part of a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str):
        began = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - began

    def wrap(self, name: str, function):
        def timed(*args, **kwargs):
            with self.part(name):
                return function(*args, **kwargs)

        return timed


def peak_bytes(reset: bool = False) -> int:
    """Largest resident size so far; `reset` begins anew from the present one (Linux)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())


def measure_steps(videos: int, snippets: int, steps: int, warm_up: int = 1) -> float:
    """Prints the figures of training steps; gives the seconds of an epoch."""
    card = read_manifest(Path(__file__).parent.parent / "manifests" / "ucf.csv").card
    config = HeadConfig(snippets=snippets)
    model_name = "ViT-B-16-quickgelu"
    tower = open_clip.create_model(model_name).eval().requires_grad_(False)
    prompts = PromptEncoder(
        Clip(model_name, tower, open_clip.get_tokenizer(model_name), {}, WIDTH, ""), card.prompts, config.n_ctx
    )
    del tower
    generator = torch.Generator().manual_seed(0)
    bags = []
    for number in range(videos):
        label = card.names[0] if number < videos // 2 else card.names[1 + number % 13]
        detr, vis = (torch.randn(snippets, width, generator=generator).half() for width in (DETR, WIDTH))
        bags.append(Bag(str(number), (label,), card.is_abnormal([label]), detr, vis))
    model = AnomalyHead(config, WIDTH, DETR, prompts.initial_contexts.shape[-1], card.names)
    with torch.no_grad():
        model.contexts.copy_(prompts.initial_contexts)
    set_statistics(model, bags[:64], snippets)
    sampler = BalancedSampler([bag.abnormal for bag in bags], config.batch, 0, LEAST_STEPS)
    trainer = Trainer(model, prompts, card, config, 1000, "cpu")
    before = peak_bytes(reset=True)

    for step in range(warm_up):
        trainer.step(step, [bags[i] for i in sampler.batch(step)])
    parts = Parts()
    trainer.prompts = parts.wrap("text tower", prompts)
    trainer_module.make_batch = parts.wrap("data", trainer_module.make_batch)
    trainer_module.video_losses = parts.wrap("losses", trainer_module.video_losses)
    model.fusion.forward = parts.wrap("fusion", model.fusion.forward)
    model.mtn.answer = parts.wrap("MTN", model.mtn.answer)
    model.forward = parts.wrap("forward", model.forward)
    torch.Tensor.backward = parts.wrap("backward", torch.Tensor.backward)
    trainer.optimiser.step = parts.wrap("optimiser", trainer.optimiser.step)
    wall, cpu = time.perf_counter(), time.process_time()
    for step in range(warm_up, warm_up + steps):
        with parts.part("draw"):
            drawn = [bags[i] for i in sampler.batch(step)]
        trainer.step(step, drawn)
    wall, cpu = (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps

    one = {name: seconds / steps for name, seconds in parts.seconds.items()}
    one["scores and similarities"] = one.pop("forward") - one["fusion"] - one["MTN"]
    one["rest"] = wall - sum(one.values())
    bag_bytes = sum(bag.detr.nbytes + bag.vis.nbytes for bag in bags)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{videos} videos x {snippets} snippets, {2 * sampler.half} a step, width {WIDTH}, {len(card.names)} prompts")
    print(
        f"{parameters / 1e6:.1f} M parameters; epoch of {sampler.steps_per_epoch} steps {sampler.steps_per_epoch * wall:.0f} s"
    )
    print(f"step: {wall:.2f} s wall, {cpu:.2f} s of processor; {1 / wall:.2f} steps/s")
    for name, seconds in sorted(one.items(), key=lambda item: -item[1]):
        print(f"  {name:24} {seconds:6.3f} s  {100 * seconds / wall:5.1f} %")
    print(f"memory: features {bag_bytes / 1e6:.0f} MB; the steps took at most {(peak_bytes() - before) / 1e6:.0f} MB more")
    return sampler.steps_per_epoch * wall


def measure_reading(sample: int, videos: int, epoch_s: float) -> None:
    """Prints how long the bags of a whole set take to read."""
    card = read_manifest(Path(__file__).parent.parent / "manifests" / "ucf.csv").card
    rng, T = np.random.default_rng(0), SNIPPETS_A_VIDEO
    rows = [Row(video=f"{i}.mp4", split="train", labels=(card.names[i % 14],)) for i in range(sample)]

    def features(row: Row) -> VideoFeatures:
        scene, detr, crop, query = (
            rng.standard_normal((T, *tail), np.float32).astype(np.float16)
            for tail in ((WIDTH,), (DETR,), (BOXES, WIDTH), (BOXES, DETR))
        )
        zeros = np.zeros((T, BOXES))
        return VideoFeatures(
            row.video, "train", row.labels, 16 * T, frame=np.arange(T), time=np.arange(T), scene=scene, detr=detr, crop=crop,
            query=query, count=rng.integers(0, BOXES + 1, T), box=np.zeros((T, BOXES, 4)), score=zeros, class_id=zeros,
        )  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, sample, 16):
            header = ShardHeader("f" * 16, {}, {"stride": 16})
            write_shard(Path(folder) / f"{start:05d}.h5", header, map(features, rows[start : start + 16]))
        wall, cpu = time.perf_counter(), time.process_time()
        load_bags(ShardSet(Path(folder)), rows, card, HeadConfig())
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    whole = wall / sample * videos
    print(f"reading: {sample} videos of {T} snippets in {wall:.2f} s wall, {cpu:.2f} s of processor")
    print(f"  {videos} of them would take {whole:.0f} s, once a training")
    for epochs in (1, HeadConfig().epochs):
        print(f"  share of a training of {epochs} epochs: {100 * whole / (whole + epochs * epoch_s):.1f} %")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=1610)
    parser.add_argument("--snippets", type=int, default=256)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--sample", type=int, default=48, help="videos written and read to measure reading")
    given = parser.parse_args()
    print(f"{_processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}, Python {platform.python_version()}")
    epoch = measure_steps(given.videos, given.snippets, given.steps)
    measure_reading(given.sample, given.videos, epoch)
