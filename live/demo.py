"""`make live-demo`: no camera and no network, and yet two cameras: drawn scenes that a real RTSP server shows over and over."""

import asyncio
import csv
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aadc.live.config import read_config
from aadc.live.data_folder import DataFolder
from aadc.live.watch import Watch, alone
from aadc.manifests.errors import UserError
from aadc.manifests.extras import needed
from aadc.manifests.files import make_folder, replace_file
from aadc.manifests.shown import say

CAMERAS = 2
_LISTENS_WITHIN_S = 20.0


def watch_demo(run: Path, scenes: Path, data: Path, port: int) -> None:
    """Watch drawn scenes as if they were cameras, until SIGTERM or Ctrl-C.

    Args:
        run: of `make demo`; scenes: its folder; data: for `cameras.toml`, events and clips; port: of the dashboard.
    Raises:
        UserError: the demo is not there, or nothing can start.
    """
    videos = abnormal_videos(scenes, CAMERAS)
    make_folder(data)
    with alone(DataFolder(data / "data").path):
        pass  # or the cameras of one that is at work here would be replaced with ours
    with serving(scenes / "videos") as address:
        text = f'data = "data"\nrun = "{run.resolve()}"\n\n[web]\nport = {port}\n'
        for video in videos:
            text += f'\n[[camera]]\nname = "{Path(video).stem}"\nsource = "{address}/{video}?play_count=0"\n'
        file = data / "cameras.toml"
        replace_file(file, text)
        say(f"{file}: {' and '.join(videos)}, over RTSP. Events come here and on the dashboard; Ctrl-C ends all.")
        Watch(read_config(file), file).run()
    say(f"next: aadc-live events --data {data / 'data'}")


def abnormal_videos(scenes: Path, count: int) -> list[str]:
    """Names of the first test videos of the demo in which something happens, each of another class.

    Raises:
        UserError: the demo is not there.
    """
    try:
        with (scenes / "demo.csv").open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == "test" and row.get("segments")]
    except (OSError, KeyError) as error:
        raise UserError(f"{scenes}: the demo is not there ({error}); run make demo first") from None
    by_class = {row["labels"]: row["video"] for row in reversed(rows)}
    return sorted(by_class.values())[:count]


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """An RTSP server of a folder's videos, on loopback, in a process of its own, while this lasts; gives its address.

    Raises:
        UserError: it is not installed, or does not start.
    """
    with needed("the demo's RTSP server", "live"):
        import aio_rtsp_toolkit  # noqa: F401  asked for here, where a sentence can be said
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    server = subprocess.Popen(
        [sys.executable, "-m", "aadc.live.demo", str(folder), str(port)], env=paths, stdout=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + _LISTENS_WITHIN_S
        while not listens(port):
            if server.poll() is not None or time.monotonic() > until:
                raise UserError("the RTSP server of the demo did not start")
            time.sleep(0.05)
        yield f"rtsp://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _serve(folder: str, port: int) -> None:
    from aio_rtsp_toolkit import server

    for level in ("info", "warning", "error"):
        setattr(server.logger, level, lambda *_, **__: None)
    asyncio.run(server.serve(folder, "127.0.0.1", port))


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
