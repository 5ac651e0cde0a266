"""What the made-up camera shows: its time, and something that moves for four of every eight seconds.

That is the anomaly; which pictures show it is known from their time alone.
"""

import numpy as np

from aadc.live.strip_clock import burn

PERIOD_MS = 8192  # divides the clock's range, so it goes on evenly where the clock begins anew


def shows_anomaly(ms: int) -> bool:
    """Whether something moves in the picture that was drawn at this time of the strip."""
    return ms % PERIOD_MS >= PERIOD_MS // 2


def onset_ms(ms: int) -> int:
    """When the anomaly began that the picture of this time shows."""
    return ms - ms % PERIOD_MS + PERIOD_MS // 2


class Scene:
    """Still ground, and a square that goes to and fro while there is an anomaly."""

    def __init__(self, width: int, height: int):
        ground = np.random.default_rng(0).integers(60, 120, (height // 8 + 1, width // 8 + 1, 1), dtype=np.uint8)
        self._ground = ground.repeat(8, 0).repeat(8, 1)[:height, :width].repeat(3, 2)

    def draw(self, ms: int, strip: bool = True) -> np.ndarray:
        """The picture of this time, uint8 (H, W, 3)."""
        rgb = self._ground.copy()
        height, width = rgb.shape[:2]
        if shows_anomaly(ms):
            left = int((width - width // 6) * abs(1 - ms % 2048 / 1024))
            rgb[height // 2 : height // 2 + height // 4, left : left + width // 6] = (210, 60, 60)
        if strip:
            burn(rgb, ms)
        return rgb
