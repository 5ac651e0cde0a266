"""Sampled frames out of a video file, each the frame it claims to be, with its true time.

decord reads mp4, mkv, webm and flv. Everywhere else it was measured to return wrong frames in silence (MPEG-TS with
B-frames, H.264 in AVI, MPEG-PS), so PyAV decodes those from front to back; PyAV also takes over when decord stumbles over
damage, and for videos so large that decord's reader would have to be opened again and again (left open, it decodes ahead
without limit). This module is run in a child process (`decode_child`) and imports no model.
"""

import heapq
import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import av
import numpy as np

from aadc.extract.sampling import sampled_frames

BLOCK_BYTES = 128 * 2**20
_DECORD_FORMATS = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "flv"}
_DECORD_BLOCKS = 4


class VideoError(Exception):
    """A video that cannot be used: `reason` is a stable word for rejected.csv, the message is for people."""

    def __init__(self, reason: str, message: str):
        super().__init__(reason, message)
        self.reason, self.message = reason, message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class VideoFacts:
    """What a file is: size after rotation in px, fps (average, frames per second), frames as stated by its header
    (`frames_expected`, 0 unknown), as decoded (`frames`, known at the end), and damaged or lost ones (`decode_errors`)."""

    width: int
    height: int
    fps: float
    rotation: int
    frames_expected: int
    frames: int = 0
    decode_errors: int = 0

    @property
    def truncated(self) -> bool:
        """Whether clearly less could be decoded than the header promises (more than 5 % and one frame)."""
        return self.frames + 1 < 0.95 * self.frames_expected


@dataclass(frozen=True)
class FrameBlock:
    """Consecutive sampled frames: index int64 (n,), presentation time in seconds float64 (n,), RGB uint8 (n, H, W, 3)."""

    frame: np.ndarray
    time: np.ndarray
    rgb: np.ndarray


def read_blocks(path: Path, stride: int, block_bytes: int = BLOCK_BYTES) -> Iterator[FrameBlock | VideoFacts]:
    """Decode one frame in `stride` (see `sampling.sampled_frames`): blocks of frames in order, then the facts.

    The number of rows is always ceil(frames / stride). A sampled frame that is lost to damage is replaced by the next one
    that decodes, whose own index and time are given. Memory is bounded by `block_bytes` a block, not by the video.

    Raises:
        VideoError: reason `missing`, `empty`, `not_video`, `unreadable`, `no_video_stream` or `no_frames`.
    """
    facts, container_format = _probe(path)
    rows_done = 0
    if container_format in _DECORD_FORMATS and not facts.rotation:
        try:
            for item in _read_decord(path, stride, facts, _frame_times(path), block_bytes):
                yield item
                if isinstance(item, VideoFacts):
                    return
                rows_done += len(item.frame)
        except _NotForDecordError:
            pass
    yield from _read_pyav(path, stride, facts, block_bytes, rows_done)


def _probe(path: Path) -> tuple[VideoFacts, str]:
    """Facts from the header and the first decoded frame, and the container's format."""
    if not path.exists():
        raise VideoError("missing", "no such file; check the video root and the manifest's path")
    if not path.is_file():
        raise VideoError("not_video", "not a regular file")
    if not path.stat().st_size:
        raise VideoError("empty", "the file is empty")
    try:
        with _open(path) as container:
            if not container.streams.video:
                raise VideoError("no_video_stream", "no video stream in it (audio only?)")
            stream = container.streams.video[0]
            first, _ = next(_decoded_frames(container, stream, _Errors()), (None, 0))
            if first is None:
                raise VideoError("no_frames", "not a single frame decodes")
            rotation = int(first.rotation) % 360
            width, height = first.width, first.height
            if rotation in (90, 270):
                width, height = height, width
            fps = float(stream.average_rate or stream.guessed_rate or 0)
            return VideoFacts(width, height, fps, rotation, _stated_frames(container, stream, fps)), container.format.name
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(*_why_unreadable(path, error)) from None


def _open(path: Path) -> av.container.InputContainer:
    # Only local files: a crafted playlist must not make the decoder fetch anything else.
    return av.open(str(path), options={"protocol_whitelist": "file"}, metadata_errors="replace")


def _start_s(container: av.container.InputContainer) -> float:
    """Where the file's clock starts; recorders let it run on for days, players show zero."""
    return (container.start_time or 0) / av.time_base


def _has_times(container: av.container.InputContainer) -> bool:
    """Whether frames carry times of presentation. AVI has a fixed rate and numbers its packets in coding order."""
    return container.format.name != "avi"


def _frame_times(path: Path) -> np.ndarray:
    """Presentation times of all frames in seconds, ascending, float64, from the packets alone: nothing is decoded.

    decord gives times in single precision, and this count tells whether decord sees the same frames.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        try:
            times = [p.pts for p in container.demux(stream) if p.size and p.pts is not None and not p.is_discard]
        except av.error.FFmpegError:
            raise _NotForDecordError from None
        return np.sort(np.array(times, np.float64)) * float(stream.time_base) - _start_s(container)


def _why_unreadable(path: Path, error: Exception) -> tuple[str, str]:
    with path.open("rb") as file:
        head = file.read(4096)
    reason = str(error).split(": '")[0]
    if b"ftyp" in head[:64] or head.startswith((b"\x1aE\xdf\xa3", b"RIFF", b"FLV", b"\x00\x00\x01\xba", b"G")):
        return "unreadable", f"starts like a video but cannot be opened, probably cut off or damaged ({reason})"
    return "not_video", f"not a video file ({reason})"


def _stated_frames(container: av.container.InputContainer, stream: av.VideoStream, fps: float) -> int:
    if stream.frames:
        return stream.frames
    if stream.duration is not None:
        duration_s = float(stream.duration * stream.time_base)
    elif tag := stream.metadata.get("DURATION"):  # Matroska keeps the length of a stream in a tag
        hours, minutes, seconds = tag.split(":")
        duration_s = timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds)).total_seconds()
    else:
        duration_s = (container.duration or 0) / av.time_base
    return round(duration_s * fps)


class _NotForDecordError(Exception):
    """decord cannot be trusted with this file."""


def _decord():
    """decord, without the CUDA libraries it maps at import wherever they are installed: 690 MB of memory and most of the time
    it takes to start, for a decoder that works on the CPU."""
    if "decord" not in sys.modules:
        there = sys.modules.get("nvidia")
        sys.modules["nvidia"] = None  # so that it finds none
        try:
            importlib.import_module("decord")
        except OSError:  # one that was built for CUDA
            sys.modules.pop("nvidia")
            importlib.import_module("decord")
        finally:
            sys.modules.pop("nvidia", None)
            if there is not None:
                sys.modules["nvidia"] = there
    return sys.modules["decord"]


def _read_decord(
    path: Path, stride: int, facts: VideoFacts, times_s: np.ndarray, block_bytes: int
) -> Iterator[FrameBlock | VideoFacts]:
    """Blocks by decord. The reader lives for one block at a time: an open one decodes ahead into memory."""
    decord = _decord()
    decord.logging.set_level(decord.logging.QUIET)
    frames = len(times_s)
    wanted = sampled_frames(frames, stride)
    rows = max(1, block_bytes // (facts.width * facts.height * 3))
    if frames + 1 < facts.frames_expected or len(wanted) > _DECORD_BLOCKS * rows or np.any(np.diff(times_s) <= 0):
        raise _NotForDecordError
    for start in range(0, len(wanted), rows):
        frame = wanted[start : start + rows]
        try:
            reader = decord.VideoReader(str(path), num_threads=1, fault_tol=1)
            same_frames = len(reader) == frames
            rgb = reader.get_batch(frame).asnumpy() if same_frames else None
        except (decord.DECORDError, decord._ffi.base.DECORDLimitReachedError, RuntimeError, IndexError):
            raise _NotForDecordError from None
        finally:
            reader = None
        if rgb is None or rgb.shape[1:3] != (facts.height, facts.width):
            raise _NotForDecordError
        yield FrameBlock(frame, times_s[frame], rgb)
    yield replace(facts, frames=frames)


class _Errors:
    """Counts damaged and undecodable frames."""

    count = 0


def _decoded_frames(
    container: av.container.InputContainer, stream: av.VideoStream, errors: _Errors
) -> Iterator[tuple[av.VideoFrame, int]]:
    """Every frame that decodes, in presentation order, with its index.

    The index is the rank of the frame's time among all packets seen, so that frames lost to damage still count and
    later ones keep their number. Where there are no times (raw H.264) or they follow the order of coding (AVI), frames
    are counted.
    """
    stream.thread_type = "AUTO"
    timed = _has_times(container)
    waiting: list[int] = []
    index = -1
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            if timed and packet.pts is not None and not packet.is_discard:
                heapq.heappush(waiting, packet.pts)
            frames = packet.decode()
        except StopIteration:
            return
        except av.error.FFmpegError:
            errors.count += 1
            if isinstance(packet, av.Packet) and packet.size:
                continue
            return
        for frame in frames:
            if frame.pts is None or not waiting:
                index += 1
            else:
                while waiting and waiting[0] <= frame.pts:
                    heapq.heappop(waiting)
                    index += 1
            errors.count += bool(frame.is_corrupt)
            yield frame, index


def _read_pyav(
    path: Path, stride: int, facts: VideoFacts, block_bytes: int, skip_rows: int
) -> Iterator[FrameBlock | VideoFacts]:
    """Blocks by PyAV, decoded from front to back; the first `skip_rows` rows are left out."""
    size = facts.width * facts.height * 3
    rows: list[tuple[int, float, np.ndarray]] = []
    errors = _Errors()
    row, index, time_s = 0, -1, 0.0
    picture: av.VideoFrame | None = None
    with _open(path) as container:
        stream = container.streams.video[0]
        for picture, index in _decoded_frames(container, stream, errors):
            if picture.time is not None and _has_times(container):
                time_s = picture.time - _start_s(container)
            else:
                time_s = index / (facts.fps or 25)
            while index >= row * stride + stride // 2:
                if row >= skip_rows:
                    rows.append((index, time_s, _upright(picture, facts)))
                row += 1
                if len(rows) * size >= block_bytes:
                    yield _block(rows)
                    rows = []
    if picture is None:
        raise VideoError("no_frames", "not a single frame decodes")
    if index >= row * stride and row >= skip_rows:
        rows.append((index, time_s, _upright(picture, facts)))
    if rows:
        yield _block(rows)
    yield replace(facts, frames=index + 1, decode_errors=errors.count)


def _block(rows: list[tuple[int, float, np.ndarray]]) -> FrameBlock:
    frame, time, rgb = zip(*rows, strict=True)
    return FrameBlock(np.array(frame, np.int64), np.array(time, np.float64), np.stack(rgb))


def _upright(frame: av.VideoFrame, facts: VideoFacts) -> np.ndarray:
    """RGB as a person would see it: rotated by the file's display matrix, in the size of the first frame."""
    turned = facts.rotation in (90, 270)
    width, height = (facts.height, facts.width) if turned else (facts.width, facts.height)
    return np.rot90(frame.to_ndarray(format="rgb24", width=width, height=height), facts.rotation // 90)
