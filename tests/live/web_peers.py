"""A publisher and a viewer for tests: aiortc's, which speak WHIP and WHEP; their pictures carry their number."""

import asyncio
import contextlib
import time
from urllib.parse import quote

import av
import httpx
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, VideoStreamTrack
from web_server import Server

CELLS = 12  # bits of a picture's number, as bright and dark columns


def picture(number: int, height: int = CELLS * 16, width: int = CELLS * 20) -> np.ndarray:
    """One that carries its number, uint8 (height, width, 3)."""
    bits = np.array([number >> bit & 1 for bit in range(CELLS)], np.uint8) * 200 + 20
    return np.broadcast_to(np.repeat(bits, width // CELLS)[None, :, None], (height, width, 3)).copy()


class Numbered(VideoStreamTrack):
    """Pictures that carry their number, 30 a second."""

    draw = staticmethod(picture)

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        self.number += 1
        frame = av.VideoFrame.from_ndarray(self.draw(self.number), "rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


def number_on(rgb: np.ndarray) -> int:
    """The number a picture carries."""
    columns = rgb[:, :, 1].mean(0)
    cells = columns.reshape(CELLS, -1)[:, 4:-4].mean(1)
    return sum(1 << bit for bit, value in enumerate(cells) if value > 120)


class Publisher:
    """A WHIP client."""

    def __init__(self, server: Server, camera: str = "door") -> None:
        self.http = httpx.AsyncClient(
            base_url=server.url, headers={"Authorization": f"Bearer {server.token('publish', camera)}"}, timeout=20
        )
        self.camera = camera
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.track = Numbered()

    async def start(self, change=lambda sdp: sdp, change_answer=lambda sdp: sdp) -> httpx.Response:
        self.connection.addTransceiver(self.track, "sendonly")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        answer = await self.post(change(self.connection.localDescription.sdp))
        if answer.status_code == 201:
            self.where = answer.headers["location"]
            await self.connection.setRemoteDescription(RTCSessionDescription(change_answer(answer.text), "answer"))
        return answer

    async def post(self, sdp: str, **headers) -> httpx.Response:
        return await self.http.post(
            f"/whip/{quote(self.camera)}", content=sdp, headers={"Content-Type": "application/sdp", **headers}
        )

    async def stop(self) -> None:
        await self.connection.close()
        await self.http.aclose()


class Viewer:
    """A WHEP client, which notes the numbers on the pictures it gets, and when."""

    def __init__(self, server: Server, camera: str = "door") -> None:
        self.http = httpx.AsyncClient(
            base_url=server.url, headers={"Authorization": f"Bearer {server.token('watch', camera)}"}, timeout=20
        )
        self.camera = camera
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.seen: list[int] = []
        self.times: list[float] = []

    async def start(self, change_answer=lambda sdp: sdp) -> None:
        self.connection.addTransceiver("video", "recvonly")
        self.connection.on("track", lambda track: setattr(self, "reading", asyncio.ensure_future(self._read(track))))
        await self.connection.setLocalDescription(await self.connection.createOffer())
        answer = await self.http.post(
            f"/whep/{self.camera}", content=self.connection.localDescription.sdp, headers={"Content-Type": "application/sdp"}
        )
        assert answer.status_code == 201, answer.text
        self.where = answer.headers["location"]
        await self.connection.setRemoteDescription(RTCSessionDescription(change_answer(answer.text), "answer"))

    async def _read(self, track) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                self.seen.append(number_on(frame.to_ndarray(format="rgb24")))
                self.times.append(time.monotonic())

    async def stop(self) -> None:
        await self.connection.close()
        await self.http.aclose()


async def until(true, within_s: float = 20.0):
    """Wait until something is true; gives it."""
    end = time.monotonic() + within_s
    while not (value := true()):
        assert time.monotonic() < end, "it did not come true"
        await asyncio.sleep(0.05)
    return value
