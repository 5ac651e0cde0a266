"""Whether a camera shows what it should: a picture that stands still, shows nothing, or changes as a whole is news about the
camera, not about what it watches."""

from typing import Literal, NamedTuple

import numpy as np

FROZEN_S = 20.0  # not one level of one cell changes for so long: no sensor is that quiet
COVERED_S = 3.0
SETTLES_S = 2.0  # exposure and white balance after lights, infrared, a push
FLAT = 2.5  # levels of 256: standard deviation of the cells of a picture that shows nothing
LEAP, LEAP_SHARE = 20.0, 0.75  # levels, and share of the cells that change by more
_ROWS, _COLUMNS = 12, 16

Kind = Literal["frozen", "covered", "jump"]


class HealthNews(NamedTuple):
    """At `second` of the stream it began (or ended). A jump only begins."""

    kind: Kind
    second: float
    began: bool


class PictureHealth:
    """Looks at pictures of one camera, some a second."""

    def __init__(self) -> None:
        self.wrong: dict[Kind, float] = {}  # what is wrong now, since which second
        self._cells: np.ndarray | None = None
        self._still_since = self._flat_since = self._jumped = -np.inf

    def look(self, rgb: np.ndarray, second: float) -> list[HealthNews]:
        """What a picture, uint8 (H, W, 3), at a second of the stream brings that is new."""
        cells = _averages(rgb)
        news: list[HealthNews] = []
        if self._cells is None or self._cells.shape != cells.shape:
            self._still_since = self._flat_since = second
        else:
            change = np.abs(cells - self._cells)
            if change.max() > 0.01:
                self._still_since = second
            if (change > LEAP).mean() >= LEAP_SHARE:
                if second - self._jumped > SETTLES_S:
                    news.append(HealthNews("jump", second, True))
                self._jumped = second  # flicker goes on, and is one jump
        if cells.std() > FLAT:
            self._flat_since = second
        self._cells = cells
        news += self._turn("frozen", second - self._still_since >= FROZEN_S, second)
        news += self._turn("covered", second - self._flat_since >= COVERED_S, second)
        return news

    def fit(self, second: float) -> bool:
        """Whether what is seen at that second may be scored."""
        return not self.wrong and second - self._jumped >= SETTLES_S

    def _turn(self, kind: Kind, wrong: bool, second: float) -> list[HealthNews]:
        if wrong == (kind in self.wrong):
            return []
        if wrong:
            self.wrong[kind] = second
        else:
            del self.wrong[kind]
        return [HealthNews(kind, second, wrong)]


def _averages(rgb: np.ndarray) -> np.ndarray:
    """Brightness of the picture's cells, float32 (12, 16); fewer in tiny ones."""
    rows, columns = min(_ROWS, rgb.shape[0]), min(_COLUMNS, rgb.shape[1])
    height, width = rgb.shape[0] // rows, rgb.shape[1] // columns
    cut = rgb[: rows * height, : columns * width, 1]  # green carries most of the brightness
    return cut.reshape(rows, height, columns, width).mean((1, 3), dtype=np.float32)
