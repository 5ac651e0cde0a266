"""A real RTSP server in a process of its own, which tests stop, kill and start again; videos that carry their clock."""

import os
import signal
import socket
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from waiting import wait_until

from aadc.live.strip_clock import burn

_SERVER = """
import asyncio, sys
from aio_rtsp_toolkit import server
server.logger.info = server.logger.warning = server.logger.error = lambda *a, **k: None
asyncio.run(server.serve(sys.argv[1], "127.0.0.1", int(sys.argv[2])))
"""


class RtspServer:
    """Serves the files of a folder; `url(name)` loops for ever."""

    def __init__(self, folder: Path):
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start, or start again; there once it listens."""
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(self.folder), str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._listens, 20)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """As if the camera hung (SIGSTOP)."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """As if its plug was pulled."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def url(self, name: str, user_info: str = "") -> str:
        return f"rtsp://{user_info}127.0.0.1:{self.port}/{name}?play_count=0"


def clock_video(path: Path, size=(320, 240), rate=25, seconds=10.0, times=None, gop=None) -> Path:
    """A small thing that moves over grey; frame n carries n, or its time in ms where `times` (seconds) are given."""
    count = int(rate * seconds) if times is None else len(times)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "bf": "0", "crf": "20"})
        stream.width, stream.height = size
        stream.pix_fmt, stream.gop_size = "yuv420p", gop or rate
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        noise = np.random.default_rng(0).integers(60, 120, (size[1], size[0], 1), dtype=np.uint8)
        for n in range(count):
            rgb = np.repeat(noise, 3, axis=2)
            left = n * 3 % (size[0] - 40)
            rgb[size[1] // 2 : size[1] // 2 + 40, left : left + 40] = [200, 50, 50]
            burn(rgb, n if times is None else round(times[n] * 1000))
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[n] * 1000), stream.codec_context.time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path
