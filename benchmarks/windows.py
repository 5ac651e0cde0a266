"""What it costs to wait for less: whole videos, a window with look-ahead, and scores that are needed at once, over regimes.

    python benchmarks/windows.py CACHE                       # heads that `regimes.py CACHE LABEL` trained
    python benchmarks/windows.py CACHE --only sparse --seeds 3

`whole`: every snippet sees its whole video, which live cannot have. `confirmed`: 256 snippets that end four after the one
scored, smoothed over two on either side, as `aadc-eval` and live do it. `provisional`: 256 that end with it, smoothed over the
two before it, as live says it first. Frame AUC and AP in %, the alarm's delay at 80 % of the events in seconds of the recording
(live, the look-ahead of `confirmed` comes on top: six snippets), false alarms an hour there; means over the seeds.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import half
import numpy as np
import regime_runs
import torch

from aadc.eval.experiments import test_split
from aadc.eval.metrics import FrameFigures
from aadc.head import scoring
from aadc.head.checkpoint import load_head
from aadc.head.rule import by_rule
from aadc.head.window import Window

ROWS = 256
WAYS: dict[str, tuple[Window | None, bool]] = {  # what is seen, and whether the snippets after it are heard
    "whole": (None, True),
    "confirmed": (Window(ROWS), True),
    "provisional": (Window(ROWS, 0), False),
}
FIGURES = ("auc", "ap", "detection_delay_s", "false_alarms_per_hour")


def figures(regime: str, seed: int, cache: Path, heads: str) -> np.ndarray:
    """`FIGURES` of one head by each of `WAYS`, (3, 4)."""
    run, folder = half.head_of(regime, seed, cache, heads)
    head, found = load_head(folder), []
    for window, after in WAYS.values():
        rule = by_rule if after else partial(by_rule, ahead=0)
        with patch.object(scoring, "by_rule", rule):
            videos = test_split(run, replace(head, window=window), "cpu").videos
        drawn = FrameFigures(videos, range(len(videos)))(np.ones((1, len(videos)), int))
        found.append([float(drawn[name][0]) for name in FIGURES])
    return np.array(found) * [100, 100, 1, 1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--heads", default="heads", help="folder in CACHE of the trained heads")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 1 on")
    parser.add_argument("--only", nargs="+", choices=regime_runs.REGIMES, default=regime_runs.REGIMES)
    given = parser.parse_args()
    torch.set_num_threads(1)
    heads = ["regime", "scored", "frame AUC", "frame AP", "delay s", "false alarms an hour"]
    print("| " + " | ".join(heads) + " |\n| --- | --- | ---: | ---: | ---: | ---: |", flush=True)
    for regime in given.only:
        own = np.stack([figures(regime, seed, given.cache, given.heads) for seed in range(1, 1 + given.seeds)]).mean(0)
        for way, (auc, ap, delay, false) in zip(WAYS, own, strict=True):
            print(f"| {regime} | {way} | {auc:.1f} | {ap:.1f} | {delay:.1f} | {false:.0f} |", flush=True)


if __name__ == "__main__":
    main()
