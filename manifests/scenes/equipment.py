"""What stands in the room or is held in the hands. Everything is drawn around a figure's joints or a place on the floor."""

import numpy as np
from PIL import ImageDraw

from aadc.manifests.scenes.figure import Colour, Placed, capsule, shade

STEEL, RUBBER, PAD = (176, 180, 186), (38, 38, 42), (52, 52, 60)


class Spot:
    """A place on the floor: turns figure-height coordinates (x forwards, y up) into px of the canvas."""

    def __init__(self, x: float, floor_y: float, scale: float, facing: int, zoom: float):
        self.x, self.floor_y, self.scale, self.facing, self.zoom = x, floor_y, scale, facing, zoom

    def __call__(self, along: float, up: float) -> np.ndarray:
        return self.zoom * np.array([self.x + self.facing * self.scale * along, self.floor_y - self.scale * up])

    def thick(self, part: float) -> float:
        return self.zoom * self.scale * part


def draw_treadmill(draw: ImageDraw.ImageDraw, at: Spot, colour: Colour) -> None:
    """Deck, post, console and rail; the runner's floor is `TREADMILL_DECK` above the room's."""
    capsule(draw, at(-0.44, 0.035), at(0.44, 0.05), at.thick(0.036), shade(colour, 0.6))
    draw.line([tuple(at(-0.40, 0.068)), tuple(at(0.38, 0.082))], fill=RUBBER, width=max(2, round(at.thick(0.02))))
    capsule(draw, at(0.40, 0.05), at(0.46, 0.60), at.thick(0.022), STEEL)
    capsule(draw, at(0.45, 0.46), at(0.14, 0.43), at.thick(0.016), STEEL)
    capsule(draw, at(0.37, 0.60), at(0.48, 0.66), at.thick(0.035), colour)
    capsule(draw, at(0.39, 0.63), at(0.44, 0.66), at.thick(0.016), (150, 220, 255))


TREADMILL_DECK = 0.075


def draw_bench(draw: ImageDraw.ImageDraw, at: Spot, colour: Colour) -> None:
    """Pad on two legs, a rack post at the head end (behind the figure's back, since it lies with its head at -x)."""
    for along in (-0.34, 0.02):
        capsule(draw, at(along, 0.0), at(along, 0.22), at.thick(0.018), STEEL)
    capsule(draw, at(-0.42, 0.225), at(0.06, 0.225), at.thick(0.032), colour)
    capsule(draw, at(-0.50, 0.0), at(-0.50, 0.62), at.thick(0.018), STEEL)
    capsule(draw, at(-0.50, 0.60), at(-0.44, 0.63), at.thick(0.016), STEEL)


def draw_bike(draw: ImageDraw.ImageDraw, at: Spot, colour: Colour) -> None:
    """An exercise bike: feet, frame, flywheel, saddle, handlebar."""
    capsule(draw, at(-0.28, 0.02), at(0.42, 0.02), at.thick(0.020), shade(colour, 0.6))
    capsule(draw, at(-0.14, 0.02), at(-0.02, 0.47), at.thick(0.022), colour)
    capsule(draw, at(0.34, 0.02), at(0.36, 0.62), at.thick(0.022), colour)
    capsule(draw, at(0.02, 0.22), at(0.34, 0.40), at.thick(0.022), colour)
    centre, radius = at(0.30, 0.19), at.thick(0.155)
    draw.ellipse([*(centre - radius), *(centre + radius)], fill=shade(colour, 0.45))
    draw.ellipse([*(centre - 0.6 * radius), *(centre + 0.6 * radius)], fill=STEEL)
    capsule(draw, at(-0.09, 0.49), at(0.06, 0.50), at.thick(0.03), RUBBER)
    capsule(draw, at(0.36, 0.62), at(0.28, 0.68), at.thick(0.018), RUBBER)


STATIONS = {"treadmill": draw_treadmill, "bench": draw_bench, "bike": draw_bike}


def draw_barbell(draw: ImageDraw.ImageDraw, figure: Placed, zoom: float, colour: Colour) -> None:
    """Across the shoulders of a figure seen from the front, plates at both ends. Drawn before the figure."""
    middle, unit = zoom * figure.at["neck"], zoom * figure.scale
    capsule(draw, middle - (0.50 * unit, 0), middle + (0.50 * unit, 0), 0.014 * unit, STEEL)
    for side in (-1, 1):
        for along, high in ((0.40, 0.15), (0.45, 0.11)):
            x, y = middle + (side * along * unit, 0)
            draw.rounded_rectangle(
                [x - 0.024 * unit, y - high * unit, x + 0.024 * unit, y + high * unit], 0.02 * unit, fill=colour
            )


def draw_plate(draw: ImageDraw.ImageDraw, figure: Placed, zoom: float, colour: Colour) -> None:
    """A barbell seen from its end, in the hands."""
    unit = zoom * figure.scale
    centre = zoom * (figure.at["near_hand"] + figure.at["far_hand"]) / 2 - (0, 0.02 * unit)
    for radius, fill in ((0.135, shade(colour, 0.7)), (0.112, colour), (0.03, STEEL)):
        draw.ellipse([*(centre - radius * unit), *(centre + radius * unit)], fill=fill)


def draw_dumbbells(draw: ImageDraw.ImageDraw, figure: Placed, zoom: float, colour: Colour) -> None:
    """One in each hand, lying across."""
    unit = zoom * figure.scale
    for side in ("near", "far"):
        hand = zoom * figure.at[f"{side}_hand"]
        capsule(draw, hand - (0.08 * unit, 0), hand + (0.08 * unit, 0), 0.014 * unit, STEEL)
        for x in (-0.075, 0.075):
            capsule(draw, hand + (x * unit, -0.022 * unit), hand + (x * unit, 0.022 * unit), 0.036 * unit, colour)


def draw_phone(draw: ImageDraw.ImageDraw, figure: Placed, zoom: float, colour: Colour) -> None:
    """A phone between the near hand and the ear."""
    unit = zoom * figure.scale
    hand = zoom * figure.at["near_hand"] + (0.012 * unit * figure.facing, -0.02 * unit)
    lean = np.array([0.022 * figure.facing, -0.075]) * unit
    capsule(draw, hand - lean, hand + lean, 0.036 * unit, (20, 20, 24))
    capsule(draw, hand - 0.7 * lean, hand + 0.7 * lean, 0.020 * unit, (190, 235, 255))


def draw_bottle(draw: ImageDraw.ImageDraw, figure: Placed, zoom: float, colour: Colour) -> None:
    """A bottle from beyond the near hand towards the mouth."""
    unit = zoom * figure.scale
    hand, head = zoom * figure.at["near_hand"], zoom * figure.at["head"]
    mouth = head + (0.075 * unit * figure.facing, 0.012 * unit)
    towards = (mouth - hand) / (np.linalg.norm(mouth - hand) + 1e-9)
    up = np.array([0.55 * figure.facing, -0.83])
    tail = hand + 0.10 * unit * (0.45 * up - 0.75 * towards)
    capsule(draw, tail, hand + 0.02 * unit * towards, 0.044 * unit, colour)
    capsule(draw, hand, mouth, 0.020 * unit, shade(colour, 1.25))


def bag_box(x: float, bottom_y: float, scale: float) -> np.ndarray:
    """Extent of a bag x0 y0 x1 y1 in px: its bottom at `bottom_y`, around `x`."""
    return np.array([x - 0.17 * scale, bottom_y - 0.30 * scale, x + 0.17 * scale, bottom_y])


def draw_bag(draw: ImageDraw.ImageDraw, box: np.ndarray, zoom: float, colour: Colour) -> None:
    """A travel bag with a handle that fills its box."""
    x0, y0, x1, y1 = box * zoom
    wide, high = x1 - x0, y1 - y0
    handle = [x0 + 0.25 * wide, y0, x1 - 0.25 * wide, y0 + 0.7 * high]
    draw.arc(handle, 180, 360, fill=shade(colour, 0.5), width=max(2, round(0.07 * wide)))
    draw.rounded_rectangle([x0, y0 + 0.3 * high, x1, y1], 0.12 * wide, fill=colour)
    draw.rectangle([x0 + 0.02 * wide, y0 + 0.52 * high, x1 - 0.02 * wide, y0 + 0.60 * high], fill=shade(colour, 0.6))
    pocket = [x0 + 0.3 * wide, y0 + 0.66 * high, x1 - 0.3 * wide, y1 - 0.1 * high]
    draw.rounded_rectangle(pocket, 0.06 * wide, fill=shade(colour, 0.75))


HELD_BEHIND = {"barbell": draw_barbell}
HELD_IN_FRONT = {"plate": draw_plate, "dumbbells": draw_dumbbells, "phone": draw_phone, "bottle": draw_bottle}
