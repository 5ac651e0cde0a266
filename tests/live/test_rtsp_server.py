"""The RTSP servers of made-up cameras, in a process of their own."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import av

from aadc.live.rtsp_server import rtsp_server


def test_more_cameras_than_asyncio_has_threads_all_show_pictures(tmp_path: Path) -> None:
    """A session keeps a thread; asyncio's own pool has min(32, cores + 4), and the next one used to wait for ever."""
    count = min(32, (os.cpu_count() or 1) + 4) + 2
    camera, drawn = (
        ["aadc.live.following", "aadc.live.strip_camera", str(os.getpid())],
        ["64", "48", str(tmp_path / "notes.bin")],
    )
    with rtsp_server(lambda port: [*camera, str(port), *drawn]) as address, ExitStack() as opened:

        def width_of(number: int) -> int:
            options = {"rtsp_transport": "tcp"}
            container = opened.enter_context(av.open(f"{address}/{number}.mkv", options=options, timeout=30))
            return next(container.decode(video=0)).width

        with ThreadPoolExecutor(count) as clients:  # all of them stay connected
            assert list(clients.map(width_of, range(count))) == [64] * count
