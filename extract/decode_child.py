"""A decoder that may crash or hang without taking anybody along: it runs in a child process that can be killed."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from aadc.extract.decode import FrameBlock, VideoError, VideoFacts, read_blocks


class DecodeChild:
    """One decoding child, started when first needed and again after it had to be killed.

    While the caller works on one block, the child decodes the next. `deadline_s` is how long it may take for one block
    before it counts as hung.
    """

    def __init__(self, deadline_s: float = 300.0):
        self.deadline_s = deadline_s
        self._process: subprocess.Popen | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> "DecodeChild":
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def blocks(self, path: Path, stride: int) -> Iterator[FrameBlock | VideoFacts]:
        """As `decode.read_blocks`, decoded in the child. `VideoError` also with reason `timeout` or `crashed`."""
        self._start()
        finished = False
        try:
            self._pipe.send((path, stride))
            while True:
                if not self._pipe.poll(self.deadline_s):
                    raise VideoError("timeout", f"the decoder gave nothing for {self.deadline_s:g} s and was stopped")
                item = self._pipe.recv()
                finished = isinstance(item, VideoFacts | VideoError)
                if isinstance(item, VideoError):
                    raise item
                yield item
                if finished:
                    return
        except (EOFError, ConnectionError):
            code = self._process.wait(5)
            raise VideoError("crashed", f"the decoder crashed on it (exit code {code})") from None
        finally:
            if not finished:
                self.kill()

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        # A program of its own: a fork would copy the models and any open decoder, which then hangs, and workers of a
        # cluster may not have children of the multiprocessing kind. A session of its own keeps Ctrl-C from it; it ends
        # when its end of the line is cut. ffmpeg's complaints would drown the progress bar; what matters is counted.
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "aadc.extract.decode_child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._pipe = Connection(ours.detach())

    def kill(self) -> None:
        """End the child at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._pipe.close()
            self._process = None


def _serve(pipe: Connection) -> None:
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            path, stride = pipe.recv()
            try:
                for item in read_blocks(path, stride):
                    pipe.send(item)
            except VideoError as error:
                pipe.send(error)
            except MemoryError:
                pipe.send(VideoError("too_large", "a frame of it does not fit into memory"))
            except Exception as error:  # an unknown fault of one file must not end the run
                pipe.send(VideoError("unreadable", f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
