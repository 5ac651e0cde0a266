"""One video as data: who does what, where and when, and the truth of every frame; and how a frame is drawn from it."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from aadc.manifests.scenes import equipment
from aadc.manifests.scenes.figure import Look, Placed, draw_figure, place
from aadc.manifests.scenes.kinds import BY_NAME
from aadc.manifests.scenes.motions import Moment
from aadc.manifests.scenes.rooms import HEIGHT, PILLAR, WIDTH, ZOOM, Room, draw_occluder

FPS = 20


@dataclass(frozen=True)
class Act:
    """Frames [start_frame, end_frame) of one actor: a kind, from x to x (px), and the manner of it.

    `shown` is the kind that the truth tells, where it differs from what the body does (walking off with a bag).
    `bag`: None, `held`, `down` (put down midway), `up` (taken up midway).
    """

    kind: str
    start_frame: int
    end_frame: int
    from_x: float
    to_x: float
    facing: int
    tempo: float = 1.0
    amount: float = 1.0
    variant: float = 0.0
    shown: str | None = None
    bag: str | None = None


@dataclass(frozen=True)
class Actor:
    """A figure with its place in depth: `floor_y` and `scale` in px."""

    look: Look
    floor_y: float
    scale: float
    paint: tuple[int, int, int]
    acts: tuple[Act, ...]

    def act(self, frame: int) -> Act | None:
        return next((act for act in self.acts if act.start_frame <= frame < act.end_frame), None)


@dataclass(frozen=True)
class Station:
    """Equipment that stands in the room, px."""

    name: str
    x: float
    floor_y: float
    scale: float
    facing: int
    paint: tuple[int, int, int]


@dataclass(frozen=True)
class Bag:
    """A bag on the floor at `x` from `start_frame` to `end_frame` (half-open); before and after it is in a hand, if at all."""

    x: float
    floor_y: float
    scale: float
    start_frame: int
    end_frame: int
    paint: tuple[int, int, int]


@dataclass(frozen=True)
class Seen:
    """Truth: one figure or bag in one frame. `box` x0 y0 x1 y1, px, cut at the picture's edge."""

    category: str
    kind: str
    box: tuple[float, float, float, float]
    shirt: str = ""
    trousers: str = ""


@dataclass(frozen=True)
class Scene:
    """One video. `spans`: (start_frame, end_frame, kind) of every anomaly, half-open."""

    room: Room
    actors: tuple[Actor, ...]
    stations: tuple[Station, ...]
    frames: int
    spans: tuple[tuple[int, int, str], ...]
    bag: Bag | None = None
    occluder: tuple[float, tuple[int, int, int], bool] | None = None
    light: tuple[float, float, float] = (0.05, 0.1, 0.0)  # strength, hertz, phase of the slow change
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    noise: float = 4.0
    seed: int = 0
    lamp: tuple[int, float] | None = None  # from this frame on the light is this factor
    _cache: dict = field(default_factory=dict, repr=False, compare=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """Every kind that is to be seen for a second or more, anomalies first."""
        shown: dict[str, int] = {}
        for actor in self.actors:
            for act in actor.acts:
                name = act.shown or act.kind
                shown[name] = shown.get(name, 0) + act.end_frame - act.start_frame
        abnormal = dict.fromkeys(kind for _, _, kind in self.spans)
        normal = [name for name, frames in shown.items() if BY_NAME[name].kind == "normal" and frames >= FPS]
        return (*abnormal, *sorted(normal))

    def figures(self, frame: int) -> list[tuple[Actor, Act, Placed]]:
        """Everybody in the frame, farthest first."""
        found = []
        for actor in sorted(self.actors, key=lambda actor: actor.floor_y):
            if (act := actor.act(frame)) is not None:
                found.append((actor, act, _placed(actor, act, frame)))
        return found

    def truth(self, frame: int) -> list[Seen]:
        """Figures and bags that can be seen: a good part is inside the picture and not behind a pillar or somebody nearer."""
        figures = self.figures(frame)
        seen = []
        for index, (actor, act, figure) in enumerate(figures):
            hiding = [_trunk(nearer.box()) for _, _, nearer in figures[index + 1 :]]
            if self.occluder is not None and not self.occluder[2]:
                hiding.append(np.array([self.occluder[0] - PILLAR, 0, self.occluder[0] + PILLAR, HEIGHT]))
            kind, look = act.shown or act.kind, actor.look
            seen += _visible("person", kind, figure.box(), hiding, look.shirt_name, look.trousers_name)
            if (box := _held_bag(actor, act, figure, frame)) is not None:
                seen += _visible("bag", "abandoned bag", box, hiding)
        if self._bag_lies(frame):
            seen += _visible("bag", "abandoned bag", equipment.bag_box(self.bag.x, self.bag.floor_y, self.bag.scale), [])
        return seen

    def _bag_lies(self, frame: int) -> bool:
        return self.bag is not None and self.bag.start_frame <= frame < self.bag.end_frame

    def render(self, frame: int) -> np.ndarray:
        """The frame, RGB uint8 (HEIGHT, WIDTH, 3)."""
        canvas = self.room.background.copy()
        draw = ImageDraw.Draw(canvas, "RGBA")
        drawings = [(station.floor_y - 0.5, _draw_station, station) for station in self.stations]
        drawings += [(actor.floor_y, _draw_actor, (actor, act, figure, frame)) for actor, act, figure in self.figures(frame)]
        if self._bag_lies(frame):
            drawings.append((self.bag.floor_y + 0.5, _draw_lone_bag, self.bag))
        for _, draw_one, what in sorted(drawings, key=lambda item: item[0]):
            draw_one(draw, what)
        if self.occluder is not None:
            draw_occluder(draw, *self.occluder)
        return self._filmed(canvas.reduce(ZOOM), frame)

    def _filmed(self, image: Image.Image, frame: int) -> np.ndarray:
        """Light of the moment and the sensor's noise."""
        strength, hertz, phase = self.light
        gain = 1 + strength * np.sin(2 * np.pi * (hertz * frame / FPS + phase))
        if self.lamp is not None and frame >= self.lamp[0]:
            gain *= self.lamp[1]
        # Whole numbers of 1/128 and rows of W * 3 values: three times as fast as colours one by one.
        factor = np.tile(np.round(128 * gain * np.array(self.cast)).astype(np.uint16), WIDTH)
        pixels = np.asarray(image).reshape(HEIGHT, WIDTH * 3) * factor
        pixels = (pixels >> 7).view(np.int16).reshape(HEIGHT, WIDTH, 3)
        if "noise" not in self._cache:
            rng = np.random.default_rng(self.seed)
            self._cache["noise"] = np.round(rng.normal(0, self.noise, (HEIGHT + 64, WIDTH + 64, 3))).astype(np.int16)
        down, across = (frame * 37) % 64, (frame * 23) % 64
        pixels += self._cache["noise"][down : down + HEIGHT, across : across + WIDTH]
        return np.clip(pixels, 0, 255, out=pixels).astype(np.uint8)


def _placed(actor: Actor, act: Act, frame: int) -> Placed:
    time_s, left_s = (frame - act.start_frame) / FPS, (act.end_frame - frame) / FPS
    share = (frame - act.start_frame) / max(1, act.end_frame - act.start_frame)
    kind = BY_NAME[act.kind]
    pose = kind.motion(Moment(time_s, left_s, act.tempo, act.amount, act.variant))
    lift = equipment.TREADMILL_DECK * actor.scale if kind.station == "treadmill" else 0.0
    x = act.from_x + share * (act.to_x - act.from_x)
    return place(pose, actor.look, x, actor.floor_y - lift, actor.scale, act.facing)


def _held_bag(actor: Actor, act: Act, figure: Placed, frame: int) -> np.ndarray | None:
    """Box of the bag in the figure's hand, if it holds one now."""
    middle = (act.start_frame + act.end_frame) / 2
    if act.bag is None or (act.bag == "down" and frame >= middle) or (act.bag == "up" and frame < middle):
        return None
    x, y = figure.at["near_hand"]
    bottom = min(actor.floor_y, y + 0.28 * actor.scale)
    return equipment.bag_box(x, bottom, actor.scale)


def _trunk(box: np.ndarray) -> np.ndarray:
    """The part of a figure's box that hides what is behind it."""
    margin = 0.2 * (box[2] - box[0])
    return box + (margin, 0, -margin, 0)


def _visible(
    category: str, kind: str, box: np.ndarray, hiding: list[np.ndarray], shirt: str = "", trousers: str = ""
) -> list[Seen]:
    """One entry of the truth, or none where less than two fifths of the box are to be seen."""
    cut = np.clip(box, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
    visible = _area(cut) / _area(box)
    for other in hiding:
        shared = np.concatenate([np.maximum(cut[:2], other[:2]), np.minimum(cut[2:], other[2:])])
        visible *= 1 - _area(shared) / max(_area(cut), 1e-9)
    return [Seen(category, kind, tuple(round(float(edge), 2) for edge in cut), shirt, trousers)] if visible >= 0.4 else []


def _area(box: np.ndarray) -> float:
    return float(np.prod(np.maximum(box[2:] - box[:2], 0)))


def _draw_station(draw: ImageDraw.ImageDraw, station: Station) -> None:
    at = equipment.Spot(station.x, station.floor_y, station.scale, station.facing, ZOOM)
    equipment.STATIONS[station.name](draw, at, station.paint)


def _draw_lone_bag(draw: ImageDraw.ImageDraw, bag: Bag) -> None:
    equipment.draw_bag(draw, equipment.bag_box(bag.x, bag.floor_y, bag.scale), ZOOM, bag.paint)


def _draw_actor(draw: ImageDraw.ImageDraw, what: tuple[Actor, Act, Placed, int]) -> None:
    actor, act, figure, frame = what
    box, held = figure.box(), BY_NAME[act.kind].held
    shadow = np.array([box[0], actor.floor_y - 3, box[2], actor.floor_y + 4])
    draw.ellipse([*(shadow * ZOOM)], fill=(0, 0, 0, 60))
    if held in equipment.HELD_BEHIND:
        equipment.HELD_BEHIND[held](draw, figure, ZOOM, actor.paint)
    draw_figure(draw, figure, ZOOM)
    if held in equipment.HELD_IN_FRONT:
        equipment.HELD_IN_FRONT[held](draw, figure, ZOOM, actor.paint)
    if (bag := _held_bag(actor, act, figure, frame)) is not None:
        equipment.draw_bag(draw, bag, ZOOM, actor.paint)
