"""A decoder that may crash or hang without taking anybody along: it runs in a child process that can be killed.

What the child says is a line of JSON and the arrays' bytes: a decoder that a crafted file took over can lie about pictures, but
has nothing executed here. Every wait for it has an end.
"""

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from aadc.extract.decode import FrameBlock, VideoError, VideoFacts, read_blocks
from aadc.extract.sampling import Reader

_SIGN_OF_LIFE_S = 0.25
_MOST_HEAD_BYTES, _MOST_BLOCK_BYTES = 2**26, 2**32
_LENGTH_BYTES = 8


class DecodeChild:
    """One decoding child, started when first needed and again after it had to be killed.

    While the caller works on one block, the child decodes the next. `deadline_s` is how long it may take to decode one frame,
    or to hand over one block, before it counts as hung.
    """

    def __init__(self, deadline_s: float = 300.0):
        self.deadline_s = deadline_s
        self._process: subprocess.Popen | None = None
        self._line: socket.socket | None = None

    def __enter__(self) -> "DecodeChild":
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def blocks(
        self, path: Path, stride: int, rows: Sequence[int] | None = None, reader: Reader = "pyav"
    ) -> Generator[FrameBlock | VideoFacts, None, None]:
        """As `decode.read_blocks`, decoded in the child. `VideoError` also with reason `timeout` or `crashed`."""
        line = self._start()
        finished = False
        request = {
            "path": os.fsencode(path).hex(),
            "stride": stride,
            "rows": None if rows is None else [int(row) for row in rows],
            "reader": reader,
        }
        try:
            _send(line, request, (), self._deadline())
            while not finished:
                item = _receive(line, self._deadline)
                finished = isinstance(item, VideoFacts | VideoError)
                if isinstance(item, VideoError):
                    raise item
                yield item
        except TimeoutError:
            raise VideoError("timeout", f"the decoder gave nothing for {self.deadline_s:g} s and was stopped") from None
        except (EOFError, ConnectionError):
            raise VideoError("crashed", f"the decoder crashed on it (exit code {self._exit_code()})") from None
        finally:
            if not finished:
                self.kill()

    def _deadline(self) -> float:
        return time.monotonic() + self.deadline_s

    def _exit_code(self) -> int | str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return "unknown" if self._process is None else self._process.wait(5)
        return "unknown"

    def _start(self) -> socket.socket:
        """Our end of the line to a child that lives."""
        if self._line is not None and self._process is not None and self._process.poll() is None:
            return self._line
        self.kill()
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
        self._line = ours
        return ours

    def kill(self) -> None:
        """End the child at once. One that not even the kernel can end (a dead network drive) is left behind."""
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._process = None
        if self._line is not None:
            self._line.close()
            self._line = None


def _send(line: socket.socket, head: dict, arrays: Sequence[np.ndarray], until: float | None = None) -> None:
    """A message: length of the head, the head as JSON, the arrays' bytes. `TimeoutError` after `until` (monotonic seconds)."""
    text = json.dumps(head).encode()
    parts: list[bytes | memoryview] = [len(text).to_bytes(_LENGTH_BYTES), text, *(array.data.cast("B") for array in arrays)]
    for part in parts:
        line.settimeout(None if until is None else max(0.001, until - time.monotonic()))
        line.sendall(part)


def _receive(line: socket.socket, deadline: Callable[[], float]) -> FrameBlock | VideoFacts | VideoError:
    """The next item that is more than a sign of life, each of which gives time anew.

    Raises:
        TimeoutError: it was not there in whole when the time was up.
        EOFError: the other end is closed, or what came is no message.
    """
    while True:
        until = deadline()
        try:
            head = _receive_head(line, until)
            if head["kind"] == "facts":
                return VideoFacts(**head["facts"])
            if head["kind"] == "error":
                return VideoError(str(head["reason"]), str(head["message"]))
            if head["kind"] == "block":
                return _receive_block(line, head["shape"], until)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise EOFError from None


def _receive_block(line: socket.socket, shape: Sequence[int], until: float) -> FrameBlock:
    count, height, width = map(int, shape)
    if min(count, height, width) < 1 or count * height * width * 3 > _MOST_BLOCK_BYTES:
        raise ValueError
    block = FrameBlock(np.empty(count, np.int64), np.empty(count, np.float64), np.empty((count, height, width, 3), np.uint8))
    for array in (block.frame, block.time, block.rgb):
        _fill(line, array.data.cast("B"), until)
    return block


def _receive_head(line: socket.socket, until: float | None) -> dict:
    length = bytearray(_LENGTH_BYTES)
    _fill(line, memoryview(length), until)
    if (size := int.from_bytes(length)) > _MOST_HEAD_BYTES:
        raise EOFError
    text = bytearray(size)
    _fill(line, memoryview(text), until)
    return json.loads(text)


def _fill(line: socket.socket, buffer: memoryview, until: float | None) -> None:
    while buffer:
        line.settimeout(None if until is None else max(0.001, until - time.monotonic()))
        if until is not None and time.monotonic() > until:
            raise TimeoutError
        count = line.recv_into(buffer)
        if not count:
            raise EOFError
        buffer = buffer[count:]


def _serve(line: socket.socket) -> None:
    _be_first_to_go()
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            request = _receive_head(line, None)
            path = Path(os.fsdecode(bytes.fromhex(request["path"])))
            try:
                for item in read_blocks(
                    path, request["stride"], rows=request["rows"], reader=request["reader"], alive=_SignsOfLife(line)
                ):
                    _hand_over(line, item)
            except VideoError as error:
                _hand_over(line, error)
            except MemoryError:
                _hand_over(line, VideoError("too_large", "a frame of it does not fit into memory"))
            except ConnectionError:
                raise
            except Exception as error:  # an unknown fault of one file must not end the run
                _hand_over(line, VideoError("unreadable", f"{type(error).__name__}: {error}"))


def _hand_over(line: socket.socket, item: FrameBlock | VideoFacts | VideoError) -> None:
    if isinstance(item, VideoFacts):
        _send(line, {"kind": "facts", "facts": asdict(item)}, ())
    elif isinstance(item, VideoError):
        _send(line, {"kind": "error", "reason": item.reason, "message": item.message}, ())
    else:
        arrays = [np.ascontiguousarray(array) for array in (item.frame, item.time, item.rgb)]
        _send(line, {"kind": "block", "shape": item.rgb.shape[:3]}, arrays)


class _SignsOfLife:
    """Says now and then that decoding goes on, though no block is full yet: sampled frames may be hours of work apart."""

    def __init__(self, line: socket.socket):
        self._line, self._said = line, time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self._said > _SIGN_OF_LIFE_S:
            _send(self._line, {"kind": "alive"}, ())
            self._said = time.monotonic()


def _be_first_to_go() -> None:
    """A file that makes the decoder eat memory ends the decoder: no more than the machine has, and before any other process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    with contextlib.suppress(OSError, ValueError):
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = machine if most == resource.RLIM_INFINITY else min(machine, most)
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
