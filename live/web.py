"""The web process, as the parent of all starts it: its job comes through standard input."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from aadc.live.camera_state import CameraStatus, status_of
from aadc.live.frame_slot import FrameSlot
from aadc.live.front.house import dashboard
from aadc.live.job import read_job
from aadc.live.kept_events import KeptEvents
from aadc.live.server import ServerSettings, serve
from aadc.live.settings import FileCamera, Settings
from aadc.live.store import STORE, Store
from aadc.live.text_tower import TextTower
from aadc.live.web_job import WebJob
from aadc.manifests.errors import UserError
from aadc.manifests.files import make_folder

SILENT_S = 10.0  # without a sign of life, of what scores; a round of it takes seconds on a slow machine


class SlotCameras:
    """`CameraSource` over the slots: how each camera is now. All of it comes through memory: the disk may be full."""

    def __init__(
        self,
        names: list[str],
        views: Mapping[str, FrameSlot],
        events: KeptEvents,
        frames: Mapping[str, FrameSlot] | None = None,
        scorer: FrameSlot | None = None,
        settings: Settings | None = None,
    ) -> None:
        self._names = names
        self._views = views
        self._frames = frames or {}
        self._scorer = scorer
        self._settings = settings
        self._events = events

    def names(self) -> list[str]:
        """All cameras, in the order of the configuration."""
        return list(self._names)

    def state(self, camera: str) -> dict[str, Any]:
        """State and counters; `scoring` where it is scored."""
        silent_s = self._silent_s()
        scoring = self._scoring(camera) | ({} if silent_s is None else {"silent_s": silent_s})
        return {**self._camera(camera).model_dump(mode="json"), "scoring": scoring}

    def recent(self, camera: str) -> dict[str, Any]:
        """Scores of the last minute, thresholds, boxes: what scoring told into the slot it reads from."""
        frames, status = self._frames.get(camera), self._camera(camera)
        nothing: dict[str, Any] = {"scores": [], "boxes": [], "open_at": None, "close_at": None, "shape": None}
        well = {"state": status.state, "error": status.error, "wrong": sorted(status.wrong), "silent_s": self._silent_s()}
        zones = self._settings.in_force(camera).zones if self._settings is not None else []
        shown = {"zones": [zone.model_dump(mode="json") for zone in zones], "at_ms": time.time_ns() // 10**6}
        return nothing | (frames.told() if frames is not None else {}) | well | shown

    def health(self) -> list[dict[str, Any]]:
        """What the store knows of the parts of the system; and how itself and scoring are, which it could not keep while they
        are ill. A store that cannot be read is ill, too: who asks for health is told so, and not refused."""
        told, silent_s, unread = self._told(), self._silent_s(), ""
        try:
            parts = self._events.health()
        except UserError as error:
            parts, unread = [], str(error)
        if told or unread:
            problem = unread or told.get("problem", "")
            parts.append({"name": "store", "ok": not problem, "told": problem, "utc_ns": told.get("written_ns", 0)})
        if silent_s is not None:
            ill = f"gave no sign of life for {silent_s:.0f} s" if silent_s > SILENT_S else ""
            parts.append({"name": "scoring", "ok": not ill, "told": ill, "utc_ns": time.time_ns() - round(silent_s * 1e9)})
        return [{"camera": None} | part for part in parts]

    def _camera(self, camera: str) -> CameraStatus:
        view = self._views.get(camera)
        return status_of(view) if view is not None else CameraStatus()

    def _silent_s(self) -> float | None:
        """For how long there was no sign of life of the process that scores; None before the first."""
        beaten_ns = 0 if self._scorer is None else self._scorer.beaten_ns
        return round((time.monotonic_ns() - beaten_ns) / 1e9, 1) if beaten_ns else None

    def _scoring(self, camera: str) -> dict[str, Any]:
        return self._told().get("cameras", {}).get(camera, {})

    def _told(self) -> dict[str, Any]:
        """What scoring said last (`Engine.status`); empty before it did."""
        return {} if self._scorer is None else self._scorer.told()


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
        run=job.run,
    )


def main() -> None:
    """The process."""
    job = read_job(WebJob)
    logging.basicConfig(level=logging.WARNING, format="web: %(message)s")
    views = {camera: FrameSlot(descriptor) for camera, descriptor in job.views.items()}
    frames = {camera: FrameSlot(descriptor) for camera, descriptor in job.frames.items()}
    status = FrameSlot(job.status) if job.status >= 0 else None

    async def beat() -> None:
        while status is not None:
            status.beat()
            await asyncio.sleep(0.5)

    make_folder(job.data)
    Store(job.data / STORE).close()  # there is one, whoever starts first
    events = KeptEvents(job.data, None if job.run is None else TextTower(job.run))
    scorer = FrameSlot(job.scorer) if job.scorer >= 0 else None
    rules = Settings(
        job.data, job.file.model_copy(update={"cameras": dict.fromkeys(job.cameras, FileCamera()) | job.file.cameras})
    )
    cameras = SlotCameras(job.cameras, views, events, frames, scorer, rules)
    serve(settings_of(job), cameras, events, dashboard, beat, rules)
