"""`make live-demo`: no camera and no network, and yet two cameras: drawn scenes that a real RTSP server shows over and over."""

import csv
import json
import os
import sys
from pathlib import Path

from aadc.live.data_folder import DataFolder
from aadc.live.read_config import read_config
from aadc.live.rtsp_server import rtsp_server, serve
from aadc.live.watch import Watch, alone
from aadc.manifests.errors import UserError
from aadc.manifests.files import make_folder, replace_file
from aadc.manifests.shown import say

CAMERAS = 2


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
    served = ["aadc.live.following", "aadc.live.demo", str(os.getpid()), str(scenes / "videos")]
    with rtsp_server(lambda port: [*served, str(port)]) as address:
        text = f'data = "data"\nrun = {_quoted(run.resolve())}\n\n[web]\nport = {port}\n'
        for video in videos:
            text += f"\n[[camera]]\nname = {_quoted(Path(video).stem)}\nsource = {_quoted(f'{address}/{video}?play_count=0')}\n"
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


def _quoted(text: object) -> str:
    """As TOML writes a text, whatever is in it: JSON's way, but for the sign of deletion."""
    return json.dumps(str(text), ensure_ascii=False).replace("\x7f", "\\u007f")


def main() -> None:
    """The process with the RTSP server: folder and port are the last words of its command."""
    from aio_rtsp_toolkit import server

    for level in ("info", "warning", "error"):
        setattr(server.logger, level, lambda *_, **__: None)
    serve(lambda: server.serve(sys.argv[-2], "127.0.0.1", int(sys.argv[-1])))


if __name__ == "__main__":  # without a parent to follow, as benchmarks start and kill it
    main()
