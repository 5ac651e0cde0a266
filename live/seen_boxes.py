"""What the detector saw in the newest frames of one camera, held in few bytes, and only for as long as somebody may ask."""

from array import array
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

MOST = 4000  # frames
_STEPS = 10_000  # places and confidence have four decimals


class Box(NamedTuple):
    """Something the detector saw: corners as parts of width and height, class, and how sure."""

    x0: float
    y0: float
    x1: float
    y1: float
    name: str
    confidence: float


class SeenBoxes:
    """Boxes by the second of the stream, 12 bytes each: objects would take 20 times as much. One thread adds, any asks."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, bytes]] = deque(maxlen=MOST)
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}

    def add(self, second: float, boxes: Sequence[Box]) -> None:
        """What was seen in the frame at `second`."""
        packed = array("H")
        for box in boxes:
            if (number := self._numbers.get(box.name)) is None:
                number = self._numbers[box.name] = len(self._names)
                self._names.append(box.name)
            packed.extend(round(min(max(part, 0.0), 1.0) * _STEPS) for part in (*box[:4], box.confidence))
            packed.append(number)
        self._frames.append((second, packed.tobytes()))

    def between(self, start_s: float, end_s: float) -> list[tuple[float, tuple[Box, ...]]]:
        """What was seen in frames from `start_s` to `end_s`, to four decimals."""
        return [(second, self._boxes(packed)) for second, packed in list(self._frames) if start_s <= second <= end_s]

    def forget(self, before_s: float) -> None:
        """Nobody asks for what was seen before."""
        while self._frames and self._frames[0][0] < before_s:
            self._frames.popleft()

    def _boxes(self, packed: bytes) -> tuple[Box, ...]:
        numbers = array("H", packed)
        return tuple(
            Box(x0 / _STEPS, y0 / _STEPS, x1 / _STEPS, y1 / _STEPS, self._names[name], confidence / _STEPS)
            for x0, y0, x1, y1, confidence, name in zip(*(numbers[part::6] for part in range(6)), strict=True)
        )
