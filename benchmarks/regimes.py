"""How good a head is where it is hard: AUC, AP and mAP over regimes and seeds, and paired differences to an earlier table.

    python benchmarks/regimes.py CACHE default                               # the head as it is
    python benchmarks/regimes.py CACHE paper --set rule=paper --against default
    python benchmarks/regimes.py CACHE k7 --set k=7 --only sparse words --against default
    python benchmarks/regimes.py OTHER default --sets 53 54                  # other drawn scenes

Regimes: see `regime_runs.py`. CACHE keeps runs, trained heads and figures; what is there is not made again, so a stopped
table goes on. mAP is the mean over IoU 0.1 to 0.5 (`clean`).
Differences: mean over the seeds, with a 95 % interval of draws of seeds and of test videos within each, both with replacement,
the same draws for both tables. One thread; two calls with different `--only` run side by side.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch
from zlib import crc32

import numpy as np
import regime_runs
import torch

from aadc.eval.detection_map import IOUS, mean_average_precision, rank_proposals
from aadc.eval.experiments import test_split
from aadc.eval.ranked import RankedScores
from aadc.eval.scored_split import ScoredSplit
from aadc.eval.truth import label_spans
from aadc.extract.run_folder import RunFolder
from aadc.head import train as training
from aadc.head.checkpoint import load_head
from aadc.head.config import HeadConfig, settings_of

FIGURES = ("AUC", "AP", "mAP")
DRAWS = 400
SHORT = {"epochs": 20}
OF_REGIME = {"words": {"use_detr": False, "batch": 64, "epochs": 10, "class_vectors": "texts"}}


def train(regime: str, run: RunFolder, config: HeadConfig, out: Path) -> None:
    """The library's own training. Sentences have no CLIP: there its tower is one that knows those of the classes alone."""
    if regime == "words":
        texts = np.load(run.path.with_name("texts.npz"))
        vectors = dict(zip(texts["prompts"].tolist(), torch.from_numpy(texts["vectors"]), strict=True))
        model = SimpleNamespace(encode_text=lambda prompts: torch.stack([vectors[prompt] for prompt in prompts]))
        tower = SimpleNamespace(
            source="all-MiniLM-L6-v2", weights="", width=regime_runs.WIDTH, model=model, tokenizer=lambda prompts: prompts
        )
        with patch.object(training, "load_tower", lambda made_with, clip: tower):
            training.train_head(run, config, out)
    else:
        training.train_head(run, config, out)


def draws_of(split: ScoredSplit) -> np.ndarray:
    """`FIGURES` in %, (3, 1 + DRAWS): of the test videos as they are, and of draws of them. A draw has a video as often as a
    number of the Poisson distribution of mean 1 that its name decides, hence equally often for all seeds and tables."""
    count = len(split.videos)
    own = [np.random.default_rng(crc32(video.video.encode())).poisson(1, DRAWS) for video in split.videos]
    weights = np.concatenate([np.ones((1, count), int), np.stack(own, 1)])
    ranked = RankedScores([(video.score, video.known_truth) for video in split.videos], range(count))
    curves, segments, labels = [], [], []
    for row in split.there:
        spans = label_spans(row, split.frames(row), split.card)
        curves.append(split.class_curves(row, split.frames(row)))
        segments.append([(start, end) for start, end, _ in spans])
        labels.append([label for _, _, label in spans])
    normal = [name for name in split.names if split.kind(name) == "normal"]
    rankings = rank_proposals(curves, segments, labels, split.names, IOUS, "clean", normal)
    found = ranked(weights, rates=())
    precision = mean_average_precision(rankings, weights, len(IOUS), "clean").mean(1)
    return np.stack([100 * found["auc"], 100 * found["ap"], precision])


def figures(regime: str, seed: int, settings: Mapping, cache: Path, label: str, heads: str = "heads") -> np.ndarray:
    """`draws_of` a head of these settings, from the cache if they are there."""
    kept = cache / "figures" / label / f"{regime}-{seed}.npy"
    if not kept.exists():
        run = RunFolder(regime_runs.run_of(regime, seed, cache))
        name = "-".join(f"{key}={value}" for key, value in sorted(settings.items())) or "default"
        config = HeadConfig.model_validate({"seed": seed} | SHORT | OF_REGIME.get(regime, {}) | dict(settings))
        out = cache / heads / regime / name / f"seed-{seed}"
        train(regime, run, config, out)
        found = draws_of(test_split(run, load_head(out), "cpu"))
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, found)
    return np.load(kept)


def read(cache: Path, label: str, regime: str, seed: int) -> np.ndarray:
    """Figures of an earlier table."""
    kept = cache / "figures" / label / f"{regime}-{seed}.npy"
    if not kept.exists():
        sys.exit(f"{kept}: not there; print that table first, with --heads of its own if it is of other code")
    return np.load(kept)


def difference(now: Sequence[np.ndarray], before: Sequence[np.ndarray], figure: int) -> tuple[float, float, float]:
    """Mean over the seeds of now - before, and its 95 % interval over draws of seeds and of videos."""
    pairs = np.stack([one[figure] - other[figure] for one, other in zip(now, before, strict=True)])
    seeds = np.random.default_rng(1).integers(len(pairs), size=(DRAWS, len(pairs)))
    drawn = np.array([pairs[chosen, 1 + draw].mean() for draw, chosen in enumerate(seeds)])
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return float(pairs[:, 0].mean()), float(low), float(high)


def line(regime: str, own: Sequence[np.ndarray], before: Sequence[np.ndarray] | None) -> str:
    """A row of the table: means and deviations over the seeds, then differences with their intervals."""
    values = np.stack([one[:, 0] for one in own])
    cells = [regime, *(f"{mean:.1f} ± {sd:.1f}" for mean, sd in zip(values.mean(0), values.std(0), strict=True))]
    if before is not None:
        cells += ["{:+.1f} ({:+.1f} to {:+.1f})".format(*difference(own, before, place)) for place in range(len(FIGURES))]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("label", help="what the table is kept as")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of the head")
    parser.add_argument("--against", help="an earlier table to compare with")
    parser.add_argument("--heads", default="heads", help="folder in CACHE of the trained heads; another one for other code")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 1 on")
    parser.add_argument("--only", nargs="+", choices=regime_runs.REGIMES, default=regime_runs.REGIMES)
    parser.add_argument("--sets", nargs=2, type=int, default=regime_runs.SETS, help="seeds of the drawn scenes")
    given = parser.parse_args()
    regime_runs.draw_from(given.sets, given.cache)
    torch.set_num_threads(1)
    settings, seeds = settings_of(given.set), range(1, 1 + given.seeds)
    heads = ["regime", *FIGURES, *(f"{name} less {given.against}" for name in FIGURES if given.against)]
    print("| " + " | ".join(heads) + " |\n| " + " | ".join(["---", *["---:"] * (len(heads) - 1)]) + " |", flush=True)
    for regime in given.only:
        if regime == "words" and not regime_runs.words_are_there():
            print("| words: left out, its sentences are not here |")
            continue
        own = [figures(regime, seed, settings, given.cache, given.label, given.heads) for seed in seeds]
        before = [read(given.cache, given.against, regime, seed) for seed in seeds] if given.against else None
        print(line(regime, own, before), flush=True)


if __name__ == "__main__":
    main()
