"""How each kind moves: time and the performer's own manner in, a pose out."""

from dataclasses import dataclass, replace

import numpy as np

from aadc.manifests.scenes.figure import Pose, blend


@dataclass(frozen=True)
class Moment:
    """A moment of an act: `time_s` since it began, `left_s` until it ends, and the performer's manner.

    `tempo` (1 is usual), `amount` (size of the movement, 1 is usual), `variant` in [0, 1) (which way of doing it).
    """

    time_s: float
    left_s: float
    tempo: float = 1.0
    amount: float = 1.0
    variant: float = 0.0

    def wave(self, hertz: float) -> float:
        """sin of a cycle of `hertz` at this moment."""
        return float(np.sin(2 * np.pi * (hertz * self.tempo * self.time_s + self.variant)))

    def cosine(self, hertz: float) -> float:
        """cos of the same cycle."""
        return float(np.cos(2 * np.pi * (hertz * self.tempo * self.time_s + self.variant)))


_STANDING = Pose()
_STANDING_FRONT = Pose(front=1.0, near_upper=10, near_fore=4, far_upper=-10, far_fore=-4, near_thigh=4, near_shin=2,
                       far_thigh=-4, far_shin=-2)  # fmt: skip


def walking(moment: Moment) -> Pose:
    """Steps, arms swinging against the legs."""
    swing, lift = moment.wave(0.95), moment.cosine(0.95)
    near, far = 30 * moment.amount * swing, -30 * moment.amount * swing
    return Pose(
        lean=3, near_thigh=near, near_shin=near - 8 - 34 * max(0.0, lift), far_thigh=far,
        far_shin=far - 8 - 34 * max(0.0, -lift), near_upper=-0.85 * near, near_fore=-0.85 * near + 16,
        far_upper=-0.85 * far, far_fore=-0.85 * far + 16,
    )  # fmt: skip


def running(moment: Moment) -> Pose:
    """Long strides, lean forwards, elbows bent."""
    swing, lift = moment.wave(1.45), moment.cosine(1.45)
    near, far = 12 + 50 * moment.amount * swing, 12 - 50 * moment.amount * swing
    return Pose(
        lean=16, near_thigh=near, near_shin=near - 18 - 78 * max(0.0, lift), far_thigh=far,
        far_shin=far - 18 - 78 * max(0.0, -lift), near_upper=-52 * swing - 8, near_fore=-52 * swing + 82,
        far_upper=52 * swing - 8, far_fore=52 * swing + 82,
    )  # fmt: skip


def treadmill(moment: Moment) -> Pose:
    """A jog on the spot; the machine stands on the floor around it."""
    return replace(running(replace(moment, amount=0.62 * moment.amount, tempo=0.85 * moment.tempo)), lean=7)


def standing(moment: Moment) -> Pose:
    """Standing about from the front: hands on the hips, arms folded or hanging."""
    sway = 1.5 * moment.wave(0.25)
    if moment.variant < 0.4:
        arms = dict(near_upper=38, near_fore=-42, far_upper=-38, far_fore=42)
    elif moment.variant < 0.7:
        arms = dict(near_upper=14, near_fore=-78, far_upper=-14, far_fore=82)
    else:
        arms = dict(near_upper=9, near_fore=3, far_upper=-9, far_fore=-3)
    return replace(_STANDING_FRONT, lean=sway, nod=2 * sway, **arms)


def squat(moment: Moment) -> Pose:
    """From the front: knees go out, the pelvis down, the bar stays on the shoulders."""
    depth = moment.amount * (0.5 - 0.5 * moment.cosine(0.4))
    return Pose(
        front=1.0, near_upper=52, near_fore=168, far_upper=-52, far_fore=-168, near_thigh=14 + 62 * depth,
        near_shin=4 - 12 * depth, far_thigh=-14 - 62 * depth, far_shin=-4 + 12 * depth,
    )  # fmt: skip


def dumbbell_press(moment: Moment) -> Pose:
    """From the front: both hands from beside the ears to above the head."""
    up = 0.5 - 0.5 * moment.cosine(0.5)
    upper, fore = 82 + 72 * up, 176 + 4 * up
    return Pose(
        front=1.0, near_upper=upper, near_fore=fore, far_upper=-upper, far_fore=-fore, near_thigh=8, near_shin=4,
        far_thigh=-8, far_shin=-4,
    )  # fmt: skip


def bench_press(moment: Moment) -> Pose:
    """On the back on a bench, feet on the floor, a bar over the chest."""
    up = 0.5 - 0.5 * moment.cosine(0.45)
    return Pose(
        lean=-90, nod=6, near_upper=126 + 50 * up, near_fore=196 - 14 * up, far_upper=126 + 50 * up, far_fore=196 - 14 * up,
        near_thigh=66, near_shin=-6, far_thigh=72, far_shin=4, pelvis=0.33,
    )  # fmt: skip


def stretching(moment: Moment) -> Pose:
    """From the front: legs apart, joined hands over the head, bending to both sides."""
    bend = 34 * moment.amount * moment.wave(0.3)
    return Pose(
        lean=bend, nod=0.3 * bend, front=1.0, near_upper=162 - bend, near_fore=202 - bend, far_upper=-162 - bend,
        far_fore=-202 - bend, near_thigh=24, near_shin=20, far_thigh=-24, far_shin=-20,
    )  # fmt: skip


def cycling(moment: Moment) -> Pose:
    """On an exercise bike: seated, leaning to the handlebar, feet going round."""
    lift, push = moment.wave(0.9), moment.cosine(0.9)
    return Pose(
        lean=28, nod=-12, near_upper=38, near_fore=66, far_upper=42, far_fore=70, near_thigh=52 + 22 * lift,
        near_shin=-14 + 18 * push, far_thigh=52 - 22 * lift, far_shin=-14 - 18 * push, pelvis=0.56,
    )  # fmt: skip


_TOPPLING = Pose(lean=0, near_upper=95, near_fore=80, far_upper=140, far_fore=120, near_thigh=35, near_shin=-30,
                 far_thigh=-20, far_shin=-60).turned(48)  # fmt: skip
_ON_HANDS = Pose(lean=66, nod=-18, near_upper=18, near_fore=6, far_upper=-8, far_fore=24, near_thigh=22, near_shin=-96,
                 far_thigh=-34, far_shin=-78)  # fmt: skip
_ON_ELBOW = Pose(lean=-52, nod=18, near_upper=-14, near_fore=78, far_upper=-62, far_fore=-8, near_thigh=128, near_shin=22,
                 far_thigh=84, far_shin=92)  # fmt: skip


def fall(moment: Moment) -> Pose:
    """Toppling over, then down on hands and knees or sitting propped up, struggling; up again at the very end."""
    down = _ON_HANDS if moment.variant < 0.5 else _ON_ELBOW
    over = _TOPPLING if moment.variant < 0.5 else replace(_TOPPLING.turned(-92), nod=10)
    if moment.left_s < 0.5:
        return blend(_STANDING, down, moment.left_s / 0.5)
    if moment.time_s < 0.5:
        return blend(_STANDING, over, moment.time_s / 0.5)
    if moment.time_s < 0.8:
        return blend(over, down, (moment.time_s - 0.5) / 0.3)
    struggle = moment.wave(0.8)
    return replace(
        down, nod=down.nod + 14 * struggle, lean=down.lean + 7 * struggle, far_upper=down.far_upper - 26 * abs(struggle),
        far_fore=down.far_fore + 30 * struggle, far_shin=down.far_shin + 12 * struggle,
    )  # fmt: skip


def lying(moment: Moment) -> Pose:
    """Flat on the back without moving; gets down and up in half a second each."""
    arm = 96 if moment.variant < 0.5 else 150
    flat = Pose(lean=-88, near_upper=arm, near_fore=94, far_upper=arm, far_fore=94, near_thigh=90, near_shin=92,
                far_thigh=91, far_shin=90)  # fmt: skip
    sitting = Pose(lean=-30, near_upper=-25, near_fore=-10, far_upper=-25, far_fore=-10, near_thigh=110, near_shin=20,
                   far_thigh=105, far_shin=16)  # fmt: skip
    still = min(moment.time_s, moment.left_s)
    if still < 0.3:
        return blend(_STANDING, sitting, still / 0.3)
    return blend(sitting, flat, (still - 0.3) / 0.2)


def phone(moment: Moment) -> Pose:
    """From the front: one hand at the ear with the elbow out, the other on the hip or hanging."""
    sway = 2 * moment.wave(0.3)
    other = dict(far_upper=-36, far_fore=40) if moment.variant < 0.4 else dict(far_upper=-9, far_fore=-3)
    return replace(_STANDING_FRONT, lean=sway, nod=9 + sway, near_upper=62, near_fore=218, **other)


def drinking(moment: Moment) -> Pose:
    """From the side: a bottle at the lips, head back, now and then lowered to the chest."""
    raised = 1.0 if moment.wave(0.22) > -0.75 else 0.45
    return Pose(
        lean=-5, nod=-16 * raised, near_upper=62 + 24 * raised, near_fore=118 + 42 * raised, far_upper=-4, far_fore=4,
        near_thigh=6, near_shin=3, far_thigh=-6, far_shin=-8,
    )  # fmt: skip


def fight(moment: Moment) -> Pose:
    """From the side: fists up, punches in turn, a kick now and then."""
    punch, other = max(0.0, moment.wave(1.1)), max(0.0, -moment.wave(1.1))
    kick = max(0.0, moment.wave(0.37)) ** 4
    return Pose(
        lean=13 - 26 * kick, near_upper=52 + 42 * punch, near_fore=150 - 58 * punch, far_upper=46 + 46 * other,
        far_fore=146 - 54 * other, near_thigh=34 + 52 * kick, near_shin=2 + 72 * kick, far_thigh=-26, far_shin=-34,
    )  # fmt: skip


def bending(moment: Moment) -> Pose:
    """Bowing down to the floor and up again within the act: putting a bag down or taking it up."""
    down = min(1.0, 2 * min(moment.time_s, moment.left_s) / (0.7 * (moment.time_s + moment.left_s)))
    low = Pose(lean=72, nod=-14, near_upper=20, near_fore=10, far_upper=30, far_fore=20, near_thigh=52, near_shin=-38,
               far_thigh=44, far_shin=-44)  # fmt: skip
    return blend(_STANDING, low, down)
