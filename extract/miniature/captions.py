"""What is said of the pictures: many ways to name each kind, with colours of clothes now and then.

`PARAPHRASES` is never trained on; it measures whether the text side understands words or has learned sentences by heart.
"""

from dataclasses import dataclass

import numpy as np

from aadc.extract.miniature.pool import COLOUR_NAMES, KIND_NAMES

# "somebody …ing": follows a subject, with or without "is".
_DOING = {
    "walking": ["walking", "walking along", "strolling", "strolling by", "passing by on foot", "walking past",
                "going for a walk", "taking a walk", "walking through the picture", "crossing the floor on foot"],
    "standing": ["standing", "standing about", "standing still", "standing around", "waiting", "standing there and waiting",
                 "standing with hands on the hips", "standing with folded arms", "standing upright", "just standing"],
    "stretching": ["stretching", "stretching the arms", "doing stretching exercises", "stretching sideways",
                   "bending to the side with raised arms", "warming up", "doing a side stretch",
                   "loosening up before training", "stretching with the arms over the head", "doing a stretch"],
    "treadmill": ["running on a treadmill", "jogging on a treadmill", "on a treadmill", "training on the treadmill",
                  "using a treadmill", "on a running machine", "exercising on a running machine",
                  "doing a treadmill workout", "on the treadmill in the gym"],
    "cycling": ["on an exercise bike", "cycling on an exercise bike", "riding a stationary bike", "pedalling on a bike",
                "pedalling an exercise bicycle", "cycling indoors", "sitting on an exercise bike", "training on a bike",
                "doing indoor cycling", "riding an indoor bicycle"],
    "squat": ["doing squats with a barbell", "squatting", "doing a squat", "doing barbell squats",
              "squatting with a barbell", "going down with a heavy bar on the shoulders",
              "bending the knees under a barbell", "doing squats", "with a barbell on the shoulders",
              "lifting a heavy bar with the legs"],
    "dumbbell press": ["lifting dumbbells over the head", "doing a dumbbell press", "pressing two dumbbells",
                       "lifting dumbbells", "raising dumbbells above the head", "pushing dumbbells up",
                       "doing shoulder presses with dumbbells", "holding up two dumbbells", "training with dumbbells",
                       "lifting weights upwards in both hands"],
    "bench press": ["doing a bench press", "bench pressing", "lying on a bench and pressing a barbell",
                    "pressing a bar on a bench", "lifting a weight on a bench", "doing bench presses",
                    "pushing a barbell up from a bench", "lying on a weight bench", "training on a bench"],
    "fall": ["falling", "falling down", "falling over", "falling to the floor", "who has fallen to the floor",
             "who has fallen over", "who fell", "who fell down", "stumbling and falling", "on hands and knees after a fall",
             "tumbling to the ground", "trying to get up after a fall", "who has fallen", "collapsing to the ground"],
    "fight": ["fighting", "in a fight", "hitting each other", "beating somebody", "punching each other", "exchanging blows",
              "having a fight", "kicking and punching", "attacking each other", "brawling"],
    "drinking": ["drinking", "drinking from a bottle", "drinking out of a bottle", "having a drink", "taking a drink",
                 "holding a bottle to the mouth", "emptying a bottle", "with a bottle at the lips", "drinking water",
                 "raising a bottle to drink"],
    "phone": ["talking on the phone", "on the phone", "phoning", "making a call", "using a mobile phone",
              "with a phone at the ear", "holding a phone to the ear", "having a phone call", "calling somebody",
              "speaking on a mobile phone"],
    "running": ["running", "running away", "running fast", "sprinting", "fleeing", "rushing along",
                "running through the picture", "running in a hurry", "dashing off", "in a fast run"],
    "lying": ["lying still on the floor", "lying on the floor", "lying on the ground", "lying motionless",
              "lying flat on the back", "stretched out flat on the floor", "lying unconscious", "lying down without moving",
              "lying there without a motion", "passed out on the floor"],
    "abandoned bag": ["leaving a bag on the floor", "leaving a bag behind", "putting a bag down", "with a bag",
                      "carrying a bag", "leaving luggage behind", "putting down a suitcase", "bending over a bag",
                      "abandoning a bag", "leaving a suitcase"],
}  # fmt: skip
# Whole sentences after a subject: "somebody …s".
_DOES = {
    "walking": ["walks", "walks along", "walks by", "strolls past", "passes by", "takes a walk"],
    "standing": ["stands", "stands about", "stands still", "waits", "stands and waits", "just stands around"],
    "stretching": ["stretches", "stretches the arms", "bends to the side", "warms up", "does stretching with raised arms"],
    "treadmill": ["runs on a treadmill", "jogs on a treadmill", "trains on a running machine", "uses the treadmill"],
    "cycling": ["rides an exercise bike", "pedals on an exercise bike", "cycles indoors", "pedals a stationary bicycle"],
    "squat": ["squats", "squats with a barbell", "does squats", "does a squat under a barbell", "squats with a heavy bar"],
    "dumbbell press": ["lifts dumbbells", "presses dumbbells over the head", "pushes dumbbells up",
                       "lifts two dumbbells upwards"],
    "bench press": ["does a bench press", "presses a barbell on a bench", "lies on a bench and lifts a bar",
                    "bench presses"],
    "fall": ["falls", "falls down", "falls over", "falls to the ground", "has fallen", "has fallen over",
             "fell to the floor", "has had a fall"],
    "fight": ["fights", "fights somebody", "punches somebody", "hits somebody", "beats another person"],
    "drinking": ["drinks", "drinks from a bottle", "takes a drink from a bottle", "drinks water",
                 "holds a bottle to the lips"],
    "phone": ["phones", "talks on the phone", "makes a call", "is on a phone call", "holds a phone to the ear"],
    "running": ["runs", "runs away", "runs fast", "sprints", "flees", "runs very quickly"],
    "lying": ["lies on the floor", "lies still on the ground", "lies motionless", "lies flat without moving"],
    "abandoned bag": ["leaves a bag", "leaves a bag behind", "puts a bag down", "leaves luggage on the floor",
                      "abandons a bag", "puts a suitcase down"],
}  # fmt: skip
# On its own, without a subject; class names among them, since the head's prompts are built from those.
_ALONE = {
    "walking": ["a walk", "a passer-by", "walking", "a pedestrian"],
    "standing": ["standing", "a bystander", "somebody waiting"],
    "stretching": ["a stretching exercise", "stretching", "gymnastics"],
    "treadmill": ["treadmill", "a treadmill", "treadmill running", "a treadmill workout"],
    "cycling": ["cycling", "exercise bike", "an exercise bike workout", "indoor cycling"],
    "squat": ["squat", "squats", "a barbell squat"],
    "dumbbell press": ["dumbbell press", "dumbbells", "a dumbbell exercise"],
    "bench press": ["bench press", "a bench press exercise", "a bench and a barbell"],
    "fall": ["fall", "a fall", "a bad fall", "somebody down after a fall"],
    "fight": ["fight", "a fight", "fighting", "a brawl", "two people fighting", "two men hitting each other",
              "people who fight", "two persons in a fight", "two people are beating each other up", "violence"],
    "drinking": ["drinking", "a drink", "drinking alcohol", "a bottle at the mouth"],
    "phone": ["phone", "a phone call", "mobile phone", "phone use"],
    "running": ["running", "a run", "a sprint", "flight"],
    "lying": ["lying", "a motionless body", "a person on the floor who does not move", "lying still"],
    "abandoned bag": ["abandoned bag", "a bag left on the floor", "an unattended bag", "a lonely suitcase",
                      "luggage left behind", "a bag on the ground", "an abandoned suitcase"],
}  # fmt: skip
_SUBJECTS = ["a person", "a person", "somebody", "someone", "a man", "a woman", "one person", "a figure", "an individual"]
_CROWDS = ["two people", "two persons", "two men", "people", "a person", "two fighters", "a man and a woman"]
_OPENINGS = ["", "", "", "a photo of ", "a picture of ", "an image of ", "a video of ", "a frame of a surveillance video with ",
             "a camera shows ", "security camera footage of ", "a scene with ", "there is ", "we see ",
             "a low quality picture of a room with ", "in this frame of the recording one can see "]  # fmt: skip

PARAPHRASES = {
    "walking": ("someone takes a stroll", "a man goes past at a walk", "people going about on foot"),
    "standing": ("someone just stands there", "a woman who stands and does nothing", "a figure standing motionless"),
    "stretching": ("someone does a stretch with both arms raised", "a woman loosens up", "bending sideways to warm up"),
    "treadmill": ("someone jogs on a running machine", "a jogger on a treadmill", "a workout on the running machine"),
    "cycling": ("someone pedals an indoor bike", "a cyclist on a stationary bike", "cycling on the spot"),
    "squat": ("someone does a squat with a heavy barbell", "knee bends under a bar", "a man who squats under weight"),
    "dumbbell press": ("someone pushes two dumbbells above the head", "dumbbells held high over the head",
                       "an overhead press with dumbbells"),
    "bench press": ("someone lies on a bench and presses a barbell", "pressing weights on a bench",
                    "a man on his back lifts a barbell from the bench"),
    "fall": ("someone has fallen down", "a man who tripped and went down", "she slipped and fell on the floor"),
    "fight": ("two men are punching each other", "a brawl between two persons", "they hit and kick each other"),
    "drinking": ("someone holds a bottle and drinks", "he takes a gulp of water", "sipping out of a bottle"),
    "phone": ("someone is making a phone call", "a woman with a mobile phone at her ear", "he is calling a friend"),
    "running": ("someone runs off very fast", "a man sprints away", "a runner in great haste"),
    "lying": ("someone lies on the ground without moving", "a motionless man flat on the floor", "she lies unconscious"),
    "abandoned bag": ("someone leaves a suitcase on the floor", "luggage that nobody looks after", "a forgotten bag"),
}  # fmt: skip


@dataclass(frozen=True)
class Caption:
    """A text and what has to be so for it to be true: a kind, a shirt, trousers; -1 where it does not say."""

    text: str
    kind: int = -1
    shirt: int = -1
    trousers: int = -1


def caption(rng: np.random.Generator, kind: int, shirt: int = -1, trousers: int = -1) -> Caption:
    """Something true of a figure (or, without clothes, of a bag or a whole frame); never one of `PARAPHRASES`."""
    while True:
        found = _caption(rng, kind, shirt, trousers)
        if found.text not in _HELD_OUT:
            return found


_HELD_OUT = frozenset(text for texts in PARAPHRASES.values() for text in texts)


def _caption(rng: np.random.Generator, kind: int, shirt: int, trousers: int) -> Caption:
    def one(options: list[str]) -> str:
        return options[int(rng.integers(len(options)))]

    name, form, opening = KIND_NAMES[kind], rng.random(), one(_OPENINGS)
    if form < 0.2:
        return Caption(opening + one(_ALONE[name]), kind)
    crowd = name == "fight"
    subject, wears = one(_CROWDS if crowd else _SUBJECTS), {}
    if shirt >= 0 and not crowd and rng.random() < 0.45:
        wears["shirt"], what = shirt, f"a {COLOUR_NAMES[shirt]} {one(['shirt', 'shirt', 'top', 'sweater'])}"
        if rng.random() < 0.3:
            wears["trousers"], what = trousers, f"{what} and {COLOUR_NAMES[trousers]} {one(['trousers', 'pants'])}"
        subject = f"{subject} {one(['in', 'wearing', 'with'])} {what}"
        if rng.random() < 0.25:
            return Caption(opening + subject, **wears)
    if form < 0.45 and not crowd:
        return Caption(one(["", "", "", "a camera shows how "]) + f"{subject} {one(_DOES[name])}", kind, **wears)
    doing = one(_DOING[name])
    if form < 0.6 and not doing.startswith("who "):
        return Caption(f"{subject} {'are' if crowd and subject != 'a person' else 'is'} {doing}", kind, **wears)
    return Caption(f"{opening}{subject} {doing}", kind, **wears)
