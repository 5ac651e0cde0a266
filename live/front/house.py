"""The dashboard as an application: Streamlit, below `/ui` of the server, in the same process and of the same origin."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aadc.live.access import Access, User
from aadc.live.served import CameraSource, EventSource

if TYPE_CHECKING:
    from streamlit import App

PAGES = Path(__file__).parents[1] / "pages"
SCRIPT = Path(__file__).with_name("dashboard.py")  # beside a folder `pages` Streamlit would take it for pages of its own
_SETTINGS = {
    "browser.gatherUsageStats": False,  # no packet leaves the machine unasked
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "logger.level": "warning",
    "runner.magicEnabled": False,
    "theme.light.primaryColor": "#1f6feb",  # of both, or Streamlit would be light where all else is dark
    "theme.dark.primaryColor": "#4c8dff",
    "server.fileWatcherType": "none",
}


@dataclass(frozen=True)
class House:
    """What the dashboard shows: cameras, events, and who may see which of them. `cookie`: in which a session is told."""

    cameras: CameraSource
    events: EventSource
    access: Access
    cookie: str

    def user(self, secret: str) -> User | None:
        """Who looks, asked anew each time: a session can be ended, and rights taken away."""
        session = self.access.session(secret) if secret else None
        return session.user if session else None


_house: House | None = None


def dashboard(house: House) -> "App":
    """The dashboard of this house. There is one a process: Streamlit runs its script by name."""
    import streamlit
    from streamlit import config

    global _house
    _house = house
    for name, value in _SETTINGS.items():
        config.set_option(name, value)
    return streamlit.App(SCRIPT)


def house() -> House:
    """What `dashboard` was given; for the script."""
    if _house is None:
        raise RuntimeError("the dashboard is a part of aadc-live's server, and is not run by itself")
    return _house
