"""Where the videos of a manifest lie, and what may be the matter with a file that should be one."""

import errno
import os
import stat
from pathlib import Path

from aadc.manifests.errors import UserError
from aadc.manifests.files import reason
from aadc.manifests.unpacked import elsewhere, parts_below


class VideoRoot:
    """The folder that a manifest's paths count from. It and the folders below it are resolved once, however many rows.

    Args:
        folder: may be a link itself; one below it must not lead elsewhere.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._real = os.path.realpath(folder)
        self._folders: dict[str, str | None] = {}
        self._parts: list[tuple[str, str]] | None = None

    def path(self, video: str) -> Path:
        """Where a row's video lies, whether it is there or not; UCF-Crime's are also found as its archives unpack (see
        `unpacked`). `UserError` if a link leads outside the root."""
        path = self._path(video)
        if os.path.lexists(path):
            return path
        if self._parts is None:
            self._parts = parts_below(os.fspath(self.folder))
        there = (self._path(other) for other in elsewhere(video, self._parts) if os.path.lexists(self.folder / other))
        return next(there, path)

    def _path(self, video: str) -> Path:
        below, _, name = video.rpartition("/")
        if below not in self._folders:
            self._folders[below] = self._inside(os.path.join(self._real, below))
        parent = self._folders[below]
        if parent is not None:
            here = os.path.join(parent, name)
            if not os.path.islink(here) or self._inside(here) is not None:
                return self.folder / video
        raise UserError(f"{video}: a link leads outside the video root {self.folder}; put the file itself there")

    def _inside(self, path: str) -> str | None:
        """The path without links, None where that is not below the root (or links go round in a circle)."""
        real = os.path.realpath(path)
        inside = real == self._real or real.startswith(os.path.join(self._real, ""))
        return real if inside and not os.path.islink(real) else None


def trouble(path: Path) -> tuple[str, str] | None:
    """Why a video cannot even be opened, as a stable word and a sentence; None where nothing is known against it.

    Words: `missing`, `unreadable`, `not_video`.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return "missing", "no such file; check the video root and the manifest's path"
        if error.errno == errno.ENAMETOOLONG:
            return "missing", "no file can have a name or path that long; mend the manifest's path"
        if error.errno == errno.ELOOP:
            return "missing", "links that lead to themselves; put the file itself there"
        return "unreadable", f"cannot be looked at ({reason(error)})"
    if not stat.S_ISREG(found.st_mode):
        return "not_video", "not a regular file"
    if not os.access(path, os.R_OK):
        return "unreadable", "cannot be opened (Permission denied); give yourself the right to read it"
    return None
