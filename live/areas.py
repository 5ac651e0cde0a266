"""Areas of a camera's picture, as people write them: corners in shares of its width and height."""

from collections import Counter
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from aadc.manifests.records import Record

MOST_POLYGONS, MOST_CORNERS = 100, 1000

Share = Annotated[float, Field(ge=0, le=1)]
Polygon = Annotated[list[tuple[Share, Share]], Field(min_length=3, max_length=MOST_CORNERS)]


def _an_area(corners: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Corners in an order in which they go around something. Others are filled in part, and show what was to be hidden."""
    a_N2 = np.array(corners)
    b_N2 = np.roll(a_N2, -1, axis=0)

    def side(from_: np.ndarray, to: np.ndarray, of: np.ndarray) -> np.ndarray:
        """On which side of each line (N, ...) each point (..., M) is: above 0, below 0, on it."""
        (x, y), (u, v) = (to - from_).T[:, :, None], (of[None] - from_[:, None]).transpose(2, 0, 1)
        return np.sign(x * v - y * u)

    apart = side(a_N2, b_N2, a_N2) * side(a_N2, b_N2, b_N2) < 0  # ends of line j lie on both sides of line i
    if (apart & apart.T).any():
        raise ValueError("its lines cross: name the corners in order, around the area")
    if abs(a_N2[:, 0] @ b_N2[:, 1] - b_N2[:, 0] @ a_N2[:, 1]) < 1e-9:
        raise ValueError("has no area, so it would hide nothing")
    return corners


Blackout = Annotated[Polygon, AfterValidator(_an_area)]


class Zone(Record, extra="forbid"):
    """A named part of the picture; corners (x, y) as shares of width and height, from the top left."""

    name: str = Field(min_length=1, max_length=100)
    polygon: Polygon


def _told_apart(zones: list[Zone]) -> list[Zone]:
    twice = [name for name, times in Counter(zone.name for zone in zones).items() if times > 1]
    if twice:
        raise ValueError(f"two zones are called {', '.join(twice)}")
    return zones


Zones = Annotated[list[Zone], Field(max_length=MOST_POLYGONS), AfterValidator(_told_apart)]
