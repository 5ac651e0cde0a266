"""In which of five states a camera is, as told by the process that reads it, or by that process's silence."""

import time
from typing import Literal

from pydantic import Field

from aadc.live.frame_slot import FrameSlot
from aadc.manifests.records import Record

State = Literal["connecting", "online", "stalled", "offline", "disabled"]
STATES: tuple[State, ...] = ("connecting", "online", "stalled", "offline", "disabled")
STALLED_S = 2.0  # no picture for so long
SILENT_S = 4.0  # the process gave no sign of life


class CameraStatus(Record):
    """What capture says of a camera.

    Counts are since the process began: frames `decoded`, those of them left out at a connection because they were old
    (`backlog`), `damaged` ones, `connects`. `lag_s`: how much later than the first ones frames come now; `camera_off_s`: by how
    much the camera's own clock differs from this machine's (None: it tells no time). `clock`: whose time the newest frame has.
    `wrong`: what ails the picture, since which second of the stream; `jumps` counts changes as a whole. `error` has no password
    in it.
    """

    state: State = "disabled"
    error: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    connects: int = 0
    decoded: int = 0
    backlog: int = 0
    damaged: int = 0
    lag_s: float = 0.0
    camera_off_s: float | None = None
    clock: str = ""
    wrong: dict[str, float] = Field(default_factory=dict)
    jumps: int = 0
    newest_ns: int = 0
    second: float = 0.0
    epoch: int = 0
    ended: bool = False


def earlier(frames: FrameSlot, view: FrameSlot) -> CameraStatus:
    """How far an earlier process of this camera came: what it said is a quarter of a second old, or only that it was about to
    connect; what it put into the slots is what others may have seen."""
    status = CameraStatus.model_validate(view.told())
    seen = [frame for slot in (frames, view) if (frame := slot.read()) is not None]
    return status.model_copy(
        update={
            "second": max([status.second, *(frame.second for frame in seen)]),
            "epoch": max([status.epoch, *(frame.epoch for frame in seen)]),
            "newest_ns": max([status.newest_ns, *(frame.arrived_ns for frame in seen)]),
        }
    )


def status_of(slot: FrameSlot, now_ns: int | None = None) -> CameraStatus:
    """The state of the camera that fills this slot, now: one that says it is online and brings nothing is stalled, one whose
    process is silent is offline."""
    now_ns = time.monotonic_ns() if now_ns is None else now_ns
    status = CameraStatus.model_validate(slot.told())
    if status.state not in ("connecting", "online") or status.ended:
        return status
    if now_ns - slot.beaten_ns > SILENT_S * 1e9:
        return status.model_copy(update={"state": "offline", "error": status.error or "its process does not answer"})
    if status.state == "online" and now_ns - status.newest_ns > STALLED_S * 1e9:
        return status.model_copy(update={"state": "stalled"})
    return status
