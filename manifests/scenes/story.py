"""Who does what in a video: several normal kinds one after the other, passers-by, and anomalies somewhere in the middle."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aadc.manifests.scenes.figure import Look
from aadc.manifests.scenes.kinds import BY_NAME, NORMAL
from aadc.manifests.scenes.look import random_look, random_paint
from aadc.manifests.scenes.rooms import ROOMS, WIDTH, Room, build_room
from aadc.manifests.scenes.scene import FPS, Act, Actor, Bag, Scene, Station

_WALK, _RUN = 0.85, 1.7  # figure heights a second
_MARGIN = 34  # px: main actors stay this far from the picture's edge
_OUTSIDE = 40  # px beyond the edge, where nothing of somebody with a bag is to be seen


def build_scene(
    world: str,
    seed: int,
    frames: int,
    anomalies: tuple[str, ...] = (),
    room: Room | None = None,
    people: Sequence[Look] | None = None,
) -> Scene:
    """The scene number `seed` of a `world`. Worlds share no room, no figure and no course of events.

    Args:
        world: a name; `demo-train`, `demo-test`, `miniature-train` and `miniature-measure` are in use.
        frames: length, at least 14 s and 10 s for each anomaly past the first.
        anomalies: names of the abnormal kinds that happen, in this order, each at most once.
        room: where it happens; one of the scene's own if None.
        people: whom the figures are taken from; strangers if None.
    Raises:
        ValueError: too short for what is to happen.
    """
    if frames < (needed := (14 + 10 * max(0, len(anomalies) - 1)) * FPS):
        raise ValueError(f"{frames} frames are too short for {len(anomalies)} anomalies; at least {needed} are needed")
    rng = np.random.default_rng([seed, *world.encode()])
    room = room or random_room(rng)
    story = _Story(room.name, room.horizon, frames, rng, people)
    story.tell(anomalies)
    story.add_passers_by()
    hidden = rng.random() < 0.3
    return Scene(
        room=room,
        actors=tuple(story.actors),
        stations=tuple(story.stations),
        frames=frames,
        spans=tuple(sorted(story.spans)),
        bag=story.bag,
        occluder=(float(rng.uniform(20, WIDTH - 20)), random_paint(rng), bool(rng.random() < 0.6)) if hidden else None,
        light=(float(rng.uniform(0, 0.12)), float(rng.uniform(0.03, 0.2)), float(rng.random())),
        cast=(float(rng.normal(1, 0.03)), float(rng.normal(1, 0.03)), float(rng.normal(1, 0.03))),
        noise=float(rng.uniform(2, 7)),
        seed=int(rng.integers(2**31)),
        lamp=(int(rng.integers(frames)), float(rng.uniform(0.7, 1.15))) if rng.random() < 0.3 else None,
    )


def random_room(rng: np.random.Generator) -> Room:
    """A gym half of the time, else a street or a corridor."""
    return build_room(str(rng.choice(ROOMS, p=[0.5, 0.25, 0.25])), rng)


class _Story:
    """Builds the acts of one video from front to back."""

    def __init__(self, room: str, horizon: int, frames: int, rng: np.random.Generator, people: Sequence[Look] | None):
        self.room, self.horizon, self.frames, self.rng = room, horizon, frames, rng
        self.people = [people[index] for index in rng.permutation(len(people))] if people else []
        self.actors: list[Actor] = []
        self.stations: list[Station] = []
        self.spans: list[tuple[int, int, str]] = []
        self.bag: Bag | None = None
        self.floor_y = float(rng.uniform(200, 230))
        self.scale = float(rng.uniform(96, 128))
        self.places = list(rng.permutation([0.2, 0.5, 0.8]) * WIDTH + rng.uniform(-12, 12, 3))

    def tell(self, anomalies: tuple[str, ...]) -> None:
        """The main actor's day, and whoever else an anomaly needs."""
        rng = self.rng
        possible = [kind for kind in NORMAL if self.room in kind.rooms and kind.name != "walking"]
        if self.room == "gym":
            possible = [kind for kind in possible if kind.station or kind.held or rng.random() < 0.4]
        count = min(len(possible), 2 if anomalies else 3)
        normal = [possible[i].name for i in rng.permutation(len(possible))[:count]]
        place = dict(zip(normal, self.places, strict=False))
        for name in normal:
            self._set_up(name, place[name])
        free = self.places[-1]
        steps = [normal[0]] if normal else ["standing"]
        for index, anomaly in enumerate(anomalies):
            steps += [anomaly, normal[(index + 1) % len(normal)]]
        if not anomalies:
            steps += [*normal[1:], "walking", normal[0]]
        self._perform(steps, place, free)

    def _set_up(self, name: str, x: float) -> None:
        if (station := BY_NAME[name].station) is not None:
            facing = 1 if x < WIDTH / 2 else -1
            self.stations.append(Station(station, x, self.floor_y, self.scale, facing, random_paint(self.rng)))

    def _perform(self, steps: list[str], place: dict[str, float], free: float) -> None:
        """Share the video's time out among the steps, walk from place to place between them."""
        rng = self.rng
        shares = np.array([rng.uniform(*((0.7, 1.6) if BY_NAME[step].kind == "normal" else (1.3, 1.8))) for step in steps])
        ends = np.round(np.cumsum(shares) / shares.sum() * self.frames).astype(int).tolist()
        acts: list[Act] = []
        now, x = 0, place.get(steps[0], free)
        for before, step, end in zip(["", *steps], steps, ends, strict=False):
            goal = place.get(step, free)
            if step == "walking":
                goal = _MARGIN if x > WIDTH / 2 else WIDTH - _MARGIN
                now, x = self._pace(acts, "walking", now, end, x, goal, _WALK)
                continue
            if step == "abandoned bag":
                began = now
                now = self._act(acts, before, now, end, x, x)  # the main actor has nothing to do with it
                self._leave_bag(began, end)
                continue
            if abs(goal - x) > 4:
                now, x = self._go(acts, now, x, goal)
            if step == "running":
                self.spans.append((now, end, step))
                now, x = self._pace(acts, step, now, end, x, _MARGIN if x > WIDTH / 2 else WIDTH - _MARGIN, _RUN)
                continue
            if BY_NAME[step].kind == "abnormal":
                self.spans.append((now, end, step))
            if step == "fight":
                self._fight(acts, now, end, x)
                now = end
                continue
            now = self._act(acts, step, now, end, x, x)
        self.actors.append(self._actor(tuple(acts)))

    def _look(self) -> Look:
        return self.people.pop() if self.people else random_look(self.rng)

    def _actor(self, acts: tuple[Act, ...], nearer: float = 0.0) -> Actor:
        return Actor(self._look(), self.floor_y + nearer, self.scale, random_paint(self.rng), acts)

    def _act(
        self,
        acts: list[Act],
        kind: str,
        start: int,
        end: int,
        from_x: float,
        to_x: float,
        facing: int = 0,
        shown: str | None = None,
        bag: str | None = None,
    ) -> int:
        """Append an act, facing where it goes if nothing else is said; returns the frame after it."""
        rng = self.rng
        if end <= start:
            return start
        facing = facing or int(np.sign(to_x - from_x)) or (1 if from_x < WIDTH / 2 else -1)
        manner = float(rng.uniform(0.85, 1.15)), float(rng.uniform(0.85, 1.1)), float(rng.random())
        acts.append(Act(kind, start, end, float(from_x), float(to_x), facing, *manner, shown, bag))
        return end

    def _go(
        self, acts: list[Act], start: int, from_x: float, to_x: float, shown: str | None = None, bag: str | None = None
    ) -> tuple[int, float]:
        """Walk there; returns the frame and the place after it."""
        frames = max(4, round(abs(to_x - from_x) / (_WALK * self.scale) * FPS))
        return self._act(acts, "walking", start, start + frames, from_x, to_x, shown=shown, bag=bag), to_x

    def _pace(self, acts: list[Act], kind: str, start: int, end: int, x: float, goal: float, speed: float) -> tuple[int, float]:
        """To and fro between the picture's margins until `end`."""
        while start < end:
            frames = max(1, round(abs(goal - x) / (speed * self.scale) * FPS))
            share = min(1.0, (end - start) / frames)
            stop = x + share * (goal - x)
            start = self._act(acts, kind, start, min(end, start + frames), x, stop)
            x, goal = stop, (_MARGIN if goal > WIDTH / 2 else WIDTH - _MARGIN)
        return start, x

    def _fight(self, acts: list[Act], start: int, end: int, x: float) -> None:
        """Both face each other an arm's length apart; the other one comes from and goes to the nearer edge."""
        side = 1 if x < WIDTH / 2 else -1
        apart = 0.42 * self.scale * side
        self._act(acts, "fight", start, end, x, x, facing=side)
        edge = WIDTH + 30 if x + apart > WIDTH / 2 else -30
        coming = round(abs(edge - x - apart) / (_WALK * self.scale) * FPS)
        other: list[Act] = []
        self._go(other, max(0, start - coming), edge, x + apart)
        other = [replace(act, end_frame=start) for act in other if start > 0]
        self._act(other, "fight", start, end, x + apart, x + apart, facing=-side)
        self._go(other, end, x + apart, edge)
        self.actors.append(self._actor(tuple(other), nearer=float(self.rng.choice([-2, 2]))))

    def _leave_bag(self, start: int, end: int) -> None:
        """Somebody comes in with a bag, puts it down, goes, comes back and takes it away; the span is the bag's presence."""
        free = self.places[-1]
        edge = WIDTH + _OUTSIDE if free > WIDTH / 2 else -_OUTSIDE
        way = round(abs(edge - free) / (_WALK * self.scale) * FPS)
        bow = round(1.6 * FPS)
        shown = "abandoned bag"
        acts: list[Act] = []
        rest = free + np.sign(free - edge) * 0.26 * self.scale
        now, _ = self._go(acts, start, edge, free, shown, bag="held")
        inwards = int(np.sign(free - edge))
        put = (2 * now + bow) // 2
        now = self._act(acts, "abandoned bag", now, now + bow, free, free, bag="down", facing=inwards)
        now, _ = self._go(acts, now, free, edge)
        back = max(now, end - 2 * way - bow)
        now, _ = self._go(acts, back, edge, free)
        take = (2 * now + bow) // 2
        now = self._act(acts, "abandoned bag", now, now + bow, free, free, bag="up", facing=inwards)
        now, _ = self._go(acts, now, free, edge, shown, bag="held")
        acts = [replace(act, end_frame=min(act.end_frame, self.frames)) for act in acts if act.start_frame < self.frames]
        carrier = self._actor(tuple(acts), nearer=4.0)
        self.actors.append(carrier)
        unseen = round(_OUTSIDE / (_WALK * self.scale) * FPS)
        self.spans.append((start + unseen, min(now - unseen, self.frames), "abandoned bag"))
        self.bag = Bag(rest, carrier.floor_y, self.scale, put, min(take, self.frames), carrier.paint)

    def add_passers_by(self) -> None:
        """People farther away who cross the picture or stand there."""
        rng = self.rng
        for _ in range(int(rng.choice(3, p=[0.45, 0.4, 0.15]))):
            depth = float(rng.uniform(0.1, 0.5))
            floor_y = self.horizon + 12 + depth * (self.floor_y - self.horizon - 12)
            scale = self.scale * (0.55 + 0.45 * depth)
            start = int(rng.integers(0, max(1, self.frames - 4 * FPS)))
            acts: list[Act] = []
            if rng.random() < 0.7:
                ends = (-30.0, WIDTH + 30.0) if rng.random() < 0.5 else (WIDTH + 30.0, -30.0)
                crossing = round((WIDTH + 60) / (_WALK * scale) * FPS)
                self._act(acts, "walking", start, start + crossing, *ends)
            else:
                x = float(rng.uniform(30, WIDTH - 30))
                self._act(acts, "standing", 0, self.frames, x, x)
            actor = Actor(self._look(), floor_y, scale, random_paint(rng), tuple(acts))
            self.actors.append(actor)
