"""Events as lines on a terminal, and times as people type them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aadc.manifests.errors import UserError

_LAST_NS = 2**63 - 1  # of what a store can hold: the year 2262


def table(events: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line each: local time with its offset (an hour may come twice), camera, class, score, decision, words."""
    for one in events:
        what = f"{one['category']} {one['peak']:.2f}" + (f", digest of {one['swallowed']}" if one["swallowed"] else "")
        told = [local_time(one["start_ns"]), f"{one['duration_s']:.0f} s", one["camera"], what, state(one), one["id"][-10:]]
        yield "  ".join(told) + (f"  {one['description']}" if one["description"] else "")


def likeness_table(events: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The same behind how similar each is to the words, a cosine."""
    for one, line in zip(events, table(events), strict=True):
        yield f"{one['similarity']:.3f}  {line}"


def details(one: dict[str, Any], clip: Path | None) -> Iterator[str]:
    """All that is known of an event."""
    yield f"event {one['id']}, camera {one['camera']}"
    yield f"from {local_time(one['start_ns'])} to {local_time(one['end_ns'])} ({one['duration_s']:.1f} s), {state(one)}"
    named = "" if one["category"] == one["detected"] else f" (detected: {one['detected']})"
    yield f"{one['category']}{named}: share {one['share']:.2f}, score at most {one['peak']:.2f}, {one['mean']:.2f} on average"
    if one["swallowed"]:
        yield f"a digest: {one['swallowed']} events were too many for one hour"
    if one["continues"]:
        yield f"goes on from {one['continues']}"
    if one["description"]:
        yield f"{one['description']} [{one['how']}]"
    yield f"clip: {clip or 'none'}"


def state(one: dict[str, Any]) -> str:
    """In few words: what people said, else what scores said, and whether it goes on."""
    said = one["decision"] if one["decision"] != "open" else "not yet confirmed" if one["state"] == "provisional" else "open"
    return {None: f"{said}, goes on", "interrupted": f"{said}, interrupted", "gap": f"{said}, picture lost"}.get(
        one["ending"], said
    )


def local_time(utc_ns: int) -> str:
    """`2026-10-25 02:30:00+01:00`."""
    return datetime.fromtimestamp(utc_ns // 10**9, UTC).astimezone().isoformat(" ", "seconds")


def utc_ns(text: str, option: str) -> int:
    """A time as a person types it, local unless it has an offset; nanoseconds UTC. `UserError` where it is none."""
    try:
        utc_s = datetime.fromisoformat(text).astimezone().timestamp()
        return min(max(round(utc_s) * 10**9, 0), _LAST_NS)
    except (ValueError, OverflowError, OSError):
        raise UserError(f"{option} {text}: not a time; write 2026-03-01, 2026-03-01T14:00 or with an offset, +01:00") from None
