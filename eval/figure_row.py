"""Figures as one row of a paper's table, in Markdown and in LaTeX, and differences between two sets of scores as a table."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from aadc.eval.bootstrap import Difference
from aadc.eval.paper_tables import PaperTable
from aadc.eval.tables import FRAME_FIGURES, text
from aadc.manifests.shown import shown

_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{one: f"\\{one}" for one in "&%$#_{}"},
}
_OTHERS = {
    "video_auc": "video AUC",
    "video_ap": "video AP",
    "map_published": "mean mAP@IoU, published",
    "map_clean": "mean mAP@IoU, clean",
    "events_found": "events found by alarms",
    "false_alarms_per_hour": "false alarms an hour",
    "detection_delay_s": "delay of alarms, seconds",
}
_NO_SHARES = ("false_alarms_per_hour", "detection_delay_s")


def row_of(name: str, protocol: str, precision: str, record: Mapping) -> PaperTable:
    """A title, heads and one row, in percent, the 95 % interval behind a figure that has one.

    Args:
        precision: which AP the protocol calls AP, see `field_protocols`.
        record: as `metrics.json`.
    """
    frame, intervals, found = record["frame"] or {}, record["interval"], record["map"]
    cells = {
        "AUC": (frame.get("auc"), "auc"),
        "AP": (frame.get(precision), precision),
        "Ano-AUC": (frame.get("auc_abnormal_videos"), "auc_abnormal_videos"),
        "Ano-AP": (frame.get("ap_abnormal_videos"), "ap_abnormal_videos"),
        "R@2%": (frame.get("recall_at_2_percent_fpr"), "recall_at_2_percent_fpr"),
        "FAR": (frame.get("false_alarm_rate"), "false_alarm_rate"),
        "F1@0.5": (frame.get("event_f1_at_50_percent_iou"), "event_f1_at_50_percent_iou"),
        "mAP AVG": (found["published"]["mean"] if found else None, "map_published"),
        "mAP AVG, clean": (found["clean"]["mean"] if found else None, "map_clean"),
    }
    row = [name, *(_cell(value, intervals.get(key)) for value, key in cells.values())]
    heads = ["scores", *cells]
    numbers = [[name, *("" if value is None else value for value, _ in cells.values())]]
    return PaperTable(f"protocol {protocol}, %, [95 % interval over videos]", heads, [row], heads, numbers)


def latex(table: PaperTable) -> str:
    """Heads as a comment, and the row: what stands between the rules of a `tabular`."""
    heads = " & ".join(map(_tex, table.heads))
    return f"% {shown(table.title)}\n% {heads} \\\\\n" + "".join(f"{' & '.join(map(_tex, row))} \\\\\n" for row in table.rows)


def _cell(value: float | None, bounds: Sequence[float] | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f}" + (f" [{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]" if bounds else "")


def _tex(name: str) -> str:
    return "".join(_TEX.get(one, one) for one in shown(name))


def differences_table(found: Mapping[str, Difference], one: str, other: str, protocol: str, videos: int) -> Table:
    """What `Figures.against` finds, for people."""
    table = Table(
        title=text(f"protocol {protocol}: {one} minus {other}, the same draws of {videos} videos for both"),
        title_justify="left",
    )
    table.add_column("figure, %")
    for head in (one, other, "difference", "95 % interval", "sign turns in"):
        table.add_column(text(head), justify="right")
    for name, label in (FRAME_FIGURES | _OTHERS).items():
        if (apart := found.get(name)) is None:
            continue
        scale = 1 if name in _NO_SHARES else 100
        values = [
            "-" if value is None else f"{scale * value:{sign}.2f}"
            for value, sign in ((apart.first, ""), (apart.second, ""), (apart.difference, "+"))
        ]
        bounds = "too few videos" if apart.difference is not None else ""
        if apart.interval:
            bounds = f"{scale * apart.interval[0]:+.2f} to {scale * apart.interval[1]:+.2f}"
        turns = "" if apart.turns is None else f"{100 * apart.turns:.1f} % of draws"
        table.add_row(label, *values, bounds, turns)
    return table
