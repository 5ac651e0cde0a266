"""How often a 95 % interval of draws of videos holds the true AUC, by number of videos of each kind: where `LEAST` is from.

python benchmarks/intervals.py
"""

import numpy as np
from scipy.special import ndtr

from aadc.eval.bootstrap import intervals
from aadc.eval.ranked import RankedScores

TRIALS, DRAWS = 300, 200


def share_held(each: int, apart: float, random: np.random.Generator) -> float:
    """Of `TRIALS` sets of `each` normal and `each` abnormal videos, normally distributed and `apart` deviations apart, the
    share whose interval holds the true AUC."""
    true, held = ndtr(apart / 2**0.5), 0
    abnormal = np.arange(2 * each) >= each
    for _ in range(TRIALS):
        score = random.normal(size=2 * each) + apart * abnormal
        ranked = RankedScores([(score[[i]], abnormal[[i]]) for i in range(2 * each)], range(2 * each))
        figure = lambda weights, ranked=ranked: {"auc": ranked(weights)["auc"]}  # noqa: E731
        low, high = intervals([figure], 2 * each, DRAWS, seed=int(random.integers(2**30)))["auc"]
        held += low <= true <= high
    return held / TRIALS


def main() -> None:
    """A line for each number of videos."""
    random = np.random.default_rng(0)
    print("videos of each kind   AUC 0.76   AUC 0.92")
    for each in (4, 6, 8, 10, 15, 25, 50):
        print(f"{each:>19}   {share_held(each, 1.0, random):8.2f}   {share_held(each, 2.0, random):8.2f}", flush=True)


if __name__ == "__main__":
    main()
