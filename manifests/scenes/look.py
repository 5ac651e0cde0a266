"""Wardrobe: what figures and things look like, with the words for their colours."""

import numpy as np

from aadc.manifests.scenes.figure import Look

COLOURS = {
    "red": (200, 36, 36), "blue": (40, 70, 200), "green": (40, 140, 60), "yellow": (226, 200, 50), "orange": (232, 128, 36),
    "purple": (130, 60, 160), "white": (232, 232, 228), "black": (34, 34, 38), "grey": (124, 126, 130), "pink": (232, 130, 170),
    "brown": (120, 78, 48),
}  # fmt: skip
_SKIN = ((240, 204, 174), (224, 180, 146), (198, 148, 112), (150, 104, 74), (104, 72, 52))
_HAIR = ((40, 28, 20), (20, 20, 22), (96, 62, 32), (190, 150, 84), (120, 120, 122))


def _shaded(colour: tuple[int, int, int], rng: np.random.Generator, spread: float = 12) -> tuple[int, int, int]:
    red, green, blue = (int(np.clip(channel + rng.normal(0, spread), 8, 248)) for channel in colour)
    return red, green, blue


def random_look(rng: np.random.Generator) -> Look:
    """A figure's clothes and build; shirt and trousers never share a colour word."""
    shirt, trousers = rng.choice(list(COLOURS), 2, replace=False)
    return Look(
        shirt=_shaded(COLOURS[shirt], rng),
        trousers=_shaded(COLOURS[trousers], rng),
        skin=_shaded(_SKIN[rng.integers(len(_SKIN))], rng, 6),
        hair=_shaded(_HAIR[rng.integers(len(_HAIR))], rng, 6),
        shoes=_shaded(((30, 30, 34), (220, 220, 216), (120, 70, 50))[rng.integers(3)], rng),
        shirt_name=str(shirt),
        trousers_name=str(trousers),
        build=float(rng.uniform(0.85, 1.2)),
        stature=float(rng.uniform(0.92, 1.08)),
        long_hair=bool(rng.random() < 0.45),
    )


def random_paint(rng: np.random.Generator) -> tuple[int, int, int]:
    """Colour of a thing: equipment, bottle, bag."""
    return _shaded(list(COLOURS.values())[rng.integers(len(COLOURS))], rng)
