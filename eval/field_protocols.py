"""How the families of this field count frames and areas: truth and scores of two families must never be mixed.

Facts from their published code and files; `docs/metrics.md` has the totals by which each can be known.
"""

from collections.abc import Callable
from dataclasses import dataclass

from aadc.manifests.errors import UserError

SNIPPET = 16  # frames a row of features, in all of them


@dataclass(frozen=True)
class FieldProtocol:
    """`counted` tells how many frames of a video count, from its own number (None: the manifest does not state it) and how many
    have a score; `last_included` whether a span holds its last frame; `precision` which area under the precision-recall curve
    is called AP: `ap` (steps) or `ap_trapezoid`."""

    name: str
    counted: Callable[[int | None, int], int]
    last_included: bool
    precision: str
    told: str


def _rows(frames: int | None, scored: int) -> int:
    return SNIPPET * max(1, scored // SNIPPET)


def _up(frames: int | None, scored: int) -> int:
    return SNIPPET * -(-(frames or scored) // SNIPPET)


def _less_one(frames: int | None, scored: int) -> int:
    return SNIPPET * max(1, (frames - 1 if frames else scored) // SNIPPET)


def _all(frames: int | None, scored: int) -> int:
    return frames or scored


FIELD_PROTOCOLS = {
    one.name: one
    for one in (
        FieldProtocol("ours", _all, False, "ap", "every frame counts, spans are [start, end), AP in steps"),
        FieldProtocol("vadclip", _rows, False, "ap", "16 frames for each row of scores, spans are [start, end), AP in steps"),
        FieldProtocol(
            "rtfm", _up, True, "ap_trapezoid", "frames rounded up to 16, spans include their last frame, AP by trapezoids"
        ),
        FieldProtocol(
            "xdviodet",
            _less_one,
            False,
            "ap_trapezoid",
            "16 times (frames - 1) // 16 frames, spans are [start, end), AP by trapezoids",
        ),
        FieldProtocol(
            "lavad", _all, True, "ap_trapezoid", "every frame counts, spans include their last frame, AP by trapezoids"
        ),
    )
}


def field_protocol(name: str) -> FieldProtocol:
    """By its name. `UserError` for another one."""
    if name not in FIELD_PROTOCOLS:
        raise UserError(f"protocol {name}: there are {', '.join(FIELD_PROTOCOLS)}")
    return FIELD_PROTOCOLS[name]
