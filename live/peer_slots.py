"""A publisher's pictures into the slots from which they are scored, kept and shown: as those of any other camera."""

import threading
from collections.abc import Mapping
from typing import Any, cast

import av

from aadc.extract.geometry import Geometry
from aadc.live.camera_state import CameraStatus, earlier
from aadc.live.capture import Capture
from aadc.live.capture_job import CaptureJob
from aadc.live.frame_slot import FrameSlot
from aadc.live.frames import Picture

NOBODY = "nobody sends to it"


class _Sent:
    """What WebRTC says of a stream: square pixels, no declared rate, no clock of the camera's."""

    sample_aspect_ratio = None
    average_rate = None
    start_time = None
    start_time_realtime = None


class PeerCapture(Capture):
    """One camera whose pictures a peer sends: `Capture` without a source to open."""

    def __init__(self, job: CaptureJob, frames: FrameSlot, view: FrameSlot, before: CameraStatus | None = None):
        super().__init__(job, frames, view, before)
        self._size: tuple[int, int, int] | None = None
        self._lock = threading.Lock()
        self._tell("offline", NOBODY)

    def connected(self) -> None:
        """A peer is connecting; it may count from anywhere."""
        with self._lock:
            self._timeline.connected()
            self._counts["connects"] += 1
            self._size = None
            self._tell("connecting")

    def take(self, picture: av.VideoFrame, arrived_ns: int) -> None:
        """The next picture."""
        sent = cast(Any, _Sent)
        with self._lock:
            self._counts["decoded"] += 1
            self._counts["damaged"] += bool(picture.is_corrupt)
            size = picture.width, picture.height, int(picture.rotation)
            if size != self._size:
                self._size, self._painter.geometry = size, Geometry.of(picture, sent)
            stated_s = None if picture.pts is None or picture.time_base is None else float(picture.pts * picture.time_base)
            moment = self._timeline.at(stated_s, arrived_ns)
            self._take(picture, sent, moment, arrived_ns)
            self._tell_online(sent, sent, moment, stated_s, arrived_ns)

    def gone(self, why: str) -> None:
        """The peer is gone."""
        with self._lock:
            self._tell("offline", why)

    def beat(self) -> None:
        """This process lives."""
        self._view.beat()


class Slots:
    """`Frames` in memory that processes share.

    Args:
        views: descriptors of the slots with what is shown, by camera.
        jobs: of the cameras that peers send (`CaptureJob`, with descriptors of both slots).
    """

    def __init__(self, views: Mapping[str, int], jobs: Mapping[str, CaptureJob]) -> None:
        self._views = {camera: FrameSlot(descriptor) for camera, descriptor in views.items()}
        self._peers = {
            camera: PeerCapture(job, frames, self._views[camera], earlier(frames, self._views[camera]))
            for camera, job in jobs.items()
            for frames in [FrameSlot(job.frames)]
        }

    def takes(self, camera: str) -> bool:
        """Whether its source is `webrtc`."""
        return camera in self._peers

    def put(self, camera: str, picture: av.VideoFrame, arrived_ns: int) -> None:
        """A publisher's next picture. `KeyError` where the camera is not one that peers send."""
        self._peers[camera].take(picture, arrived_ns)

    def connected(self, camera: str) -> None:
        """A publisher's connection is being made."""
        self._peers[camera].connected()

    def gone(self, camera: str, why: str) -> None:
        """It ended."""
        self._peers[camera].gone(why)

    def newest(self, camera: str, after: int = 0) -> Picture | None:
        """The newest picture to be shown."""
        view = self._views.get(camera)
        frame = view.read(after) if view is not None else None
        return Picture(frame.number, frame.rgb) if frame else None

    def beat(self) -> None:
        """This process lives, also where nobody sends."""
        for peer in self._peers.values():
            peer.beat()
