"""From the name of a feature file to the name of its video: one rule for everything that was published."""

import re
from collections.abc import Container, Iterator
from typing import NamedTuple

_BACKBONE = re.compile(r"(?:_i3d|_clip|_c3d|_C)$", re.IGNORECASE)
_CROP = re.compile(r"__([0-9])$")  # names of XD-Violence have __#1_ inside: only a final one is a crop
_SHORT_CROP = re.compile(r"_([0-9])$")  # ShanghaiTech's lists
_OTHER_KINDS = re.compile(r"(?:_emb|__vggish)$", re.IGNORECASE)  # captions, sound: not what a head sees


class Named(NamedTuple):
    """Which video a file is of, and which of its crops (None: the name says none)."""

    video: str
    crop: int | None


def readings(stem: str) -> Iterator[Named]:
    """What the name of a file, without folders and ending, may mean; the likeliest first.

    Stripped are a final `__<digit>` (the crop), then `_i3d`, `_clip`, `_c3d` or `_C` once; then, for the lists that write it
    so, a crop with one underscore.
    """
    yield Named(stem, None)
    crop = _CROP.search(stem)
    plain, number = (stem[: crop.start()], int(crop[1])) if crop else (stem, None)
    if crop:
        yield Named(plain, number)
    if (shorter := _BACKBONE.sub("", plain)) != plain:
        yield Named(shorter, number)
    if not crop and (short := _SHORT_CROP.search(stem)):
        yield Named(stem[: short.start()], int(short[1]))


def read_name(stem: str, videos: Container[str]) -> Named:
    """The first reading whose video is one of `videos`; where none is, the one that strips most, for people to read."""
    every = list(readings(stem))
    crops = [one for one in every if not (one.crop is None and _CROP.search(stem))]
    return next((one for one in every if one.video in videos), crops[-1] if _CROP.search(stem) else every[0])


def crop_named(stem: str) -> Named | None:
    """A name that ends in `__<digit>` as that of a crop; None for others."""
    crop = _CROP.search(stem)
    return Named(stem[: crop.start()], int(crop[1])) if crop else None


def is_other_kind(stem: str) -> bool:
    """Whether a file holds captions or sound of a video (`_emb`, `__vggish`)."""
    return bool(_OTHER_KINDS.search(_CROP.sub("", stem)))
