"""The score curve of a video as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aadc.eval.charts import ticks
from aadc.eval.spans import Span
from aadc.manifests.files import replacing
from aadc.manifests.shown import shown

FOUND = "#b45309"
NAME_ROWS = 3  # names of found spans stand in so many rows above the curve, so that neighbours do not lie on each other


def plot_scores(
    time: np.ndarray,
    anomaly: np.ndarray,
    spans: Sequence[Span],
    threshold: float,
    title: str,
    path: Path,
    caution: str | None = None,
) -> None:
    """Write a PNG: anomaly score over time (seconds), found spans shaded and named.

    Args:
        caution: a sentence below the picture that goes wherever it goes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    end_s = max([float(time[-1]), *(span.end_s for span in spans)])
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.step(time, anomaly, where="mid", color="tab:blue", marker="." if len(time) < 40 else None)
    axes.axhline(threshold, color="dimgrey", linewidth=0.9, linestyle="--")
    axes.text(1.005, threshold, f"threshold\n{threshold:g}", transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    for number, span in enumerate(spans):
        axes.axvspan(span.start_s, span.end_s, color=FOUND, alpha=0.2, linewidth=0)
        axes.axvspan(span.start_s, span.end_s, ymax=0.04, color=FOUND, linewidth=0)
        row = number % NAME_ROWS
        middle = (span.start_s + span.end_s) / 2
        axes.text(middle, 1.02 + 0.1 * row, drawable(span.category, 40), ha="center", va="bottom", fontsize=8, parse_math=False)
    rows = min(len(spans), NAME_ROWS)
    axes.set(
        ylim=(0, 1.04 + 0.1 * rows), ylabel="anomaly score", xlabel="time (minutes:seconds)", yticks=[0, 0.25, 0.5, 0.75, 1]
    )
    axes.set_xlim(min(0.0, float(time[0])), end_s or 1.0)
    marked = ticks(end_s)
    axes.set_xticks([seconds for seconds, _ in marked], [text for _, text in marked])
    axes.set_title(drawable(title), fontsize=10, loc="left", parse_math=False)
    if caution:
        figure.supxlabel(caution, fontsize=8, color="tab:red", parse_math=False)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=120, format="png")


def drawable(name: str, longest: int = 110) -> str:
    """A name as the font can draw it: what it has no sign for is written out (`\\u65e5`), and what is too long is cut."""
    from matplotlib import font_manager

    signs = font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap()
    text = "".join(c if ord(c) in signs else c.encode("unicode_escape").decode() for c in shown(name))
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
