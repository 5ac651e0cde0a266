"""Parts of a picture that nobody may see: painted before anything is scored, stored or shown."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw


class Blackouts:
    """Paints polygons black; corners (x, y) are shares of width and height, so they stay right at any resolution."""

    def __init__(self, polygons: Sequence[Sequence[tuple[float, float]]]):
        self._polygons = polygons
        self._masks: dict[tuple[int, int], np.ndarray] = {}

    def paint(self, rgb: np.ndarray) -> np.ndarray:
        """The picture, uint8 (H, W, 3), without what lies in the polygons or within two pixels of them: scaling has mixed those
        with what is inside. Painted in place where it can be written to."""
        if not self._polygons:
            return rgb
        if not (rgb.flags.writeable and rgb.flags.owndata):
            rgb = rgb.copy()
        rgb[self._mask(rgb.shape[1], rgb.shape[0])] = 0
        return rgb

    def _mask(self, width: int, height: int) -> np.ndarray:
        if (width, height) not in self._masks:
            picture = Image.new("1", (width, height))
            for polygon in self._polygons:
                corners = [(x * width, y * height) for x, y in polygon]
                pen = ImageDraw.Draw(picture)
                pen.polygon(corners, fill=1)
                pen.line([*corners, *corners[:2]], fill=1, width=5)
                for x, y in corners:  # lines end at their corners, and one without length is none
                    pen.rectangle([x - 2, y - 2, x + 2, y + 2], fill=1)
            self._masks = dict(list(self._masks.items())[-3:]) | {(width, height): np.array(picture)}
        return self._masks[width, height]
