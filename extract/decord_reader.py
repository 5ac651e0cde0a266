"""decord, for those who ask for it: it decodes from the nearest key frame on, and so may be used only where the packets prove
that every key frame can be started from.

What decord2 3.4 does elsewhere was measured: other pictures than those asked for, in silence. The proof (`_proven`) lets
in H.264 and HEVC in mp4, Matroska and flv whose key frames are all of the kind behind which nothing refers to anything before
(IDR), and which are not followed by a frame that is shown before them. What is let in is read as PyAV reads it, frame by frame.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import av
import numpy as np

from aadc.extract.clock import frame_rate
from aadc.extract.cut_off import is_cut_off
from aadc.extract.decode import BLOCK_BYTES, FrameBlock, VideoFacts, stated_frames
from aadc.extract.geometry import Geometry
from aadc.extract.open_video import open_video
from aadc.extract.sampling import sampled_frames

_FORMATS = ("mov", "matroska", "flv")
_MOST_BLOCKS = 4  # an open reader decodes ahead without limit; opening it anew for each block costs a pass over the file
_IDR = {"h264": {5}, "hevc": {19, 20}}
_PARAMETERS = {"h264": {7, 8, 15}, "hevc": {32, 33, 34}}


class NotForDecordError(Exception):
    """decord cannot be trusted with this file."""


def read_decord(path: Path, stride: int, block_bytes: int = BLOCK_BYTES) -> Iterator[FrameBlock | VideoFacts]:
    """As `decode.read_blocks`; the facts come only if all blocks did.

    Raises:
        NotForDecordError: the file, or what follows the blocks given, is for PyAV.
        VideoError: as `read_blocks`.
    """
    facts, times_s = _proven(path)
    decord = _decord()
    decord.logging.set_level(decord.logging.QUIET)
    wanted = sampled_frames(facts.frames, stride)
    rows = max(1, block_bytes // (facts.width * facts.height * 3))
    if len(wanted) > _MOST_BLOCKS * rows:
        raise NotForDecordError
    for start in range(0, len(wanted), rows):
        frame = wanted[start : start + rows]
        try:
            video = decord.VideoReader(str(path.absolute()), num_threads=0, fault_tol=1)
            rgb = video.get_batch(frame).asnumpy() if len(video) == facts.frames else None
        except (decord.DECORDError, decord._ffi.base.DECORDLimitReachedError, RuntimeError, IndexError, ValueError):
            raise NotForDecordError from None
        finally:
            video = None
        if rgb is None or rgb.shape[1:3] != (facts.height, facts.width):
            raise NotForDecordError
        yield FrameBlock(frame, times_s[frame], rgb)
    yield facts


def _proven(path: Path) -> tuple[VideoFacts, np.ndarray]:
    """Facts and the times of all frames (seconds, float64, ascending) of a file whose every seek goes right."""
    with open_video(path) as (container, stream):
        name, codec = container.format.name, stream.codec_context
        length = _length_bytes(codec)
        if (
            not name.startswith(_FORMATS)
            or length is None
            or len(container.streams.video) != 1
            or "%" in path.name  # a pattern, to decord
        ):
            raise NotForDecordError
        times: list[int] = []
        shown_until, keys_until = None, None
        try:
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                kinds = set(_nal_kinds(bytes(packet), length, codec.name))
                if (
                    packet.pts is None
                    or packet.is_discard
                    or kinds & _PARAMETERS[codec.name]  # another size may follow
                    or (packet.is_keyframe or not times) != bool(kinds & _IDR[codec.name])
                    or (keys_until is not None and packet.pts <= keys_until)
                ):
                    raise NotForDecordError
                if packet.is_keyframe:
                    if shown_until is not None and packet.pts <= shown_until:
                        raise NotForDecordError
                    keys_until = packet.pts
                shown_until = packet.pts if shown_until is None else max(shown_until, packet.pts)
                times.append(packet.pts)
        except av.error.FFmpegError:
            raise NotForDecordError from None
        start_s = (container.start_time or 0) / av.time_base
        times_s = np.sort(np.array(times, np.float64)) * float(stream.time_base or 0) - start_s
        expected = stated_frames(container, stream)
    facts = _facts_of_first_picture(path, expected, len(times))
    if not times or times_s[0] < 0 or np.any(np.diff(times_s) <= 0) or (expected and expected != len(times)) or facts.cut_off:
        raise NotForDecordError
    return facts, times_s


def _facts_of_first_picture(path: Path, expected: int, frames: int) -> VideoFacts:
    with open_video(path) as (container, stream):
        try:
            picture = next(container.decode(stream), None)
        except av.error.FFmpegError:
            picture = None
        if picture is None:
            raise NotForDecordError
        geometry = Geometry.of(picture, stream)
        if geometry != Geometry(picture.width, picture.height, 0):
            raise NotForDecordError
        cut_off = is_cut_off(path, container.format.name)
        rate = frame_rate(container, stream)
        return VideoFacts(geometry.width, geometry.height, rate, 0, expected, frames, cut_off=cut_off)


def _length_bytes(codec: av.VideoCodecContext) -> int | None:
    """How many bytes say how long a unit of H.264 or HEVC is. None for other codecs and streams without such lengths."""
    extra = codec.extradata
    place = {"h264": 4, "hevc": 21}.get(codec.name)
    if place is None or extra is None or len(extra) <= place or extra[0] != 1:
        return None
    return (extra[place] & 3) + 1


def _nal_kinds(packet: bytes, length_bytes: int, codec: str) -> Iterator[int]:
    """Types of the units in a packet. `NotForDecordError` if their lengths do not add up."""
    place = 0
    while place < len(packet):
        begin = place + length_bytes
        place = begin + int.from_bytes(packet[begin - length_bytes : begin])
        if begin >= len(packet) or place > len(packet):
            raise NotForDecordError
        yield packet[begin] & 31 if codec == "h264" else packet[begin] >> 1 & 63


def _decord() -> ModuleType:
    """decord, without the CUDA libraries it maps at import wherever they are installed: 690 MB of memory and most of the time
    it takes to start, for a decoder that works on the CPU."""
    if "decord" not in sys.modules:
        there = sys.modules.get("nvidia")
        sys.modules["nvidia"] = None  # type: ignore[assignment]  # so that it finds none: typeshed knows modules alone there
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
