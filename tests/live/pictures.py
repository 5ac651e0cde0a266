"""Pictures that tell which they are: a number as sixteen cells of black and white, over a moving background."""

import numpy as np

from aadc.live.clip_file import small_jpeg


def jpeg_of(number: int, height: int = 120, width: int = 160) -> bytes:
    picture = np.full((height, width, 3), (40, 90, 140), np.uint8)
    picture[:, number % width // 2 * 2 :][:, :8] = 200
    for bit in range(16):
        left = bit * width // 16
        picture[: height // 4, left : left + width // 16] = 255 * (number >> bit & 1)
    return small_jpeg(picture)


def number_of(picture: np.ndarray) -> int:
    height, width, _ = picture.shape
    cells = [
        picture[height // 16 : height // 6, int((bit + 0.3) * width / 16) : int((bit + 0.7) * width / 16)] for bit in range(16)
    ]
    return sum(int(cell.mean() > 127) << bit for bit, cell in enumerate(cells))
