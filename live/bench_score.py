"""The process that scores, while it is measured: it is the usual one, and notes when what passed each of its parts.

Which frames are abnormal is told by the time in the picture (`strip_scene.shows_anomaly`), not by the score: how soon a head
notices something is another question, which untrained models could not answer. Scores are computed all the same, of pictures
with the strip painted over, so that the gate sees the scene alone.
"""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from aadc.live import score
from aadc.live.event import EventMessage
from aadc.live.frame_slot import FrameSlot, SlotFrame
from aadc.live.scored import ScoredSnippet
from aadc.live.strip_clock import erase, read
from aadc.live.strip_scene import shows_anomaly

NOTES = "passed.jsonl"  # beside the file of cameras
HIGH, LOW = 0.9, 0.1


class Noting:
    """A `score.Trial` that writes down times (monotonic, nanoseconds)."""

    def __init__(self, job: score.ScoreJob):
        self._file = Path(job.config).with_name(NOTES).open("a", buffering=1, encoding="utf-8")
        self._lock = threading.Lock()  # the store's thread notes, too
        self._high: dict[tuple[str, int], bool] = {}
        self._last: dict[str, bool] = {}

    def source(self, camera: str, frames: FrameSlot) -> "_Noted":
        """The slot, which notes what is taken from it."""
        return _Noted(self, camera, frames)

    def took(self, camera: str, frame: SlotFrame, written_ns: int, taken_ns: int) -> None:
        """A frame is taken up."""
        strip = read(frame.rgb)
        if strip is not None:
            self._last[camera] = shows_anomaly(strip)
        self._high[camera, frame.arrived_ns] = self._last.get(camera, False)
        times = {"arrived": frame.arrived_ns, "written": written_ns, "taken": taken_ns}
        self._note(what="frame", camera=camera, strip=strip, **times)

    def scored(self, one: ScoredSnippet) -> ScoredSnippet:
        """A score is known; gives that which the time in the picture asks for."""
        self._note(what="score", camera=one.camera, arrived=one.arrived_ns, final=one.final, at=time.monotonic_ns())
        key = one.camera, one.arrived_ns
        high = self._high.pop(key, None) if one.final else self._high.get(key)
        return one._replace(score=HIGH if (self._last.get(one.camera, False) if high is None else high) else LOW)

    def kept(self, message: EventMessage) -> None:
        """An event is on the disk."""
        after = message.after
        first = message.before is None or message.before.state != after.state
        if first and message.kind != "end":
            which = {"camera": after.camera, "event": after.id, "state": after.state, "arrived": after.decided_ns}
            self._note(what="event", **which, at=time.monotonic_ns())

    def _note(self, **row: Any) -> None:
        with self._lock:
            self._file.write(json.dumps(row) + "\n")


class _Noted:
    """A slot of frames, as `Noting` has it."""

    def __init__(self, noting: Noting, camera: str, frames: FrameSlot):
        self._noting, self._camera, self._frames = noting, camera, frames

    def read(self, after: int = 0) -> SlotFrame | None:
        """As `FrameSlot.read`, without the strip."""
        frame = self._frames.read(after)
        if frame is not None:
            self._noting.took(self._camera, frame, self._frames.written_ns(frame.number), time.monotonic_ns())
            erase(frame.rgb)
        return frame


def main() -> None:
    """The process. What it says of events goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    score.main(Noting)
