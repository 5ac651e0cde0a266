"""What is left of extraction and training on a machine with other work: ours, against the libraries' own way with threads.

    python benchmarks/busy.py                   # ten busy processes, 20 s each
    python benchmarks/busy.py --busy 0 --seconds 5

The miniatures on random frames, and steps of a head on as many videos as `make demo` trains on. The libraries' way: every
product is shared out among threads, which wait for each other spinning (300,000 turns, OpenMP's default). The fair share is
what one thread gets done in as much processor time as the busy processes had on average, times the threads at work.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SPINNING = {"GOMP_SPINCOUNT": "300000", "OMP_WAIT_POLICY": "ACTIVE", "OPENBLAS_THREAD_TIMEOUT": "26"}
VIDEOS, SNIPPETS, WIDTH = 54, 60, 128


def frames(halves: bool) -> tuple[Callable[[], object], int]:
    """Embed 16 frames; how many that is."""
    import numpy as np

    from aadc.extract import features
    from aadc.extract.settings import PRESETS, ExtractSettings

    if halves:
        features._SIDE_BY_SIDE = 1
    embedder = features.FrameEmbedder(ExtractSettings(**PRESETS["miniature"]))
    rgb = np.random.default_rng(0).integers(0, 256, (16, 240, 320, 3)).astype(np.uint8)
    return lambda: embedder(rgb), 16


def steps(halves: bool) -> tuple[Callable[[], object], int]:
    """Train a step; one."""
    import torch

    from aadc.extract.clip_model import load_clip
    from aadc.extract.model_names import MINIATURE
    from aadc.head.bags import Bag
    from aadc.head.config import HeadConfig
    from aadc.head.model import AnomalyHead
    from aadc.head.prompts import PromptEncoder
    from aadc.head.trainer import Trainer
    from aadc.manifests.scenes.demo import demo_card

    card, config = demo_card(), HeadConfig()
    prompts = PromptEncoder(load_clip(MINIATURE), card.prompts, config.n_ctx)
    model = AnomalyHead(config, WIDTH, WIDTH, prompts.initial_contexts.shape[-1], card.names)
    bags = []
    for number in range(VIDEOS):
        label = card.names[number % len(card.names)]
        detr, vis = torch.randn(2, SNIPPETS, WIDTH).half()
        bags.append(Bag(str(number), (label,), card.is_abnormal([label]), detr, vis))
    trainer = Trainer(model, prompts, card, config, 10_000, "cpu")
    return lambda: trainer.step(0, bags), 1


def work(what: str, seconds: float, threads: int, halves: bool, others: list[int]) -> None:
    """Print how many a second of the clock and of processor time, how many threads share the work, and the others' share."""
    make = {"frames": frames, "steps": steps}[what]
    import aadc.extract  # noqa: F401, I001  before torch, for it says how threads wait
    import torch

    if what == "steps" and not halves:
        torch.set_num_threads(1)
    elif threads:
        torch.set_num_threads(threads)
    once, each = make(halves)
    once()
    done, wall, cpu, theirs = 0, time.perf_counter(), time.process_time(), used(others)
    while time.perf_counter() - wall < seconds or not done:
        once()
        done += each
    wall, cpu, theirs = time.perf_counter() - wall, time.process_time() - cpu, used(others) - theirs
    threads = 1 if what == "steps" and not halves else torch.get_num_threads()  # as `aadc.head.train` has it for the miniatures
    print(done / wall, done / cpu, threads, theirs / wall)


def used(others: list[int]) -> float:
    """Seconds of processor time that each of these processes has had, on average; nan without any."""
    ticks = [sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])) for pid in others]
    return sum(ticks) / len(ticks) / os.sysconf("SC_CLK_TCK") if others else float("nan")


def measured(what: str, seconds: float, others: list[int], threads: int = 0, theirs: bool = False) -> tuple[float, ...] | None:
    """As `work` prints it; None where not even one was done in minutes."""
    command = [sys.executable, __file__, "--work", what, "--seconds", str(seconds), "--threads", str(threads)]
    command += ["--others", *map(str, others), *["--halves"] * theirs]
    environment = os.environ | SPINNING if theirs else os.environ
    try:
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=300 + 5 * seconds
        )
    except subprocess.TimeoutExpired:
        return None
    return tuple(map(float, done.stdout.split()))


def spin() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--busy", type=int, default=10, help="processes that do nothing but compute")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--work", choices=["frames", "steps"], help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--others", type=int, nargs="*", default=[], help=argparse.SUPPRESS)
    parser.add_argument("--halves", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work, given.seconds, given.threads, given.halves, given.others)
        return
    others = [multiprocessing.Process(target=spin, daemon=True) for _ in range(given.busy)]
    for other in others:
        other.start()
    load = Path("/proc/loadavg").read_text().split()[0]
    print(f"{len(os.sched_getaffinity(0))} cores, {given.busy} busy processes; load at the start {load}")
    print("| | threads | a second | of a fair share | a second of processor time |\n|---|---|---|---|---|")
    pids = [other.pid for other in others]
    for what in ("frames", "steps"):
        alone = measured(what, given.seconds, pids, threads=1)
        for name, theirs in (("ours", False), ("the libraries' way", True)):
            if alone is None or (found := measured(what, given.seconds, pids, theirs=theirs)) is None:
                print(f"| {what}, {name} | | none in the time | | |")
                continue
            rate, per_cpu_s, threads, share = found
            fair = alone[1] * threads * share
            print(f"| {what}, {name} | {threads:.0f} | {rate:.2f} | {rate / fair:.2f} | {per_cpu_s:.1f} |", flush=True)
    for other in others:
        other.kill()


if __name__ == "__main__":
    main()
