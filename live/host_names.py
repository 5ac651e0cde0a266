"""Names by which people's browsers reach a server, as they are written: `cameras.example`, `[fd00::1]:8443`."""

import re

_NAME = re.compile(r"([^\s/@?#:\[\]]+|\[([0-9A-Fa-f:.]+)\])(:\d{1,5})?")


def check_name(name: str) -> None:
    """`ValueError` where it is none that browsers and certificates have."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a host, as cameras.example is")
    if not name.isascii():
        raise ValueError(f"{name!r} is not as browsers send it; write it as certificates have it (it begins with xn-- there)")


def with_port(name: str, port: int) -> str:
    """The name with its own port where it has one, as behind a port that is forwarded; else with the server's."""
    found = _NAME.fullmatch(name)
    return name if found and found[3] else f"{name}:{port}"


def host_of(name: str) -> str:
    """The host or address alone, without port and brackets; anything else as it is."""
    found = _NAME.fullmatch(name)
    return found[2] or found[1] if found else name
