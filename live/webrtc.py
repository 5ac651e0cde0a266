"""WebRTC connections, in and out, within the media process (`media.py`). SDP comes and goes as text; rights are not asked here.

aiortc's traps are met here: no STUN server is asked, every track is read as fast as it comes, each connection is closed on each
path, and what sends nothing is ended.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from aadc.live.broadcast import Broadcast, ViewerTrack
from aadc.live.frames import Frames
from aadc.live.offers import OfferError, Way, checked, finished
from aadc.live.whole_pictures import install

install()
_log = logging.getLogger(__name__)
CONNECT_S = 10.0  # without a connection by then, it is given up
SILENT_S = 10.0  # a publisher that sent nothing for so long may be replaced
MOST_PIXELS = 3840 * 2160
PUBLISH_KBIT = 2500


class BusyError(Exception):
    """Somebody publishes to that camera, or there are too many connections. `full`: the latter."""

    def __init__(self, text: str, full: bool = False) -> None:
        super().__init__(text)
        self.full = full


class DecodeErrors(logging.Handler):
    """Counts what aiortc says about pictures it could not decode; it tells nobody else."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """One more."""
        if "failed to decode" in record.msg:
            self.count += 1


@dataclass
class Peer:
    """One connection. `received` pictures came, `taken` of them were handed on, the others were late: newer ones were there."""

    id: str
    camera: str
    way: Way
    connection: RTCPeerConnection
    made_s: float
    track: ViewerTrack | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    received: int = 0
    taken: int = 0
    size: tuple[int, int] | None = None
    last_s: float | None = None

    def told(self, now: float) -> dict[str, Any]:
        """What is known of it, in plain values."""
        return {
            "peer": self.id,
            "camera": self.camera,
            "way": "in" if self.way is Way.IN else "out",
            "state": self.connection.connectionState,
            "age_s": now - self.made_s,
            "received": self.received,
            "taken": self.taken,
            "dropped": self.track.dropped if self.track else self.received - self.taken,
            "size": self.size,
            "silent_s": None if self.last_s is None else now - self.last_s,
        }


class Peers:
    """All connections of this process.

    Args:
        frames: where pictures that come are put, and those that are shown are taken from.
        ended: called with the number of each connection that ended by itself, and why.
        most: how many may look at once; publishers are one a camera, whoever looks.
        public_address: what this machine is called from outside, for the candidates in answers.
        take_over: a second publisher replaces the first (else it is refused, unless the first is silent).
    """

    def __init__(
        self,
        frames: Frames,
        ended: Callable[[str, str], None] = lambda peer, why: None,
        most: int = 64,
        public_address: str | None = None,
        take_over: bool = False,
    ) -> None:
        self._frames = frames
        self._ended = ended
        self._most = most
        self._public_address = public_address
        self._take_over = take_over
        self._peers: dict[str, Peer] = {}
        self._making = 0
        self._publishing: set[str] = set()  # cameras whose publisher is being connected
        self._broadcasts: dict[str, Broadcast] = {}
        self._threads = ThreadPoolExecutor(4, "pictures")
        self.decode_errors = DecodeErrors()
        receiver = logging.getLogger("aiortc.rtcrtpreceiver")
        receiver.addHandler(self.decode_errors)
        receiver.propagate = False

    async def publish(self, camera: str, offer_text: str) -> tuple[str, str]:
        """Take a publisher's offer for a camera; gives the connection's number and the answer.

        Raises:
            OfferError: the offer is not taken.
            BusyError: somebody else publishes.
        """
        offer = checked(offer_text, Way.IN)
        if not self._frames.takes(camera):
            raise BusyError("this camera is read from its own source; publishers send to those whose source is webrtc")
        if camera in self._publishing:
            raise BusyError("another publisher is just connecting to this camera")
        self._publishing.add(camera)
        try:
            for other in [peer for peer in self._peers.values() if peer.camera == camera and peer.way is Way.IN]:
                silent = time.monotonic() - (other.last_s or other.made_s) > SILENT_S
                if not (self._take_over or silent):
                    raise BusyError("another publisher sends to this camera")
                await self.end(other.id, "another publisher took over")
            return await self._made(camera, Way.IN, offer.text, offer.has_sound, None)
        finally:
            self._publishing.discard(camera)

    async def view(self, camera: str, offer_text: str) -> tuple[str, str]:
        """Take a viewer's offer, as `publish` does a publisher's; `BusyError` where too many look."""
        offer = checked(offer_text, Way.OUT)
        broadcast = self._broadcasts.setdefault(camera, Broadcast(camera, self._frames, self._threads))
        track = broadcast.join()
        try:
            return await self._made(camera, Way.OUT, offer.text, offer.has_sound, track)
        except BaseException:
            await broadcast.leave(track)
            raise

    async def end(self, peer_id: str, why: str | None = None) -> bool:
        """End a connection; False where there is none of that number. With a reason, whoever asked to be told is told."""
        peer = self._peers.pop(peer_id, None)
        if peer is None:
            return False
        await self._close(peer)
        if peer.way is Way.IN:
            self._frames.gone(peer.camera, why or "the publisher left")
        if why is not None:
            self._ended(peer.id, why)
        return True

    async def close(self) -> None:
        """End all connections."""
        await asyncio.gather(*(self.end(peer) for peer in list(self._peers)))
        self._threads.shutdown(wait=False, cancel_futures=True)

    def told(self) -> list[dict[str, Any]]:
        """What is known of each connection."""
        now = time.monotonic()
        return [peer.told(now) for peer in self._peers.values()]

    def encoders(self) -> dict[str, int]:
        """Pictures encoded so far, by camera with viewers."""
        return {camera: broadcast.encoded for camera, broadcast in self._broadcasts.items() if broadcast.viewers}

    async def _made(self, camera: str, way: Way, offer: str, has_sound: bool, track: ViewerTrack | None) -> tuple[str, str]:
        viewers = sum(peer.way is Way.OUT for peer in self._peers.values())
        if way is Way.OUT and viewers + self._making >= self._most:  # publishers are as many as cameras, and come first
            raise BusyError(f"{self._most} look, no more can", full=True)
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # aiortc's own list names a server of Google's
        peer = Peer(secrets.token_urlsafe(24), camera, way, connection, time.monotonic(), track)
        self._making += 1
        try:
            if track is None:
                connection.addTransceiver("video", "recvonly")
                connection.on("track", lambda coming: self._comes(peer, coming))
            else:
                transceiver = connection.addTransceiver(track, "sendonly")
                h264 = [codec for codec in RTCRtpSender.getCapabilities("video").codecs if codec.name in ("H264", "rtx")]
                transceiver.setCodecPreferences(h264)
            if has_sound:  # never opened: answered as inactive, so nothing is sent, and what is sent is not decoded
                connection.addTransceiver("audio", "inactive")
            try:
                await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            except ValueError as error:  # what aiortc itself finds missing in it
                raise OfferError(f"the offer cannot be taken ({error})") from error
            await connection.setLocalDescription(await connection.createAnswer())
            answer = finished(connection.localDescription.sdp, PUBLISH_KBIT, self._public_address)
        except BaseException:
            await self._close(peer)
            raise
        finally:
            self._making -= 1
        self._peers[peer.id] = peer
        if way is Way.IN:
            self._frames.connected(camera)
        connection.on("connectionstatechange", lambda: self._changed(peer))
        peer.tasks.append(asyncio.create_task(self._give_up(peer)))
        return peer.id, answer

    def _changed(self, peer: Peer) -> None:
        if peer.connection.connectionState in ("failed", "closed") and peer.id in self._peers:
            _keep(asyncio.create_task(self.end(peer.id, f"the connection {peer.connection.connectionState}")))

    async def _give_up(self, peer: Peer) -> None:
        """End what never connects."""
        await asyncio.sleep(CONNECT_S)
        if peer.connection.connectionState != "connected":
            _keep(asyncio.create_task(self.end(peer.id, f"no connection within {CONNECT_S:.0f} s")))

    async def _close(self, peer: Peer) -> None:
        current = asyncio.current_task()
        for task in peer.tasks:
            if task is not current:
                task.cancel()
        with contextlib.suppress(Exception, asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(peer.connection.close()), 10)
        if peer.track is not None:
            peer.track.stop()
            await self._broadcasts[peer.camera].leave(peer.track)

    def _comes(self, peer: Peer, track: MediaStreamTrack) -> None:
        if track.kind == "video":
            peer.tasks.append(asyncio.create_task(self._drain(peer, track)))

    async def _drain(self, peer: Peer, track: MediaStreamTrack) -> None:
        """Read the track as fast as it comes, whatever happens to the pictures; only the newest is handed on."""
        waiting: asyncio.Queue[tuple[av.VideoFrame, int]] = asyncio.Queue(1)
        hand_on = asyncio.create_task(self._hand_on(peer, waiting))
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.VideoFrame)
                peer.received += 1
                peer.last_s = time.monotonic()
                if frame.width * frame.height > MOST_PIXELS:
                    _keep(asyncio.create_task(self.end(peer.id, f"the picture is {frame.width} x {frame.height}, too large")))
                    return
                if waiting.full():
                    waiting.get_nowait()
                waiting.put_nowait((frame, time.monotonic_ns()))
        except MediaStreamError:
            if peer.id in self._peers:
                _keep(asyncio.create_task(self.end(peer.id, "the publisher stopped")))
        finally:
            hand_on.cancel()

    async def _hand_on(self, peer: Peer, waiting: asyncio.Queue[tuple[av.VideoFrame, int]]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            frame, arrived_ns = await waiting.get()
            try:
                await loop.run_in_executor(self._threads, self._frames.put, peer.camera, frame, arrived_ns)
            except Exception:  # one picture; the next may pass, and the track must be read on
                _log.exception("a picture of %r was lost", peer.camera)
                continue
            peer.taken += 1
            peer.size = (frame.width, frame.height)


_ending: set[asyncio.Task[Any]] = set()


def _keep(task: asyncio.Task[Any]) -> None:
    """Hold a task until it is done: the loop itself does not."""
    _ending.add(task)
    task.add_done_callback(_ending.discard)
