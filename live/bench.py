"""How many cameras this machine scores in time, and how late events are, from the picture that is drawn to the store.

Everything is as `aadc-live` runs it, without the dashboard: a camera's process each, RTSP, the process with the models, the
store. The cameras are one made-up picture that carries the time (`strip_camera`), and the process that scores notes what passes
it (`bench_score`).
"""

import json
import os
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aadc.extract.run_folder import RunFolder
from aadc.live.bench_score import NOTES
from aadc.live.legs import EVENT, FRAME, WHOLE, by_leg, event_legs, frame_legs, percentiles
from aadc.live.read_config import read_config
from aadc.live.rtsp_server import rtsp_server
from aadc.live.watch import Watch
from aadc.manifests.errors import UserError

_READY_S = 600.0  # for models to load
_KEEPS_UP = 0.98  # real-time factor
_SETTLES_S = 3.0  # after the first scores, before it counts


class BenchResult(NamedTuple):
    """`holds`: cameras, as scoring went; `crowded`: cameras, measured before on crowded frames of 1280 x 720, every one
    computed; `real_time`: snippets scored of those due, the worst camera's; `gated`: share of frames that the gate carried
    over; `frames` scored and read, `misread`: whose strip could not be; `frame_s` and `event_s`: p50, p95, p99 by leg
    (seconds), of `events`; `confirmed_s`: until they are confirmed; `load`: of the machine as it began, its average
    over a minute."""

    cameras: int
    holds: float
    crowded: float
    real_time: float
    gated: float
    dropped: int
    frames: int
    misread: int
    events: int
    frame_s: dict[str, dict[str, float]]
    event_s: dict[str, dict[str, float]]
    confirmed_s: dict[str, float]
    load: float


class Passed(NamedTuple):
    """What was written down. `rows`: as `bench_score.Noting` has them; `encoded_ns`: when the picture of each strip was
    encoded; `began_ns`: of the stretch that counts (monotonic, nanoseconds); `before`, `after`: scoring's figures at its
    ends."""

    rows: list[dict]
    began_ns: int
    encoded_ns: dict[int, int]
    before: dict
    after: dict


def bench(
    run: RunFolder, device: str, cameras: int, seconds: float, size: tuple[int, int] = (640, 360), gate: float = 0.0
) -> BenchResult:
    """Score so many cameras for so long.

    Raises:
        UserError: the run cannot score live, or the cameras do not start.
    """
    load = os.getloadavg()[0]
    passed = watched(run, device, cameras, seconds, size, gate)
    rows = [row for row in passed.rows if row["arrived"] >= passed.began_ns]
    frames = frame_legs(rows, passed.encoded_ns)
    events, confirmed = event_legs(rows, frames)
    counts = {name: _difference(passed.before["cameras"][name], one) for name, one in passed.after["cameras"].items()}
    scored = sum(one["scored"] for one in counts.values())
    return BenchResult(
        cameras=cameras,
        holds=passed.after["holds"],
        crowded=passed.after["held_at_start"],
        real_time=round(min(_real_time(one) for one in counts.values()), 3),
        gated=round(sum(one["gated"] for one in counts.values()) / max(1, scored), 3),
        dropped=sum(one["dropped"] for one in counts.values()),
        frames=len(frames),
        misread=sum(row["what"] == "frame" and row["strip"] is None for row in rows),
        events=len(events),
        frame_s=by_leg(list(frames.values()), FRAME),
        event_s=by_leg(events, EVENT),
        confirmed_s=percentiles(confirmed),
        load=round(load, 2),
    )


def watched(
    run: RunFolder, device: str, cameras: int, seconds: float, size: tuple[int, int], gate: float, more: str = ""
) -> Passed:
    """Score so many cameras for so long; gives what was written down. Errors as for `bench`.

    Args:
        more: lines for the top of the file of cameras.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "cameras.toml"
        made_up = ["aadc.live.following", "aadc.live.strip_camera", str(os.getpid())]
        drawn = [*map(str, size), str(folder / "encoded.bin")]
        with rtsp_server(lambda port: [*made_up, str(port), *drawn]) as address:
            file.write_text(more + _config(run, address, cameras, gate), encoding="utf-8")
            watch = Watch(read_config(file), file, device, score="aadc.live.bench_score")
            measured = _Measured(watch, cameras, seconds)
            watch.run()
        if len(measured.figures) < 2:
            raise UserError("the cameras of the measurement were not scored; what is wrong is said above")
        (began_ns, before), (_, after) = measured.figures
        rows = [json.loads(line) for line in (folder / NOTES).read_text().splitlines()]
        encoded = np.fromfile(folder / "encoded.bin", np.int64).reshape(-1, 2)
    return Passed(rows, began_ns, {int(strip): int(when) for strip, when in encoded}, before, after)


def _difference(before: dict, after: dict) -> dict[str, int]:
    return {key: after[key] - before[key] for key in ("scored", "unusable", "dropped", "gated")}


def _real_time(counts: dict[str, int]) -> float:
    taken = counts["scored"] + counts["unusable"]
    return taken / max(1, taken + counts["dropped"])


def _config(run: RunFolder, address: str, cameras: int, gate: float) -> str:
    """The file of cameras. Events end as the square stops, so that each stretch in which it moves is one."""
    head = f'data = "data"\nrun = {json.dumps(str(run.path.resolve()))}\ngate = {gate}\n'
    rules = "[rules]\nclose_after_s = 0.3\nmerge_gap_s = 0.1\nmost_an_hour = 10000\n[web]\nenabled = false\n"
    each = (f'[[camera]]\nname = "camera {number}"\nsource = "{address}/{number}.mkv"\n' for number in range(1, cameras + 1))
    return head + rules + "".join(each)


class _Measured:
    """Ends the watch when it has run for so long; `figures`: scoring's as it began to count, and at the end, with the time
    (monotonic, nanoseconds)."""

    def __init__(self, watch: Watch, cameras: int, seconds: float):
        self.figures: list[tuple[int, dict]] = []
        self._watch, self._cameras, self._seconds = watch, cameras, seconds
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        with suppress(AttributeError, ValueError):  # the watch ended by itself, and its memory is closed
            self._measure()
        self._watch.stop()

    def _measure(self) -> None:
        until = time.monotonic() + _READY_S
        while time.monotonic() < until and not self._all_scored():
            time.sleep(0.1)
        if self._all_scored():
            for pause in (_SETTLES_S, self._seconds):
                time.sleep(pause)
                self.figures.append((time.monotonic_ns(), self._watch.scoring()))

    def _all_scored(self) -> bool:
        counts = self._watch.scoring().get("cameras", {}).values()
        return len(counts) == self._cameras and all(one["scored"] > 0 for one in counts)


def as_lines(result: BenchResult) -> list[str]:
    """The result in words and a table."""
    lines = [
        f"{result.cameras} cameras at 30 fps over RTSP, load {result.load:g} before: "
        f"real-time factor {result.real_time:g} (the worst), {result.dropped} dropped, "
        f"{result.gated:.0%} carried over by the gate, {result.misread} frames misread",
        f"scoring alone keeps up with about {result.holds:g} such cameras, or {result.crowded:g} crowded ones of 1280 x 720",
        "",
        f"{'milliseconds':16}" + _columns(f"{result.frames} frames") + _columns(f"{result.events} events"),
        " " * 16 + (" ".join(f"{f'p{share}':>7}" for share in (50, 95, 99)) + "   ") * 2,
    ]
    for name in EVENT:
        lines.append(f"{name:16}" + _row(result.frame_s.get(name)) + _row(result.event_s.get(name)))
    lines.append(f"{WHOLE:16}" + _row(result.frame_s.get(WHOLE)) + _row(result.event_s.get(WHOLE)))
    lines.append(f"{'until confirmed':16}" + _row(None) + _row(result.confirmed_s))
    return [*(line.rstrip() for line in lines), "", _limit(result), *_next(result)]


def _next(result: BenchResult) -> list[str]:
    """Reading, decoding and clips of more cameras take their part of the machine too: only a measurement says how many it
    holds."""
    more = int(result.holds)
    if result.real_time < _KEEPS_UP or more <= result.cameras:
        return []
    return [f"next: aadc-live bench --cameras {more}, which says whether the rest of the machine keeps up as well"]


def _columns(title: str) -> str:
    return f"{title:>23}   "


def _row(shares: dict[str, float] | None) -> str:
    return " ".join(f"{value * 1000:7.0f}" for value in shares.values()) + "   " if shares else " " * 26


def _limit(result: BenchResult) -> str:
    """What is to be changed first."""
    busy = result.cameras / result.holds if result.holds else 1.0
    if result.real_time < 0.95 or busy > 0.8:
        return f"what limits: scoring ({busy:.0%} of the time it is given); fewer cameras, --gate, or a GPU"
    if not result.event_s:
        return f"what limits: nothing (scoring is busy {busy:.0%} of the time); too short to see an event"
    slowest = max(EVENT, key=lambda name: result.event_s[name]["p50"])
    part = result.event_s[slowest]["p50"] / result.event_s[WHOLE]["p50"]
    why = {
        "next snippets": "rules.open_for snippets in a row open an event",
        "sent, decoded": "sending and decoding",
    }.get(slowest, slowest)
    return f"what limits: {why} ({part:.0%} of an event's delay); scoring is busy {busy:.0%} of the time"
