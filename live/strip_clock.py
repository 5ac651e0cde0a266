"""A clock inside the picture: a strip of black and white cells along the top that says which frame this is.

It survives coding at low bit rates, scaling and another frame rate, so what arrives tells by itself when it was taken: true
onset, drops, order and age, with no clock of the system under test involved.
"""

import time
import zlib

import numpy as np

_BITS, _CHECK = 24, 8
_GUARD = (True, False, True, False)  # white and black as they look now, at both ends
CELLS = _BITS + _CHECK + 2 * len(_GUARD)
MOST = 2**_BITS - 1


def now_ms() -> int:
    """The time to burn in: this machine's monotonic clock in milliseconds, which begins anew after 4 hours 39 minutes."""
    return time.monotonic_ns() // 10**6 % (MOST + 1)


def age_ms(burnt_ms: int, seen_ns: int) -> float:
    """How old a picture with this time was at `seen_ns` (monotonic, nanoseconds); milliseconds, negative for one to come."""
    half_ns = (MOST + 1) * 10**6 // 2
    return ((seen_ns - burnt_ms * 10**6 + half_ns) % (2 * half_ns) - half_ns) / 1e6


def burn(rgb: np.ndarray, number: int) -> None:
    """Write a number into a picture, uint8 (H, W, 3), in place. `ValueError` if it has more than 24 bits."""
    if not 0 <= number <= MOST:
        raise ValueError(f"frame number {number} has more than {_BITS} bits")
    cells = np.array([*_GUARD, *_bits(number, _BITS), *_bits(_check(number), _CHECK), *_GUARD])
    width = rgb.shape[1]
    column = np.minimum(np.arange(width) * CELLS // width, CELLS - 1)
    rgb[: _height(width)] = np.where(cells[column], 255, 0)[None, :, None].astype(np.uint8)


def erase(rgb: np.ndarray) -> None:
    """Paint over the strip of a picture, uint8 (H, W, 3), in place, and what coding smeared below it."""
    rgb[: _height(rgb.shape[1]) + 8] = 0


def read(rgb: np.ndarray) -> int | None:
    """The number in a picture, uint8 (H, W, 3); None where there is none that can be trusted,
    or it is less than 80 wide."""
    height, width = rgb.shape[:2]
    if width < 2 * CELLS or height < 2:
        return None
    row = rgb[_height(width) // 4 : max(_height(width) // 4 + 1, _height(width) * 3 // 4)].mean((0, 2))
    middles = ((np.arange(CELLS) + 0.5) * width / CELLS).astype(int)
    around = width // CELLS // 4
    return number_of(np.array([row[at - around : at + around + 1].mean() for at in middles]))


def number_of(level: np.ndarray) -> int | None:
    """The number that the levels (0 to 255) of a strip's cells say, (40,); None where they cannot be trusted."""
    guards = np.r_[level[: len(_GUARD)], level[-len(_GUARD) :]]
    white = np.array(_GUARD * 2)
    if guards[white].min() - guards[~white].max() < 60:
        return None
    bits = level[len(_GUARD) : -len(_GUARD)] > (guards[white].mean() + guards[~white].mean()) / 2
    number = sum(int(bit) << place for place, bit in enumerate(bits[:_BITS]))
    check = sum(int(bit) << place for place, bit in enumerate(bits[_BITS:]))
    return number if check == _check(number) else None


def _height(width: int) -> int:
    return max(2, width // CELLS * 3 // 2)


def _bits(number: int, count: int) -> list[bool]:
    return [bool(number >> place & 1) for place in range(count)]


def _check(number: int) -> int:
    return zlib.crc32(number.to_bytes(4, "little")) & (2**_CHECK - 1)
