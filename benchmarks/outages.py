"""What one capture keeps of each outage: memory, files and threads over connections that break, in one process.

    python benchmarks/outages.py                # a hundred connections that are reset, some five minutes
    python benchmarks/outages.py --way ends     # that end in order
    python benchmarks/outages.py --way refused --outages 3000

A recording of the demo comes over RTSP through a relay, which cuts each connection after 60 kB (some 30 frames). Memory is what
only this process has (RssAnon). Slope: Theil and Sen's, with its 95 % interval, without the first tenth.
"""

import argparse
import os
import selectors
import socket
import struct
import threading
import time
from pathlib import Path

from soak import look

CUT_AFTER = 60_000  # bytes
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: no word of goodbye


class Relay:
    """Between a server and whoever connects; every connection is cut."""

    def __init__(self, server: int, reset: bool):
        self.server, self.reset = server, reset
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            one, _ = self.listening.accept()
            self.pass_on(one)

    def pass_on(self, one: socket.socket) -> None:
        """One connection, there and back."""
        with one, socket.create_connection(("127.0.0.1", self.server)) as other, selectors.DefaultSelector() as ready:
            for end in (one, other):
                ready.register(end, selectors.EVENT_READ)
            passed = 0
            while passed < CUT_AFTER:
                for key, _ in ready.select(5):
                    content = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not content:
                        return
                    (one if key.fileobj is other else other).sendall(content)
                    passed += len(content) if key.fileobj is other else 0
            if self.reset:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def measure(asked: argparse.Namespace) -> None:
    """Count outages, look at the process after each twentieth of them, print."""
    import av
    from scipy.stats import theilslopes

    from aadc.live.capture import Capture, CaptureJob
    from aadc.live.demo import abnormal_videos
    from aadc.live.frame_slot import FrameSlot
    from aadc.live.rtsp_server import rtsp_server

    class Counting(FrameSlot):
        outages = 0

        def tell(self, status: dict) -> None:
            super().tell(status)
            self.outages += status["state"] == "offline"

    av.logging.set_level(None)
    videos = asked.scenes / "videos"
    with rtsp_server(lambda port: ["aadc.live.demo", str(videos), str(port)]) as address:
        port = Relay(int(address.rpartition(":")[2]), asked.way == "reset").port if asked.way != "refused" else 9
        source = f"rtsp://127.0.0.1:{port}/{abnormal_videos(asked.scenes, 1)[0]}?play_count=0"
        job = CaptureJob(name="a", source=source, kind="url", snippet_s=0.5, began_ns=time.monotonic_ns(), back_off=1e-6)
        view = Counting()
        capture = Capture(job, FrameSlot(), view)
        worker = threading.Thread(target=capture.run, daemon=True)
        worker.start()
        seen: list[tuple[int, float]] = []
        while view.outages < asked.outages:
            if (now := view.outages) >= (seen[-1][0] if seen else -1) + max(1, asked.outages // 20):
                sample = look(os.getpid(), 0, 0)
                assert sample is not None
                seen.append((now, sample.own_mb))
                print(f"{now:6} outages: {sample.own_mb:7.2f} MB, {sample.files} files, {sample.threads} threads", flush=True)
            time.sleep(0.05)
        capture.stop()
    warm = [one for one in seen if one[0] >= asked.outages / 10]
    slope, _, low, high = theilslopes([mb for _, mb in warm], [count / 100 for count, _ in warm])
    print(f"{asked.way}: {slope:+.3f} [{low:+.3f}, {high:+.3f}] MB in a hundred outages")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, default=Path("demo"))
    parser.add_argument("--outages", type=int, default=100)
    parser.add_argument("--way", choices=("reset", "ends", "refused"), default="reset")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
