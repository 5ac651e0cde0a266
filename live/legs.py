"""From a picture that was drawn to the event that is kept: how long it took, leg by leg.

A leg begins where the one before ends, so they add up to the whole, for each frame and each event.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from aadc.live.strip_clock import age_ms
from aadc.live.strip_scene import onset_ms, shows_anomaly

SHARES = (50, 95, 99)
FRAME = ("drawn, encoded", "sent, decoded", "into the slot", "taken up", "first score")
WHOLE, WAIT, KEPT = "whole", "next snippets", "kept"
EVENT = (WAIT, *FRAME, KEPT)

Legs = dict[str, float]  # seconds by leg, and WHOLE


def frame_legs(rows: Sequence[Mapping], encoded_ns: Mapping[int, int] | None) -> dict[tuple[str, int], Legs]:
    """Of each frame that was scored and whose strip was read, by camera and arrival: from its drawing to its first score.

    Args:
        rows: as `bench_score.Noting` writes them.
        encoded_ns: when the picture of each strip was encoded (monotonic, nanoseconds); None: nobody knows, and its
            leg is part of the next.
    """
    frames = {(row["camera"], row["arrived"]): row for row in rows if row["what"] == "frame"}
    found: dict[tuple[str, int], Legs] = {}
    for row in rows:
        frame = frames.get((row["camera"], row["arrived"])) if row["what"] == "score" and not row["final"] else None
        if frame is None or frame["strip"] is None:
            continue
        ends = [frame["arrived"], frame["written"], frame["taken"], row["at"]]
        if encoded_ns is None:
            found[row["camera"], row["arrived"]] = legs_of(FRAME[1:], frame["strip"], ends)
        elif frame["strip"] in encoded_ns:
            found[row["camera"], row["arrived"]] = legs_of(FRAME, frame["strip"], [encoded_ns[frame["strip"]], *ends])
    return found


def event_legs(rows: Sequence[Mapping], frames: Mapping[tuple[str, int], Legs]) -> tuple[list[Legs], list[float]]:
    """Of each event: from the first picture of the anomaly to the store, where it is provisional; and the seconds
    from there until it is kept as confirmed.

    Args:
        frames: of `frame_legs`.
    """
    strips = {(row["camera"], row["arrived"]): row["strip"] for row in rows if row["what"] == "frame"}
    provisional: list[Legs] = []
    confirmed: list[float] = []
    for row in rows:
        key = row["camera"], row["arrived"]
        if row["what"] != "event" or key not in frames or not shows_anomaly(strips[key]):
            continue
        began = onset_ms(strips[key])
        whole = age_ms(began, row["at"]) / 1000
        if row["state"] == "confirmed":
            confirmed.append(whole)
            continue
        waited = (strips[key] - began) / 1000
        legs = {WAIT: waited, **frames[key]}
        legs[KEPT], legs[WHOLE] = whole - waited - frames[key][WHOLE], whole
        provisional.append(legs)
    return provisional, confirmed


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99; empty where there is nothing."""
    return {f"p{share}": round(float(np.percentile(values, share)), 4) for share in SHARES} if len(values) else {}


def by_leg(many: Sequence[Legs], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Percentiles of each leg, and of the whole."""
    return {name: percentiles([legs[name] for legs in many]) for name in (*names, WHOLE) if many}


def legs_of(names: Sequence[str], strip: int, ends_ns: Sequence[int]) -> Legs:
    """Legs of a picture with this strip, each of which ended then (monotonic, nanoseconds)."""
    ages = [age_ms(strip, end) / 1000 for end in ends_ns]
    starts = [0.0, *ages[:-1]]
    return {name: end - start for name, start, end in zip(names, starts, ages, strict=True)} | {WHOLE: ages[-1]}
