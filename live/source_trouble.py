"""Why a camera cannot be read, in one sentence that says what to do; FFmpeg's own words are numbers and addresses."""

import errno
import socket
import ssl
from contextlib import suppress
from urllib.parse import urlsplit

import av

from aadc.live.addresses import Kind
from aadc.live.sources import authorities
from aadc.manifests.files import reason

_ASK_S = 1.0  # the process must give a sign of life meanwhile
_PORTS = {"https": 443, "rtsps": 322}
_DEVICE = {
    errno.ENOENT: "is not there; plug the camera in, and look for its number (ls /dev/video*)",
    errno.EACCES: "may not be read by this user; add the user to the group video, and log in again",
    errno.EPERM: "may not be read by this user; add the user to the group video, and log in again",
    errno.EBUSY: "is in use by another program; end that one",
    errno.ENOTTY: "is no camera; see which are (v4l2-ctl --list-devices)",
    errno.EINVAL: "is no camera that gives pictures; some have a second device that does (v4l2-ctl --list-devices)",
    errno.ENODEV: "is gone; plug the camera in again",
    errno.ENXIO: "is gone; plug the camera in again",
    errno.EIO: "gives no pictures; plug the camera in again",
}


def source_trouble(
    error: Exception, source: str, kind: Kind, certificate: str | None = None, certificate_name: str | None = None
) -> str:
    """What is wrong with a source that could not be opened or read on; may hold its address.

    Args:
        error: one of `SOURCE_ERRORS`; the others: see `open_source`.
    """
    number = getattr(error, "errno", None)
    if kind == "device":
        if isinstance(error, av.error.ExitError):
            return f"{source} gives no pictures; plug the camera in again"
        return f"{source} {_DEVICE[number]}" if number in _DEVICE else f"{source}: {reason(error)}"
    if kind != "url":
        return reason(error)
    if isinstance(error, (av.error.ExitError, TimeoutError)):
        return "the camera does not answer, or sends no more"
    if source.partition(":")[0].lower() in _PORTS and (told := _certificate_trouble(source, certificate, certificate_name)):
        return told
    if isinstance(error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
        return "the camera does not accept user and password"
    if isinstance(error, av.error.HTTPNotFoundError):
        return "the camera has nothing at this path; look it up in its manual"
    if isinstance(error, av.error.HTTPError):
        return "the camera answers with an error; see whether a browser can show the address"
    if isinstance(error, av.error.ArgumentError):
        return (
            "it sends or leads to something that is not read; RTSP is, and MJPEG, MPEG-TS, MP4, FLV, Matroska over HTTP, but "
            "no playlists (HLS, DASH)"
        )
    if isinstance(error, av.error.InvalidDataError):
        return "what comes is no stream that can be read, or it broke off; check the path"
    if number == errno.EIO:
        return "the connection broke off, or leads somewhere it must not"
    return reason(error)


def _certificate_trouble(source: str, certificate: str | None, name: str | None) -> str:
    """What Python's own TLS says of the camera's certificate; nothing where it is in order or nobody answers. Only asked after
    FFmpeg failed, to say why."""
    file = authorities(certificate)
    with suppress(OSError, ValueError):
        parts = urlsplit(source)
        host = parts.hostname or ""
        try:
            context = ssl.create_default_context(cafile=file)
        except (OSError, ssl.SSLError):
            return f"{file} holds no certificate that can be read (PEM)"
        try:
            with (
                socket.create_connection((host, parts.port or _PORTS[parts.scheme.lower()]), _ASK_S) as plain,
                context.wrap_socket(plain, server_hostname=name or host),
            ):
                return ""
        except ssl.SSLCertVerificationError as error:
            if error.verify_code in (62, 64):  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH, ..._IP_ADDRESS_MISMATCH
                return "the camera's certificate is for another name; write the name that is in it as certificate_name"
            return (
                f"the camera's certificate is not trusted ({error.verify_message}); if it is the right one, name its PEM file "
                "as certificate"
            )
        except ssl.SSLError as error:
            return f"no TLS with this camera ({error.reason or 'it speaks something else'}); check address and port"
    return ""
