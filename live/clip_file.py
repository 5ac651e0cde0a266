"""One clip: a fragmented MP4 that plays up to its last half second whenever writing stops, be it by kill -9 or a full disk."""

import io
import struct
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter
from PIL import Image

from aadc.manifests.files import replace_file, replacing

KEYFRAME_S = 1.0
_UNREADABLE = OSError, av.error.FFmpegError, ValueError, IndexError  # the last one: no video stream in it
_FRAGMENT_US = 250_000
_MS = Fraction(1, 1000)
_OPTIONS = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": str(_FRAGMENT_US),
    "flush_packets": "1",  # each fragment goes to the kernel as it is made, so that nothing of it dies with the process
}
_CODEC = {"profile": "baseline", "preset": "veryfast", "tune": "zerolatency", "crf": "27", "forced-idr": "1"}


class ClipFile:
    """A clip that is being written: H.264 baseline, yuv420p, no sound, frames at their own times.

    Every method may raise `OSError` (`av.error.FFmpegError` is one where the disk is the cause) or `av.error.FFmpegError`.
    """

    def __init__(self, path: Path, reformatter: VideoReformatter | None = None) -> None:
        """`reformatter`: one that is used again and again, for PyAV never gives its memory back."""
        self.path = path
        self.first_s: float | None = None
        self.last_s = 0.0
        self._reformatter = reformatter or VideoReformatter()
        self._key_s = 0.0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._out = av.open(str(path), "w", format="mp4", options=_OPTIONS)
        self._stream: av.VideoStream | None = None

    def add(self, jpeg: bytes, second: float) -> None:
        """The next frame; one that is not after the last is left out. The first sets the size; others are brought to it."""
        if self.first_s is not None and round((second - self.last_s) * 1000) < 1:
            return
        with Image.open(io.BytesIO(jpeg)) as image:
            picture = np.asarray(image.convert("RGB"))
        if self._stream is None or self.first_s is None:
            stream = self._out.add_stream("libx264", rate=25, options=_CODEC)
            stream.width, stream.height = max(2, picture.shape[1] // 2 * 2), max(2, picture.shape[0] // 2 * 2)
            stream.pix_fmt, stream.time_base = "yuv420p", _MS
            stream.codec_context.time_base, stream.codec_context.thread_count = _MS, 1
            self._stream, self.first_s, self._key_s = stream, second, -KEYFRAME_S
        stream, at_s = self._stream, second - self.first_s
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = self._reformatter.reformat(frame, stream.width, stream.height, "yuv420p")
        frame.pts, frame.time_base = round(at_s * 1000), _MS
        frame.pict_type = PictureType.NONE
        if at_s - self._key_s >= KEYFRAME_S:
            frame.pict_type, self._key_s = PictureType.I, at_s
        self._out.mux(stream.encode(frame))
        self.last_s = second

    def close(self) -> None:
        """Finish it. The file is closed in any case."""
        try:
            if self._stream is not None:
                self._out.mux(self._stream.encode(None))
        finally:
            self._out.close()

    def abandon(self) -> None:
        """Close it without a word: nothing more can be written."""
        with suppress(OSError, av.error.FFmpegError):
            self._out.close()


def cut_torn(path: Path) -> int:
    """Cut off the fragment that was being written when the process was killed: players stop with an error at half of one.

    A file is boxes, each with its size and kind before it (ISO/IEC 14496-12, 4.2); a `moof` is worth nothing without the `mdat`
    that follows. Gives how many bytes went.

    Raises:
        OSError: the file cannot be read or changed.
    """
    with path.open("r+b") as file:
        size = file.seek(0, io.SEEK_END)
        at = whole = 0
        while at + 8 <= size:
            file.seek(at)
            length, kind = struct.unpack(">I4s", file.read(8))
            if length == 1:  # then eight bytes say it
                length = int.from_bytes(file.read(8), "big")
            if length < 8 or at + length > size:
                break
            at += length
            whole = whole if kind == b"moof" else at
        file.truncate(whole)
    return size - whole


def frame_times(path: Path) -> list[float]:
    """When each frame of a clip is shown, in seconds after the first; empty where not one frame of it plays."""
    times: list[float] = []
    with suppress(*_UNREADABLE), av.open(str(path)) as clip:
        for packet in clip.demux(video=0):
            if packet.pts is not None and packet.time_base is not None and packet.size:
                times.append(float(packet.pts * packet.time_base))
    return sorted(one - times[0] for one in times)


def retime(clip: Path, to: Path, fps: float) -> int:
    """Write a clip anew with so many frames a second, each the one that was shown then: as whoever counts frames needs it.

    Gives how many frames there are; 0, and no file, where nothing of the clip plays.

    Raises:
        UserError: it cannot be written.
    """
    if not frame_times(clip):
        return 0
    rate, number, first = Fraction(fps).limit_denominator(1001), 0, None
    with (
        replacing(to, av.error.FFmpegError) as beside,
        av.open(str(clip)) as video,
        av.open(str(beside), "w", format="mp4") as out,
    ):
        source = video.streams.video[0]
        stream = out.add_stream("libx264", rate=rate, options={"profile": "baseline", "preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = source.width, source.height, "yuv420p"
        shown: av.VideoFrame | None = None

        def show_until(second: float) -> None:
            nonlocal number
            while shown is not None and number / rate < second - 1e-6:
                shown.pts, shown.time_base, shown.pict_type = number, 1 / rate, PictureType.NONE
                out.mux(stream.encode(shown))
                number += 1

        for frame in _decoded(video):
            second = frame.time or 0.0
            first = second if first is None else first
            show_until(second - first)
            shown, last = frame, second - first
        show_until(last + 1 / float(rate))
        out.mux(stream.encode(None))
    return number


def _decoded(video: av.container.InputContainer) -> Iterator[av.VideoFrame]:
    """Frames up to the first that cannot be decoded."""
    with suppress(*_UNREADABLE):
        yield from video.decode(video=0)


def make_thumbnail(clip: Path, at_s: float, to: Path) -> bool:
    """The frame shown `at_s` seconds after the clip's first one as a JPEG; False where the clip cannot be read.

    Raises:
        UserError: it cannot be written.
    """
    picture = None
    with suppress(*_UNREADABLE), av.open(str(clip)) as video:
        stream = video.streams.video[0]
        if at_s > KEYFRAME_S and stream.time_base:
            video.seek(round((at_s - KEYFRAME_S) / stream.time_base), stream=stream)
        found = False
        for packet in video.demux(stream):  # to its end: PyAV keeps some memory for ever where one stops before
            for frame in () if found else packet.decode():
                picture, found = frame, frame.time is not None and frame.time >= at_s - 1e-3
                if found:
                    break
    if picture is None:
        return False
    content = io.BytesIO()
    Image.fromarray(picture.to_ndarray(format="rgb24")).save(content, "JPEG", quality=85)
    replace_file(to, content.getvalue())
    return True


def small_jpeg(picture_HWC: np.ndarray, width: int = 640) -> bytes:
    """A picture (uint8, RGB) as a clip takes it: no wider than `width`."""
    image = Image.fromarray(picture_HWC)
    if image.width > width:
        image = image.resize(
            (width, max(1, round(image.height * width / image.width))), Image.Resampling.BILINEAR, reducing_gap=1.5
        )
    content = io.BytesIO()
    image.save(content, "JPEG", quality=80)
    return content.getvalue()
