"""One camera, read in a process of its own that may hang or die: its newest frames go into two slots, and nobody is waited for.

Everything that is asked comes through standard input as one line of JSON, since others can read a command line; the pipe stays
open, and when it closes the parent is gone, so this process goes too.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from aadc.extract.geometry import Geometry
from aadc.live.back_off import BackOff
from aadc.live.blackouts import Blackouts
from aadc.live.camera_state import CameraStatus, State, earlier
from aadc.live.capture_job import CaptureJob
from aadc.live.credentials import hide_credentials
from aadc.live.frame_slot import FrameSlot
from aadc.live.job import read_job, until_parent_goes
from aadc.live.live_edge import LiveEdge
from aadc.live.picture_health import PictureHealth
from aadc.live.snippets import SnippetClock
from aadc.live.source_trouble import source_trouble
from aadc.live.sources import SOURCE_ERRORS, open_source
from aadc.live.timeline import Clock, Moment, Timeline, UtcClock
from aadc.manifests.files import reason

GOOD_S = 10.0  # a connection that lasts so long was no failure
LOOKS_EVERY_S = 0.2  # at the picture's health
TELLS_EVERY_S = 0.25
BEHIND_S = 1.0  # later than this, decoding leaves frames out


class Slot(Protocol):
    """Where pictures go; a `FrameSlot`."""

    @property
    def most_pixels(self) -> int: ...

    def write(
        self,
        rgb: np.ndarray,
        second: float,
        utc_ns: int,
        arrived_ns: int,
        epoch: int = 0,
        snippet: int = 0,
        last: bool = False,
        clock: Clock | None = None,
    ) -> None: ...

    def tell(self, status: dict) -> None: ...

    def beat(self) -> None: ...


class Capture:
    """Reads one camera for ever, or a file to its end.

    Args:
        frames: gets the one frame of every snippet, in full size.
        view: gets small frames, `view_fps` a second at most, for clips and those who look; and the camera's state.
        before: what an earlier process of this camera said.
    """

    def __init__(self, job: CaptureJob, frames: Slot, view: Slot, before: CameraStatus | None = None):
        before = before or CameraStatus()
        self.job, self._frames, self._view = job, frames, view
        self._timeline = Timeline(job.began_ns, before.second)
        self._snippets = SnippetClock(job.snippet_s, job.middle, before.epoch + (before.newest_ns > 0))
        self._utc = UtcClock()
        self._health = PictureHealth()
        self._blackouts = Blackouts(job.blackouts)
        self._painter = _Painter(self._blackouts, min(frames.most_pixels, view.most_pixels))
        self._full, self._small = VideoReformatter(), VideoReformatter()
        self._back_off = BackOff(job.back_off)
        self._counts = dict.fromkeys(("connects", "decoded", "backlog", "damaged", "jumps"), 0)
        self._status = CameraStatus()
        self._told = self._looked = self._viewed = -np.inf
        self._newest: tuple[av.VideoFrame, av.VideoStream, Moment, int, int] | None = None
        self._recording: _Recording | None = None
        self._stop = threading.Event()

    def stop(self) -> None:
        """Come to an end at the next frame."""
        self._stop.set()

    def run(self) -> None:
        """Connect, read, and connect again; back off while that fails. Ends with a file that does not loop, or after `stop`."""
        while not self._stop.is_set():
            self._tell("connecting")
            began, error = time.monotonic(), "the stream ended"
            try:
                self._read_once()
            except SOURCE_ERRORS as trouble:
                told = source_trouble(trouble, self.job.source, self.job.kind, **self.job.trust)
                # Names of devices and files hold no password, and have to be told.
                hidden = [self.job.source] if self.job.kind == "url" else []
                error = hide_credentials(told, [*hidden, *self.job.secrets])
            if self._stop.is_set():
                break
            if self.job.kind == "file" and error == "the stream ended":
                if self.job.loop and self._newest is not None:
                    self._timeline.connected()
                    continue
                self._finish()
                return
            if time.monotonic() - began >= GOOD_S:
                self._back_off.worked()
            self._tell("offline", error)
            self._wait(self._back_off.failed())

    def _read_once(self) -> None:
        """One connection, until it ends one way or another."""
        self._timeline.connected()
        edge = LiveEdge()
        geometry: Geometry | None = None
        shape: tuple = ()
        with open_source(self.job.source, self.job.kind, **self.job.trust) as (container, stream):
            self._counts["connects"] += 1
            codec = stream.codec_context
            codec.thread_type, codec.thread_count = (
                ("AUTO", 2) if self.job.kind == "file" else ("SLICE", 1)
            )  # frame threads hold frames back
            for picture in self._paced(container, stream):
                arrived_ns = time.monotonic_ns()
                self._view.beat()
                if self._stop.is_set():
                    return
                self._counts["decoded"] += 1
                self._counts["damaged"] += bool(picture.is_corrupt)
                stated_s = _stated_s(picture)
                if self._recording is None and not edge.reached(stated_s, arrived_ns / 1e9):
                    self._counts["backlog"] += 1
                    continue
                if (now_shape := (picture.width, picture.height, stream.sample_aspect_ratio, picture.rotation)) != shape:
                    shape, geometry = now_shape, Geometry.of(picture, stream)
                    self._painter.geometry = geometry
                moment = self._timeline.at(stated_s, self._due_ns(stated_s, arrived_ns))
                self._hurry(codec, moment, arrived_ns)
                self._take(picture, stream, moment, arrived_ns)
                self._tell_online(container, stream, moment, stated_s, arrived_ns)

    def _paced(self, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        """Decoded pictures as they come; recorded ones when their time has come."""
        recorded = self.job.kind == "file" or (self.job.source.startswith("http") and bool(container.duration))
        self._recording = None
        for picture in container.decode(stream):
            if recorded and (stated_s := _stated_s(picture)) is not None:
                if self._recording is None:
                    now_ns, frame_s = time.monotonic_ns(), 1 / float(stream.average_rate or 25)
                    follows_ns = self.job.began_ns + int((self._timeline.last + frame_s) * 1e9)
                    self._recording = _Recording(stated_s, now_ns, max(now_ns, follows_ns), self.job.pace)
                while (wait := self._recording.wait_s(stated_s)) > 0 and not self._stop.is_set():
                    self._view.beat()
                    self._stop.wait(min(wait, 1.0))
            yield picture

    def _due_ns(self, stated_s: float | None, arrived_ns: int) -> int:
        """When a frame came in, for the timeline; a recorded one is in time by its nature, at whatever pace it goes by."""
        if self._recording is None or stated_s is None:
            return arrived_ns
        return self._recording.due_ns(stated_s)

    def _hurry(self, codec: av.VideoCodecContext, moment: Moment, arrived_ns: int) -> None:
        """Leave out frames while the decoder is behind what comes in."""
        if self._recording is not None:
            return
        lag_s = (arrived_ns - self.job.began_ns) / 1e9 - moment.second
        if lag_s > 2 * BEHIND_S:
            codec.skip_frame = "NONKEY"
        elif lag_s > BEHIND_S:
            codec.skip_frame = "NONREF"
        elif codec.skip_frame != "DEFAULT" and lag_s < BEHIND_S / 2:
            codec.skip_frame = "DEFAULT"

    def _take(self, picture: av.VideoFrame, stream: av.VideoStream, moment: Moment, arrived_ns: int) -> None:
        """Look at a picture, and put it where it is due."""
        second = moment.second
        looks = second - self._looked >= LOOKS_EVERY_S
        views = second - self._viewed >= 0.98 / self.job.view_fps
        utc_ns = self._utc.at(self.job.began_ns + int(second * 1e9))
        if looks or views:
            small = self._painter.small(picture, stream, self._small, self.job.view_px)
            if looks:
                self._looked = second
                self._counts["jumps"] += sum(news.kind == "jump" for news in self._health.look(small, second))
            if views:
                self._viewed = second
                self._view.write(small, second, utc_ns, arrived_ns, self._snippets.epoch)
        self._newest = picture, stream, moment, utc_ns, arrived_ns
        due = self._snippets.due(second, moment.breaks)
        if due is not None and (self.job.kind == "file" or self._health.fit(second)):
            full = self._painter.full(picture, stream, self._full)
            self._frames.write(full, second, utc_ns, arrived_ns, due.epoch, due.snippet, clock=moment.by)

    def _finish(self) -> None:
        """A file is at its end: its last snippet, and the word that there is no more."""
        if self._newest is not None and (due := self._snippets.at_the_end()) is not None:
            picture, stream, moment, utc_ns, arrived_ns = self._newest
            full = self._painter.full(picture, stream, self._full)
            self._frames.write(full, moment.second, utc_ns, arrived_ns, due.epoch, due.snippet, last=True, clock=moment.by)
        self._newest = None
        self._status = self._status.model_copy(update={"ended": True})
        self._tell("offline", "the file has ended")

    def _tell_online(
        self,
        container: av.container.InputContainer,
        stream: av.VideoStream,
        moment: Moment,
        stated_s: float | None,
        arrived_ns: int,
    ) -> None:
        now = time.monotonic()
        if now - self._told < TELLS_EVERY_S and self._status.state == "online":
            return
        geometry = self._painter.geometry
        assert geometry is not None
        off = None
        if container.start_time_realtime and container.start_time is not None and stated_s is not None:
            camera_s = (container.start_time_realtime - container.start_time) / 1e6 + stated_s
            off = round(camera_s - time.time() + now - arrived_ns / 1e9, 3)
        self._status = self._status.model_copy(
            update={
                "width": geometry.width,
                "height": geometry.height,
                "fps": round(float(stream.average_rate or 0), 3),
                "lag_s": round((arrived_ns - self.job.began_ns) / 1e9 - moment.second, 3),
                "camera_off_s": off,
                "clock": moment.by,
                "wrong": {kind: round(since, 3) for kind, since in self._health.wrong.items()},
                "newest_ns": arrived_ns,
                "second": moment.second,
                "epoch": self._snippets.epoch,
            }
        )
        self._tell("online")

    def _tell(self, state: State, error: str = "") -> None:
        self._told = time.monotonic()
        error = error.encode()[:500].decode(errors="ignore")
        self._status = self._status.model_copy(update={"state": state, "error": error, **self._counts})
        self._view.beat()
        self._view.tell(self._status.model_dump(mode="json"))

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stop.wait(min(left, 1.0)):
            self._view.beat()


def _stated_s(picture: av.VideoFrame) -> float | None:
    return None if picture.pts is None or picture.time_base is None else float(picture.pts * picture.time_base)


class _Recording(NamedTuple):
    """When the frames of a recording are due. `first_s`: of its first frame, which came at `began_ns` and counts for the
    timeline as of `counts_ns`; nanoseconds of the monotonic clock. `pace`: so many seconds of it go by in one."""

    first_s: float
    began_ns: int
    counts_ns: int
    pace: float

    def wait_s(self, stated_s: float) -> float:
        return (stated_s - self.first_s) / self.pace - (time.monotonic_ns() - self.began_ns) / 1e9

    def due_ns(self, stated_s: float) -> int:
        return self.counts_ns + int((stated_s - self.first_s) * 1e9)


class _Painter:
    """Makes pictures to be seen out of decoded ones: upright, square pixels, the blackouts painted, small enough for a slot."""

    def __init__(self, blackouts: Blackouts, most_pixels: int):
        self._blackouts, self._most_pixels = blackouts, most_pixels
        self.geometry: Geometry | None = None

    def full(self, picture: av.VideoFrame, stream: av.VideoStream, reformatter: VideoReformatter) -> np.ndarray:
        """In full size, RGB, uint8 (H, W, 3): as extraction sees it."""
        assert self.geometry is not None
        pixels = self.geometry.width * self.geometry.height
        return self._scaled(picture, stream, reformatter, min(1.0, (self._most_pixels / pixels) ** 0.5))

    def small(self, picture: av.VideoFrame, stream: av.VideoStream, reformatter: VideoReformatter, px: int) -> np.ndarray:
        """With a longer side of `px` at most, both even, as video coders want them."""
        assert self.geometry is not None
        return self._scaled(
            picture, stream, reformatter, min(1.0, px / max(self.geometry.width, self.geometry.height)), even=True
        )

    def _scaled(
        self, picture: av.VideoFrame, stream: av.VideoStream, reformatter: VideoReformatter, scale: float, even: bool = False
    ) -> np.ndarray:
        assert self.geometry is not None
        step = 2 if even else 1
        width, height = (max(step, int(side * scale) // step * step) for side in (self.geometry.width, self.geometry.height))
        geometry = Geometry(width, height, self.geometry.rotation)
        return self._blackouts.paint(geometry.rgb(picture, stream, reformatter))


def main() -> None:
    """The process: reads its job, works until it is told to end or its parent is gone."""
    job = read_job(CaptureJob)
    av.logging.set_level(None)  # FFmpeg's own words go to standard error, addresses and all
    frames, view = FrameSlot(job.frames), FrameSlot(job.view)
    capture = Capture(job, frames, view, earlier(frames, view))
    view.beat()

    signal.signal(signal.SIGTERM, lambda *_: _gone(capture))
    worker = threading.Thread(target=_work, args=(capture, job.secrets), daemon=True)
    worker.start()
    until_parent_goes()
    _gone(capture)


def _work(capture: Capture, secrets: list[str]) -> None:
    try:
        capture.run()
    except BaseException as error:  # noqa: BLE001, whatever it is the parent starts another process
        words = hide_credentials(f"{type(error).__name__}: {reason(error)}", [capture.job.source, *secrets])
        print(f"{capture.job.name}: {words}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def _gone(capture: Capture) -> None:
    """End now. A read that waits for the camera is not waited for; the system closes what is open."""
    capture.stop()
    os._exit(0)
