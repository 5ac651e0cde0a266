"""`aadc-manifest`: make and check manifests."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aadc.manifests.command import command_app, run_command
from aadc.manifests.errors import UserError
from aadc.manifests.shown import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aadc.manifests.card import Card
    from aadc.manifests.manifest import Manifest, Row

app = command_app(
    no_args_is_help=True,
    epilog="\b\nExample:  aadc-manifest folder my-videos --out manifests/mine.csv\n          aadc-extract manifests/mine.csv",
)

MOST_REMARKS = 50
MOST_MISSING = 10

Out = Annotated[
    Path | None, typer.Option(help="CSV to write, its class card beside it as .toml [default: manifests/NAME.csv].")
]
Lists = Annotated[Path | None, typer.Argument(help="Folder of the official lists [default: copy the manifest of the project].")]


@app.callback(short_help="Make and check manifests.")
def about() -> None:
    """Make manifests: which videos to process, their classes and splits.

    Every manifest is a CSV and, beside it, a class card (TOML) whose prompts are yours to edit.
    """


@app.command(
    epilog="\b\nExample:  aadc-manifest ucf\n          aadc-extract manifests/ucf.csv --videos /data/UCF_Crimes/Videos"
)
def ucf(lists: Lists = None, out: Out = None) -> None:
    """UCF-Crime: 1,610 videos to train, 290 to test, 13 anomalies."""
    from aadc.manifests.official import build_ucf, shipped

    built = build_ucf(lists) if lists else shipped("ucf")
    _write(built.rows, built.card, out or Path("manifests/ucf.csv"), built.notes)


@app.command(epilog="\b\nExample:  aadc-manifest xd\n          aadc-extract manifests/xd.csv --videos /data/XD-Violence/videos")
def xd(lists: Lists = None, out: Out = None) -> None:
    """XD-Violence: 3,954 videos to train, 800 to test, 6 anomalies."""
    from aadc.manifests.official import build_xd, shipped

    built = build_xd(lists) if lists else shipped("xd")
    _write(built.rows, built.card, out or Path("manifests/xd.csv"), built.notes)


@app.command(
    epilog="\b\nExample:  aadc-manifest folder /data/gym\n          aadc-manifest folder /data/gym --normal walking,squat"
)
def folder(
    videos: Annotated[Path, typer.Argument(help="Folder that holds a folder of clips for each class: class/clip.mp4.")],
    normal: Annotated[
        list[str] | None, typer.Option(metavar="CLASSES", help="Normal classes, commas between them; without it you are asked.")
    ] = None,
    test_share: Annotated[float, typer.Option(min=0, max=1, help="Share of each class's clips that tests.")] = 0.3,
    seed: Annotated[int, typer.Option(help="Another seed draws other test clips.")] = 0,
    whole_clips: Annotated[
        bool, typer.Option("--whole-clips", help="Abnormal test clips are anomalous from first frame to last.")
    ] = False,
    labels: Annotated[
        Path | None, typer.Option(help="CSV with columns video,split,label that settles both, whatever the folders say.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write over the manifest that is there; prompts and segments set by hand stay.")
    ] = False,
    out: Out = None,
) -> None:
    """Your own videos, one folder of clips a class.

    Every class is split into train and test with the same share, and you say (or are asked) which classes are normal.
    """
    from aadc.manifests.folder import (
        class_names,
        clips_of_folders,
        clips_of_labels,
        make_card,
        make_rows,
        marked_by_hand,
        root_for_card,
        split_clips,
        take_over,
    )
    from aadc.manifests.manifest import read_manifest
    from aadc.manifests.video_suffixes import passed_over

    clips = clips_of_labels(labels, videos) if labels else clips_of_folders(videos)
    classes = class_names(clips)
    if len(classes) < 2:
        raise UserError(f"{videos}: only one class, {classes[0]}; it takes a normal and an abnormal one at least")
    chosen = _normal_classes(normal, classes)
    out = out or Path("manifests") / f"{videos.resolve().name}.csv"
    card = make_card(videos.resolve().name, classes, chosen, root_for_card(videos, out))
    before = read_manifest(out) if replace and os.path.exists(out) else None
    marked = marked_by_hand(before) if before else {}
    clips = [clip._replace(split="test") if clip.split is None and clip.video in marked else clip for clip in clips]
    rows = make_rows(clips, split_clips(clips, test_share, seed), chosen, whole_clips)
    notes = list(filter(None, [passed_over(videos)]))
    if before:
        rows, card = take_over(rows, card, before)
        kept = {row.video for row in rows if row.video in marked and row.segments == marked[row.video].segments}
        if lost := [video for video in marked if video not in kept]:
            gone = "no longer there, or no longer tests of that class"
            notes.append(f"segments set by hand of {len(lost)} videos are lost ({gone}), {lost[0]} for one")
    if not whole_clips and any(row.split == "test" and not row.segments and card.is_abnormal(row.labels) for row in rows):
        notes.append(
            "if each abnormal clip shows its anomaly from its first frame to its last, --whole-clips says so and frame-level "
            f"figures follow; else write where it is into the column segments of {out}"
        )
    _write(rows, card, out, notes, before)


@app.command(
    epilog="\b\nExample:  aadc-manifest demo --out demo\n          aadc-extract demo/demo.csv --models miniature --stride 5"
)
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the videos, the manifest and its card.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Another seed makes other rooms, figures and events.")] = 0,
    train: Annotated[int, typer.Option(min=1, help="Videos to train with.")] = 60,
    test: Annotated[int, typer.Option(min=1, help="Videos to test with.")] = 24,
) -> None:
    """Synthetic scenes with known truth."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from aadc.manifests.scenes.demo import write_demo

    columns = (
        TextColumn("drawing videos"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    began = time.monotonic()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=train + test, rate="")

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, rate=f"{done / (time.monotonic() - began):.1f} videos/s,")

        path = write_demo(seed, out, train, test, progress)
    _tell(path, ["drawn scenes: --models miniature --stride 5 takes the shipped models, which know them and nothing else"])


@app.command(epilog="\b\nExample:  aadc-manifest check manifests/ucf.csv --videos /data/UCF_Crimes")
def check(
    manifest: Annotated[Path, typer.Argument(help="The CSV; its class card lies beside it.")],
    videos: Annotated[Path | None, typer.Option(help="Look for the videos below this folder.")] = None,
) -> None:
    """Find every bad row, count the videos.

    Exit status: 0 all well, 1 some videos are not there, 2 the manifest or the folder cannot be used.
    """
    from aadc.manifests.manifest import read_manifest, video_root
    from aadc.manifests.summary import missing_videos
    from aadc.manifests.table import listing

    listed = read_manifest(manifest)
    missing = missing_videos(listed, video_root(listed, videos)) if videos or listed.card.videos else []
    said = [f"{len(missing)} of {len(listed.rows)} videos cannot be read:{listing(missing, MOST_MISSING)}"] if missing else []
    _tell(manifest, said, videos)
    if missing:
        raise typer.Exit(1)


def _normal_classes(given: "Sequence[str] | None", classes: "Sequence[str]") -> list[str]:
    from rich.console import Console

    from aadc.manifests.folder import ask_normal, parse_normal

    if given:
        return parse_normal(given, classes)
    if sys.stdin is None or not sys.stdin.isatty():
        raise UserError(f"which classes are normal? Say so with --normal, commas between them; there are {', '.join(classes)}")
    console = Console(stderr=True, markup=False, highlight=False)
    return ask_normal(classes, console.input, console.print)


def _write(rows: "list[Row]", card: "Card", out: Path, notes: list[str], before: "Manifest | None" = None) -> None:
    """Write a manifest unless another one than `before` stands in its place, perhaps with prompts that somebody has edited."""
    from aadc.manifests.card import read_card
    from aadc.manifests.changes import changes
    from aadc.manifests.manifest import Manifest, card_path, read_manifest, write_manifest

    if before:
        notes = [*notes, *(f"replaced: {change}" for change in changes(before, Manifest(out, card, tuple(rows))))]
        write_manifest(rows, card, out)
    elif os.path.exists(out):
        there = read_manifest(out)
        replace = "" if there.card.source else "; folder --replace writes over it and keeps what was set by hand"
        if (list(there.rows), there.card) != (rows, card):
            raise UserError(f"{out}: there is another manifest already; remove it, or choose another name with --out{replace}")
    elif os.path.exists(beside := card_path(out)) and read_card(beside) != card:
        raise UserError(f"{beside}: there is another class card already; remove it, or choose another name with --out")
    else:
        write_manifest(rows, card, out)
    _tell(out, notes)


def _tell(path: Path, notes: list[str], videos: Path | None = None) -> None:
    """Print what a manifest holds, what to know about it, and the next step."""
    from rich.console import Console

    from aadc.manifests.manifest import read_manifest
    from aadc.manifests.summary import count_table, remarks

    manifest = read_manifest(path)
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(count_table(manifest))
    remarked = remarks(manifest)
    more = [f"and {len(remarked) - MOST_REMARKS} more of these"] if len(remarked) > MOST_REMARKS else []
    for note in [*notes, *remarked[:MOST_REMARKS], *more]:
        say(f"note: {note}")
    root = shlex.quote(str(videos)) if videos else "FOLDER"
    where = "" if manifest.card.videos and not videos else f" --videos {root}"
    say(f"next: aadc-extract {shlex.quote(str(path))}{where}")


def main() -> None:
    """Console script."""
    run_command(app, "aadc-manifest")
