"""The folder where events and clips are kept, and the proof that its disk is there: a marker file."""

import os
import secrets
from pathlib import Path

from aadc.live.database import CLIPS, check_clips
from aadc.live.store import STORE
from aadc.manifests.errors import UserError
from aadc.manifests.files import make_folder, reason, regular, replace_file

MARKER = ".aadc-live"
STATUS = "status.json"  # how all processes and cameras are, from whoever watches or watched last; and the head's classes
_SAYS = "aadc-live keeps events and clips here; while this file is gone, it takes the disk for unmounted and records nothing\n"


class DataFolder:
    """A data folder that was opened. `there()`: whether it still is the one that was."""

    def __init__(self, path: Path) -> None:
        """Open a data folder; one that does not exist is made.

        An empty folder without the marker may be a mount point whose disk is missing, so it is not taken: whoever knows better
        makes the marker. Nor is one with clips whose store is gone (`check_clips`).

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
        if os.path.lexists(path / CLIPS) and not (path / CLIPS).is_dir():  # else each event would have none
            raise UserError(f"{path / CLIPS}: is no folder, and aadc-live needs one there; move it away, and start again")
        check_clips(path / STORE)
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
