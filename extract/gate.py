"""Stillness: a frame that hardly differs from the last one computed takes over its features (`--gate`)."""

import numpy as np

_CELL = 4  # px of the small grey image that are averaged into one, against noise
_LONG_SIDE = 160  # px of the small grey image
_TILE = 5  # cells a tile is wide and high: 20 small px, an eighth of the picture's length


class Gate:
    """Tells which frames of a video have to be computed.

    Every frame is compared with the last one *computed*, so that slow change adds up instead of slipping through. Both are
    made grey and small and averaged over cells; the picture's overall brightness change is taken out; the measure is the
    largest mean absolute difference of any tile, in grey levels (0 to 255), so that one small moving person counts as much
    as a full picture of change.

    Args:
        level: grey levels of difference from which a frame is computed. What is carried over differs from its source by less
            than this in every tile: the bound that the option documents.
    """

    def __init__(self, level: float):
        self.level = level
        self._last: np.ndarray | None = None

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """bool (n,): True where a frame of `rgb`, uint8 (n, H, W, 3), has to be computed. The first ever always is."""
        fresh = np.zeros(len(rgb), bool)
        for index, frame in enumerate(rgb):
            small = _cells(frame)
            if self._last is None or difference(small, self._last) >= self.level:
                self._last = small
                fresh[index] = True
        return fresh


def _cells(frame: np.ndarray) -> np.ndarray:
    """A frame (H, W, 3) as averages of grey cells, float32 (h, w)."""
    step = max(1, max(frame.shape[:2]) // _LONG_SIDE) * _CELL
    height, width = (max(1, size // step) for size in frame.shape[:2])
    rows, columns = min(step, frame.shape[0]), min(step, frame.shape[1])
    cut = frame[: height * rows, : width * columns]
    return cut.reshape(height, rows, width, columns * 3).mean((1, 3), dtype=np.float32)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Largest mean absolute difference of any tile of two cell pictures (h, w), brightness change aside, in grey levels."""
    change = one - other
    change = np.abs(change - np.median(change))
    rows = [change[start : start + _TILE] for start in range(0, change.shape[0], _TILE)]
    return max(float(row[:, start : start + _TILE].mean()) for row in rows for start in range(0, change.shape[1], _TILE))
