"""One camera's picture to many viewers: encoded once, and only while somebody looks."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from fractions import Fraction

import av
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from aadc.live.frames import Frames, Picture

FRAMES_A_SECOND = 25
WIDEST = 1280
KBIT = 2000
_KEY_EVERY_S = 1.0  # a viewer that lost something cannot ask for a key picture: they come by themselves
_MOST_WAITING = 2 * FRAMES_A_SECOND
_CLOCK = 90_000


class Encoder:
    """H.264 baseline (every browser plays it), without delay: one picture in, one packet out. For one thread at a time."""

    def __init__(self) -> None:
        self._codec: av.VideoCodecContext | None = None
        self._reformatter = VideoReformatter()
        self._last_pts = -1
        self._last_key_s = 0.0

    def encode(self, rgb: np.ndarray, at_s: float, key: bool) -> av.Packet | None:
        """Encode one picture.

        Args:
            rgb: uint8 (H, W, 3), of any size; wider ones than `WIDEST` are made smaller.
            at_s: when it was taken (seconds, any origin).
            key: it must be one to begin with. Others are once a second.
        Returns:
            the packet, its time in 1 / 90000 s; None if the encoder gave none.
        """
        height, width = rgb.shape[:2]
        scale = min(1.0, WIDEST / width)
        width, height = max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)
        if self._codec is None or (self._codec.width, self._codec.height) != (width, height):
            self._codec = _codec(width, height)
            key = True
        frame = self._reformatter.reformat(av.VideoFrame.from_ndarray(rgb, "rgb24"), width, height, "yuv420p")
        pts = max(int(at_s * _CLOCK), self._last_pts + 1)
        frame.pts, frame.time_base = pts, Fraction(1, _CLOCK)
        if key or at_s - self._last_key_s >= _KEY_EVERY_S - 0.5 / FRAMES_A_SECOND or at_s < self._last_key_s:
            frame.pict_type = PictureType.I
            self._last_key_s = at_s
        else:
            frame.pict_type = PictureType.NONE
        self._last_pts = pts
        packets = self._codec.encode(frame)
        return packets[0] if packets else None


def _codec(width: int, height: int) -> av.VideoCodecContext:
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, _CLOCK), Fraction(FRAMES_A_SECOND, 1)
    codec.bit_rate = KBIT * 1000
    codec.gop_size = 10_000  # key pictures come by the clock: rates of cameras are not what they say
    codec.max_b_frames = 0
    codec.profile = "Baseline"
    codec.options = {
        "preset": "superfast",
        "tune": "zerolatency",
        "threads": "1",
        "maxrate": f"{KBIT}k",
        "bufsize": f"{KBIT // 2}k",  # half a second's worth: no key picture is larger
    }
    return codec


class ViewerTrack(MediaStreamTrack):
    """What one viewer is sent. Who is too slow loses pictures, up to the next one to begin with; nobody waits for them."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._packets: asyncio.Queue[av.Packet] = asyncio.Queue(_MOST_WAITING)
        self.needs_key = True
        self.dropped = 0

    def give(self, packet: av.Packet) -> None:
        """Hand over the next packet; never waits."""
        if self._packets.full():
            self.dropped += self._packets.qsize()
            while not self._packets.empty():
                self._packets.get_nowait()
            self.needs_key = True
        if self.needs_key and not packet.is_keyframe:
            self.dropped += 1
            return
        self.needs_key = False
        self._packets.put_nowait(packet)

    async def recv(self) -> av.Packet:
        """The next packet, when there is one (aiortc packs it into RTP as it is)."""
        if self.readyState != "live":
            raise MediaStreamError
        return await self._packets.get()


class Broadcast:
    """A camera's viewers and its one encoder, which runs from the first of them to the last."""

    def __init__(self, camera: str, frames: Frames, threads: Executor, now: Callable[[], float] = time.monotonic) -> None:
        self._camera = camera
        self._frames = frames
        self._threads = threads
        self._now = now
        self._viewers: set[ViewerTrack] = set()
        self._task: asyncio.Task[None] | None = None
        self.encoded = 0

    @property
    def viewers(self) -> int:
        """How many look."""
        return len(self._viewers)

    def join(self) -> ViewerTrack:
        """One more looks."""
        track = ViewerTrack()
        self._viewers.add(track)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return track

    async def leave(self, track: ViewerTrack) -> None:
        """One looks no more; the last one stops the encoder."""
        self._viewers.discard(track)
        if not self._viewers and self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        encoder = Encoder()
        picture: Picture | None = None
        encoded_s = 0.0
        loop = asyncio.get_running_loop()
        while True:
            newer = self._frames.newest(self._camera, picture.number if picture else 0)
            now = self._now()
            # A picture that stands still is sent once a second: whoever comes then sees something.
            if (newer is None or now - encoded_s < 0.9 / FRAMES_A_SECOND) and (
                picture is None or now - encoded_s < _KEY_EVERY_S
            ):
                await asyncio.sleep(0.008)
                continue
            picture = newer or picture
            if picture is None:
                continue
            key = any(track.needs_key for track in self._viewers)
            packet = await loop.run_in_executor(self._threads, encoder.encode, picture.rgb, now, key)
            encoded_s = now
            if packet is not None:
                self.encoded += 1
                for track in self._viewers:
                    track.give(packet)
