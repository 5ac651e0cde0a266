"""A made-up camera: an RTSP server whose picture is drawn and encoded as it is asked for, and carries the time of its drawing.

For measurements: `strip_clock` in the picture is the monotonic clock of this machine in milliseconds, so whoever sees the
picture, at whatever place, knows how old it is. All who look are given the same picture, drawn and encoded once: measured is
the system, not the camera.
"""

import os
import queue
import sys
import threading
import time
from contextlib import suppress
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from aio_rtsp_toolkit import server as rtsp
from aio_rtsp_toolkit.server_media import MediaSource, split_annexb_nalus

from aadc.live.rtsp_server import serve
from aadc.live.strip_clock import now_ms
from aadc.live.strip_scene import Scene

RATE = 30
KBIT = 2000
_FIRST = 12  # pictures without a strip, all at once, in which FFmpeg finds out what the stream is
_MOST_WAITING = 4 * RATE


class LivePicture:
    """Draws and encodes `RATE` pictures a second, and gives the packets to all who look.

    Args:
        noted: gets, as two int64, the strip of each picture and when it was encoded (monotonic, nanoseconds).
    """

    def __init__(self, width: int, height: int, noted: BinaryIO | None = None):
        self._scene, self._noted = Scene(width, height), noted
        file = BytesIO()
        output = av.open(file, "w", format="matroska", options={"live": "1"})
        options = {"preset": "ultrafast", "tune": "zerolatency", "threads": "1", "forced-idr": "1"}
        self._stream = output.add_stream("libx264", rate=RATE, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.gop_size, self._stream.bit_rate = RATE, KBIT * 1000
        output.start_encoding()
        self.head = file.getvalue()
        self._output = output  # as long as the encoder is used
        self._count = 0
        self.first = [packet for _ in range(_FIRST) for packet in self._encoded(now_ms(), strip=False)]
        self._viewers: set[queue.Queue] = set()
        self._lock = threading.Lock()

    def join(self, viewer: queue.Queue) -> None:
        """One more looks."""
        with self._lock:
            self._viewers.add(viewer)

    def leave(self, viewer: queue.Queue) -> None:
        """One looks no more."""
        with self._lock:
            self._viewers.discard(viewer)

    def run(self) -> None:
        """For ever."""
        due = time.monotonic()
        while True:
            due = max(due + 1 / RATE, time.monotonic() - 1 / RATE)
            time.sleep(max(0.0, due - time.monotonic()))
            drawn_ns, drawn_ms = time.monotonic_ns(), now_ms()
            for packet in self._encoded(drawn_ms):
                if self._noted is not None:
                    self._noted.write(np.array([drawn_ms, time.monotonic_ns()], np.int64).tobytes())
                    self._noted.flush()
                with self._lock:
                    for viewer in self._viewers:
                        if viewer.full():  # too slow: on with the next key picture, for the others cannot be decoded
                            with suppress(queue.Empty):
                                while True:
                                    viewer.get_nowait()
                            viewer.put_nowait(None)
                        viewer.put_nowait((drawn_ns, packet))

    def _encoded(self, ms: int, strip: bool = True) -> list[av.Packet]:
        frame = av.VideoFrame.from_ndarray(self._scene.draw(ms, strip), format="rgb24")
        frame.pts, frame.time_base = self._count, Fraction(1, RATE)
        self._count += 1
        return self._stream.encode(frame)


class StripServer(rtsp.RtspServer):
    """An RTSP server of one live picture, under any address. What a session plays is a pipe that is written as it is read."""

    def __init__(self, picture: LivePicture, folder: Path, port: int):
        super().__init__(str(folder), "127.0.0.1", port)
        self._picture, self._folder, self._sessions = picture, folder, 0
        clusters = (_cluster(packet, number / RATE) for number, packet in enumerate(picture.first))
        (folder / "first.mkv").write_bytes(picture.head + b"".join(clusters))

    def resolve_request_path(self, uri: str) -> Path:
        """The file that says what the stream is."""
        return self._folder / "first.mkv"

    def load_media_source(self, file_path: Path) -> MediaSource:
        """A pipe for a new session."""
        described = super().load_media_source(file_path)
        self._sessions += 1
        pipe = self._folder / f"{self._sessions}.mkv"
        os.mkfifo(pipe)
        threading.Thread(target=_feed, args=(self._picture, pipe), daemon=True).start()
        return MediaSource(pipe, described.tracks, described.session_name)


def _feed(picture: LivePicture, pipe: Path) -> None:
    """Write what is drawn into a pipe until nobody reads it any more."""
    viewer: queue.Queue = queue.Queue(_MOST_WAITING)
    begun = False
    try:
        with pipe.open("wb", buffering=0) as file:
            began_ns = time.monotonic_ns()  # the pipe is open: somebody reads
            file.write(picture.head + b"".join(_cluster(packet, number / RATE) for number, packet in enumerate(picture.first)))
            picture.join(viewer)
            while True:
                if (drawn := viewer.get()) is None:
                    begun = False
                    continue
                drawn_ns, packet = drawn
                second = (drawn_ns - began_ns) / 1e9
                begun = begun or (packet.is_keyframe and second > len(picture.first) / RATE)
                if begun:
                    file.write(_cluster(packet, second))
    except OSError:
        pass
    finally:
        picture.leave(viewer)
        pipe.unlink(missing_ok=True)


def _cluster(packet: av.Packet, second: float) -> bytes:
    """A picture as a Matroska cluster of its own (RFC 9559): FFmpeg's muxer would hold it back until the next one comes."""
    data = b"".join(len(unit).to_bytes(4, "big") + unit for unit in split_annexb_nalus(bytes(packet)))
    block = b"\x81\0\0" + (b"\x80" if packet.is_keyframe else b"\0") + data
    return _element("1F43B675", _element("E7", round(second * 1000).to_bytes(8, "big")) + _element("A3", block))


def _element(name: str, content: bytes) -> bytes:
    return bytes.fromhex(name) + (len(content) | 1 << 56).to_bytes(8, "big") + content


def main() -> None:
    """The process. Its last words: PORT WIDTH HEIGHT, and the file to note in when each picture was encoded."""
    *_, port, width, height, notes_path = sys.argv
    for level in ("debug", "info", "warning", "error"):
        setattr(rtsp.logger, level, lambda *_, **__: None)
    av.logging.set_level(None)
    folder = Path(notes_path).with_name("pipes")  # which the parent removes
    folder.mkdir()
    with open(notes_path, "ab") as notes:
        picture = LivePicture(int(width), int(height), notes)
        threading.Thread(target=picture.run, daemon=True).start()
        serve(StripServer(picture, folder, int(port)).serve_forever)
