"""The process with the models: newest frames of all cameras -> scores -> events in the store, of which it is the one writer."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aadc.live.camera_state import status_of
from aadc.live.credentials import hide_credentials
from aadc.live.frame_slot import FrameSlot
from aadc.live.job import read_job, until_parent_goes
from aadc.live.read_config import ReadConfig, parse_config
from aadc.live.settings import Settings, file_settings
from aadc.live.start import Start
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason
from aadc.manifests.records import Record
from aadc.manifests.shown import say

if TYPE_CHECKING:
    from aadc.live.engine import Source
    from aadc.live.event import EventMessage
    from aadc.live.scored import ScoredSnippet

TELLS_EVERY_S = 0.5
FATAL = 2  # exit status: it would be the same the next time


class ScoreJob(Record):
    """What the process is asked to do. `config`, `text`: the file of cameras and what was in it as the parent read it, for it
    may have been edited since; `device`: as it was asked for, `auto` too: only who has torch knows which there are;
    `slots`: file descriptors of frames and view, by camera; `status`: of its own."""

    config: str
    text: str
    run: str
    device: str = "cpu"
    snippet_s: float
    slots: dict[str, tuple[int, int]]
    status: int
    start: Start = Start()


class Trial(Protocol):
    """What a measurement puts between the parts."""

    def source(self, camera: str, frames: FrameSlot) -> "Source":
        """What frames are read from, in place of the slot."""

    def scored(self, one: "ScoredSnippet") -> "ScoredSnippet":
        """What goes on to events, in place of a score."""

    def kept(self, message: "EventMessage") -> None:
        """A message is on the disk."""


def main(trial: Callable[[ScoreJob], Trial] | None = None) -> None:
    """The process: reads its job, scores until it is told to end or its parent is gone."""
    job = read_job(ScoreJob)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_until_parent_goes, args=(stop,), daemon=True).start()
    secrets: tuple[str, ...] = ()
    try:
        read = parse_config(job.text, Path(job.config))
        secrets = read.secrets
        _score(job, read, stop, None if trial is None else trial(job))
        code = 0
    except UserError as error:
        say(hide_credentials(f"aadc-live: {error}", secrets), err=True)
        code = FATAL
    except Exception as error:  # the parent starts another process; a traceback could show an address
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f" ({where.tb_frame.f_code.co_filename}:{where.tb_lineno})" if where is not None else ""
        say(hide_credentials(f"score: {type(error).__name__}: {reason(error)}{place}", secrets), err=True)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of libraries are not waited for


def _until_parent_goes(stop: threading.Event) -> None:
    until_parent_goes()
    stop.set()


def _score(job: ScoreJob, read: ReadConfig, stop: threading.Event, trial: Trial | None) -> None:
    config = read.config
    status = FrameSlot(job.status)
    slots = {name: (FrameSlot(frames), FrameSlot(view)) for name, (frames, view) in job.slots.items()}
    from aadc.eval.video import Models, open_models  # heavy: torch and the models
    from aadc.extract.devices import choose_device
    from aadc.extract.run_folder import RunFolder
    from aadc.head.checkpoint import load_head
    from aadc.live.engine import Engine, machine_holds
    from aadc.live.event_pictures import ClipUsed
    from aadc.live.event_sink import EventSink
    from aadc.live.recent import Recent, boxes_of

    device = choose_device(job.device)
    run = RunFolder(Path(job.run))
    embedder, head = open_models(run, Models(device)), load_head(run.head)
    if embedder.header.fingerprint != head.fingerprint:
        raise UserError(f"{run.path}: its head was trained with other models or settings; run aadc-train-head --restart")
    cameras = {camera.name: camera for camera in config.cameras if camera.name in slots}
    sources = {name: trial.source(name, slots[name][0]) if trial else slots[name][0] for name in cameras}
    gate = embedder.settings.gate if config.gate is None else config.gate
    engine = Engine(embedder, head, sources, job.snippet_s, config.window, config.ahead, gate)
    held = round(machine_holds(embedder, job.snippet_s), 1)
    say(f"score: ready; it alone keeps up with about {held:g} crowded cameras of 1280 x 720 ({device})")
    kept = trial.kept if trial else lambda message: None
    clip = ClipUsed(embedder.models["clip"]["source"], embedder.models["clip"]["weights"])
    views = {name: slots[name][1] for name in cameras}
    sink = EventSink(config, head.card, sorted(cameras), views, head.sure, kept, clip, job.start, read.secrets)
    settings = Settings(config.data, file_settings(config))
    recent = {name: Recent(settings.in_force(name)) for name in cameras}
    names = {str(key): name for key, name in embedder.detector.class_names.items()}
    told, looked = 0.0, dict.fromkeys(cameras, 0)

    def go_by_settings() -> None:
        if not settings.news():
            return
        if settings.problem:
            say(f"{settings.problem}; what counted before goes on", err=True)
        for name in cameras:
            in_force = settings.in_force(name)
            if in_force != recent[name].in_force:
                say(f"{name}: goes by other settings from now on")
            recent[name].in_force = in_force
            sink.change_rules(name, in_force.rules)

    def tell() -> None:
        kept = {"problem": sink.problem, "written_ns": sink.store.written_ns}
        status.tell({"held_at_start": held, **kept, **engine.status()})

    def alive() -> None:
        nonlocal told
        status.beat()
        if time.monotonic() - told < TELLS_EVERY_S:
            return
        told = time.monotonic()
        go_by_settings()
        tell()
        for name, (frames, view) in slots.items():
            if name in cameras:
                sink.heard(name, status_of(view))
                frames.tell(recent[name].plain())

    def look() -> None:
        for name, (frame, rows) in engine.looked.items():
            if frame.number != looked[name]:
                looked[name] = frame.number
                boxes = boxes_of(rows, names)
                sink.saw(name, frame.second, boxes, rows)
                recent[name].saw(boxes, frame.rgb.shape[:2])

    alive()
    try:
        for scored in engine.run(stop, alive):
            look()  # before the event that may end with it
            scored = trial.scored(scored) if trial else scored
            recent[scored.camera].took(scored)
            sink.take(scored)
    finally:
        sink.close()
        tell()
