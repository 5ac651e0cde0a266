"""What may stand as the address of a camera or of whom something is asked; what is wrong with one never shows it."""

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

SCHEMES = ("rtsp", "rtsps", "http", "https")
WEBRTC = "webrtc"  # a peer sends the pictures (WHIP)

Kind = Literal["url", "device", "file", "webrtc"]


def kind_of(source: str) -> Kind:
    """Which sort of source a text names."""
    if source == WEBRTC:
        return "webrtc"
    if _scheme(source):
        return "url"
    return "device" if source.startswith("/dev/") else "file"


def check_source(source: str) -> None:
    """Nothing, where a camera may have this `source`.

    Raises:
        ValueError: what is wrong with it, without a word of it but its scheme.
    """
    scheme = _scheme(source)
    if not source.strip() or "\0" in source:
        raise ValueError("is empty")
    if scheme and scheme not in SCHEMES:
        raise ValueError(
            f"an address that begins with {scheme}: is not read; there are {', '.join(SCHEMES)}, devices, files, {WEBRTC}"
        )
    if scheme:
        _check_host(source)


def _check_host(address: str) -> None:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("not an address; special characters of a password are written in percent (%40 for @)") from None
    if not host:
        raise ValueError("an address without a host")
    try:
        host.encode("idna")  # as it will be when it is looked up, by libraries that expect no error there
    except UnicodeError:
        raise ValueError("an address whose host has a part without a sign, or with more than 63") from None
    if not address.isprintable():
        raise ValueError("an address with signs that cannot be printed")


def check_address(url: SecretStr | None, schemes: tuple[str, ...], wrong: str) -> SecretStr | None:
    """The same address of something that is asked, or None where there is none.

    Raises:
        ValueError: `wrong`, where it begins with none of `schemes`; else what is wrong with it, without a word of it.
    """
    if url is not None:
        address = url.get_secret_value()
        if _scheme(address) not in schemes:
            raise ValueError(wrong)
        _check_host(address)
        if not address.isascii() or " " in address:
            raise ValueError("not an address; spaces and special characters are written in percent (%20, %C3%BC)")
    return url


def _scheme(source: str) -> str:
    """What an address begins with, in small letters; nothing for a path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", source)
    return found[1].lower() if found else ""
