"""Figures as tables on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aadc.eval.moments import Moment
from aadc.eval.spans import clock
from aadc.manifests.shown import shown


def percent(share: float | None) -> str:
    """Two decimals in percent, or a dash for an undefined figure."""
    return "-" if share is None else f"{100 * share:.2f}"


def interval(bounds: Sequence[float] | None) -> str:
    """An interval in percent. Where none is given, of a figure that could have one, there are too few videos to tell."""
    return f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}" if bounds else "too few videos"


def alarm_text(alarm: dict) -> str | None:
    """What finding four of five events costs, with the length of video that it was counted over; None where undefined."""
    if alarm["threshold"] is None:
        return None
    units = ((1, "hours"), (60, "minutes"), (3600, "seconds"))
    per, unit = next((one for one in units if alarm["hours"] * one[0] >= 1), units[-1])
    over = f"{alarm['hours'] * per:.1f} {unit}"
    count = alarm["false_alarms"]
    alarms = f"{count or 'no'} false alarm{'' if count <= 1 else 's'} in {over} of video"
    rate = f" ({alarm['false_alarms_per_hour']:.1f} an hour)" if count else ""
    return (
        f"finding 80 % of the events costs {alarms}{rate} and {alarm['detection_delay_s']:.1f} s of delay "
        f"(threshold {alarm['threshold']:.3f})"
    )


def text(name: object) -> str:
    """A name from elsewhere for rich: text and nothing else, neither markup nor a terminal's commands."""
    return escape(shown(name))


def print_figures(figures: dict, metric: str, protocol: str, console: Console) -> None:
    """The headline of `metric` first and bold, then what else is known."""
    if figures["map"] and metric == "map":
        console.print(_map_table(figures, protocol))
    console.print(_main_table(figures, metric))
    if figures["frame"] and (alarm := alarm_text(figures["frame"]["at_80_percent_of_events"])):
        console.print(alarm)
    if figures["class"]:
        table = Table("class", title="by class, with all normal videos", title_justify="left")
        table.add_column("frame AUC", justify="right")
        table.add_column("frame AP", justify="right")
        for name, values in figures["class"].items():
            table.add_row(text(name), percent(values["auc"]), percent(values["ap"]))
        console.print(table)
    if figures["map"] and metric != "map":
        console.print(_map_table(figures, protocol))


def figure_rows(figures: dict, metric: str) -> list[tuple[str, float | None, str]]:
    """Name, share and interval (text) of every figure that is a share: frame figures first, the headline of `metric` on top."""
    frame, video, intervals = figures["frame"], figures["video"], figures["interval"]
    rows: list[tuple[str, float | None, str | None]] = []
    if frame:
        headlines = [("frame AUC", frame["auc"], "auc"), ("frame AP", frame["ap"], "ap")]
        rows += headlines[::-1] if metric == "ap" else headlines
        rows += [
            ("frame AP by trapezoids (RTFM)", frame["ap_trapezoid"], None),
            ("frame AUC, abnormal videos alone", frame["auc_abnormal_videos"], "auc_abnormal_videos"),
            ("frame AP, abnormal videos alone", frame["ap_abnormal_videos"], "ap_abnormal_videos"),
            ("recall at 2 % false positives", frame["recall_at_2_percent_fpr"], "recall_at_2_percent_fpr"),
            ("AUC of a perfect flat video classifier", frame["flat_floor"]["auc"], None),
            ("AP of a perfect flat video classifier", frame["flat_floor"]["ap"], None),
        ]
    rows += [
        ("video AUC", video["auc"], "video_auc"),
        ("video AP", video["ap"], "video_ap"),
        ("calibration error of the videos' confidence", video.get("calibration_error"), None),
        ("category accuracy", figures["category"]["accuracy"], "category_accuracy"),
    ]
    return [
        (label, value, "" if value is None or name not in intervals else interval(intervals[name]))
        for label, value, name in rows
    ]


def _main_table(figures: dict, metric: str) -> Table:
    frame = figures["frame"]
    over = f", {frame['videos']} with frame truth" if frame and frame["videos"] < figures["videos"] else ""
    table = Table(title=f"{figures['videos']} videos{over}", title_justify="left")
    table.add_column("figure")
    table.add_column("%", justify="right")
    table.add_column("95 % interval", justify="right")
    bold = {"map": 0, "all": 2}.get(metric, 1) if frame else 1
    for number, (label, value, bounds) in enumerate(figure_rows(figures, metric)):
        table.add_row(label, percent(value), bounds, style="bold" if number < bold else "")
    return table


def _map_table(figures: dict, protocol: str) -> Table:
    columns = [f"{iou:.1f}" for iou in figures["map"]["iou"]]
    table = Table("mAP@IoU", *columns, "mean", "95 % interval")
    for name in ("published", "clean"):
        found = figures["map"][name]
        cells = [percent(value) for value in [*found["map"], found["mean"]]]
        bounds = "" if found["mean"] is None else interval(figures["interval"].get(f"map_{name}"))
        table.add_row(name, *cells, bounds, style="bold" if name == protocol else "")
    return table


def moments_table(moments: Sequence[Moment], words: str) -> Table:
    """Where to look first."""
    table = Table(title=text(f'most like "{words}"'), title_justify="left")
    table.add_column("video", overflow="fold")
    table.add_column("at", justify="right")
    table.add_column("cosine", justify="right")
    table.add_column("stands out (deviations)", justify="right")
    for moment in moments:
        table.add_row(text(moment.video), clock(moment.time_s), f"{moment.similarity:.3f}", f"{moment.stands_out:+.1f}")
    return table


def text_table(figures: dict) -> Table:
    """Descriptions beside what people wrote."""
    table = Table(title=f"descriptions of {figures['videos']} videos beside their references", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        if name != "videos":
            table.add_row(name.replace("_", "-").upper().replace("CIDER", "CIDEr"), f"{value:.4f}")
    return table
