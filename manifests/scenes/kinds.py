"""The kinds of behaviour the scenes know: their names, their words, how they move and what they need."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from aadc.manifests.scenes import motions
from aadc.manifests.scenes.figure import Pose


@dataclass(frozen=True)
class Kind:
    """One kind. `station` stands in the room all the time, `held` is in the hands during the act; `rooms` it happens in."""

    name: str
    kind: Literal["normal", "abnormal"]
    prompt: str
    motion: Callable[[motions.Moment], Pose]
    station: str | None = None
    held: str | None = None
    rooms: tuple[str, ...] = ("gym", "street", "corridor")


KINDS = (
    Kind("walking", "normal", "a person walking", motions.walking),
    Kind("standing", "normal", "a person standing about", motions.standing),
    Kind("stretching", "normal", "a person stretching with the arms over the head", motions.stretching),
    Kind("treadmill", "normal", "a person running on a treadmill", motions.treadmill, station="treadmill", rooms=("gym",)),
    Kind("cycling", "normal", "a person on an exercise bike", motions.cycling, station="bike", rooms=("gym",)),
    Kind("squat", "normal", "a person doing squats with a barbell", motions.squat, held="barbell", rooms=("gym",)),
    Kind("dumbbell press", "normal", "a person lifting dumbbells over the head", motions.dumbbell_press, held="dumbbells",
         rooms=("gym",)),
    Kind("bench press", "normal", "a person doing a bench press", motions.bench_press, station="bench", held="plate",
         rooms=("gym",)),
    Kind("fall", "abnormal", "a person who has fallen to the floor", motions.fall),
    Kind("fight", "abnormal", "two people fighting", motions.fight),
    Kind("drinking", "abnormal", "a person drinking from a bottle", motions.drinking, held="bottle"),
    Kind("phone", "abnormal", "a person talking on the phone", motions.phone, held="phone"),
    Kind("running", "abnormal", "a person running away", motions.running),
    Kind("lying", "abnormal", "a person lying still on the floor", motions.lying),
    Kind("abandoned bag", "abnormal", "a person leaving a bag on the floor", motions.bending),
)  # fmt: skip
BY_NAME = {kind.name: kind for kind in KINDS}
NORMAL = tuple(kind for kind in KINDS if kind.kind == "normal")
ABNORMAL = tuple(kind for kind in KINDS if kind.kind == "abnormal")
