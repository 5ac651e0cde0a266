"""The folder where events and clips are kept, and the proof that its disk is there: a marker file."""

import os
import secrets
from pathlib import Path

from aadc.live.store import STORE
from aadc.manifests.errors import UserError
from aadc.manifests.files import make_folder, reason, regular, replace_file

MARKER, CLIPS = ".aadc-live", "clips"
STATUS = "status.json"  # how all processes and cameras are, from whoever watches or watched last; and the head's classes
_SAYS = "aadc-live keeps events and clips here; while this file is gone, it takes the disk for unmounted and records nothing\n"


class DataFolder:
    """A data folder that was opened. `there()`: whether it still is the one that was."""

    def __init__(self, path: Path) -> None:
        """Open a data folder; one that does not exist is made.

        An empty folder without the marker may be a mount point whose disk is missing, so it is not taken: whoever knows better
        makes the marker. Nor is one with clips of events that no store knows of: they are removed at a start, as what a crash
        left, and whoever moved a damaged store away, or whose disk made it an empty file, would lose them all.

        Raises:
            UserError: it is such a folder, or cannot be read or made.
        """
        self.path, marker = path, path / MARKER
        if not os.path.lexists(path):
            make_folder(path)
            path.chmod(0o700)
        elif not path.is_dir():
            raise UserError(f"{path}: is no folder; name another one as `data`")
        elif not os.path.lexists(marker):
            raise UserError(
                f"{path}: there is no {MARKER} in it. Is its disk mounted? If it is the right folder: touch {marker}, "
                "and start again"
            )
        elif not _has_store(path) and any((path / CLIPS).glob("*/*/*.mp4")):
            raise UserError(
                f"{path}: there are clips, but no {STORE} with their events, so all of them would be removed; "
                f"put it back, or move {path / CLIPS} away, and start again"
            )
        try:
            if not marker.is_file() or not marker.read_bytes().strip():
                replace_file(marker, f"{_SAYS}{secrets.token_hex(8)}\n")
            self._marker = marker.read_bytes()
        except OSError as error:
            raise UserError(f"{marker}: cannot be read ({reason(error)}); name another data folder") from None

    def there(self) -> bool:
        """Whether the marker is as it was: no other disk has been put there, nor this one taken away."""
        try:
            return regular(self.path / MARKER).read_bytes() == self._marker
        except OSError:
            return False


def _has_store(path: Path) -> bool:
    """Whether there is a file in which events can be; what is in it is for the store to look at."""
    try:
        return (path / STORE).stat().st_size > 0
    except OSError:
        return False
