"""The score curve of a video as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aadc.eval.spans import Span, clock


def plot_scores(time: np.ndarray, anomaly: np.ndarray, spans: Sequence[Span], threshold: float, title: str, path: Path) -> None:
    """Write a PNG: anomaly score over time (seconds), found spans shaded and named."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(9, 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.step(time, anomaly, where="mid", color="tab:blue", marker="." if len(time) < 40 else None)
    axes.axhline(threshold, color="grey", linewidth=0.8, linestyle=":")
    for span in spans:
        axes.axvspan(span.start_s, span.end_s, color="tab:orange", alpha=0.2, linewidth=0)
        axes.text((span.start_s + span.end_s) / 2, 1.02, span.category, ha="center", va="bottom", fontsize=8)
    axes.set(ylim=(0, 1.12), ylabel="anomaly score", xlabel="time")
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(max(seconds, 0))))
    figure.savefig(path, dpi=120)
