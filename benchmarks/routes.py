"""What the server keeps of each request, route by route: its memory while one viewer asks again and again.

    python benchmarks/routes.py                 # on the events and clips that benchmarks/soak.py left in soak/data
    python benchmarks/routes.py --requests 5000

The server runs as `aadc-live` starts it, on a copy of the folder, with one camera whose picture, scores and boxes change 15
times a second. Memory is what only that process has (RssAnon): before a route, and after each fifth of the requests to it.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from soak import free_port, look

if TYPE_CHECKING:
    from aadc.live.frame_slot import FrameSlot

CAMERA = "yard"


def feed(view: "FrameSlot", frames: "FrameSlot", scorer: "FrameSlot", stop: threading.Event) -> None:
    """A camera that is online and scored."""
    import numpy as np

    from aadc.live.camera_state import CameraStatus

    pictures = np.random.default_rng(0).integers(0, 255, (8, 360, 640, 3), dtype=np.uint8)
    number = 0
    while not stop.wait(1 / 15):
        now_ns, second, number = time.monotonic_ns(), number / 15, number + 1
        view.write(pictures[number % 8], second, time.time_ns(), now_ns)
        status = CameraStatus(state="online", newest_ns=now_ns, width=640, height=360, second=second)
        view.tell(status.model_dump(mode="json"))
        view.beat()
        scorer.beat()
        scores = [[time.time_ns() // 10**6 - 500 * ago, round(number % 100 / 100, 3), True] for ago in range(150)]
        boxes = [[0.1, 0.2, 0.3, 0.4, "person", 0.9]] * 4
        frames.tell({"scores": scores, "boxes": boxes, "shape": [360, 640], "open_at": 0.5, "close_at": 0.35})


def measure(asked: argparse.Namespace, data: Path) -> None:
    """Start it, ask, print."""
    import httpx2 as httpx

    from aadc.live.frame_slot import FrameSlot
    from aadc.live.web_job import WebJob

    view, frames, status, scorer = (FrameSlot() for _ in range(4))
    stop = threading.Event()
    threading.Thread(target=feed, args=(view, frames, scorer, stop), daemon=True).start()
    port = free_port()
    job = WebJob(
        data=data, cameras=[CAMERA], views={CAMERA: view.descriptor}, frames={CAMERA: frames.descriptor},
        status=status.descriptor, scorer=scorer.descriptor, port=port,
    )  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "-m", "aadc.live.following", "aadc.live.web", str(os.getpid())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        pass_fds=[slot.descriptor for slot in (view, frames, status, scorer)],
    )  # fmt: skip
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(job.model_dump_json() + "\n")
    server.stdin.flush()
    said = ""
    while "dashboard:" not in said:
        said += server.stdout.readline()
    password = re.search(r"password (\S+)", said)
    assert password is not None

    def own() -> float:
        sample = look(server.pid, 0, 0)
        assert sample is not None
        return sample.own_mb

    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        while True:
            try:
                client.post("/login", data={"name": "admin", "password": password[1]})
                break
            except httpx.ConnectError:
                time.sleep(0.2)
        clips = [one["id"] for one in client.get("/api/events").json() if one["clip"]]
        camera = f"/api/cameras/{CAMERA}"
        routes = {path: [path] for path in ("/api/cameras", f"{camera}/recent", f"{camera}/snapshot.jpg", "/api/events")}
        routes |= {path: [path] for path in ("/metrics", "/health", "/watch")}
        routes |= {f"/clips/*.{kind}": [f"/clips/{one}.{kind}" for one in clips] for kind in ("jpg", "mp4")}
        for name, paths in routes.items():
            told = [own()]
            for _ in range(5):
                for turn in range(asked.requests // 5):
                    client.get(paths[turn % len(paths)]).raise_for_status()
                told.append(own())
            print(f"{name:32} {' '.join(f'{mb:7.2f}' for mb in told)} MB", flush=True)
    stop.set()
    server.terminate()
    server.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("soak/data"))
    parser.add_argument("--requests", type=int, default=1000, help="to each route")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        shutil.copytree(asked.data, data)
        for file in data.glob("access.sqlite*"):
            file.unlink()
        measure(asked, data)


if __name__ == "__main__":
    main()
