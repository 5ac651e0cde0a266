"""The demo from nothing to its figures, for several seeds of scenes and of training: a Markdown table.

    python benchmarks/demo_seeds.py 1 2 3 4 5

Runs the commands of `make demo`, all but the report, in a temporary folder, seed after seed, and says how long each took.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent
STAGES = ("scenes", "extract", "train", "eval")


def commands(seed: int) -> list[list[str]]:
    """The demo's four commands, as the Makefile has them, with this seed for scenes and training."""
    return [
        ["aadc-manifest", "demo", "--seed", f"{seed}", "--out", "demo"],
        ["aadc-extract", "demo/demo.csv", "--models", "miniature", "--stride", "5", "--run", "runs/demo"],
        ["aadc-train-head", "--run", "runs/demo", "--seed", f"{seed}"],
        ["aadc-eval", "--metric", "all", "--run", "runs/demo"],
    ]


def row(seed: int) -> list[str]:
    """One line of the table: figures in %, then seconds of each stage and of all."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = []
        for command in commands(seed):
            began = time.monotonic()
            done = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=folder, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
            seconds.append(time.monotonic() - began)
        found = json.loads(Path(folder, "runs/demo/eval/metrics.json").read_text())
    frame = found["frame"]
    figures = [
        frame["auc"],
        frame["auc_abnormal_videos"],
        frame["ap"],
        found["video"]["auc"],
        found["category"]["joint_accuracy"],
    ]
    return [f"{seed}", *(f"{100 * figure:.1f}" for figure in figures), *(f"{s:.0f}" for s in [*seconds, sum(seconds)])]


def main() -> None:
    heads = ["seed", "frame AUC", "abnormal videos alone", "frame AP", "video AUC", "category among all"]
    heads += [f"{stage} s" for stage in (*STAGES, "all")]
    for cells in (heads, ["---:"] * len(heads)):
        print("| " + " | ".join(cells) + " |")
    for seed in map(int, sys.argv[1:] or ["1", "2", "3"]):
        print("| " + " | ".join(row(seed)) + " |", flush=True)


if __name__ == "__main__":
    main()
