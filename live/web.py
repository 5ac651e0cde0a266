"""The web process, as the parent of all starts it: its job comes through standard input."""

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aadc.live.camera_state import CameraStatus, status_of
from aadc.live.capture import CaptureJob
from aadc.live.config import LiveConfig
from aadc.live.frame_slot import FrameSlot
from aadc.live.job import read_job
from aadc.live.kept_events import KeptEvents
from aadc.live.server import ServerSettings, serve
from aadc.live.store import STORE, Store
from aadc.manifests.files import make_folder
from aadc.manifests.records import Record


class WebJob(Record):
    """What the web process is asked to do. `cameras`: names in order; `views`: descriptors of the
    slots with what is shown; `jobs`: of the cameras that peers send (`CaptureJob`s); `status`: descriptor of a slot whose beat
    says that this process lives. The rest: see `ServerSettings`."""

    data: Path
    cameras: list[str]
    views: dict[str, int] = {}
    jobs: dict[str, dict[str, Any]] = {}
    status: int = -1
    host: str = "127.0.0.1"
    port: int = 8765
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False
    names: list[str] = []
    far_origins: list[str] = []
    media_addresses: list[str] | None = None
    public_address: str | None = None
    take_over: bool = False


class SlotCameras:
    """`CameraSource` over the slots: how each camera is now. What scoring says of it comes from `status.json`."""

    def __init__(self, names: list[str], views: dict[str, FrameSlot], data: Path, events: KeptEvents) -> None:
        self._names = names
        self._views = views
        self._status = data / "status.json"
        self._events = events

    def names(self) -> list[str]:
        """All cameras, in the order of the configuration."""
        return list(self._names)

    def state(self, camera: str) -> dict[str, Any]:
        """State and counters; `scoring` where it is scored."""
        view = self._views.get(camera)
        status = status_of(view) if view is not None else CameraStatus()
        return {**status.model_dump(mode="json"), "scoring": self._scoring(camera)}

    def recent(self, camera: str) -> dict[str, Any]:
        """Scores of the last minute, thresholds, boxes."""
        told = self._scoring(camera).get("recent")
        nothing: dict[str, Any] = {"scores": [], "boxes": [], "open_at": None, "close_at": None, "shape": None}
        return nothing | (told if isinstance(told, dict) else {}) | {"at_ms": time.time_ns() // 10**6}

    def health(self) -> list[dict[str, Any]]:
        """What the store knows of the parts of the system."""
        return self._events.health()

    def _scoring(self, camera: str) -> dict[str, Any]:
        try:
            told = json.loads(self._status.read_text())["score"]["cameras"][camera]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return told if isinstance(told, dict) else {}


def web_job(
    config: LiveConfig, slots: Mapping[str, tuple[FrameSlot, FrameSlot]], peers: Mapping[str, CaptureJob], status: FrameSlot
) -> WebJob:
    """The job for a file of cameras.

    Args:
        slots: of the enabled cameras: frames to be scored, and what is shown.
        peers: how the pictures of those whose source is `webrtc` are taken; with the descriptors of their slots.
        status: says that the process lives.
    """
    return WebJob(
        data=config.data,
        cameras=[camera.name for camera in config.cameras],
        views={camera: view.descriptor for camera, (_, view) in slots.items()},
        jobs={camera: job.model_dump() for camera, job in peers.items()},
        status=status.descriptor,
    )


def settings_of(job: WebJob) -> ServerSettings:
    """A job's settings of the server."""
    return ServerSettings(
        data=job.data,
        host=job.host,
        port=job.port,
        certificate=job.certificate,
        key=job.key,
        behind_proxy=job.behind_proxy,
        names=tuple(job.names),
        far_origins=tuple(job.far_origins),
        media_addresses=None if job.media_addresses is None else tuple(job.media_addresses),
        public_address=job.public_address,
        take_over=job.take_over,
        views=job.views,
        jobs=job.jobs,
    )


def main() -> None:
    """The process."""
    job = read_job(WebJob)
    logging.basicConfig(level=logging.WARNING, format="web: %(message)s")
    views = {camera: FrameSlot(descriptor) for camera, descriptor in job.views.items()}
    status = FrameSlot(job.status) if job.status >= 0 else None

    async def beat() -> None:
        while status is not None:
            status.beat()
            await asyncio.sleep(0.5)

    make_folder(job.data)
    Store(job.data / STORE).close()  # there is one, whoever starts first
    events = KeptEvents(job.data)
    cameras = SlotCameras(job.cameras, views, job.data, events)
    serve(settings_of(job), cameras, events, with_front=True, while_serving=beat)
