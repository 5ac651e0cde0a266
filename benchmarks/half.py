"""What a threshold of 0.5 finds with a head's level and without it, over regimes and seeds.

    python benchmarks/half.py CACHE                              # heads that `regimes.py CACHE LABEL` trained
    python benchmarks/half.py CACHE --heads heads-b --only few
    python benchmarks/half.py CACHE --level mixed                # another rule than the project's
    python benchmarks/half.py OTHER --sets 53 54 --level mixed   # on scenes it was not chosen on

An event is found, and a span is right, where a span (a run of snippets at 0.5 or more; one below does not split it) and an
event have an intersection over union of 0.2. Told are F1, recall and precision of spans and the share of normal videos with
a span, in %, and the difference of F1 with a 95 % interval of draws of seeds and test videos. The level is computed
here, from the training videos, so heads that have none serve too. Other rules: `floor`, never below what nine in ten normal
training videos stay below with every snippet; `highest`, between the highest snippets of both kinds; `mixed`, between the
highest snippets of normal videos and the scores (eq. 7) of abnormal ones. `ten` is `few` with half its training videos, trained
here.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch
from zlib import crc32

import numpy as np
import regime_runs
import regimes
import torch

from aadc.eval.ranked import runs
from aadc.eval.truth import label_spans
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.head.bags import FIELDS
from aadc.head.calibration import level_between
from aadc.head.checkpoint import load_head
from aadc.head.config import HeadConfig
from aadc.head.scoring import score_video


def _between(score: np.ndarray, abnormal: np.ndarray) -> float:
    return level_between(score.tolist(), abnormal.tolist())


LEVELS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {  # of scores, highest snippets, abnormal or not
    "own": lambda said, highest, abnormal: _between(said, abnormal),
    "floor": lambda said, highest, abnormal: max(_between(said, abnormal), float(np.quantile(highest[~abnormal], 0.9))),
    "highest": lambda said, highest, abnormal: _between(highest, abnormal),
    "mixed": lambda said, highest, abnormal: _between(np.where(abnormal, said, highest), abnormal),
}
DRAWS = 400
IOU = 0.2
TEN = 10


def head_of(regime: str, seed: int, cache: Path, heads: str) -> tuple[RunFolder, Path]:
    """A regime's run and the head that was trained on it."""
    if regime != "ten":
        return RunFolder(regime_runs.run_of(regime, seed, cache)), cache / heads / regime / "default" / f"seed-{seed}"
    run = cache / "runs" / regime / f"seed-{seed}"
    if not run.is_dir():
        run.parent.mkdir(parents=True, exist_ok=True)
        with patch.object(regime_runs, "FEW", TEN):
            regime_runs.few(regime_runs.run_of("scenes", seed, cache), run, seed)
    out = cache / heads / regime / "default" / f"seed-{seed}"
    regimes.train(regime, RunFolder(run), HeadConfig(seed=seed, epochs=regimes.SHORT["epochs"]), out)
    return RunFolder(run), out


def logits(anomaly_T: np.ndarray) -> np.ndarray:
    """Scores before their sigmoid."""
    score_T = anomaly_T.astype(float).clip(1e-7, 1 - 1e-7)
    return np.log(score_T / (1 - score_T))


def overlap(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Intersection over union of two ranges of frames."""
    inside = min(one[1], other[1]) - max(one[0], other[0])
    return max(0, inside) / max(1, max(one[1], other[1]) - min(one[0], other[0]))


def counted(logit: np.ndarray, threshold: float, stride: int, events: Sequence[tuple[int, int]], abnormal: bool) -> list[int]:
    """Of one video: events found, events, spans that are right, spans, normal videos, those with a span."""
    over = logit >= threshold
    over[1:-1] |= over[:-2] & over[2:]
    spans = [(start * stride, end * stride) for start, end in runs(over)]
    found = sum(any(overlap(span, event) >= IOU for span in spans) for event in events)
    right = sum(any(overlap(span, event) >= IOU for event in events) for span in spans)
    return [found, len(events), right, len(spans), int(not abnormal), int(not abnormal and bool(spans))]


def figures(regime: str, seed: int, cache: Path, heads: str, rule: str = "own") -> np.ndarray:
    """F1, recall, precision and share of normal videos in %, (2, 4, 1 + DRAWS): without the level and with it; of the test
    videos as they are, and of draws of them."""
    run, folder = head_of(regime, seed, cache, heads)
    head, shards, manifest = replace(load_head(folder), level=0.0), ShardSet(run.shards), run.manifest()
    stride, card = shards.sampling["stride"], manifest.card
    training = [row for row in manifest.split("train") if row.key in shards.entries]
    scored = [score_video(head, shards.read(row.key, FIELDS)) for row in training]
    said = np.array([one.video.anomaly_logit for one in scored])
    highest = np.array([logits(one.anomaly).max() for one in scored])
    level = LEVELS[rule](said, highest, np.array([card.is_abnormal(row.labels) for row in training]))
    counts, draws = [], []
    for row in (row for row in manifest.split("test") if row.key in shards.entries):
        features = shards.read(row.key, FIELDS)
        logit, abnormal = logits(score_video(head, features).anomaly), card.is_abnormal(row.labels)
        events = [(start, end) for start, end, _ in label_spans(row, features.frames, card)]
        counts.append([counted(logit, threshold, stride, events, abnormal) for threshold in (0.0, level)])
        draws.append(np.append(1, np.random.default_rng(crc32(row.video.encode())).poisson(1, DRAWS)))
    found, events, right, spans, normal, disturbed = np.einsum("vd,vlf->fld", np.stack(draws), np.array(counts))
    recall, precision = found / events, right / np.maximum(spans, 1)
    f1 = 2 * recall * precision / np.maximum(recall + precision, 1e-9)
    return 100 * np.stack([f1, recall, precision, disturbed / normal], 1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--heads", default="heads", help="folder in CACHE of the trained heads")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 1 on")
    parser.add_argument("--only", nargs="+", choices=(*regime_runs.REGIMES, "ten"), default=(*regime_runs.REGIMES, "ten"))
    parser.add_argument("--level", choices=LEVELS, default="own", help="by which rule")
    parser.add_argument("--sets", nargs=2, type=int, default=regime_runs.SETS, help="seeds of the drawn scenes")
    given = parser.parse_args()
    regime_runs.draw_from(given.sets, given.cache)
    torch.set_num_threads(1)
    print(
        "| regime | F1, recall, precision, disturbed without | with | F1, difference |\n| --- | ---: | ---: | ---: |",
        flush=True,
    )
    for regime in given.only:
        own = np.stack([figures(regime, seed, given.cache, given.heads, given.level) for seed in range(1, 1 + given.seeds)])
        difference = own[:, 1, 0] - own[:, 0, 0]
        seeds = np.random.default_rng(1).integers(len(own), size=(DRAWS, len(own)))
        drawn = [difference[chosen, 1 + draw].mean() for draw, chosen in enumerate(seeds)]
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        cells = [", ".join(f"{value:.1f}" for value in own[:, place, :, 0].mean(0)) for place in (0, 1)]
        print(
            f"| {regime} | {cells[0]} | {cells[1]} | {difference[:, 0].mean():+.1f} ({low:+.1f} to {high:+.1f}) |", flush=True
        )


if __name__ == "__main__":
    main()
