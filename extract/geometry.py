"""How a decoded picture becomes one that a person would see: square pixels, upright, one size for the whole video."""

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import VideoReformatter

MOST_UNEVEN = 5  # no camera's pixels are longer than this; a stream that says so is damaged
_SAME_SHAPE = 0.02


@dataclass(frozen=True)
class Geometry:
    """Size of all pictures of a video in px as shown, and the turn (degrees, counter-clockwise, of 90) that makes them upright.

    The first picture decides. Pixels that are not square are drawn out in the direction in which they are longer, so that
    nothing is lost. A picture of another size later on (a recorder that was switched) is scaled to that of the first; where its
    shape is another, black bars keep it right.
    """

    width: int
    height: int
    rotation: int

    @classmethod
    def of(cls, picture: av.VideoFrame, stream: av.VideoStream) -> "Geometry":
        """The geometry that a video's first picture asks for."""
        width, height = _square(picture, stream.sample_aspect_ratio)
        rotation = round(int(picture.rotation) / 90) % 4 * 90
        return cls(*(height, width) if rotation in (90, 270) else (width, height), rotation)

    def rgb(self, picture: av.VideoFrame, stream: av.VideoStream, reformatter: VideoReformatter | None = None) -> np.ndarray:
        """The picture as shown: RGB, uint8 (height, width, 3). `reformatter`: one that is used again and again, for streams of
        days; without one, each picture brings its own."""
        width, height = (self.height, self.width) if self.rotation in (90, 270) else (self.width, self.height)
        own_width, own_height = _square(picture, stream.sample_aspect_ratio)
        scale = min(width / own_width, height / own_height)
        inner_width, inner_height = max(1, round(own_width * scale)), max(1, round(own_height * scale))
        if inner_width > width * (1 - _SAME_SHAPE) and inner_height > height * (1 - _SAME_SHAPE):
            shown = _rgb(picture, width, height, reformatter)
        else:
            shown = np.zeros((height, width, 3), np.uint8)
            left, top = (width - inner_width) // 2, (height - inner_height) // 2
            shown[top : top + inner_height, left : left + inner_width] = _rgb(picture, inner_width, inner_height, reformatter)
        return np.rot90(shown, self.rotation // 90)


def _rgb(picture: av.VideoFrame, width: int, height: int, reformatter: VideoReformatter | None) -> np.ndarray:
    if reformatter is not None:
        picture = reformatter.reformat(picture, width, height, "rgb24")
    return picture.to_ndarray(format="rgb24", width=width, height=height)


def _square(picture: av.VideoFrame, pixel: Fraction | None) -> tuple[int, int]:
    """Width and height with square pixels, neither smaller than stored."""
    if not pixel or not 1 / MOST_UNEVEN <= pixel <= MOST_UNEVEN:
        return picture.width, picture.height
    return round(picture.width * max(pixel, Fraction(1))), round(picture.height / min(pixel, Fraction(1)))
