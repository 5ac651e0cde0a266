"""The one place where a video file is opened, and where it is decided which of its streams is the video.

A path is a file and nothing else: FFmpeg is handed the opened file, never its name, so that a name can be neither a pattern of
pictures (`img%d.png`) nor an address (`concat:a.mp4`, `12:00:00.mp4`). What is in the file decides how it is read, out of a
list of formats that hold their pictures themselves: no playlist, no concat script, no session description, whatever their
names end with. And no format can open a second file.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

# fmt: off
FORMATS = (
    "mov", "matroska", "avi", "flv", "live_flv", "mpegts", "mpeg", "asf", "asf_o", "ogg", "mxf", "gxf", "dv", "nut",
    "ivf", "rm", "wtv", "dhav", "pva", "ty", "nsv", "lxf", "h264", "hevc", "vvc", "m4v", "mpegvideo", "vc1",
    "vc1test", "mjpeg", "mjpeg_2000", "mpjpeg", "obu", "av1", "h261", "h263", "cavsvideo", "avs2", "avs3", "dirac",
    "dnxhd", "ingenient", "yuv4mpegpipe", "gif", "amv",
)
# fmt: on
_BEGINNINGS = (b"\x1aE\xdf\xa3", b"RIFF", b"FLV", b"\x00\x00\x01\xba", b"G", b"\x00\x00\x00\x01", b"DHAV", b"OggS", b"0&\xb2u")
_NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails
_READ_BYTES = 2**18
# A title may be of any encoding. PyAV 19 takes it as it comes, and no longer has the word with which that is asked for.
_ANY_TITLE: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}


class VideoError(Exception):
    """A video that cannot be used: `reason` is a stable word for rejected.csv, the message is for people."""

    def __init__(self, reason: str, message: str):
        super().__init__(reason, message)
        self.reason, self.message = reason, message

    def __str__(self) -> str:
        return self.message


@contextlib.contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """The file's container and its video stream.

    Raises:
        VideoError: reason `missing`, `empty`, `not_video`, `unreadable` or `no_video_stream`.
    """
    with _open_file(path) as file:
        try:
            container = av.open(
                _Nameless(file), "r", buffer_size=_READ_BYTES, io_open=_refuse,
                options={"format_whitelist": ",".join(FORMATS)}, **_ANY_TITLE,
            )  # fmt: skip
        except MemoryError:
            raise
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise _why_not(file, error) from None
        with container:
            yield container, video_stream(container)


def video_stream(container: av.container.InputContainer) -> av.VideoStream:
    """FFmpeg's best video stream, as players choose it, but never a cover picture or a thumbnail.

    Raises:
        VideoError: reason `no_video_stream`.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & _NO_VIDEO]
    readable = [stream for stream in streams if stream.codec_context is not None]
    if not streams:
        raise VideoError("no_video_stream", "no video stream in it (sound only?)")
    if not readable:
        raise VideoError("no_video_stream", "its video is in a format that FFmpeg cannot decode")
    best = container.streams.best("video")
    return best if best in readable else readable[0]


class _Nameless:
    """What FFmpeg may do with an open file. It has no name, or FFmpeg would go by that."""

    def __init__(self, file: FileIO):
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


def _refuse(url: str, flags: int, options: dict) -> None:
    raise PermissionError(f"it refers to another file or address, {url}")


def _open_file(path: Path) -> FileIO:
    try:
        # A pipe would wait for somebody to write into it.
        file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)  # noqa: SIM115, closed by open_video
    except (FileNotFoundError, NotADirectoryError):
        raise VideoError("missing", "no such file; check the video root and the manifest's path") from None
    except IsADirectoryError:
        raise VideoError("not_video", "not a regular file") from None
    except (OSError, ValueError) as error:
        raise VideoError("unreadable", f"cannot be opened ({getattr(error, 'strerror', None) or error})") from None
    facts = os.fstat(file.fileno())
    if not stat.S_ISREG(facts.st_mode) or not facts.st_size:
        file.close()
        if stat.S_ISREG(facts.st_mode):
            raise VideoError("empty", "the file is empty")
        raise VideoError("not_video", "not a regular file")
    return file


def _why_not(file: FileIO, error: Exception) -> VideoError:
    if isinstance(error, PermissionError):
        return VideoError("not_video", str(error))
    file.seek(0)
    head = file.read(4096)
    reason = getattr(error, "strerror", None) or str(error)
    if b"ftyp" in head[:64] or head.startswith(_BEGINNINGS):
        return VideoError("unreadable", f"starts like a video but cannot be opened, probably cut off or damaged ({reason})")
    return VideoError("not_video", "not a video file, or of a kind that is not read (pictures, playlists)")
