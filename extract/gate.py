"""Stillness: a frame that hardly differs from the last one computed takes over its features (`--gate`)."""

import numpy as np

_CELLS = 40  # along the picture's long side; a cell averages its pixels, which takes the camera's noise out
_TILE = 3  # cells a tile is wide and high: large enough to be calm, small enough for a small person to fill


class Gate:
    """Tells which frames of a video have to be computed.

    Every frame is compared with the last one *computed*, so that slow change adds up instead of slipping through. Both are
    averaged over cells; the change of the whole picture's brightness and tint is taken out; the measure is the largest mean
    absolute difference of any tile, in levels of 0 to 255, so that one small moving person counts as much as a full picture
    of change.

    Args:
        level: levels of difference from which a frame is computed. What is carried over differs from its source by less
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
    """A frame (H, W, 3) as averages of its cells, float32 (h, w, 3)."""
    side = max(1, max(frame.shape[:2]) // _CELLS)
    rows, columns = (min(side, size) for size in frame.shape[:2])
    height, width = frame.shape[0] // rows, frame.shape[1] // columns
    cut = frame[: height * rows, : width * columns]
    return cut.reshape(height, rows, width, columns, 3).mean((1, 3), dtype=np.float32)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Largest mean absolute difference of any tile of two cell pictures (h, w, 3), the common change aside."""
    change = one - other
    change = np.abs(change - np.median(change, axis=(0, 1))).mean(2)
    starts = [range(0, max(1, size - _TILE // 2), _TILE) for size in change.shape]
    return max(float(change[y : y + _TILE, x : x + _TILE].mean()) for y in starts[0] for x in starts[1])
