"""Row 10, all processes: the wall clock is set an hour forward, then back, while they work; only monotonic clocks go on.

Each process gets the C library's clock through a small library of ours that adds what a file says; the program knows nothing.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from preloaded import Preloaded
from test_watch import watching  # noqa: F401  a fixture
from waiting import wait_until

from aadc.live.clip_file import frame_times
from aadc.live.reader import Reader

HOUR_NS = 3600 * 10**9


@pytest.fixture(scope="module")
def stepped(tmp_path_factory):
    """The environment of a process whose wall clock can be set, and what sets it by seconds."""
    clock = Preloaded("stepped_clock.c", tmp_path_factory.mktemp("clock"), says="STEPPED_CLOCK")
    return clock.environment, lambda seconds: clock.tell(str(seconds))


def test_the_clock_is_set_while_everything_runs(tmp_path, watching, trained, stepped, hook):  # noqa: F811
    environment, step = stepped
    step(7200)
    asks = [sys.executable, "-c", "import time; print(time.time_ns())"]
    told = int(subprocess.run(asks, env={**os.environ, **environment}, capture_output=True, check=True).stdout)
    assert HOUR_NS < told - time.time_ns() <= 2 * HOUR_NS, "it works"
    step(0)
    folder, run, _, _ = trained
    video = sorted((folder / "demo" / "videos").glob("test-*"))[0]
    text = f"""
    run = "{run.path}"
    [rules]
    open_at = 0.001
    close_at = 0.001
    longest_s = 2
    most_an_hour = 10000
    [retention]
    days = 0.03
    [notices]
    webhook = "http://127.0.0.1:{hook.port}/"
    [[camera]]
    name = "a"
    source = "{video}"
    loop = true
    """
    live = watching(tmp_path, text, environment)

    def events():
        reader = Reader(tmp_path / "live" / "events.sqlite")
        try:
            return [one.event for one in reversed(reader.events(most=10_000))]
        finally:
            reader.close()

    def in_the_middle_of(number, within_s):
        """How many events there are once there are so many; the last one goes on."""
        found = []

        def goes_on():
            found[:] = events()
            return len(found) >= number and found[-1].open

        wait_until(goes_on, within_s)
        return len(found)

    wait_until(lambda: live.scored("a") > 8, 120)
    count = in_the_middle_of(2, 120)
    for seconds in (3600, 0, -3600):
        step(seconds)
        count = in_the_middle_of(count + 2, 60)
    first, restarts = live.status["cameras"]["a"], live.status["score"]["restarts"]
    live.process.send_signal(signal.SIGTERM)
    assert live.process.wait(30) == 0
    assert first["restarts"] == 0 and restarts == 0 and "offline" not in live.log.read_text(), "no sign of life was missed"

    kept = events()
    assert not any(one.open for one in kept) and len({one.id for one in kept}) == len(kept) >= 8
    for one in kept:
        assert 0 <= one.duration_s <= 3.5 and one.end_ns >= one.start_ns and one.opened_ns >= one.start_ns
        assert abs(one.curve[-1][0] - one.end_s) < 1.5  # a snippet lasts a second
    for before, after in zip(kept, kept[1:], strict=False):
        assert after.start_ns > before.start_ns, "UTC of events never goes back"
        if after.continues is not None:
            assert after.continues == before.id and after.start_s == before.end_s, "no second is lost or told twice"
    assert sum(one.continues is not None for one in kept) > len(kept) / 2
    zeros = [one.start_ns - round(one.start_s * 1e9) for one in kept]  # UTC of second 0, as the clock was then
    assert max(zeros) - zeros[0] > 0.9 * HOUR_NS, "the clock that was set forward is followed"
    counted = Counter((one["after"]["id"], one["type"]) for one in hook.bodies)
    assert all(counted[one.id, kind] == 1 for one in kept[:-1] for kind in ("new", "end"))
    clips = sorted((tmp_path / "live" / "clips").rglob("*.mp4"))
    assert {path.stem for path in clips} >= {one.id for one in kept[:-3]}, "retention of 43 minutes took none"
    for path in clips:
        times = frame_times(path)
        assert times and all(0 < after - before < 2 for before, after in zip(times, times[1:], strict=False))
