"""`aadc-metrics` on a set of UCF-Crime's size: start-up, and time for all figures with intervals, beside plain scikit-learn.

python benchmarks/metrics.py

290 videos, 140 of them abnormal, 1.1 million frames, once with a score for 16 frames and once with one for each. What is plain:
scikit-learn's AUC and AP of all frames, and the same once for each draw of videos.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from aadc.eval.given_figures import evaluate
from aadc.manifests.manifest import Manifest, Row, write_manifest
from aadc.manifests.official import ucf_card

VIDEOS, ABNORMAL, FRAMES = 290, 140, 1_110_000
PLAIN_DRAWS = 10


def made_up(folder: Path) -> Manifest:
    """A manifest with UCF-Crime's number of videos, frames and events; lengths are spread as those of its videos are."""
    random = np.random.default_rng(0)
    share = random.lognormal(0, 1, VIDEOS)
    rows = []
    for number, frames in enumerate(np.maximum(64, (share / share.sum() * FRAMES).astype(int)).tolist()):
        label = ucf_card().names[1 + number % 13] if number < ABNORMAL else "Normal"
        start, length = int(frames * random.random() * 0.6), max(16, min(600, frames // 5))
        spans = f"{start}-{start + length}:{label}" if label != "Normal" else ""
        rows.append(Row(video=f"v{number}.mp4", split="test", labels=label, segments=spans, frames=frames))
    write_manifest(rows, ucf_card(), folder / "m.csv")
    return Manifest(folder / "m.csv", ucf_card(), tuple(rows))


def seconds(call) -> tuple[float, float, object]:
    """Wall and processor seconds of a call, and what it gives."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = call()
    return time.perf_counter() - wall, time.process_time() - cpu, found


def command_seconds(*words: str) -> tuple[float, float, float]:
    """Wall and processor seconds and megabytes of `aadc-metrics` as it is typed."""
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "aadc.eval.cli.metrics", *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - wall, cpu, after.ru_maxrss / 1024


def main() -> None:
    """Print all figures."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, one used; Python {platform.python_version()}, numpy {np.__version__}")
    print("aadc-metrics --help:          {:5.2f} s, {:5.2f} s of processor, {:4.0f} MB".format(*command_seconds("--help")))
    wall, cpu, _ = seconds(lambda: subprocess.run([sys.executable, "-c", "import aadc.metrics"], check=True))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = "import time, aadc.metrics; print(time.process_time())"
    cpu = float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    print(f"import aadc.metrics:          {wall:5.2f} s, {cpu:5.2f} s of processor, {used.ru_maxrss / 1024:4.0f} MB at most")
    with tempfile.TemporaryDirectory() as folder:
        manifest, random = made_up(Path(folder)), np.random.default_rng(1)
        for unit, stride in (("a score for 16 frames", 16), ("a score for each frame", 1)):
            scores = {}
            for row in manifest.rows:
                truth = np.zeros(row.frames)
                for span in row.segments:
                    truth[span.start_frame : span.end_frame] = 0.5
                scores[row.video] = (
                    truth[::stride][: max(1, row.frames // stride)] + random.random(row.frames)[: max(1, row.frames // stride)]
                ) / 2
            np.savez(f"{folder}/s.npz", **scores)
            np.savez(
                f"{folder}/t.npz", **{name: values + random.normal(0, 0.1, len(values)) for name, values in scores.items()}
            )
            words = (f"{folder}/s.npz", str(manifest.path))
            print(f"{unit}:")
            print(
                "  all figures, intervals:     {:5.2f} s, {:5.2f} s of processor, {:4.0f} MB".format(*command_seconds(*words))
            )
            both = command_seconds(*words, "--against", f"{folder}/t.npz")
            print("  and against other scores:   {:5.2f} s, {:5.2f} s of processor, {:4.0f} MB".format(*both))
            _plain(scores, manifest, stride)


def _plain(scores: dict[str, np.ndarray], manifest: Manifest, stride: int) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    found = evaluate(scores, manifest)
    videos = found.split.videos

    def once(places) -> tuple[float, float]:
        truth, score = (np.concatenate([getattr(videos[place], name) for place in places]) for name in ("truth", "score"))
        return roc_auc_score(truth, score), average_precision_score(truth, score)

    wall, cpu, (auc, ap) = seconds(lambda: once(range(VIDEOS)))
    off = max(abs(auc - found["frame"]["auc"]), abs(ap - found["frame"]["ap"]))
    print(f"  plain AUC and AP, once:     {wall:5.2f} s, {cpu:5.2f} s of processor; ours differ by {off:.0e}")
    random = np.random.default_rng(0)
    wall, cpu, _ = seconds(lambda: [once(random.integers(0, VIDEOS, VIDEOS)) for _ in range(PLAIN_DRAWS)])
    print(f"  plain, 1,000 draws of them: {100 * wall:5.0f} s, {100 * cpu:5.0f} s of processor, from {PLAIN_DRAWS} draws")


if __name__ == "__main__":
    main()
