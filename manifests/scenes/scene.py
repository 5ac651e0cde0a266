"""One video as data: who does what, where and when; and the truth of every frame. `camera.py` draws it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aadc.manifests.scenes import equipment
from aadc.manifests.scenes.figure import Look, Placed, place
from aadc.manifests.scenes.kinds import BY_NAME
from aadc.manifests.scenes.motions import Moment
from aadc.manifests.scenes.rooms import HEIGHT, PILLAR, WIDTH, Room

FPS = 10  # as many surveillance cameras have it; one frame in 16 is then one in 1.6 s


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
        """Everybody in the frame, farthest first. Kept: the camera asks, and whoever writes down the truth."""
        if frame not in self._figures:
            there = [(actor, act) for actor in self._by_depth if (act := actor.act(frame)) is not None]
            self._figures[frame] = [(actor, act, _placed(actor, act, frame)) for actor, act in there]
        return self._figures[frame]

    @cached_property
    def _figures(self) -> dict[int, list[tuple[Actor, Act, Placed]]]:
        return {}

    @cached_property
    def _by_depth(self) -> list[Actor]:
        return sorted(self.actors, key=lambda actor: actor.floor_y)

    def truth(self, frame: int) -> list[Seen]:
        """Figures and bags that can be seen: a good part is inside the picture and not behind a pillar or somebody nearer."""
        figures = self.figures(frame)
        seen = []
        for index, (actor, act, figure) in enumerate(figures):
            hiding = [_trunk(nearer.box) for _, _, nearer in figures[index + 1 :]]
            if self.occluder is not None and not self.occluder[2]:
                hiding.append(np.array([self.occluder[0] - PILLAR, 0, self.occluder[0] + PILLAR, HEIGHT]))
            kind, look = act.shown or act.kind, actor.look
            seen += _visible("person", kind, figure.box, hiding, look.shirt_name, look.trousers_name)
            if (box := held_bag(actor, act, figure, frame)) is not None:
                seen += _visible("bag", "abandoned bag", box, hiding)
        if (bag := self.lying_bag(frame)) is not None:
            seen += _visible("bag", "abandoned bag", equipment.bag_box(bag.x, bag.floor_y, bag.scale), [])
        return seen

    def lying_bag(self, frame: int) -> Bag | None:
        """The bag, if it is on the floor."""
        return self.bag if self.bag is not None and self.bag.start_frame <= frame < self.bag.end_frame else None


def _placed(actor: Actor, act: Act, frame: int) -> Placed:
    time_s, left_s = (frame - act.start_frame) / FPS, (act.end_frame - frame) / FPS
    share = (frame - act.start_frame) / max(1, act.end_frame - act.start_frame)
    kind = BY_NAME[act.kind]
    pose = kind.motion(Moment(time_s, left_s, act.tempo, act.amount, act.variant))
    lift = equipment.TREADMILL_DECK * actor.scale if kind.station == "treadmill" else 0.0
    x = act.from_x + share * (act.to_x - act.from_x)
    return place(pose, actor.look, x, actor.floor_y - lift, actor.scale, act.facing)


def held_bag(actor: Actor, act: Act, figure: Placed, frame: int) -> np.ndarray | None:
    """Box x0 y0 x1 y1 in px of the bag in the figure's hand, if it holds one now."""
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
    x0, y0, x1, y1 = (round(float(edge), 2) for edge in cut)
    return [Seen(category, kind, (x0, y0, x1, y1), shirt, trousers)] if visible >= 0.4 else []


def _area(box: np.ndarray) -> float:
    return float(np.prod(np.maximum(box[2:] - box[:2], 0)))
