"""What the web process is asked to do; apart from it, for the parent loads no server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aadc.live.capture_job import CaptureJob
from aadc.live.config import LiveConfig
from aadc.live.frame_slot import FrameSlot
from aadc.live.settings import FileSettings, file_settings
from aadc.manifests.records import Record


class WebJob(Record):
    """What the web process is asked to do. `cameras`: names in order; `views`, `frames`: descriptors of
    the slots with what is shown and what is scored; `file`: what the file says of all that may be changed; `jobs`: of the
    cameras that peers send (`CaptureJob`s); `status`, `scorer`: descriptors of slots whose beats say that this process, and the
    one that scores, live; `run`: folder of the run that scores. The rest: see `ServerSettings`."""

    data: Path
    cameras: list[str]
    views: dict[str, int] = {}
    frames: dict[str, int] = {}
    jobs: dict[str, dict[str, Any]] = {}
    file: FileSettings = FileSettings()
    status: int = -1
    scorer: int = -1
    run: Path | None = None
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


def web_job(
    config: LiveConfig,
    slots: Mapping[str, tuple[FrameSlot, FrameSlot]],
    peers: Mapping[str, CaptureJob],
    status: FrameSlot,
    scorer: FrameSlot,
    run: Path | None = None,
) -> WebJob:
    """The job for a file of cameras.

    Args:
        slots: of the enabled cameras: frames to be scored, and what is shown.
        peers: how the pictures of those whose source is `webrtc` are taken; with the descriptors of their slots.
        status: says that the process lives; scorer: says so of the one that scores.
        run: the run that scores: whose CLIP words are looked for with, and whose classes are exported.
    """
    return WebJob(
        data=config.data.resolve(),
        cameras=[camera.name for camera in config.cameras],
        views={camera: view.descriptor for camera, (_, view) in slots.items()},
        frames={camera: frames.descriptor for camera, (frames, _) in slots.items()},
        jobs={camera: job.model_dump() for camera, job in peers.items()},
        file=file_settings(config),
        status=status.descriptor,
        scorer=scorer.descriptor,
        run=run,
        **config.web.model_dump(exclude={"enabled"}),
    )
