"""What the camera makes of a scene: pictures with light, noise and antialiasing."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from aadc.manifests.scenes import equipment
from aadc.manifests.scenes.figure import Placed, draw_figure
from aadc.manifests.scenes.kinds import BY_NAME
from aadc.manifests.scenes.rooms import HEIGHT, WIDTH, ZOOM, draw_occluder
from aadc.manifests.scenes.scene import FPS, Act, Actor, Bag, Scene, Station, held_bag

_REACH = 0.65  # figure heights beyond a figure's box that anything in its hands can stick out
_SHIFT = 64  # px by which the noise is moved about from frame to frame


class Camera:
    """Draws the frames of a scene, in any order.

    Only the part of the picture that holds somebody is drawn again; the rest is the empty room.
    """

    def __init__(self, scene: Scene):
        self.scene = scene
        self._canvas = scene.room.background.copy()
        self._draw = ImageDraw.Draw(self._canvas, "RGBA")
        self._paint([(station.floor_y - 0.5, _draw_station, station) for station in scene.stations])
        self._empty = self._canvas.reduce(ZOOM)
        rng = np.random.default_rng(scene.seed)
        noise = rng.normal(0, scene.noise, (HEIGHT + _SHIFT, WIDTH + _SHIFT, 3))
        self._noise = np.round(noise).astype(np.int16)
        self._light = np.empty((HEIGHT, WIDTH * 3), np.uint16)  # kept: a new one takes longer than what is done in it

    def __call__(self, frame: int) -> np.ndarray:
        """The frame, RGB uint8 (HEIGHT, WIDTH, 3)."""
        scene, picture = self.scene, self._empty.copy()
        figures = scene.figures(frame)
        if (region := self._region(figures, frame)) is not None:
            # The canvas keeps old drawings outside of the region; nobody looks at them.
            self._canvas.paste(scene.room.background.crop(region), region)
            drawings: list[tuple[float, Callable[..., None], object]]
            drawings = [(station.floor_y - 0.5, _draw_station, station) for station in scene.stations]
            drawings += [(actor.floor_y, _draw_actor, (actor, act, figure, frame)) for actor, act, figure in figures]
            if (bag := scene.lying_bag(frame)) is not None:
                drawings.append((bag.floor_y + 0.5, _draw_bag, bag))
            self._paint(drawings)
            picture.paste(self._canvas.reduce(ZOOM, region), (region[0] // ZOOM, region[1] // ZOOM))
        return self._filmed(picture, frame)

    def _paint(self, drawings: Sequence[tuple[float, Callable[..., None], object]]) -> None:
        """Draw from the farthest to the nearest; what stands in the way comes last."""
        for _, draw_one, what in sorted(drawings, key=lambda item: item[0]):
            draw_one(self._draw, what)
        if self.scene.occluder is not None:
            draw_occluder(self._draw, *self.scene.occluder)

    def _region(self, figures: list[tuple[Actor, Act, Placed]], frame: int) -> tuple[int, int, int, int] | None:
        """The part of the canvas with anybody or any bag in it, px of the canvas; None where the room is empty."""
        boxes = [figure.box + _REACH * actor.scale * np.array([-1, -1, 1, 1]) for actor, _, figure in figures]
        if (bag := self.scene.lying_bag(frame)) is not None:
            boxes.append(equipment.bag_box(bag.x, bag.floor_y, bag.scale) + (-2, -2, 2, 2))
        boxes = [np.clip(box, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT]) for box in boxes]
        boxes = [box for box in boxes if box[0] < box[2] and box[1] < box[3]]
        if not boxes:
            return None
        low, high = np.floor(np.min(boxes, 0)).astype(int), np.ceil(np.max(boxes, 0)).astype(int)
        left, top, right, bottom = (int(edge) * ZOOM for edge in (*low[:2], *high[2:]))
        return left, top, right, bottom

    def _filmed(self, image: Image.Image, frame: int) -> np.ndarray:
        """Light of the moment and the sensor's noise."""
        scene = self.scene
        strength, hertz, phase = scene.light
        gain = 1 + strength * np.sin(2 * np.pi * (hertz * frame / FPS + phase))
        if scene.lamp is not None and frame >= scene.lamp[0]:
            gain *= scene.lamp[1]
        # Whole numbers of 1/128 and rows of W * 3 values: three times as fast as colours one by one.
        factor = np.tile(np.round(128 * gain * np.array(scene.cast)).astype(np.uint16), WIDTH)
        np.multiply(np.asarray(image).reshape(HEIGHT, WIDTH * 3), factor, out=self._light)
        self._light >>= 7
        pixels = self._light.view(np.int16).reshape(HEIGHT, WIDTH, 3)
        down, across = (frame * 37) % _SHIFT, (frame * 23) % _SHIFT
        pixels += self._noise[down : down + HEIGHT, across : across + WIDTH]
        return pixels.clip(0, 255, out=pixels).astype(np.uint8)


def _draw_station(draw: ImageDraw.ImageDraw, station: Station) -> None:
    at = equipment.Spot(station.x, station.floor_y, station.scale, station.facing, ZOOM)
    equipment.STATIONS[station.name](draw, at, station.paint)


def _draw_bag(draw: ImageDraw.ImageDraw, bag: Bag) -> None:
    equipment.draw_bag(draw, equipment.bag_box(bag.x, bag.floor_y, bag.scale), ZOOM, bag.paint)


def _draw_actor(draw: ImageDraw.ImageDraw, what: tuple[Actor, Act, Placed, int]) -> None:
    actor, act, figure, frame = what
    box, held = figure.box, BY_NAME[act.kind].held
    shadow = np.array([box[0], actor.floor_y - 3, box[2], actor.floor_y + 4])
    draw.ellipse([*(shadow * ZOOM)], fill=(0, 0, 0, 60))
    if held in equipment.HELD_BEHIND:
        equipment.HELD_BEHIND[held](draw, figure, ZOOM, actor.paint)
    draw_figure(draw, figure, ZOOM)
    if held in equipment.HELD_IN_FRONT:
        equipment.HELD_IN_FRONT[held](draw, figure, ZOOM, actor.paint)
    if (bag := held_bag(actor, act, figure, frame)) is not None:
        equipment.draw_bag(draw, bag, ZOOM, actor.paint)
