"""Backgrounds: a gym, a street, a corridor, each with its own colours, texture, furniture and light."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

from aadc.manifests.scenes.figure import shade

Option = TypeVar("Option")

WIDTH, HEIGHT, ZOOM = 320, 240, 2  # px of the video; everything is drawn ZOOM times larger and reduced (antialiasing)
PILLAR = 11  # px: half the width of a pillar that stands in the way
_W, _H = WIDTH * ZOOM, HEIGHT * ZOOM
_WALLS = {
    "gym": ((196, 198, 204), (170, 182, 190), (206, 196, 176), (150, 160, 172), (188, 176, 170)),
    "street": ((150, 110, 92), (172, 160, 142), (128, 128, 132), (180, 172, 160), (112, 118, 128)),
    "corridor": ((214, 216, 208), (190, 204, 206), (206, 200, 186), (176, 190, 176), (198, 190, 204)),
}
_FLOORS = {
    "gym": ((96, 100, 108), (120, 110, 98), (84, 92, 96), (140, 132, 120), (70, 78, 90)),
    "street": ((120, 120, 118), (134, 130, 122), (102, 104, 108), (146, 142, 138), (112, 108, 104)),
    "corridor": ((160, 156, 146), (140, 146, 150), (172, 164, 150), (128, 132, 126), (150, 138, 130)),
}
ROOMS = tuple(_WALLS)


@dataclass(frozen=True)
class Room:
    """`background`: RGB image ZOOM times the video's size; `horizon`: px of the video where the floor begins."""

    name: str
    background: Image.Image
    horizon: int


def build_room(name: str, rng: np.random.Generator) -> Room:
    """A room of the kind `name`, all its details from `rng`."""
    horizon = int(rng.integers(92, 122))
    image = Image.new("RGB", (_W, _H), _varied(_pick(_WALLS[name], rng), rng))
    draw = ImageDraw.Draw(image)
    level = horizon * ZOOM
    {"gym": _gym_wall, "street": _facade, "corridor": _corridor_wall}[name](draw, level, rng)
    _floor(draw, level, _varied(_pick(_FLOORS[name], rng), rng), rng)
    _clutter(draw, name, level, rng)
    return Room(name, _lit(image, rng), horizon)


def draw_occluder(draw: ImageDraw.ImageDraw, x: float, colour: tuple[int, int, int], leafy: bool) -> None:
    """Something near the camera that hides a strip of the picture: a pillar, or a plant from below."""
    x *= ZOOM
    if not leafy:
        draw.rectangle([x - PILLAR * ZOOM, 0, x + PILLAR * ZOOM, _H], fill=colour)
        draw.rectangle([x - PILLAR * ZOOM, 0, x - 7 * ZOOM, _H], fill=shade(colour, 1.2))
        return
    for step in range(9):
        tip = (x + (step - 4) * 9 * ZOOM, _H - (78 - 5 * abs(step - 4)) * ZOOM)
        draw.line([(x, _H), tip], fill=shade((40, 96, 44), 0.8 + 0.06 * step), width=5 * ZOOM)


def _pick(options: Sequence[Option], rng: np.random.Generator) -> Option:
    return options[int(rng.integers(len(options)))]


def _varied(colour: tuple[int, int, int], rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(np.clip(channel + rng.normal(0, 12), 20, 240)) for channel in colour)
    return red, green, blue


def _gym_wall(draw: ImageDraw.ImageDraw, level: int, rng: np.random.Generator) -> None:
    """Mirrors or windows in a row, a stripe along the wall."""
    stripe = _varied(_pick(((180, 60, 50), (50, 90, 160), (60, 130, 90), (200, 150, 50)), rng), rng)
    draw.rectangle([0, level - 40, _W, level - 24], fill=stripe)
    wide, gap = int(rng.integers(80, 150)), int(rng.integers(14, 60))
    glass = _varied(_pick(((170, 190, 200), (120, 140, 160), (200, 210, 214)), rng), rng)
    for x in range(int(rng.integers(0, 60)), _W, wide + gap):
        draw.rectangle([x, 20, x + wide, level - 56], fill=glass, outline=shade(glass, 0.6), width=4)
        draw.line([x + 12, level - 70, x + 40, 30], fill=shade(glass, 1.15), width=5)


def _facade(draw: ImageDraw.ImageDraw, level: int, rng: np.random.Generator) -> None:
    """Bricks or plaster, windows, a door."""
    brick = _varied((120, 90, 78), rng)
    if rng.random() < 0.6:
        for row, y in enumerate(range(0, level, 18)):
            draw.line([0, y, _W, y], fill=brick, width=2)
            for x in range((row % 2) * 20, _W, 40):
                draw.line([x, y, x, y + 18], fill=brick, width=2)
    glass = _varied((86, 104, 124), rng)
    for x in range(int(rng.integers(10, 80)), _W, int(rng.integers(110, 180))):
        draw.rectangle([x, 34, x + 64, level - 70], fill=glass, outline=(210, 206, 198), width=5)
        draw.line([x + 32, 34, x + 32, level - 70], fill=(210, 206, 198), width=4)
    door = int(rng.integers(40, _W - 120))
    draw.rectangle([door, level - 130, door + 72, level], fill=_varied((90, 66, 50), rng), outline=(60, 48, 40), width=4)


def _corridor_wall(draw: ImageDraw.ImageDraw, level: int, rng: np.random.Generator) -> None:
    """Doors, a handrail, a notice board."""
    rail = _varied((140, 120, 100), rng)
    for x in range(int(rng.integers(0, 90)), _W, int(rng.integers(170, 260))):
        draw.rectangle([x, level - 150, x + 84, level], fill=_varied((150, 126, 100), rng), outline=(96, 86, 74), width=4)
        draw.ellipse([x + 66, level - 76, x + 76, level - 66], fill=(210, 200, 120))
    draw.rectangle([0, level - 62, _W, level - 54], fill=rail)
    board = int(rng.integers(60, _W - 180))
    draw.rectangle([board, 40, board + 110, 106], fill=_varied((186, 150, 96), rng), outline=(110, 90, 60), width=4)
    for _ in range(5):
        x, y = board + int(rng.integers(6, 84)), int(rng.integers(46, 84))
        draw.rectangle([x, y, x + 18, y + 18], fill=_varied((226, 224, 210), rng))


def _floor(draw: ImageDraw.ImageDraw, level: int, colour: tuple[int, int, int], rng: np.random.Generator) -> None:
    """Boards or tiles running towards the camera."""
    draw.rectangle([0, level, _W, _H], fill=colour)
    draw.line([0, level, _W, level], fill=shade(colour, 0.6), width=5)
    line = shade(colour, float(rng.choice([0.88, 1.1])))
    vanishing = _W / 2 + float(rng.normal(0, 60))
    for x in np.arange(-_W, 2 * _W, float(rng.integers(70, 160))):
        draw.line([vanishing + 0.25 * (x - vanishing), level, x, _H], fill=line, width=2)
    if rng.random() < 0.6:
        for depth in np.geomspace(8, _H - level, 7):
            draw.line([0, level + depth, _W, level + depth], fill=line, width=2)


def _clutter(draw: ImageDraw.ImageDraw, name: str, level: int, rng: np.random.Generator) -> None:
    """Things along the wall: boxes, plants, bins, a parked car, balls."""
    for _ in range(int(rng.integers(1, 5))):
        x, size = float(rng.uniform(0, _W)), float(rng.uniform(18, 44))
        colour = _varied(_pick(((150, 70, 60), (70, 100, 150), (90, 130, 80), (190, 160, 80), (100, 90, 110)), rng), rng)
        foot = level + float(rng.uniform(2, 26))
        shape = rng.random()
        if shape < 0.35:
            draw.rectangle([x - size, foot - size, x + size, foot], fill=colour, outline=shade(colour, 0.6), width=3)
        elif shape < 0.6:
            draw.ellipse([x - 0.7 * size, foot - 1.4 * size, x + 0.7 * size, foot], fill=colour)
        else:
            draw.rectangle([x - 14, foot - 26, x + 14, foot], fill=(150, 96, 66))
            draw.ellipse([x - size * 0.8, foot - 26 - 1.7 * size, x + size * 0.8, foot - 20], fill=_varied((56, 104, 58), rng))
    if name == "street" and rng.random() < 0.5:
        x, colour = float(rng.uniform(60, _W - 240)), _varied((140, 60, 60) if rng.random() < 0.5 else (90, 104, 130), rng)
        draw.rounded_rectangle([x, level - 36, x + 190, level + 10], 14, fill=colour)
        roof = [(x + 36, level - 36), (x + 62, level - 70), (x + 134, level - 70), (x + 160, level - 36)]
        draw.polygon(roof, fill=shade(colour, 0.7))
        for wheel in (x + 40, x + 150):
            draw.ellipse([wheel - 17, level - 8, wheel + 17, level + 26], fill=(30, 30, 32))


def _lit(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Coarse and fine texture over everything, and light that falls off to one side."""
    pixels = np.asarray(image, np.float32)
    for cells, strength in ((12, 7.0), (60, 5.0), (_H // 2, 4.0)):
        grain = Image.fromarray(rng.normal(0, strength, (cells, cells * 4 // 3)).astype(np.float32), "F")
        pixels = pixels + np.asarray(grain.resize((_W, _H), Image.Resampling.BILINEAR))[..., None]
    across, down = np.meshgrid(np.linspace(-1, 1, _W), np.linspace(-1, 1, _H))
    slope = 1 + 0.14 * rng.uniform(-1, 1) * across + 0.10 * rng.uniform(-1, 1) * down - 0.10 * (across**2 + down**2) / 2
    return Image.fromarray(np.clip(pixels * slope[..., None], 0, 255).astype(np.uint8))
