"""Opening what a camera sends: an address, a device or a file, its pictures alone; sound is never asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from aadc.extract.open_video import VideoError, open_video, video_stream
from aadc.live.config import Kind

OPEN_S, READ_S = 6.0, 3.0  # waiting for an answer, and for the next packet
# What an address may lead to: a playlist from the network must not open a file of this machine.
_PROTOCOLS = {
    "rtsp": "rtsp,rtsps,rtp,tcp,tls,crypto",
    "rtsps": "rtsp,rtsps,rtp,tcp,tls,crypto",
    "http": "http,https,tcp,tls,crypto,httpproxy",
    "https": "http,https,tcp,tls,crypto,httpproxy",
}
SOURCE_ERRORS = (av.error.FFmpegError, OSError, ValueError, VideoError)


@contextmanager
def open_source(source: str, kind: Kind) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """The container and its video stream; closed in the end, whatever happens.

    Raises:
        one of SOURCE_ERRORS: it cannot be opened. What it says may hold the address with its password.
    """
    if kind == "file":
        with open_video(Path(source)) as opened:
            yield opened
        return
    if kind == "device":
        container = av.open(source, format="v4l2", timeout=(OPEN_S, READ_S))
    else:
        scheme = source.partition(":")[0].lower()
        options = {"protocol_whitelist": _PROTOCOLS[scheme], "analyzeduration": "1000000"}
        if scheme.startswith("rtsp"):
            options |= {"rtsp_transport": "tcp", "allowed_media_types": "video"}
        container = av.open(source, timeout=(OPEN_S, READ_S), options=options, metadata_errors="replace")
    with container:
        yield container, video_stream(container)
