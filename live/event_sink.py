"""Where scores end up: events of each camera, and what is wrong with it, in the store."""

from concurrent.futures import Future

from aadc.live.camera_state import CameraStatus
from aadc.live.config import LiveConfig
from aadc.live.event import EventMessage, Kind
from aadc.live.events import EventMachine
from aadc.live.scored import ScoredSnippet
from aadc.live.store import STORE, Store
from aadc.manifests.card import Card
from aadc.manifests.files import make_folder, reason
from aadc.manifests.shown import say

_TOLD = {Kind.new: "begins", Kind.end: "ended"}


class EventSink:
    """Makes events of scored snippets and keeps them. What a killed process left open is ended first.

    Raises:
        UserError: the store cannot be opened.
    """

    def __init__(self, config: LiveConfig, card: Card, cameras: list[str]):
        make_folder(config.data)
        self.store = Store(config.data / STORE)
        self.problem = ""
        kinds = [card.kind(name) for name in card.names]
        asked = {camera.name: config.rules_of(camera) for camera in config.cameras}
        self._machines = {name: EventMachine(asked[name], card.names, kinds) for name in cameras}
        self._heard: dict[str, CameraStatus] = {}
        self._keep(self.store.end_interrupted())

    def take(self, scored: ScoredSnippet) -> None:
        """One scored snippet of any camera."""
        for message in self._machines[scored.camera].push(scored):
            self._put(message)

    def heard(self, camera: str, status: CameraStatus) -> None:
        """How a camera is now: what is new about it is kept. A picture that is frozen, covered or jumps is news about the
        camera, and no event."""
        before = self._heard.get(camera, CameraStatus())
        if camera not in self._heard or (before.state, before.error) != (status.state, status.error):
            self._keep(self.store.set_camera(camera, status.state, status.error))
        wrong = " and ".join(sorted(status.wrong))
        if camera not in self._heard or before.wrong != status.wrong:
            self._keep(self.store.set_health(f"picture of {camera}", not wrong, wrong))
            if wrong:
                self._keep(self.store.log(camera, f"the picture is {wrong}"))
        if status.jumps > before.jumps:
            self._keep(self.store.log(camera, "the picture changed as a whole (lights, infrared, a push)"))
        self._heard[camera] = status

    def close(self) -> None:
        """End what is going on, and write it."""
        for machine in self._machines.values():
            for message in machine.stop():
                self._put(message)
        self.store.close()

    def _put(self, message: EventMessage) -> None:
        self._keep(self.store.put(message))
        if message.kind in _TOLD:
            event = message.after
            say(f"{event.camera}: {event.category} {_TOLD[message.kind]} ({event.state}, peak {event.peak:.2f}, {event.id})")

    def _keep(self, future: Future) -> None:
        future.add_done_callback(self._done)

    def _done(self, future: Future) -> None:
        error = future.exception()
        self.problem = "" if error is None else reason(error)
