"""A decoder that may crash or hang without taking anybody along: it runs in a child process that can be killed."""

import contextlib
import multiprocessing
import os
import signal
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
        self._process: multiprocessing.process.BaseProcess | None = None
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
            self._process.join(5)
            code = self._process.exitcode
            raise VideoError("crashed", f"the decoder crashed on it (exit code {code})") from None
        finally:
            if not finished:
                self.kill()

    def _start(self) -> None:
        if self._process is not None and self._process.is_alive():
            return
        # spawn: a fork would copy the models and any open decoder, which then hangs.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True, name="aadc-decode")
        self._process.start()
        theirs.close()

    def kill(self) -> None:
        """End the child at once."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None


def _serve(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # ffmpeg's own complaints would drown the progress bar; what matters is counted and reported.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
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
