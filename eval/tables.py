"""Figures as tables on a terminal."""

from rich.console import Console
from rich.table import Table


def percent(value: float | None) -> str:
    """Two decimals in percent, or a dash for an undefined figure."""
    return "-" if value is None else f"{100 * value:.2f}"


def number(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.2f} {unit}"


def print_figures(figures: dict, metric: str, console: Console) -> None:
    """The headline of `metric` first, then what else is known."""
    table = Table(title=f"{figures['videos']} videos", title_justify="left")
    table.add_column("figure")
    table.add_column("%", justify="right")
    table.add_column("95 % interval over videos", justify="right")
    frame, interval, video = figures["frame"], figures["interval"], figures["video"]
    if frame:
        rows = {
            "auc": ("frame AUC", frame["auc"], interval["auc"]),
            "ap": ("frame AP", frame["ap"], interval["ap"]),
        }
        order = ["ap", "auc"] if metric == "ap" else ["auc", "ap"]
        for name in order:
            label, value, bounds = rows[name]
            span = "-" if bounds is None else f"{percent(bounds[0])} to {percent(bounds[1])}"
            headline = name == metric or (metric in ("all", "map") and name == "auc")
            table.add_row(label, percent(value), span, style="bold" if headline else "")
        for label, value in [
            ("frame AP by trapezoids (RTFM)", frame["ap_trapezoid"]),
            ("AUC, abnormal videos alone", frame["auc_abnormal_videos"]),
            ("AP, abnormal videos alone", frame["ap_abnormal_videos"]),
            ("recall at 2 % false positives", frame["recall_at_2_percent_fpr"]),
            ("AUC of a perfect flat video classifier", frame["flat_floor"]["auc"]),
            ("AP of a perfect flat video classifier", frame["flat_floor"]["ap"]),
        ]:
            table.add_row(label, percent(value), "")
    table.add_row("video AUC", percent(video["auc"]), "")
    table.add_row("video AP", percent(video["ap"]), "")
    table.add_row("category accuracy", percent(figures["category"]["accuracy"]), "")
    console.print(table)
    if frame:
        alarm = frame["at_80_percent_of_events"]
        console.print(
            f"finding 80 % of the events costs {number(alarm['false_alarms_per_hour'], 'false alarms an hour')}, "
            f"with a delay of {number(alarm['detection_delay_s'], 's')}"
        )
    if figures["class"]:
        by_class = Table("class", "frame AUC", "frame AP", title="by class (with all normal videos)", title_justify="left")
        for name, values in figures["class"].items():
            by_class.add_row(name, percent(values["auc"]), percent(values["ap"]))
        console.print(by_class)
    if figures["map"]:
        columns = [f"{iou:.1f}" for iou in figures["map"]["iou"]]
        table = Table("mAP@IoU", *columns, "mean", title_justify="left")
        for protocol in ("published", "clean"):
            found = figures["map"][protocol]
            cells = ["-" if value is None else f"{value:.2f}" for value in [*found["map"], found["mean"]]]
            table.add_row(protocol, *cells)
        console.print(table)
