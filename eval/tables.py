"""Figures as tables on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aadc.manifests.shown import shown

FRAME_FIGURES = {
    "auc": "frame AUC",
    "ap": "frame AP",
    "ap_trapezoid": "frame AP by trapezoids (RTFM)",
    "auc_abnormal_videos": "frame AUC, abnormal videos alone",
    "ap_abnormal_videos": "frame AP, abnormal videos alone",
    "recall_at_2_percent_fpr": "recall at 2 % false positives",
    "recall_at_3_percent_fpr": "recall at 3 % false positives",
    "recall_at_5_percent_fpr": "recall at 5 % false positives",
    "ap_early": "frame AP over early recall",
    "false_alarm_rate": "false alarm rate, normal videos at 0.5",
    "event_f1_at_20_percent_iou": "event F1 at tIoU 0.2",
    "event_f1_at_50_percent_iou": "event F1 at tIoU 0.5",
}


def percent(share: float | None) -> str:
    """Two decimals in percent, or a dash for an undefined figure."""
    return "-" if share is None else f"{100 * share:.2f}"


def interval(bounds: Sequence[float] | None) -> str:
    """An interval in percent. Where none is given, of a figure that could have one, there are too few videos to tell."""
    return f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}" if bounds else "too few videos"


def alarm_text(alarm: dict) -> str | None:
    """What finding four of five events costs, with the length of video that it was counted over, and what it costs a perfect
    flat video classifier; None where undefined."""
    if alarm["threshold"] is None:
        return None
    units = ((1, "hours"), (60, "minutes"), (3600, "seconds"))
    per, unit = next((one for one in units if alarm["hours"] * one[0] >= 1), units[-1])
    over = f"{alarm['hours'] * per:.1f} {unit}"
    count, floor = alarm["false_alarms"], alarm["flat_floor"]
    alarms = f"{count or 'no'} false alarm{'' if count <= 1 else 's'} in {over} of video"
    rate = f" ({alarm['false_alarms_per_hour']:.1f} an hour)" if count else ""
    return (
        f"finding {_share_found(alarm)} of the events costs {alarms}{rate} and {_delay(alarm)} "
        f"(threshold {alarm['threshold']:.3f}); a perfect flat video classifier finds {_share_found(floor)} with "
        f"{floor['false_alarms_per_hour']:.1f} an hour and {_delay(floor)}"
    )


def _share_found(alarm: dict) -> str:
    """80 %, which is what was asked for, or what is found at most where that is less."""
    return "80 %" if alarm["events_found"] >= 0.8 - 1e-9 else f"no more than {100 * alarm['events_found']:.0f} %"


def _delay(alarm: dict) -> str:
    return "nothing to wait for" if alarm["detection_delay_s"] is None else f"{alarm['detection_delay_s']:.1f} s of delay"


def text(name: object) -> str:
    """A name from elsewhere for rich: text and nothing else, neither markup nor a terminal's commands."""
    return escape(shown(name))


def print_figures(figures: dict, metric: str, protocol: str, console: Console, counted: str = "ours") -> None:
    """The headline of `metric` first and bold, then what else is known.

    Args:
        protocol: of mAP@IoU, which goes in front.
        counted: the protocol that frames are counted by (see `field_protocols`), named in every heading.
    """
    if figures["map"] and metric == "map":
        console.print(_map_table(figures, protocol, counted))
    console.print(_main_table(figures, metric, counted))
    if figures["frame"] and (alarm := alarm_text(figures["frame"]["at_80_percent_of_events"])):
        console.print(alarm)
    if figures["class"]:
        table = Table("class", title=f"by class, with all normal videos; protocol {counted}", title_justify="left")
        table.add_column("frame AUC", justify="right")
        table.add_column("frame AP", justify="right")
        for name, values in figures["class"].items():
            table.add_row(text(name), percent(values["auc"]), percent(values["ap"]))
        console.print(table)
    if figures["map"] and metric != "map":
        console.print(_map_table(figures, protocol, counted))


def figure_rows(figures: dict, metric: str) -> list[tuple[str, float | None, str]]:
    """Name, share and interval (text) of every figure that is a share: frame figures first, the headline of `metric` on top."""
    intervals = figures["interval"]
    rows = [
        (label, value, "" if value is None or name not in intervals else interval(intervals[name]))
        for label, value, _, name in shares(figures, metric)
    ]
    if frame := figures["frame"]:
        floor = frame["flat_floor"]
        rows.append(("AUC of a perfect flat video classifier", floor["auc"], ""))
        rows.append(("AP of a perfect flat video classifier", floor["ap"], ""))
    return rows


def shares(figures: dict, metric: str) -> list[tuple[str, float | None, float | None, str]]:
    """Of every figure that is a share: name, value, what a perfect flat video classifier gets, and its name in `interval`."""
    frame, video, category = figures["frame"], figures["video"], figures["category"]
    rows: list[tuple[str, float | None, float | None, str]] = []
    if frame:
        floor = frame["flat_floor"]
        headlines = ["auc", "ap_trapezoid" if metric == "ap_trapezoid" else "ap"]
        names = headlines if metric not in ("ap", "ap_trapezoid") else headlines[::-1]
        names += [name for name in FRAME_FIGURES if name not in names]
        rows += [(FRAME_FIGURES[name], frame[name], floor[name], name) for name in names]
    rows += [("video AUC", video["auc"], None, "video_auc"), ("video AP", video["ap"], None, "video_ap")]
    rows.append(("calibration error of the videos' confidence", video.get("calibration_error"), None, ""))
    if "normal" in category:  # there are class scores
        rows += [
            ("category accuracy, among all classes", category["joint_accuracy"], None, "joint_accuracy"),
            ("category accuracy, normal or not being known", category["accuracy"], None, "category_accuracy"),
        ]
    return rows


def _main_table(figures: dict, metric: str, counted: str) -> Table:
    frame = figures["frame"]
    over = f", {frame['videos']} with frame truth" if frame and frame["videos"] < figures["videos"] else ""
    base = f"; {percent(frame['flat_floor']['base_rate'])} % of the frames are anomalous, the AP of chance" if frame else ""
    table = Table(title=f"protocol {counted}: {figures['videos']} videos{over}{base}", title_justify="left")
    table.add_column("figure")
    table.add_column("%", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("perfect, but flat", justify="right")
    bold = {"map": 0, "all": 2, "ap_trapezoid": 2}.get(metric, 1) if frame else 1
    for number, (label, value, floor, name) in enumerate(shares(figures, metric)):
        bounds = "" if value is None or name not in figures["interval"] else interval(figures["interval"][name])
        table.add_row(
            label, percent(value), bounds, "" if floor is None else percent(floor), style="bold" if number < bold else ""
        )
    return table


def _map_table(figures: dict, protocol: str, counted: str) -> Table:
    columns = [f"{iou:.1f}" for iou in figures["map"]["iou"]]
    table = Table("mAP@IoU", *columns, "mean", "95 % interval", title=f"protocol {counted}", title_justify="left")
    for name in ("published", "clean"):
        found = figures["map"][name]
        cells = [percent(value) for value in [*found["map"], found["mean"]]]
        bounds = "" if found["mean"] is None else interval(figures["interval"].get(f"map_{name}"))
        table.add_row(name, *cells, bounds, style="bold" if name == protocol else "")
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
