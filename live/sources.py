"""Opening what a camera sends: an address, a device or a file, its pictures alone; sound is never asked for."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from aadc.extract.open_video import FORMATS, VideoError, open_video, video_stream
from aadc.live.addresses import Kind

OPEN_S, READ_S = 6.0, 3.0  # waiting for an answer, and for the next packet
# What an address may lead to: nothing from the network opens a file of this machine, and what began with TLS stays so.
_PROTOCOLS = {
    "rtsp": "rtsp,rtsps,rtp,tcp,tls,crypto",
    "rtsps": "rtsp,rtsps,rtp,tcp,tls,crypto",
    "http": "http,https,tcp,tls,httpproxy",
    "https": "https,tcp,tls,httpproxy",
}
SOURCE_ERRORS = (av.error.FFmpegError, OSError, ValueError, VideoError)


def authorities(certificate: str | None) -> str | None:
    """The PEM file whose certificates are trusted: the camera's own, else those that this machine trusts."""
    return certificate or ssl.get_default_verify_paths().cafile


@contextmanager
def open_source(
    source: str, kind: Kind, certificate: str | None = None, certificate_name: str | None = None
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """The container and its video stream; closed in the end, whatever happens.

    Args:
        certificate: PEM file of the camera's certificate, or of who signed it, for rtsps and https.
        certificate_name: name in the certificate, where it is another one than the address has.
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
        options |= {"tls_verify": "1", "ca_file": authorities(certificate) or ""}  # FFmpeg checks nobody by itself
        if certificate_name is not None:
            options["verifyhost"] = certificate_name
        if scheme.startswith("rtsp"):
            options |= {"rtsp_transport": "tcp", "allowed_media_types": "video"}
        else:  # no playlists: FFmpeg checks no certificate of what they lead to
            options["format_whitelist"] = ",".join(FORMATS)
        container = av.open(source, timeout=(OPEN_S, READ_S), options=options, metadata_errors="replace")
    with container:
        yield container, video_stream(container)
