"""Scores of one camera: its snippets in order, gaps bridged or not, each with its times."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from aadc.head.checkpoint import LoadedHead
from aadc.head.stream import MOST_CARRIED, StreamedScore, StreamScorer
from aadc.live.frame_slot import SlotFrame
from aadc.live.scored import ScoredSnippet
from aadc.live.timeline import Clock
from aadc.manifests.errors import UserError


class _Times(NamedTuple):
    second: float
    utc_ns: int
    arrived_ns: int
    clock: Clock | None


class CameraScores:
    """Turns features of a camera's frames into scored snippets.

    Args:
        window, ahead: see `StreamScorer`.
    Raises:
        UserError: a window that cannot be.
    """

    def __init__(self, camera: str, head: LoadedHead, window: int | None, ahead: int):
        self.camera = camera
        self.scored = self.carried = self.dropped = self.unusable = 0
        self.last: SlotFrame | None = None  # without its picture
        self._scorer = StreamScorer(head, window, ahead)
        self._times: dict[int, _Times] = {}  # of snippets without a final score

    def took(self, frame: SlotFrame, detr_1D: Tensor, vis_1C: Tensor) -> list[ScoredSnippet]:
        """A frame of the camera, newer than the last one, and its features (one row each): the scores that it makes known."""
        found = self._bridge(frame)
        index = self._scorer.count
        self._times[index] = _Times(frame.second, frame.utc_ns, frame.arrived_ns, frame.clock)
        try:
            streamed = self._scorer.push(detr_1D, vis_1C)
            self.scored += 1
        except UserError:  # no finite numbers
            self.unusable += 1
            streamed = self._scorer.missing(1)
        self.last = frame._replace(rgb=np.empty((0, 0, 3), np.uint8))
        return found + self._told(streamed)

    def end(self) -> list[ScoredSnippet]:
        """Nothing more comes for now: the final scores that are due. What comes later is a new epoch."""
        self.last = None
        found = self._told(self._scorer.flush())
        self._times.clear()
        return found

    @property
    def is_open(self) -> bool:
        """Whether final scores are still due."""
        return bool(self._times)

    def _bridge(self, frame: SlotFrame) -> list[ScoredSnippet]:
        """Account for what lies between the last frame and this one."""
        last = self.last
        if last is None:
            return []
        self.dropped += max(0, frame.number - last.number - 1)
        gap = frame.snippet - last.snippet - 1
        if frame.epoch != last.epoch or not 0 <= gap <= MOST_CARRIED:
            return self.end()
        self.carried += gap
        for nth in range(1, gap + 1):
            share = nth / (gap + 1)
            self._times[self._scorer.count + nth - 1] = _Times(
                last.second + share * (frame.second - last.second),
                last.utc_ns + int(share * (frame.utc_ns - last.utc_ns)),
                last.arrived_ns + int(share * (frame.arrived_ns - last.arrived_ns)),
                frame.clock,
            )
        return self._told(self._scorer.missing(gap))

    def _told(self, streamed: list[StreamedScore]) -> list[ScoredSnippet]:
        found = []
        for one in streamed:
            times = self._times.pop(one.index) if one.final else self._times[one.index]
            found.append(
                ScoredSnippet(
                    self.camera, one.epoch, one.index, *times[:3], one.anomaly, one.classes, one.final, one.carried, times.clock
                )
            )
        return found
