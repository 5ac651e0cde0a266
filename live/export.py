"""What people decided, as a data set to train on: a manifest of clips, in which dismissed events are hard normal videos."""

import filecmp
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from aadc.extract.run_folder import RunFolder
from aadc.live.clip_file import retime
from aadc.live.reader import KeptEvent, Reader
from aadc.live.store import STORE, Store
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError
from aadc.manifests.files import make_folder, reason, replace_file
from aadc.manifests.manifest import Manifest, Row, Segment, video_path, video_root, write_manifest
from aadc.manifests.records import Record, check_record, read_record

_EVENT = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{10}")  # an event's id (`event.event_id`)
_BEFORE = "before/"
VIDEOS, MANIFEST, LABEL_STUDIO = "videos", "feedback.csv", "label_studio.json"


class Exported(NamedTuple):
    """Paths of manifest and tasks; how many rows are confirmed, dismissed and from before; and events that were left out, with
    the reason."""

    manifest: Path
    tasks: Path
    confirmed: int
    dismissed: int
    before: int
    left_out: list[tuple[str, str]]


def export(
    data: Path,
    events: Sequence[KeptEvent],
    card: Card,
    out: Path,
    normal: str,
    fps: float,
    test_share: float = 0.3,
    before: Manifest | None = None,
) -> Exported:
    """Write the manifest of decided events into `out`, with their clips below it.

    A camera's day is whole in one split, so that no test clip has a neighbour among those trained on.

    Args:
        normal: class of the card that dismissed events are.
        fps: frames a second that clips are written anew with. Snippets are counted in frames, so it must be the training's.
        before: a manifest of the same classes whose videos are part of the new one, too (linked where the disk can). It may be
            of an earlier export: no event is taken twice, and what was decided last counts.
    Raises:
        UserError: nothing was decided, classes do not agree, or something cannot be written.
    """
    if normal not in card.names or card.kind(normal) != "normal":
        listed = ", ".join(entry.name for entry in card.classes if entry.kind == "normal")
        raise UserError(f"{normal!r} is no normal class of the card; those are {listed}")
    if before is not None and [(e.name, e.kind) for e in before.card.classes] != [(e.name, e.kind) for e in card.classes]:
        raise UserError(f"{before.path}: has other classes than the run, so they cannot be one data set")
    if before is not None and before.path.resolve() == (out / MANIFEST).resolve():
        raise UserError(f"{before.path}: is what is written here, and has these events already; --add the set from before them")
    left_out: list[tuple[str, str]] = []
    rows: list[Row] = []
    tasks: list[dict[str, Any]] = []
    verdicts = {"confirmed": 0, "dismissed": 0}
    for one in events:
        label = _label(one, normal)
        if one.verdict is None or label is None:
            continue
        clip = data / one.clip if one.clip else None
        if label not in card.names:
            left_out.append((one.event.id, f"{label!r} is no class of the card"))
            continue
        video = str(Path(*Path(one.clip or "").parts[1:]))
        make_folder((out / VIDEOS / video).parent)
        frames = _retimed(clip, out / VIDEOS / video, fps) if clip is not None else 0
        if clip is None or not frames:
            left_out.append((one.event.id, "its clip is gone"))
        else:
            span = _span(one, clip, fps, frames)
            rows.append(_row(one, video, label, card, span, frames, test_share))
            tasks.append(_task(video, one, label, span))
            verdicts[one.verdict] += 1
    if not rows:
        why = f" ({len(left_out)} were left out: {left_out[0][1]})" if left_out else ""
        raise UserError(f"no decided event has a clip{why}; aadc-live confirm ID and aadc-live dismiss ID decide")
    old = []
    if before is not None:
        kept, changed = _still_holding(before.rows, events, {Path(row.video).stem for row in rows}, normal)
        old, standing = _rows_before(before, kept, out), {Path(row.video).stem for row in kept}
        left_out = [(event, why) for event, why in dict(left_out + changed).items() if event not in standing]
    make_folder(out)
    write_manifest([*old, *rows], card.model_copy(update={"videos": VIDEOS}), out / MANIFEST)
    replace_file(out / LABEL_STUDIO, json.dumps(tasks, indent=1, ensure_ascii=False) + "\n")
    return Exported(out / MANIFEST, out / LABEL_STUDIO, verdicts["confirmed"], verdicts["dismissed"], len(old), left_out)


def export_decided(
    data: Path,
    run: RunFolder,
    out: Path,
    who: str,
    cameras: Collection[str] | None = None,
    normal: str | None = None,
    fps: float | None = None,
    test_share: float = 0.3,
    before: Manifest | None = None,
) -> Exported:
    """`export` of all that was decided, with the classes and the frame rate of a run; that it was done is logged.

    Args:
        who: does it, for the log; cameras: of these alone, None for all.
        normal: None for the card's first normal class; fps: None for what the head knows.
    Raises:
        UserError: as `export`, and where the head does not know the frame rate.
    """
    reader = Reader(data / STORE)
    try:
        events = reader.events(cameras, most=10**9)
    finally:
        reader.close()
    card = run.manifest().card
    rate = fps or frame_rate(run)
    if rate is None:
        raise UserError("the head does not know how fast the videos were that it was trained on: say it with --fps")
    chosen = normal or next(entry.name for entry in card.classes if entry.kind == "normal")
    done = export(data, events, card, out, chosen, rate, test_share, before)
    store = Store(data / STORE)
    store.log(who, f"exported {done.confirmed + done.dismissed} events").result(30)
    store.close()
    return done


def split_of(camera: str, start_ns: int, test_share: float) -> Literal["train", "test"]:
    """The split of all events of a camera on a day (UTC); the same whatever else is exported."""
    day = f"{datetime.fromtimestamp(start_ns // 10**9, UTC):%Y-%m-%d}"
    drawn = int.from_bytes(hashlib.sha256(f"{camera}\0{day}".encode()).digest()[:6], "big") / 2**48
    return "test" if drawn < test_share else "train"


def _retimed(clip: Path, to: Path, fps: float) -> int:
    """`retime`, but a clip that comes out as it is there already keeps its time of change: its features stay good."""
    if not to.exists():
        return retime(clip, to, fps)
    beside = to.with_name(f"{to.stem}.again{to.suffix}")
    try:
        if (frames := retime(clip, beside, fps)) and not filecmp.cmp(beside, to, shallow=False):
            os.replace(beside, to)
    except OSError as error:
        raise UserError(f"{to}: cannot be written ({reason(error)})") from None
    finally:
        beside.unlink(missing_ok=True)
    return frames


def _span(one: KeptEvent, clip: Path, fps: float, frames: int) -> tuple[int, int] | None:
    """Frames [first, end) that show the event; None where it is not known any more when the clip began."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        from_s = float(json.loads(clip.with_suffix(".json").read_bytes())["from_s"])
        first = max(0, math.ceil((one.event.start_s - from_s) * fps - 1e-3))
        end = min(frames, math.ceil((one.event.end_s - from_s) * fps - 1e-3))
        if first < end:
            return first, end
    return None


def _row(
    one: KeptEvent, video: str, label: str, card: Card, span: tuple[int, int] | None, frames: int, test_share: float
) -> Row:
    split = split_of(one.event.camera, one.event.start_ns, test_share)
    told = split == "test" and span is not None and card.kind(label) == "abnormal"
    segments = (Segment(*span, label),) if told and span else ()
    row = {"video": video, "split": split, "labels": (label,), "segments": segments, "frames": frames}
    return Row.model_validate(row, context=card)


def frame_rate(run: RunFolder) -> float | None:
    """Frames a second of the videos that a run's head was trained on, None where it does not know."""
    stride = check_record(run.record().settings, f"{run.run_json}: settings", _Sampling, "run aadc-extract again").stride
    snippet_s = read_record(run.head / "config.json", _Head, "run aadc-train-head").snippet_s
    return None if snippet_s is None else stride / snippet_s


class _Sampling(Record):
    stride: int = Field(ge=1)


class _Head(Record):
    snippet_s: float | None = Field(None, gt=0, le=3600)


def _task(video: str, one: KeptEvent, label: str, span: tuple[int, int] | None) -> dict[str, Any]:
    """A task for Label Studio; frames count from 1 there. Times stand beside, for clips may be encoded anew."""
    event = one.event
    first, end = span or (0, 0)
    value = {"ranges": [{"start": first + 1, "end": max(end, first + 1)}], "timelinelabels": [label]}
    result = [{"type": "timelinelabels", "from_name": "label", "to_name": "video", "value": value}] if span else []
    return {
        "data": {
            "video": f"{VIDEOS}/{video}",
            "event": event.id,
            "camera": event.camera,
            "start_utc": datetime.fromtimestamp(event.start_ns / 1e9, UTC).isoformat(),
            "duration_s": round(event.duration_s, 3),
            "decision": one.verdict,
        },
        "predictions": [{"model_version": "aadc-live", "score": round(event.peak, 4), "result": result}],
    }


def _still_holding(
    before: Sequence[Row], events: Sequence[KeptEvent], exported: Collection[str], normal: str
) -> tuple[list[Row], list[tuple[str, str]]]:
    """Rows of an older set that are part of the new one, and events of it that are not any more, with the reason.

    An event is told by its id, which its clip is called by. What the store knows of it counts: it is exported anew; or its clip
    is gone, and the older one stands for it, unless something else was decided meanwhile; or no decision holds any more.
    """
    known = {one.event.id: one for one in events}
    rows: dict[str, Row] = {}
    changed = []
    for row in sorted(before, key=lambda row: row.video.count("/")):  # of an event that is in it twice, the newer one
        event = Path(row.video).stem
        if not _EVENT.fullmatch(event):
            rows[row.video] = row
        elif event in exported or event in rows:
            continue
        elif (now := known.get(event)) is None or row.labels == (_label(now, normal),):
            rows[event] = row
        else:
            changed.append((event, "it is in the older set, but that is not what is decided now"))
    chosen = {row.video for row in rows.values()}
    return [row for row in before if row.video in chosen], changed


def _label(one: KeptEvent, normal: str) -> str | None:
    """The class that a person decided it is, None where nobody did."""
    return None if one.verdict is None else normal if one.verdict == "dismissed" else one.category


def _rows_before(before: Manifest, kept: Sequence[Row], out: Path) -> list[Row]:
    """Rows of an older set with their videos below `before/`, as which those that lie there in it already keep their names:
    else each export onto an export would put them one folder deeper."""
    root = video_root(before, None)
    taken = {row.video for row in kept if row.video.startswith(_BEFORE)}
    rows = []
    for row in kept:
        name = row.video
        if not name.startswith(_BEFORE):
            while name == row.video or name in taken:
                name = _BEFORE + name
            taken.add(name)
        _link(video_path(root, row.video), out / VIDEOS / name)
        rows.append(row.model_copy(update={"video": name}))
    return rows


def _link(source: Path, target: Path) -> None:
    make_folder(target.parent)
    try:
        with suppress(FileNotFoundError):
            if os.path.samefile(source, target):
                return
        beside = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        try:
            os.link(source, beside)
        except OSError:  # another disk, or one that knows no links
            shutil.copyfile(source, beside)
        os.replace(beside, target)
    except OSError as error:
        raise UserError(f"{source}: cannot be put into {target.parent} ({reason(error)})") from None
