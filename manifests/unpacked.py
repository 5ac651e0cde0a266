"""UCF-Crime as its archives unpack: in folders that its own lists do not know.

The lists say `Abuse/Abuse001_x264.mp4` and `Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4`; the archives unpack
to `Anomaly-Videos-Part-1/Abuse/…` and `Training-Normal-Videos-Part-1/…`.
"""

import os
import re
from collections.abc import Iterator

_PART = re.compile(r"(?P<stem>.+?)[-_ ]Part[-_ ]?\d+|(?P<whole>Testing[-_ ]Normal[-_ ]Videos)", re.IGNORECASE)
ANOMALIES = re.compile(r"Anomaly[-_ ]Videos[-_ ]Part[-_ ]?\d+", re.IGNORECASE)


def parts_below(root: str) -> list[tuple[str, str]]:
    """Folders that hold a part of a data set, at most two levels below `root`: each path below it, and what it is a part of."""
    found = []
    for folder in ["", *_folders(root)]:
        for name in _folders(os.path.join(root, folder)):
            if part := _PART.fullmatch(name):
                found.append((os.path.join(folder, name), _plain(part["stem"] or part["whole"])))
    return found


def elsewhere(video: str, parts: list[tuple[str, str]]) -> Iterator[str]:
    """Where a video may lie that is not where the manifest says: in a part, below its own folder, or right in a part of it."""
    first, _, rest = video.partition("/")
    for folder, stem in parts if rest else ():
        yield os.path.join(folder, video)
        if f"{_plain(first)} ".startswith(f"{stem} "):
            yield os.path.join(folder, rest)


def _folders(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []


def _plain(name: str) -> str:
    return " ".join(re.split(r"[-_ ]+", name.lower()))
