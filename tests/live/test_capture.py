"""A camera in a child process, against a real RTSP server that is stopped, killed, silent and started again."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from http_camera import HttpCamera, has_in_store
from rtsp import clock_video
from waiting import wait_until

from aadc.live import strip_clock
from aadc.live.camera_state import status_of
from aadc.live.capture import Capture, CaptureJob
from aadc.live.child import Child
from aadc.live.frame_slot import FrameSlot
from aadc.live.sources import open_source

SECRET = "hunter2-%40x"


class Camera:
    """A capture child and its slots, looked after as the parent does."""

    def __init__(self, source, kind="url", hangs_s=9.0, **further):
        self.frames, self.view = FrameSlot(), FrameSlot()
        self.job = CaptureJob(
            name="door", source=source, kind=kind, snippet_s=0.2, began_ns=time.monotonic_ns(), frames=self.frames.descriptor,
            view=self.view.descriptor, **{"back_off": 0.2, **further},
        )  # fmt: skip
        descriptors = [self.frames.descriptor, self.view.descriptor]
        self.child = Child(
            "door", "aadc.live.capture", self.job.model_dump, descriptors, lambda: self.view.beaten_ns, hangs_s, 20
        )
        self.log = []

    @property
    def status(self):
        if word := self.child.look_after():
            self.log.append(word)
        return status_of(self.view)

    def reaches(self, state, seconds):
        return wait_until(lambda: self.status.state == state, seconds)

    def newest(self):
        """Number in the strip of the newest small picture, and its size."""
        frame = self.view.read()
        return None if frame is None else (strip_clock.read(frame.rgb), frame.rgb.shape)

    def end(self):
        self.child.ask_to_end()
        self.child.end(time.monotonic() + 2)
        self.frames.close()
        self.view.close()


@pytest.fixture
def camera():
    made = []

    def make(*arguments, **further):
        made.append(Camera(*arguments, **further))
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_outages_of_all_kinds_and_back_again(rtsp_server, camera):
    """Rows 5, 6, 15, 16: killed, stopped, nobody there, another resolution; each is a disconnect, each comes back."""
    clock_video(rtsp_server.folder / "a.mp4", (640, 360))
    door = camera(rtsp_server.url("a.mp4", "admin:hunter2@"))
    door.reaches("online", 15)
    assert door.status.width == 640 and door.newest()[0] is not None
    wait_until(lambda: door.status.camera_off_s is not None, 10)  # the camera says it in a report of its own
    assert door.status.clock == "camera" and abs(door.status.camera_off_s) < 5, "row 11: whose clock, and how far it is off"
    rtsp_server.stop()
    assert door.reaches("stalled", 3.5) > 1
    assert door.reaches("offline", 5) < 5, "a camera that says nothing"
    rtsp_server.go_on()
    door.reaches("online", 15)
    rtsp_server.kill()
    door.reaches("offline", 5)
    wait_until(lambda: "refused" in door.status.error.lower(), 10)
    assert "hunter2" not in door.status.error
    seconds = door.view.read().second
    clock_video(rtsp_server.folder / "a.mp4", (320, 180))
    rtsp_server.start()
    door.reaches("online", 10)
    wait_until(lambda: (newest := door.newest()) and newest[1] == (180, 320, 3) and newest[0] is not None, 5)
    assert door.view.read().second > seconds and door.status.connects >= 3
    assert door.log == [] and door.child.restarts == 0, "all by the same process"


def test_killed_again_and_again_no_second_comes_twice(tmp_path, camera):
    """Eight times the pace: what was last told of the stream is two seconds old when the process is killed. Some die before
    their first picture."""
    clock_video(tmp_path / "a.mp4", seconds=3)
    door = camera(str(tmp_path / "a.mp4"), kind="file", loop=True, pace=8.0)
    seen = []

    def look():
        assert door.status
        for slot, found in ((door.frames, seen), (door.view, views)):
            frame = slot.read(after=found[-1].number if found else 0)
            if frame is not None:
                found.append(frame._replace(rgb=None))
        return seen

    views = []
    for turn in range(4):
        count = len(seen) + 12
        wait_until(lambda: len(look()) >= count, 60)  # noqa: B023
        wait_until(lambda: door.status and door.child.pid, 60)
        os.kill(door.child.pid, signal.SIGKILL)
        if turn % 2:  # and the next one before it has any picture
            restarts = door.child.restarts
            wait_until(lambda: look() and door.child.restarts > restarts, 60)  # noqa: B023
            wait_until(lambda: look() and door.view.told()["state"] == "connecting", 60)
            os.kill(door.child.pid, signal.SIGKILL)
    count = max(60, len(seen) + 12)  # from the one after the last kill, too, however many there were before it
    wait_until(lambda: len(look()) >= count, 60)
    for frames in (seen, views):
        seconds = [frame.second for frame in frames]
        assert all(after > before for before, after in zip(seconds, seconds[1:], strict=False))
    places = [(frame.epoch, frame.snippet) for frame in seen]
    assert places == sorted(set(places)), "nor a snippet of an epoch"
    assert len({epoch for epoch, _ in places}) >= 5 and door.child.restarts >= 6


def test_a_process_that_hangs_is_killed_and_replaced(rtsp_server, camera):
    """Row 5: whatever C code does, 10 s later there is a picture again. Time goes on as if nothing was."""
    clock_video(rtsp_server.folder / "a.mp4")
    door = camera(rtsp_server.url("a.mp4"), hangs_s=6.0)  # offline before that
    door.reaches("online", 15)
    wait_until(door.frames.read, 5)
    hung, before = door.child.pid, door.view.read()
    os.kill(hung, signal.SIGSTOP)
    assert door.reaches("offline", 6) < 6
    door.reaches("online", 10)
    assert door.child.pid != hung and "no sign of life" in door.log[0] and not os.path.exists(f"/proc/{hung}")
    after = door.view.read()
    assert after.second > before.second and after.utc_ns > before.utc_ns
    elapsed = (after.arrived_ns - before.arrived_ns) / 1e9
    assert abs(after.second - before.second - elapsed) < 1.0
    wait_until(lambda: door.frames.read().epoch == 1, 5)  # what came before is not carried over


def test_a_camera_that_never_sends_a_picture_is_never_online(camera):
    """Row 5: it answers (here, takes the connection) and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        door = camera(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x")
        states = set()

        def offline():
            states.add(door.status.state)
            return "offline" in states

        wait_until(offline, 9)
        assert "online" not in states


def test_a_thousand_failed_tries_cost_nothing():
    """Row 7: back-off for ever, and nothing is left of a try."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused at once
        job = CaptureJob(
            name="a", source=f"rtsp://u:{SECRET}@127.0.0.1:{taken.getsockname()[1]}/x", kind="url", snippet_s=1,
            began_ns=time.monotonic_ns(), back_off=1e-6,
        )  # fmt: skip
        view = _Counting()
        capture = Capture(job, view, view)
        worker = threading.Thread(target=capture.run)
        worker.start()
        wait_until(lambda: view.offline >= 100, 60)
        before, descriptors = _rss(), len(os.listdir("/proc/self/fd"))
        wait_until(lambda: view.offline >= 1100, 60)
        assert _rss() - before < 20 * 2**20
        capture.stop()
        worker.join(10)
        assert abs(len(os.listdir("/proc/self/fd")) - descriptors) <= 3
        assert SECRET not in view.errors and "hunter2" not in view.errors and "refused" in view.errors.lower()


def test_an_error_that_quotes_the_address_is_told_without_its_password(monkeypatch):
    """Row 26: also where a library puts it into the middle of its words, or decodes it."""
    address = f"rtsp://admin:{SECRET}@camera/x"

    def refuse(source, kind):
        raise ValueError(f"cannot open {source} (password hunter2-@x)")

    monkeypatch.setattr("aadc.live.capture.open_source", refuse)
    job = CaptureJob(name="a", source=address, kind="url", snippet_s=1, began_ns=0, back_off=1e-6, secrets=[SECRET])
    view = _Counting()
    capture = Capture(job, view, view)
    worker = threading.Thread(target=capture.run)
    worker.start()
    wait_until(lambda: view.offline > 3, 10)
    capture.stop()
    worker.join(5)
    assert "cannot open rtsp://***@camera/x" in view.errors and "hunter2" not in view.errors


class _Counting(FrameSlot):
    """Counts what it is told."""

    def __init__(self):
        super().__init__(most_pixels=10_000)
        self.offline, self.errors = 0, ""

    def tell(self, status):
        super().tell(status)
        self.offline += status["state"] == "offline"
        self.errors = self.errors[-10_000:] + status["error"]


def _rss() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_sound_is_never_asked_for(rtsp_server):
    """Row 13: of a camera with a microphone, there is only the picture. Without our options there would be both."""
    with av.open(str(rtsp_server.folder / "a.mp4"), "w") as output:
        video, sound = output.add_stream("libx264", rate=25), output.add_stream("aac", rate=16000)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        for _ in range(50):
            output.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((120, 160, 3), np.uint8))))
            hum = av.AudioFrame.from_ndarray(np.zeros((1, 640), np.float32), format="fltp", layout="mono")
            hum.rate = 16000
            output.mux(sound.encode(hum))
        output.mux(video.encode(None))
        output.mux(sound.encode(None))
    url = rtsp_server.url("a.mp4")
    with av.open(url, options={"rtsp_transport": "tcp"}) as everything:
        assert everything.streams.audio
    with open_source(url, "url") as (container, stream):
        assert not container.streams.audio and next(container.decode(stream)).width == 160


def test_a_second_after_connecting_frames_are_fresh(rtsp_server, camera):
    """Row 15: what a connection has in store is left out. The age is measured by the strip against the pace of the stream."""
    clock_video(rtsp_server.folder / "a.mp4", rate=25, seconds=20, gop=25)
    door = camera(rtsp_server.url("a.mp4"))
    door.reaches("online", 15)
    time.sleep(1)
    # Ages differ by jitter alone once the frames are live: a backlog would be worked off, and show as a faster clock.
    seen = []
    until = time.monotonic() + 3
    while time.monotonic() < until:
        frame = door.view.read()
        number = strip_clock.read(frame.rgb)
        if number is not None:
            seen.append((frame.arrived_ns / 1e9, number))
        time.sleep(0.05)
    lateness = [arrived - number / 25 for arrived, number in seen]
    assert max(lateness) - min(lateness) < 0.5
    assert abs(door.status.lag_s) < 0.5


def test_what_a_camera_has_in_store_is_never_scored_as_if_it_were_now(camera):
    """Row 15, by the clock: the camera sends six seconds that it has in store, from the middle of a GOP on, then what it sees.
    From one second after the first picture on, what is taken up to be scored is less than half a second old; and no picture
    is of a time before the first key frame."""
    server = HttpCamera({"/live.ts": has_in_store(6.0)})
    door = camera(server.url("/live.ts"))
    door.reaches("online", 30)
    unreadable, ages, taken = 0, [], 0
    began = time.monotonic()
    while time.monotonic() - began < 4:
        assert door.status
        frame, seen_ns = door.frames.read(after=taken), time.monotonic_ns()
        if frame is None:
            time.sleep(0.002)
            continue
        taken, drawn = frame.number, strip_clock.read(frame.rgb)
        unreadable += drawn is None
        if drawn is not None and time.monotonic() - began > 1:
            ages.append(strip_clock.age_ms(drawn, seen_ns) / 1000)
    server.close()
    assert len(ages) >= 8 and min(ages) > -0.05 and max(ages) < 0.5, ages
    assert door.status.backlog > 75, "more than three seconds of it were handed over, and left out"
    assert unreadable == 0 and door.child.restarts == 0


def test_blackouts_are_painted_before_anybody_sees_anything(tmp_path, camera):
    """And stay where they are at another resolution."""
    clock_video(tmp_path / "a.mp4", (640, 360), seconds=4)
    corner = [(0.5, 0.5), (1.0, 0.5), (1.0, 1.0), (0.5, 1.0)]
    door = camera(str(tmp_path / "a.mp4"), "file", blackouts=[corner], view_px=320)
    wait_until(lambda: door.status and door.frames.read() and door.view.read(), 15)
    for frame in (door.frames.read(), door.view.read()):
        height, width = frame.rgb.shape[:2]
        assert not frame.rgb[height // 2 :, width // 2 :].any()
        assert frame.rgb[height // 2 + 5 :, : width // 2 - 5].mean() > 50
    assert door.frames.read().rgb.shape == (360, 640, 3) and door.view.read().rgb.shape == (180, 320, 3)


class Kept:
    """A slot that keeps everything, for what must be looked at whole."""

    most_pixels = 10**7

    def __init__(self):
        self.all, self.statuses = [], []

    def write(self, rgb, second, utc_ns, arrived_ns, epoch=0, snippet=0, last=False, clock=None):
        self.all.append((rgb.copy(), second, utc_ns, arrived_ns, epoch, snippet, last))

    def tell(self, status):
        self.statuses.append(status)

    def beat(self):
        pass


def captured(path, pace=20.0, **further):
    """All snippets' frames of a file."""
    frames, view = Kept(), Kept()
    Capture(
        CaptureJob(
            name="a",
            source=str(path),
            kind="file",
            pace=pace,
            began_ns=time.monotonic_ns(),
            **{"snippet_s": 16 / 30, **further},
        ),
        frames,
        view,
    ).run()
    return frames, view


@pytest.mark.parametrize("rate", [5, 12.5, 25, 30, "variable"])
def test_a_scene_at_any_rate_gives_the_same_snippets(tmp_path, rate):
    """Row 14: frames carry their time in their strip; each snippet is seen at its middle, or within a frame after it."""
    if rate == "variable":
        gaps = np.random.default_rng(1).uniform(0.01, 0.2, 200)
        times = np.r_[0, np.cumsum(gaps)]
    else:
        times = np.arange(0, 12, 1 / rate)
    times = times[times < 12]
    frames, _ = captured(clock_video(tmp_path / "a.mkv", rate=30, times=times))
    middles = (np.arange(22) + 0.5) * 16 / 30
    snippets = [entry[5] for entry in frames.all]
    assert snippets[:22] == list(range(22)) and len(snippets) <= 23
    seen = np.array([strip_clock.read(entry[0]) for entry in frames.all[:22]]) / 1000
    assert ((seen - middles) > -0.003).all() and ((seen - middles) < np.diff(times).max() + 0.003).all()
    seconds = np.array([entry[1] for entry in frames.all[:22]])
    np.testing.assert_allclose(seconds - seconds[0], seen - seen[0], atol=0.002)


def test_a_file_that_loops_goes_on_and_one_that_does_not_says_so(tmp_path, camera):
    clock_video(tmp_path / "a.mp4", seconds=1)
    frames, view = captured(tmp_path / "a.mp4", snippet_s=0.2)
    assert view.statuses[-1]["ended"] and [entry[5] for entry in frames.all] == list(range(5))
    door = camera(str(tmp_path / "a.mp4"), "file", loop=True, pace=4.0)
    seen = []

    def looped():
        assert door.status.state in ("disabled", "connecting", "online")
        if (frame := door.frames.read(after=seen[-1].number if seen else 0)) is not None:
            seen.append(frame)
        return seen and seen[-1].snippet > 20

    wait_until(looped, 20)
    assert {frame.epoch for frame in seen} == {0}
    steps = np.diff([frame.second for frame in seen]) / np.diff([frame.snippet for frame in seen])
    assert (abs(steps - 0.2) < 0.05).all()


def test_hours_of_frames_take_no_memory(tmp_path):
    """Row 8, in small: thousands of frames, as fast as they decode, through dozens of openings; nothing stays of any."""
    clock_video(tmp_path / "a.mp4", (320, 180), seconds=4)
    frames, view = FrameSlot(most_pixels=60_000), _Counting()
    view.decoded = 0
    view.tell = lambda status: setattr(view, "decoded", status["decoded"])
    view.write = lambda *a, **k: None
    capture = Capture(
        CaptureJob(
            name="a",
            source=str(tmp_path / "a.mp4"),
            kind="file",
            loop=True,
            pace=1000,
            snippet_s=0.2,
            began_ns=time.monotonic_ns(),
        ),
        frames,
        view,
    )
    worker = threading.Thread(target=capture.run)
    worker.start()
    wait_until(lambda: view.decoded >= 1000, 60)
    before, descriptors, threads = _rss(), len(os.listdir("/proc/self/fd")), threading.active_count()
    wait_until(lambda: view.decoded >= 5000, 120)
    grown = _rss() - before
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 3 and threading.active_count() == threads
    capture.stop()
    worker.join(10)
    assert grown < 4 * 2**20


_TIMED = """
import json, sys, time
from aadc.live import capture as module
from aadc.live.capture_job import CaptureJob
from aadc.live.frame_slot import FrameSlot

made, real = [], module.VideoReformatter
module.VideoReformatter = lambda: made.append(0) or real()

class Timed(FrameSlot):
    times = []

    def write(self, *arguments, **further):
        super().write(*arguments, **further)
        self.times.append(time.process_time())
        if len(self.times) >= int(sys.argv[2]):
            capture.stop()

job = CaptureJob(name="a", source=sys.argv[1], kind="file", loop=True, pace=1000, snippet_s=0.2, view_fps=60,
                 began_ns=time.monotonic_ns())
view = Timed()
capture = module.Capture(job, FrameSlot(), view)
capture.run()
print(json.dumps({"times": view.times, "reformatters": len(made), "openings": view.told()["connects"]}))
"""


def test_no_frame_waits_for_memory_to_be_cleaned_up(tmp_path):
    """Row 8: in a process of its own, every frame of many openings goes through in less than a tenth of a second of its time
    (collections of garbage included), and is brought to its size by the same two reformatters, of which each new one would
    keep its memory."""
    clock_video(tmp_path / "a.mp4", (640, 360), seconds=3)
    done = subprocess.run(
        [sys.executable, "-c", _TIMED, str(tmp_path / "a.mp4"), "1500"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    gaps = np.diff(told["times"][10:])  # the first ones load what is needed
    assert np.percentile(gaps, 99) < 0.1 and told["reformatters"] == 2 and told["openings"] >= 15
