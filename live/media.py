"""The media process: WebRTC and encoding, in a process and a loop of their own, driven by the web process over a socket.

A message is one line of JSON, followed by `bytes` raw bytes where it names a number of them. The web process asks, the answer
repeats the question's number; by itself the media process only says that a connection ended. When the line breaks, the
media process ends; when the media process dies, the web process starts another.
"""

import asyncio
import contextlib
import io
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from aadc.live.frames import Frames, InMemory

_LONGEST_LINE = 1024 * 1024
_PATIENCE_S = 15.0  # for an answer; gathering and checking take milliseconds
_READY_WITHIN_S = 60.0
_LOOKS_EVERY_S = 5.0
PICTURE_WAIT_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MediaSettings:
    """What the media process is started with. `addresses`: where it takes media from (IP addresses of this machine; none: all
    but loopback); `public_address`: what this machine is called from outside; `take_over`: a second publisher replaces the
    first; `most`: who may look at once. `views`: descriptors of the slots with what is shown, by camera, and `jobs` of those
    that peers send (see `peer_slots.Slots`); none: what comes is kept in memory and shown."""

    addresses: list[str] = field(default_factory=lambda: ["127.0.0.1"])
    public_address: str | None = None
    take_over: bool = False
    most: int = 64
    views: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def descriptors(self) -> list[int]:
        """All that the process is handed."""
        return [*self.views.values(), *(job["frames"] for job in self.jobs.values())]


class MediaError(Exception):
    """A question the media process answered with no. `status`: that of HTTP which says so."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class NoAnswerError(MediaError):
    """It is not there, or gave no answer, neither yes nor no."""

    def __init__(self, text: str) -> None:
        super().__init__(503, f"the media process {text}; try again in a few seconds")


class Media:
    """The media process as the web process sees it: started, asked, started again when it dies.

    Args:
        ended: called with the number of a connection that ended by itself, and why; with (None, why) where all did.
    """

    def __init__(self, settings: MediaSettings, ended: Callable[[str | None, str], None] = lambda peer, why: None) -> None:
        self._settings = settings
        self._ended = ended
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._answers: dict[int, asyncio.Future[tuple[dict[str, Any], bytes]]] = {}
        self._number = 0
        self._keeper: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The process's number, while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def takes(self, camera: str) -> bool:
        """Whether publishers may send to it: its source is `webrtc`, or there are no cameras but those that are sent."""
        return not self._settings.views or camera in self._settings.jobs

    async def start(self) -> None:
        """Start it, and keep it running."""
        self._keeper = asyncio.create_task(self._keep())
        await asyncio.wait_for(self._up.wait(), _READY_WITHIN_S)

    async def stop(self) -> None:
        """End it: 5 s to close its connections, then it is killed."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
        if self._process is not None and self._process.returncode is None:
            try:
                await asyncio.wait_for(self._process.wait(), 4)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def ask(self, do: str, **what: Any) -> dict[str, Any]:
        """Ask it something; gives the answer.

        Raises:
            MediaError: it said no, or it is not there (503).
        """
        return (await self._ask(do, what))[0]

    async def picture(self, camera: str, after: int = 0, wait_s: float = PICTURE_WAIT_S) -> tuple[int, bytes] | None:
        """The newest picture of a camera as JPEG with its number, once there is one after `after`; None where none comes."""
        answer, jpeg = await self._ask("picture", {"camera": camera, "after": after, "wait_s": wait_s})
        return (answer["number"], jpeg) if jpeg else None

    async def _ask(self, do: str, what: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        told, attached = await self._answered(do, what)
        if "error" in told:
            raise MediaError(told["status"], told["error"])
        return told, attached

    async def _answered(self, do: str, what: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Its answer, whatever that is."""
        if self._writer is None or not self._up.is_set():
            raise NoAnswerError("is being started")
        self._number += 1
        number = self._number
        answer: asyncio.Future[tuple[dict[str, Any], bytes]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            self._writer.write(json.dumps({"question": number, "do": do, **what}).encode() + b"\n")
            return await asyncio.wait_for(answer, _PATIENCE_S)
        except (TimeoutError, OSError) as error:
            raise NoAnswerError("does not answer") from error
        finally:
            self._answers.pop(number, None)

    async def _keep(self) -> None:
        wait_s = 0.2
        while True:
            started = time.monotonic()
            try:
                await self._run_once()
            except (OSError, ValueError):
                _log.exception("the media process")
            finally:
                self._up.clear()
                for answer in self._answers.values():
                    if not answer.done():
                        answer.set_exception(ConnectionResetError("the media process ended"))
            self._ended(None, "the media process ended")
            wait_s = 0.2 if time.monotonic() - started > 30 else min(wait_s * 2, 10.0)
            _log.warning("the media process ended; another is started in %.1f s", wait_s)
            await asyncio.sleep(wait_s)

    async def _run_once(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "aadc.live.following", "aadc.live.media", str(os.getpid()), str(theirs.fileno())),
                pass_fds=[theirs.fileno(), *self._settings.descriptors],
                stdin=asyncio.subprocess.DEVNULL,
            )
        self.starts += 1
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=_LONGEST_LINE)
        watching = asyncio.create_task(self._kill_where_it_hangs(self._process))
        try:
            self._writer.write(json.dumps(asdict(self._settings)).encode() + b"\n")
            while (message := await _read(reader)) is not None:
                told, attached = message
                if "ready" in told:
                    self._up.set()
                elif "gone" in told:
                    self._ended(told["gone"], told["why"])
                elif (answer := self._answers.get(told["question"])) and not answer.done():
                    answer.set_result((told, attached))
        except asyncio.CancelledError:
            raise
        except OSError:
            pass
        finally:
            watching.cancel()
        self._writer.close()
        try:
            await asyncio.wait_for(self._process.wait(), 2)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _kill_where_it_hangs(self, process: asyncio.subprocess.Process) -> None:
        """One that does not get ready, or answers no more, is there for nobody; another one is. A no is an answer."""
        try:
            await asyncio.wait_for(self._up.wait(), _READY_WITHIN_S)
            while True:
                await asyncio.sleep(_LOOKS_EVERY_S)
                await self._answered("status", {})
        except (TimeoutError, NoAnswerError):
            if process.returncode is None:
                _log.warning("the media process hangs and is killed")
                process.kill()


async def _read(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes] | None:
    """The next message with what is attached; None at the end."""
    line = await reader.readline()
    if not line.endswith(b"\n"):
        return None
    told = json.loads(line)
    return told, await reader.readexactly(told["bytes"]) if "bytes" in told else b""


# The other end of the line


def main() -> None:
    """The media process, on the socket whose number is the last word of its command."""
    logging.basicConfig(level=logging.WARNING, format="media: %(message)s")
    asyncio.run(_serve(socket.socket(fileno=int(sys.argv[-1]))))
    os._exit(0)  # a thread of a library's that hangs must not keep it


async def _serve(line: socket.socket) -> None:
    from aadc.live.webrtc import Peers  # aiortc: only in this process

    reader, writer = await asyncio.open_connection(sock=line, limit=_LONGEST_LINE)
    first = await _read(reader)
    if first is None:
        return
    settings = MediaSettings(**first[0])
    _take_media_on(settings.addresses)
    frames = _frames(settings)
    peers = Peers(
        frames,
        lambda peer, why: _write(writer, {"gone": peer, "why": why}),
        settings.most,
        settings.public_address,
        settings.take_over,
    )
    desk = _Desk(peers, frames)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    _write(writer, {"ready": True})
    reading = asyncio.create_task(_read_questions(reader, writer, desk))
    stopping = asyncio.create_task(stop.wait())
    beating = asyncio.create_task(_beat(frames))
    await asyncio.wait([reading, stopping], return_when=asyncio.FIRST_COMPLETED)
    reading.cancel()
    beating.cancel()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(peers.close(), 3)


async def _read_questions(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, desk: "_Desk") -> None:
    answering: set[asyncio.Task[None]] = set()
    with contextlib.suppress(ConnectionError):
        while (message := await _read(reader)) is not None:
            task = asyncio.create_task(_answer(message[0], writer, desk))
            answering.add(task)
            task.add_done_callback(answering.discard)


async def _answer(question: dict[str, Any], writer: asyncio.StreamWriter, desk: "_Desk") -> None:
    number = question.pop("question")
    try:
        told, attached = await desk.answer(**question)
    except MediaError as error:
        told, attached = {"error": str(error), "status": error.status}, b""
    except Exception as error:  # of a library, at an offer that passed all checks: that connection is not made, the others live
        _log.exception("%s", question.get("do"))
        told, attached = {"error": f"the connection could not be made ({type(error).__name__})", "status": 422}, b""
    _write(writer, {**told, "question": number}, attached)


def _write(writer: asyncio.StreamWriter, told: dict[str, Any], attached: bytes = b"") -> None:
    if attached:
        told["bytes"] = len(attached)
    writer.write(json.dumps(told).encode() + b"\n" + attached)


class _Desk:
    """What can be asked of the media process."""

    def __init__(self, peers: Any, frames: Frames) -> None:
        self._peers = peers
        self._frames = frames
        self._threads = ThreadPoolExecutor(2, "jpeg")
        self._jpegs: dict[str, tuple[int, asyncio.Future[bytes]]] = {}

    async def answer(self, do: str, **what: Any) -> tuple[dict[str, Any], bytes]:
        """Answer one question; `MediaError` for a no."""
        from aadc.live.offers import OfferError
        from aadc.live.webrtc import BusyError

        try:
            if do in ("publish", "view"):
                peer, answer = await (self._peers.publish if do == "publish" else self._peers.view)(
                    what["camera"], what["offer"]
                )
                return {"peer": peer, "answer": answer}, b""
        except OfferError as error:
            raise MediaError(400 if error.malformed else 422, str(error)) from error
        except BusyError as error:
            raise MediaError(503 if error.full else 409, str(error)) from error
        if do == "end":
            return {"ended": await self._peers.end(what["peer"])}, b""
        if do == "status":
            return {
                "peers": self._peers.told(),
                "encoders": self._peers.encoders(),
                "decode_errors": self._peers.decode_errors.count,
            }, b""
        if do == "picture":
            number, jpeg = await self._picture(what["camera"], what["after"], what["wait_s"])
            return {"number": number}, jpeg
        raise MediaError(400, f"{do!r} is not known")

    async def _picture(self, camera: str, after: int, wait_s: float) -> tuple[int, bytes]:
        until = time.monotonic() + min(wait_s, PICTURE_WAIT_S)
        while (picture := self._frames.newest(camera, after)) is None:
            if time.monotonic() > until:
                return after, b""
            await asyncio.sleep(0.02)
        number, made = self._jpegs.get(camera, (0, None))
        if made is None or number != picture.number:  # encoded once, for however many ask
            made = asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(self._threads, _jpeg, picture.rgb))
            self._jpegs[camera] = (picture.number, made)
        return picture.number, await asyncio.shield(made)


def _jpeg(rgb: Any) -> bytes:
    from PIL import Image

    image = Image.fromarray(rgb)
    image.thumbnail((960, 960))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=75)
    return file.getvalue()


def _frames(settings: MediaSettings) -> Frames:
    if not settings.views:
        return InMemory()
    from aadc.live.capture_job import CaptureJob
    from aadc.live.peer_slots import Slots

    return Slots(settings.views, {camera: CaptureJob.model_validate(job) for camera, job in settings.jobs.items()})


async def _beat(frames: Frames) -> None:
    while True:
        frames.beat()
        await asyncio.sleep(0.5)


def _take_media_on(addresses: list[str]) -> None:
    """aioice listens on each address of the machine but loopback, and lets nobody choose: what it asks for them is replaced."""
    import aioice.ice

    if addresses:
        aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [
            address for address in addresses if (use_ipv6 if ":" in address else use_ipv4)
        ]
