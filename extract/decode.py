"""Sampled frames out of a video file, each the frame it claims to be, with its true time.

PyAV decodes the file from front to back, once. It never seeks: behind a seek, decoders were measured to give other pictures
than those asked for, in silence, for open GOPs, intra refresh and B-frames of older codecs. decord, which seeks, is there for
those who ask for it, and reads only what it provably reads right (`decord_reader`). This module is run in a child process
(`decode_child`) and imports no model.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np

from aadc.extract.clock import Clock, FrameOrder, Numbered, frame_rate
from aadc.extract.cut_off import is_cut_off
from aadc.extract.geometry import Geometry
from aadc.extract.open_video import VideoError, open_video
from aadc.extract.sampling import Reader
from aadc.extract.truncation import Extent

BLOCK_BYTES = 128 * 2**20
MOST_THREADS = 8


@dataclass(frozen=True)
class VideoFacts(Extent):
    """What a file is: size as shown in px (square pixels, upright), fps (average, frames per second), rotation by its header
    (degrees), frames as stated by its header (`frames_expected`, 0 if no header states a count), as decoded (`frames`, known at
    the end), damaged or lost ones (`decode_errors`), and whether the end of the file is missing by its own account
    (`cut_off`)."""

    width: int
    height: int
    fps: float
    rotation: int
    frames_expected: int
    frames: int = 0
    decode_errors: int = 0
    cut_off: bool = False


@dataclass(frozen=True)
class FrameBlock:
    """Consecutive sampled frames: index int64 (n,), presentation time in seconds float64 (n,), RGB uint8 (n, H, W, 3)."""

    frame: np.ndarray
    time: np.ndarray
    rgb: np.ndarray


def read_blocks(
    path: Path,
    stride: int,
    block_bytes: int = BLOCK_BYTES,
    rows: Sequence[int] | None = None,
    reader: Reader = "pyav",
    alive: Callable[[], None] = lambda: None,
) -> Iterator[FrameBlock | VideoFacts]:
    """Decode one frame in `stride` (see `sampling.sampled_frames`): blocks of frames in order, then the facts.

    The number of rows is always ceil(frames / stride). A sampled frame that is lost to damage is replaced by the next one
    that decodes, whose own index and time are given. Memory is bounded by `block_bytes` a block, not by the video.

    Args:
        rows: only these rows, ascending; reading ends behind the last of them, and so do the facts. None: all.
        reader: `decord` for those files that it provably reads right; PyAV reads the others all the same.
        alive: called for every decoded frame, so that others can tell long work from a hang.

    Raises:
        VideoError: reason `missing`, `empty`, `not_video`, `unreadable`, `no_video_stream` or `no_frames`.
    """
    given = 0
    if reader == "decord" and rows is None:
        from aadc.extract.decord_reader import NotForDecordError, read_decord

        try:
            for item in read_decord(path, stride, block_bytes):
                yield item
                given += len(item.frame) if isinstance(item, FrameBlock) else 0
            return
        except NotForDecordError:
            pass
    yield from _read_pyav(path, block_bytes, _Rows(stride, rows, given), alive)


def _read_pyav(path: Path, block_bytes: int, rows: "_Rows", alive: Callable[[], None]) -> Iterator[FrameBlock | VideoFacts]:
    """Blocks by PyAV, from front to back."""
    with open_video(path) as (container, stream):
        facts = VideoFacts(0, 0, 0.0, 0, stated_frames(container, stream), cut_off=is_cut_off(path, container.format.name))
        pictures = _Pictures(container, stream, alive)
        first = next(pictures, None)
        if first is None:
            raise VideoError("no_frames", "not a single frame decodes")
        geometry, rate = Geometry.of(first.picture, stream), frame_rate(container, stream)
        clock = Clock(container, rate)
        most = max(1, block_bytes // (geometry.width * geometry.height * 3))
        kept: list[tuple[int, float, np.ndarray]] = []
        for now, time_s in clock.read(itertools.chain([first], pictures)):
            for _ in range(rows.shown_by(now.index)):
                kept.append((now.index, time_s, geometry.rgb(now.picture, stream)))
                if len(kept) == most:
                    yield _block(kept)
                    kept = []
            if rows.all_done:
                break
        if rows.left_at_the_end(now.index):
            kept.append((now.index, time_s, geometry.rgb(now.picture, stream)))
        if kept:
            yield _block(kept)
        yield replace(
            facts, width=geometry.width, height=geometry.height, fps=rate, rotation=geometry.rotation,
            frames=now.index + 1, decode_errors=pictures.errors + clock.mended,
        )  # fmt: skip


class _Rows:
    """Which rows the picture at hand stands for: those whose middle frame it is, or whose middle frame was lost before it."""

    def __init__(self, stride: int, only: Sequence[int] | None = None, given: int = 0):
        self._stride, self._next, self._given = stride, 0, given
        self._only = None if only is None else set(only)

    @property
    def all_done(self) -> bool:
        return self._only is not None and self._next > max(self._only, default=-1)

    def shown_by(self, index: int) -> int:
        """How many wanted rows frame `index` stands for."""
        begin = self._next
        while index >= self._next * self._stride + self._stride // 2:
            self._next += 1
        return sum(self._wanted(row) for row in range(begin, self._next))

    def left_at_the_end(self, index: int) -> bool:
        """Whether the last frame stands for one more row, which ends before its middle."""
        return index >= self._next * self._stride and self._wanted(self._next)

    def _wanted(self, row: int) -> bool:
        return row >= self._given and (self._only is None or row in self._only)


class _Pictures:
    """Every picture that decodes, in order of presentation, numbered; counts what does not decode."""

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream, alive: Callable[[], None]):
        codec = stream.codec_context
        codec.thread_type, codec.thread_count = "AUTO", min(len(os.sched_getaffinity(0)), MOST_THREADS)
        codec.copy_opaque = True
        self._order, self._alive = FrameOrder(container, stream), alive
        self._broken = self._corrupt = 0
        self._numbered = self._read(container, stream)

    @property
    def errors(self) -> int:
        """Pictures that are damaged and frames that gave none."""
        return self._corrupt + max(self._broken, self._order.lost)

    def __iter__(self) -> Iterator[Numbered]:
        return self._numbered

    def __next__(self) -> Numbered:
        return next(self._numbered)

    def _read(self, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[Numbered]:
        for packet in self._packets(container, stream):
            self._alive()
            try:
                decoded = stream.codec_context.decode(packet)
            except av.error.FFmpegError as error:
                if isinstance(error, MemoryError):
                    raise
                self._broken += 1
                continue
            for picture in decoded:
                self._corrupt += bool(picture.is_corrupt)
                yield self._order.number(picture, after_trouble=self._broken + self._corrupt > 0)

    def _packets(self, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.Packet | None]:
        """Numbered packets, then None: the decoder still holds some pictures."""
        reading = True
        while reading:
            reading = False
            try:
                for packet in container.demux(stream):
                    if packet.size:
                        self._order.add(packet)
                        yield packet
            except IndexError:  # PyAV does not know a stream that begins in the middle; the file goes on behind it
                reading = True
            except av.error.FFmpegError:
                self._broken += 1
        yield None


def stated_frames(container: av.container.InputContainer, stream: av.VideoStream) -> int:
    """Frames to be shown as the file's index counts them, 0 if it has none: no guess from durations, which pauses, late starts
    and cuts without a new index belie. Left out are frames that an edit list hides and AVI's empty chunks."""
    name = container.format.name
    if not stream.frames or not name.startswith(("mov", "avi")):
        return 0
    entries = list(stream.index_entries)
    whole = bool(entries) and (name != "avi" or entries[-1].timestamp >= 0.95 * stream.frames - 1)
    return sum(not entry.is_discard and entry.size > 0 for entry in entries) if whole else stream.frames


def _block(rows: list[tuple[int, float, np.ndarray]]) -> FrameBlock:
    frame, time, rgb = zip(*rows, strict=True)
    return FrameBlock(np.array(frame, np.int64), np.array(time, np.float64), np.stack(rgb))
