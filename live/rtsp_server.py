"""A real RTSP server in a process of its own, on loopback: made-up cameras for the demo and for measurements."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from aadc.manifests.errors import UserError
from aadc.manifests.extras import needed

_LISTENS_WITHIN_S = 20.0
_SESSIONS = 256


@contextmanager
def rtsp_server(command: Callable[[int], Sequence[str]]) -> Iterator[str]:
    """One while this lasts; gives its address.

    Args:
        command: the module that serves, and its arguments, for a port.
    Raises:
        UserError: it is not installed, or does not start.
    """
    with needed("an RTSP server of made-up cameras", "live"):
        import aio_rtsp_toolkit  # noqa: F401  asked for here, where a sentence can be said
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    server = subprocess.Popen([sys.executable, "-m", *command(port)], env=paths, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + _LISTENS_WITHIN_S
        while not _listens(port):
            if server.poll() is not None or time.monotonic() > until:
                raise UserError("the RTSP server of the made-up cameras did not start")
            time.sleep(0.05)
        yield f"rtsp://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def serve(serving: Callable[[], Awaitable[None]]) -> None:
    """Of the process that serves: do so for ever. A session keeps a thread for as long as it lasts, and asyncio's own pool has
    four more of them than there are cores: the next camera would wait for its first picture for ever."""

    async def with_a_thread_each() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_SESSIONS))
        await serving()

    asyncio.run(with_a_thread_each())


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
