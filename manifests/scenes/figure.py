"""An articulated figure: a pose is joint angles; forward kinematics gives joints; capsules between joints are the drawing.

Lengths are in figure heights (standing height = 1), x to the right, y *down*, the floor at y = 0. Angles are in degrees
from straight down, positive towards +x, so that mirroring a figure is changing the sign of x.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from PIL import ImageDraw

TORSO, THIGH, SHIN, UPPER, FORE, NECK = 0.30, 0.235, 0.235, 0.165, 0.155, 0.125
HEAD_RADIUS = 0.078
Colour = tuple[int, int, int]
SUPPORT_RADIUS = 0.035  # of the limbs: a figure rests on their surface, not on the bones


@dataclass(frozen=True)
class Pose:
    """Angles of one moment. `near` and `far` are the two sides of the body (right and left of a figure seen from the front).

    `lean`: spine from upright; `nod`: head relative to the spine; `front`: 0 seen from the side, 1 from the front;
    `pelvis`: height of the pelvis above the floor, None where the lowest joint simply touches the floor.
    """

    lean: float = 0.0
    nod: float = 0.0
    front: float = 0.0
    near_upper: float = 5.0
    near_fore: float = 12.0
    far_upper: float = -5.0
    far_fore: float = 5.0
    near_thigh: float = 3.0
    near_shin: float = 0.0
    far_thigh: float = -3.0
    far_shin: float = -4.0
    pelvis: float | None = None

    def turned(self, degrees: float) -> "Pose":
        """The whole body turned forwards (towards +x) by `degrees`."""
        limbs = {
            field.name: getattr(self, field.name) - degrees
            for field in fields(self)
            if field.name.endswith(("_upper", "_fore", "_thigh", "_shin"))
        }
        return replace(self, lean=self.lean + degrees, **limbs)


def blend(first: Pose, second: Pose, share: float) -> Pose:
    """The pose `share` of the way from `first` to `second`; both rest on the floor (`pelvis` None)."""
    share = float(np.clip(share, 0, 1))
    mixed = {
        field.name: (1 - share) * getattr(first, field.name) + share * getattr(second, field.name)
        for field in fields(Pose)
        if field.name != "pelvis"
    }
    return Pose(**mixed)


@dataclass(frozen=True)
class Look:
    """What a figure looks like. Colours are RGB; `shirt_name` and `trousers_name` are the words for them."""

    shirt: tuple[int, int, int]
    trousers: tuple[int, int, int]
    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    shoes: tuple[int, int, int]
    shirt_name: str
    trousers_name: str
    build: float  # thickness of torso and limbs, 1 is average
    stature: float  # height relative to others at the same place
    long_hair: bool


def _along(angle: float, length: float) -> complex:
    radians = math.radians(angle)
    return complex(length * math.sin(radians), length * math.cos(radians))


def joints(pose: Pose) -> dict[str, complex]:
    """Joint positions x + iy in figure heights, with the pelvis above x = 0 and the floor at y = 0."""
    spine = -_along(-pose.lean, 1.0)
    across = 1j * spine  # to the right of somebody seen from the front
    at = {"pelvis": 0j, "neck": TORSO * spine}
    at["head"] = at["neck"] - _along(-(pose.lean + pose.nod), NECK)
    for side, sign in (("near", 1), ("far", -1)):
        spread = sign * pose.front
        shoulder = at["neck"] + 0.02 * -spine + (0.11 * spread + 0.015 * sign * (1 - pose.front)) * across
        hip = at["pelvis"] + 0.055 * spread * across
        elbow = shoulder + _along(getattr(pose, f"{side}_upper"), UPPER)
        knee = hip + _along(getattr(pose, f"{side}_thigh"), THIGH)
        at |= {
            f"{side}_shoulder": shoulder,
            f"{side}_elbow": elbow,
            f"{side}_hand": elbow + _along(getattr(pose, f"{side}_fore"), FORE),
            f"{side}_hip": hip,
            f"{side}_knee": knee,
            f"{side}_foot": knee + _along(getattr(pose, f"{side}_shin"), SHIN),
        }
    lowest = max(point.imag + (HEAD_RADIUS if name == "head" else SUPPORT_RADIUS) for name, point in at.items())
    drop = -lowest if pose.pelvis is None else -pose.pelvis
    for side in ("near", "far"):
        shin = (at[f"{side}_foot"] - at[f"{side}_knee"]) / SHIN
        ahead = 0.3j if pose.front > 0.5 else shin.imag - 1j * shin.real
        at[f"{side}_toe"] = at[f"{side}_foot"] + 0.055 * ahead
    return {name: point + 1j * drop for name, point in at.items()}


@dataclass(frozen=True)
class Placed:
    """A posed figure in the picture. `at`: joints in px; `scale`: px of a figure height; `facing`: +1 right, -1 left."""

    look: Look
    pose: Pose
    at: dict[str, np.ndarray]
    scale: float
    facing: int

    @cached_property
    def box(self) -> np.ndarray:
        """The body's extent x0 y0 x1 y1 in px, float64: without what it holds, not cut at the picture's edge."""
        points = np.array(list(self.at.values()))
        build = self.look.build
        reach = [1.1 * HEAD_RADIUS if part == "head" else build * _REACH[part.split("_")[-1]] for part in self.at]
        radii = self.scale * np.array(reach)[:, None]
        return np.concatenate([(points - radii).min(0), (points + radii).max(0)])


# How far the drawing reaches beyond each joint, in figure heights.
_REACH = {"pelvis": 0.072, "neck": 0.06, "shoulder": 0.045, "elbow": 0.041, "hand": 0.036, "hip": 0.052, "knee": 0.052,
          "foot": 0.040, "toe": 0.030}  # fmt: skip


def place(pose: Pose, look: Look, x: float, floor_y: float, scale: float, facing: int) -> Placed:
    """Put a posed figure into the picture: its pelvis above `x`, its floor at `floor_y`, `scale` px high (all px)."""
    scale = scale * look.stature
    found = joints(pose)
    points = np.array([(x + facing * scale * point.real, floor_y + scale * point.imag) for point in found.values()])
    return Placed(look, pose, dict(zip(found, points, strict=True)), scale, facing)


def shade(colour: Colour, factor: float) -> Colour:
    """A colour made darker (< 1) or lighter (> 1)."""
    red, green, blue = (int(min(255, channel * factor)) for channel in colour)
    return red, green, blue


def capsule(draw: ImageDraw.ImageDraw, start: Iterable[float], end: Iterable[float], radius: float, colour: Colour) -> None:
    """A thick line with round ends, px of the canvas."""
    ends = [tuple(start), tuple(end)]
    if ends[0] == ends[1]:
        ends.pop()
    else:
        draw.line(ends, fill=colour, width=max(1, round(2 * radius)))
    for x, y in ends:
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def draw_limbs(
    draw: ImageDraw.ImageDraw,
    figure: Placed,
    at: dict[str, list[float]],
    side: str,
    zoom: float,
    arms: bool = True,
    legs: bool = True,
) -> None:
    """One side's arm and leg. `at`: the figure's joints, px of the canvas."""
    look, dark = figure.look, 1.0 if side == "near" or figure.pose.front > 0.5 else 0.72
    thick = zoom * figure.scale * look.build
    if legs:
        hip, knee, foot = (at[f"{side}_{part}"] for part in ("hip", "knee", "foot"))
        trousers = shade(look.trousers, dark)
        capsule(draw, hip, knee, 0.052 * thick, trousers)
        capsule(draw, knee, foot, 0.040 * thick, trousers)
        capsule(draw, foot, at[f"{side}_toe"], 0.030 * thick, shade(look.shoes, dark))
    if arms:
        shoulder, elbow, hand = (at[f"{side}_{part}"] for part in ("shoulder", "elbow", "hand"))
        capsule(draw, shoulder, elbow, 0.041 * thick, shade(look.shirt, 0.88 * dark))
        capsule(draw, elbow, hand, 0.031 * thick, shade(look.skin, dark))
        capsule(draw, hand, hand, 0.036 * thick, shade(look.skin, dark))


def draw_torso(draw: ImageDraw.ImageDraw, figure: Placed, at: dict[str, list[float]], zoom: float) -> None:
    """Trunk, neck and head. `at`: the figure's joints, px of the canvas."""
    look = figure.look
    thick = zoom * figure.scale
    pelvis, neck, head = (np.array(at[name]) for name in ("pelvis", "neck", "head"))
    capsule(draw, pelvis, pelvis, 0.066 * thick * look.build, look.trousers)
    if figure.pose.front > 0.5:
        for side in ("near", "far"):
            capsule(draw, at[f"{side}_shoulder"], at[f"{side}_hip"], 0.045 * thick * look.build, look.shirt)
    capsule(draw, neck + 0.15 * (pelvis - neck), pelvis + 0.16 * (neck - pelvis), 0.080 * thick * look.build, look.shirt)
    capsule(draw, neck, head, 0.032 * thick, look.skin)
    up = (head - neck) / (np.linalg.norm(head - neck) + 1e-9)
    face = np.array([-up[1], up[0]]) * figure.facing * (1 - figure.pose.front)
    radius = HEAD_RADIUS * thick
    crown = head + 0.22 * radius * up - 0.30 * radius * face
    if look.long_hair:
        capsule(draw, crown, crown - 1.1 * radius * up - 0.5 * radius * face, 0.72 * radius, look.hair)
    capsule(draw, crown, crown, 0.95 * radius, look.hair)
    middle = head - 0.12 * radius * up + 0.22 * radius * face
    capsule(draw, middle, middle, 0.78 * radius, look.skin)


def draw_figure(draw: ImageDraw.ImageDraw, figure: Placed, zoom: float) -> None:
    """The whole figure, far side first; from the front, arms come over the trunk."""
    at = dict(zip(figure.at, (zoom * np.array(list(figure.at.values()))).tolist(), strict=True))
    draw_limbs(draw, figure, at, "far", zoom, arms=figure.pose.front < 0.5)
    draw_limbs(draw, figure, at, "near", zoom, arms=False)
    draw_torso(draw, figure, at, zoom)
    if figure.pose.front >= 0.5:
        draw_limbs(draw, figure, at, "far", zoom, legs=False)
    draw_limbs(draw, figure, at, "near", zoom, legs=False)
