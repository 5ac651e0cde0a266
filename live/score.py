"""The process with the models: newest frames of all cameras -> scores -> events in the store, of which it is the one writer."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from aadc.live.camera_state import status_of
from aadc.live.config import LiveConfig, read_config
from aadc.live.credentials import hide_credentials
from aadc.live.frame_slot import FrameSlot
from aadc.live.job import read_job, until_parent_goes
from aadc.live.start import Start
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason
from aadc.manifests.records import Record
from aadc.manifests.shown import say

TELLS_EVERY_S = 0.5
FATAL = 2  # exit status: it would be the same the next time


class ScoreJob(Record):
    """What the process is asked to do. `slots`: file descriptors of frames and view, by camera; `status`: of its own."""

    config: str
    run: str
    device: str = "cpu"
    snippet_s: float
    slots: dict[str, tuple[int, int]]
    status: int
    start: Start = Start()


def main() -> None:
    """The process: reads its job, scores until it is told to end or its parent is gone."""
    job = read_job(ScoreJob)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_until_parent_goes, args=(stop,), daemon=True).start()
    secrets: tuple[str, ...] = ()
    try:
        read = read_config(Path(job.config))
        secrets = read.secrets
        _score(job, read.config, stop)
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


def _score(job: ScoreJob, config: LiveConfig, stop: threading.Event) -> None:
    status = FrameSlot(job.status)
    slots = {name: (FrameSlot(frames), FrameSlot(view)) for name, (frames, view) in job.slots.items()}
    from aadc.eval.video import Models, open_models  # heavy: torch and the models
    from aadc.extract.run_folder import RunFolder
    from aadc.head.checkpoint import load_head
    from aadc.live.engine import Engine, machine_holds
    from aadc.live.event_sink import EventSink
    from aadc.live.recent import Recent, boxes_of

    run = RunFolder(Path(job.run))
    embedder, head = open_models(run, Models(job.device)), load_head(run.head)
    if embedder.header.fingerprint != head.fingerprint:
        raise UserError(f"{run.path}: its head was trained with other models or settings; run aadc-train-head --restart")
    cameras = {camera.name: camera for camera in config.cameras if camera.name in slots}
    sources = {name: slots[name][0] for name in cameras}
    gate = embedder.settings.gate if config.gate is None else config.gate
    engine = Engine(embedder, head, sources, job.snippet_s, config.window, config.ahead, gate)
    held = round(machine_holds(embedder, job.snippet_s), 1)
    say(f"score: ready; this machine holds about {held:g} cameras of 1280 x 720, crowded ones ({job.device})")
    sink = EventSink(config, head.card, sorted(cameras), {name: slots[name][1] for name in cameras}, head.sure, job.start)
    recent = {name: Recent(config.rules_of(camera)) for name, camera in cameras.items()}
    names = {str(key): name for key, name in embedder.detector.class_names.items()}
    told, looked = 0.0, dict.fromkeys(cameras, 0)

    def alive() -> None:
        nonlocal told
        status.beat()
        if time.monotonic() - told < TELLS_EVERY_S:
            return
        told = time.monotonic()
        status.tell({"held_at_start": held, "problem": sink.problem, **engine.status()})
        for name, (frames, view) in slots.items():
            if name in cameras:
                sink.heard(name, status_of(view))
                frames.tell(recent[name].plain())

    def look() -> None:
        for name, (frame, rows) in engine.looked.items():
            if frame.number != looked[name]:
                looked[name] = frame.number
                boxes = boxes_of(rows, names)
                sink.saw(name, frame.second, boxes)
                recent[name].saw(boxes, frame.rgb.shape[:2])

    alive()
    try:
        for scored in engine.run(stop, alive):
            look()  # before the event that may end with it
            recent[scored.camera].took(scored)
            sink.take(scored)
    finally:
        sink.close()
        status.tell({"held_at_start": held, "problem": sink.problem, **engine.status()})
