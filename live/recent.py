"""What is drawn over a camera's live picture: its scores of the last minute and what the detector saw in the newest frame."""

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from aadc.live.scored import ScoredSnippet
from aadc.live.seen_boxes import Box
from aadc.live.settings import InForce

MOST_SCORES = 150


class Recent:
    """Of one camera. A snippet's final score takes the place of its provisional one."""

    def __init__(self, in_force: InForce):
        self.in_force = in_force
        self._scores: deque[tuple[tuple[int, int], list]] = deque(maxlen=MOST_SCORES)
        self._boxes: Sequence[Box] = ()
        self._shape: tuple[int, int] | None = None

    def took(self, scored: ScoredSnippet) -> None:
        """One more score."""
        key, value = (scored.epoch, scored.snippet), [scored.utc_ns // 10**6, round(scored.score, 3), scored.final]
        for place in range(len(self._scores) - 1, max(-1, len(self._scores) - 20), -1):
            if self._scores[place][0] == key:
                self._scores[place] = key, value
                return
        self._scores.append((key, value))

    def saw(self, boxes: Sequence[Box], shape: tuple[int, int]) -> None:
        """What the detector saw in a picture of this shape (H, W)."""
        self._boxes, self._shape = boxes, shape

    def plain(self) -> dict:
        """As `CameraSource.recent` has it."""
        return {
            "scores": [value for _, value in self._scores],
            "boxes": [[*map(float, box[:4]), box.name, box.confidence] for box in self._boxes],
            "shape": self._shape,
            "open_at": self.in_force.rules.open_at,
            "close_at": self.in_force.rules.close_at,
        }


def boxes_of(rows: Mapping[str, np.ndarray], names: Mapping[str, str], most: int = 20) -> list[Box]:
    """What was detected in one frame, the surest first.

    Args:
        rows: of `FrameEmbedder`, of one frame: `count` (1,), `box` (1, N, 4) cx cy w h relative, `score`, `class` (1, N).
        names: the detector's classes by id (as text).
    """
    found = []
    for place in range(min(int(rows["count"][0]), most)):
        x, y, width, height = (float(value) for value in rows["box"][0, place])
        sides = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        x0, y0, x1, y1 = (round(min(max(side, 0.0), 1.0), 4) for side in sides)
        name = names.get(str(int(rows["class"][0, place])), "object")[:100]
        found.append(Box(x0, y0, x1, y1, name, round(float(rows["score"][0, place]), 3)))
    return found
