"""`aadc-live settings`: what stands over the file of cameras, as lines; and the way back, which the access log has, too."""

from collections.abc import Sequence

from aadc.live.access import Access
from aadc.live.config import LiveConfig
from aadc.live.settings import Settings, file_settings
from aadc.manifests.errors import UserError

_WHO = "command line"


class ChangedSettings:
    """The changes kept in a data folder. `UserError` where there is no such folder."""

    def __init__(self, config: LiveConfig) -> None:
        self._data = config.data
        if not self._data.is_dir():
            raise UserError(f"{self._data}: there is no such data folder; --data names another")
        self._settings = Settings(self._data, file_settings(config))

    def lines(self) -> list[str]:
        """One a change."""
        return self._settings.notes() or ["nothing was changed: the file of cameras counts as it is"]

    def reset(self, cameras: Sequence[str] | None, every: bool) -> list[str]:
        """Go back to the file for these cameras, or for all and what holds for all. Gives what was done, one a value.

        Raises:
            UserError: none of that name has changes, or the file's values cannot be with those of a camera.
        """
        known = self._settings.changed()
        wanted: list[str | None] = [*known, None] if every else list(dict.fromkeys(cameras or ()))  # rules for all at last
        if unknown := [name for name in wanted if name is not None and name not in known]:
            raise UserError(f"nothing was changed of {', '.join(unknown)}; aadc-live settings CAMERAS.toml lists what was")
        access = Access(self._data / "access.sqlite")
        told: list[str] = []
        try:
            for camera in wanted:

                def note(what: str, how: str, camera: str | None = camera) -> None:
                    access.note(_WHO, "", f"changed: {what}", camera or "", how)
                    told.append(f"{camera or 'all cameras'}: {what} {how}")

                self._settings.reset(camera, _WHO, note)
        finally:
            access.close()
        return told or ["nothing was changed: the file of cameras counts as it is"]
