"""The parent of all processes of the live part: starts them, looks after them, ends them. It loads no model."""

import fcntl
import json
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from aadc.extract.run_choice import choose_run
from aadc.live.camera_state import CameraStatus, status_of
from aadc.live.capture_job import CaptureJob
from aadc.live.child import Child
from aadc.live.config import Camera
from aadc.live.credentials import hide_credentials
from aadc.live.data_folder import STATUS, DataFolder
from aadc.live.describe import DescribeJob, hangs_s
from aadc.live.frame_slot import FrameSlot
from aadc.live.read_config import ReadConfig
from aadc.live.run_clock import classes_of, run_clock
from aadc.live.score import FATAL, ScoreJob
from aadc.live.settings import Settings, file_settings
from aadc.live.start import Start
from aadc.live.web_job import web_job
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason, replace_file
from aadc.manifests.shown import say

CAPTURE_HANGS_S, SCORE_HANGS_S, WEB_HANGS_S = 9.0, 60.0, 20.0
CAPTURE_READY_S, SCORE_READY_S, WEB_READY_S, WORDS_READY_S = 30.0, 600.0, 120.0, 1800.0
ENDS_WITHIN_S = 4.0
LOOKS_EVERY_S = 0.1
STATUS_EVERY_S = 2.0
BEHIND_EVERY_S = 60.0


class Watch:
    """All processes for one file of cameras.

    Args:
        score: module of the process that scores.
    Raises:
        UserError: no run, no head, or a head without a clock.
    """

    def __init__(self, read: ReadConfig, path: Path, device: str = "cpu", score: str = "aadc.live.score"):
        self._config, self._secrets = read.config, read.secrets
        run = choose_run(self._config.run)
        clock, self._classes = run_clock(self._config, run), classes_of(run)
        _make_room(len(self._config.cameras))
        start = Start.now()
        began_ns = start.began_ns
        self.slots = {camera.name: (FrameSlot(), FrameSlot()) for camera in self._config.cameras if camera.enabled}
        self._captures = {
            camera.name: self._capture(camera, clock.snippet_s, clock.middle, began_ns)
            for camera in self._config.cameras
            if camera.enabled and camera.kind != "webrtc"  # whose frames another process puts into its slots
        }
        self._clock, self._began_ns = clock, began_ns
        self._scored, self._served = FrameSlot(most_pixels=1), FrameSlot(most_pixels=1)
        job = ScoreJob(
            config=str(path.resolve()), text=read.text, run=str(run.path.resolve()), device=device, snippet_s=clock.snippet_s,
            slots={name: (frames.descriptor, view.descriptor) for name, (frames, view) in self.slots.items()},
            status=self._scored.descriptor, start=start,
        )  # fmt: skip
        descriptors = [slot.descriptor for pair in self.slots.values() for slot in pair] + [self._scored.descriptor]
        self._score = Child(
            "score",
            score,
            job.model_dump,
            descriptors,
            lambda: self._scored.beaten_ns,
            SCORE_HANGS_S,
            SCORE_READY_S,
        )
        self._run = run.path.resolve()
        self._web = self._web_child() if self._config.web.enabled else None
        self._described = FrameSlot(most_pixels=1)
        self._words = self._words_child(path, read.text) if self._config.words.asked else None
        self._stop = False
        self._states: dict[str, tuple[str, str]] = {}
        self._problem = self._unwritten = ""
        self._status_at = self._behind_at = 0.0

    def run(self) -> None:
        """Until SIGTERM or Ctrl-C, or until all recordings have ended. All processes are gone afterwards, within five seconds.

        Raises:
            UserError: the models cannot be loaded, or another one is at work in the data folder.
        """
        DataFolder(self._config.data)
        for note in Settings(self._config.data, file_settings(self._config)).notes():
            self._say(f"note: {note}")
        with alone(self._config.data), self._signals():
            try:
                while not self._stop and not self._all_ended():
                    self._look()
                    time.sleep(LOOKS_EVERY_S)
            finally:
                self._end()
        if self._score.code == FATAL and self._score.restarts == 0:
            raise UserError("scoring could not start; what is wrong is said above")

    def stop(self) -> None:
        """Have `run` come to its end."""
        self._stop = True

    def scoring(self) -> dict:
        """What the process that scores said last, see `Engine.status`; empty before it is ready."""
        return self._scored.told()

    def _look(self) -> None:
        files = {camera.name for camera in self._config.cameras if camera.kind == "file"}
        self._say(self._score.look_after())
        if self._score.code == FATAL and self._score.restarts == 0:
            self._stop = True
            return
        for name, capture in self._captures.items():
            if self._stop:  # to start a process takes its time where the machine is busy, and there may be hundreds
                return
            if name not in files or self._is_ready():  # a recording is not missed while models are loaded
                self._say(capture.look_after())
        if self._web is not None:
            self._say(self._web.look_after())
        if self._words is not None and not self._words.ended:
            self._say(self._words.look_after())
            if self._words.code == FATAL:
                self._words.ended = True
                self._say("words: no language model; events keep their composed words")
        self._tell()

    def _is_ready(self) -> bool:
        return self._scored.beaten_ns > 0

    def _all_ended(self) -> bool:
        """All cameras are recordings, and through."""
        return len(self._captures) == len(self.slots) and all(capture.ended for capture in self._captures.values())

    def _tell(self) -> None:
        statuses = {name: status_of(view) for name, (_, view) in self.slots.items()}
        for name, status in statuses.items():
            now = status.state, status.error
            if self._states.get(name, ("disabled", ""))[0] != status.state:
                self._say(f"{name}: {status.state}" + (f" ({status.error})" if status.error else ""))
            self._states[name] = now
        scored = self._scored.told()
        if (problem := scored.get("problem", "")) != self._problem:
            self._say(f"events cannot be kept ({problem}); they wait" if problem else "events are kept again")
            self._problem = problem
        if time.monotonic() - self._behind_at > BEHIND_EVERY_S:
            late = {name: one["real_time"] for name, one in scored.get("cameras", {}).items() if 0 < one["real_time"] < 0.95}
            if late:
                self._behind_at = time.monotonic()
                listed = ", ".join(f"{name} {share:.0%}" for name, share in late.items())
                self._say(
                    f"this machine does not keep up: it holds {scored['holds']:g} cameras; scored of what is due: {listed}"
                )
        if time.monotonic() - self._status_at > STATUS_EVERY_S:
            self._status_at = time.monotonic()
            try:
                self._write_status(statuses, scored)
                unwritten = ""
            except UserError as error:
                unwritten = reason(error.__cause__ or error)
            if unwritten != self._unwritten and not (unwritten and self._problem):  # a full disk is the store's to tell
                path = self._config.data / STATUS
                old = "what it says is old; make room for it, or remove what lies there"
                self._say(f"{path}: cannot be written ({unwritten}); {old}" if unwritten else f"{path}: is written again")
                self._unwritten = unwritten

    def _write_status(self, statuses: dict[str, CameraStatus], scored: dict) -> None:
        """What `status.json` says: of all processes and cameras, as of now."""
        cameras = {camera.name: CameraStatus() for camera in self._config.cameras} | statuses
        record = {
            "utc_ns": time.time_ns(),
            "pid": os.getpid(),
            "classes": self._classes,
            "cameras": {
                camera.name: {
                    **cameras[camera.name].model_dump(mode="json"),
                    "source": camera.shown_source,
                    "pid": self._captures[camera.name].pid if camera.name in self._captures else None,
                    "restarts": self._captures[camera.name].restarts if camera.name in self._captures else 0,
                }
                for camera in self._config.cameras
            },
            "score": {**scored, "pid": self._score.pid, "restarts": self._score.restarts},
            "web": None if self._web is None else {"pid": self._web.pid, "restarts": self._web.restarts},
            "words": None if self._words is None else {"pid": self._words.pid, "restarts": self._words.restarts},
        }
        replace_file(self._config.data / STATUS, self._hidden(json.dumps(record, indent=1, ensure_ascii=False)) + "\n")

    def _web_child(self) -> Child:
        """The server: it also takes what peers send, into the slots of their cameras."""
        sent = [camera for camera in self._config.cameras if camera.enabled and camera.kind == "webrtc"]
        peers = {camera.name: self._capture_job(camera, *self._clock, self._began_ns) for camera in sent}
        job = web_job(self._config, self.slots, peers, self._served, self._scored, self._run)
        shared = [*(slot for pair in self.slots.values() for slot in pair), self._served, self._scored]
        return Child(
            "web",
            "aadc.live.web",
            lambda: job.model_dump(mode="json"),
            [slot.descriptor for slot in shared],
            lambda: self._served.beaten_ns,
            WEB_HANGS_S,
            WEB_READY_S,
        )

    def _words_child(self, path: Path, text: str) -> Child:
        """The language model: whatever becomes of it, events have words."""
        job = DescribeJob(config=str(path.resolve()), text=text, run=str(self._run), status=self._described.descriptor)
        return Child(
            "words",
            "aadc.live.describe",
            job.model_dump,
            [self._described.descriptor],
            lambda: self._described.beaten_ns,
            hangs_s(self._config.words),
            WORDS_READY_S,
        )

    def _capture(self, camera: Camera, snippet_s: float, middle: float, began_ns: int) -> Child:
        frames, view = self.slots[camera.name]
        job = self._capture_job(camera, snippet_s, middle, began_ns)
        return Child(
            camera.name, "aadc.live.capture", job.model_dump, [frames.descriptor, view.descriptor], lambda: view.beaten_ns,
            CAPTURE_HANGS_S, CAPTURE_READY_S, may_end=camera.kind == "file",
        )  # fmt: skip

    def _capture_job(self, camera: Camera, snippet_s: float, middle: float, began_ns: int) -> CaptureJob:
        frames, view = self.slots[camera.name]
        return CaptureJob(
            name=camera.name, source=camera.source.get_secret_value(), kind=camera.kind, loop=camera.loop, pace=camera.pace,
            blackouts=camera.blackouts, snippet_s=snippet_s, middle=middle, view_fps=self._config.view_fps,
            view_px=self._config.view_px, began_ns=began_ns, frames=frames.descriptor, view=view.descriptor,
            secrets=list(self._secrets), trust=camera.trust,
        )  # fmt: skip

    def _end(self) -> None:
        """Cameras first, then what scores: it gives what is due and ends its events."""
        deadline = time.monotonic() + ENDS_WITHIN_S
        beside = [child for child in (self._web, self._words) if child is not None]
        children = [*self._captures.values(), self._score, *beside]
        for child in children:
            child.ask_to_end()
        for child in children:
            child.wait(deadline)
        for child in children:
            child.kill()  # all of them, before any is waited for: to take down gigabytes takes its time
        for child in children:
            child.end(deadline)
        with suppress(UserError):
            self._write_status({name: CameraStatus(state="offline") for name in self.slots}, self._scored.told())
        for slot in (*(slot for pair in self.slots.values() for slot in pair), self._scored, self._served, self._described):
            slot.close()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C end `run`."""

        def end(*_: object) -> None:
            self._stop = True

        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hidden(self, text: str) -> str:
        return hide_credentials(text, self._secrets)

    def _say(self, line: str | None) -> None:
        if line:
            say(self._hidden(line), err=True)


def _make_room(cameras: int) -> None:
    """Have the system let this process, and those it starts, open what so many cameras take: two slots each, three pipes.

    Raises:
        UserError: it does not let it.
    """
    needed = 128 + 6 * cameras
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now == resource.RLIM_INFINITY or now >= needed:
        return
    if most != resource.RLIM_INFINITY and most < needed:
        raise UserError(f"{cameras} cameras take {needed} open files, and {most} are allowed here; see ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one at work in a data folder.

    Raises:
        UserError: another one is, or the folder cannot be used.
    """
    with ExitStack() as held:
        try:
            file = held.enter_context((folder / "lock").open("a+b"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder}: another aadc-live is at work in it; end that one, or name another data folder"
            ) from None
        except OSError as error:
            raise UserError(f"{folder / 'lock'}: cannot be used ({reason(error)}); name another data folder") from None
        yield
