"""The score curve of a video as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aadc.eval.spans import Span, clock
from aadc.manifests.files import replacing
from aadc.manifests.shown import shown


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
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(9, 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.step(time, anomaly, where="mid", color="tab:blue", marker="." if len(time) < 40 else None)
    axes.axhline(threshold, color="grey", linewidth=0.8, linestyle=":")
    for span in spans:
        axes.axvspan(span.start_s, span.end_s, color="tab:orange", alpha=0.2, linewidth=0)
        middle = (span.start_s + span.end_s) / 2
        axes.text(middle, 1.02, drawable(span.category, 40), ha="center", va="bottom", fontsize=8, parse_math=False)
    axes.set(ylim=(0, 1.12), ylabel="anomaly score", xlabel="time")
    axes.set_title(drawable(title), fontsize=10, loc="left", parse_math=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(max(seconds, 0))))
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
