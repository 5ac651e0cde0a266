"""Where scores end up: events of each camera, and what is wrong with it, in the store."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

import numpy as np

from aadc.live.camera_state import CameraStatus
from aadc.live.config import LiveConfig, Notices
from aadc.live.credentials import hide_credentials
from aadc.live.event import Ending, EventMessage, Kind, State
from aadc.live.event_pictures import ClipUsed, EventPictures
from aadc.live.events import EventMachine
from aadc.live.frame_slot import FrameSlot
from aadc.live.keeping import Keeping
from aadc.live.mqtt import Mqtt
from aadc.live.notify import Channel, Webhook
from aadc.live.picture_feed import PictureFeed
from aadc.live.reader import CLOCK_OF, PICTURE_OF, camera_of
from aadc.live.retention import Limits
from aadc.live.rules import EventRules
from aadc.live.scored import ScoredSnippet
from aadc.live.seen_boxes import Box
from aadc.live.start import Start
from aadc.manifests.card import Card
from aadc.manifests.files import reason
from aadc.manifests.shown import say

CLOCK_OFF_S = 2.0  # of a camera; more is told
_TOLD = {Kind.new: "begins", Kind.end: "ended"}


class EventSink:
    """Makes events of scored snippets and keeps them. What a killed process left open is ended first.

    Raises:
        UserError: the store cannot be opened.
    """

    def __init__(
        self,
        config: LiveConfig,
        card: Card,
        cameras: list[str],
        views: Mapping[str, FrameSlot] | None = None,
        sure: Callable[[np.ndarray], float] | None = None,
        kept: Callable[[EventMessage], None] = lambda message: None,
        clip: ClipUsed | None = None,
        start: Start | None = None,
        secrets: Sequence[str] = (),
    ):
        """`views`: slots of the pictures for clips; `sure`: see `LoadedHead.sure`; `kept` hears, on the store's thread, of each
        message once it is on the disk; `clip`: whose embeddings `saw` is given; `start`: what seconds count from; `secrets`:
        words that must not be seen."""

        def told(what: str) -> None:
            say(hide_credentials(what, secrets), err=True)

        self._sure, self._kept = sure, kept
        keep = config.retention
        limits = Limits(keep.days, keep.gigabytes, keep.free_gigabytes)
        channels = _channels(config.notices, cameras, config.web.address)
        self._keeping = Keeping(config.data, cameras, limits, channels, told, config.words.asked)
        self._feed = PictureFeed(views or {}, self._keeping)
        self.store = self._keeping.store
        self._failed = ""  # why the last write was given up
        kinds = [card.kind(name) for name in card.names]
        asked = {camera.name: config.rules_of(camera) for camera in config.cameras}
        self._machines = {name: EventMachine(asked[name], card.names, kinds, start) for name in cameras}
        self._pictures = {} if clip is None else {name: EventPictures(clip) for name in cameras}
        self._heard: dict[str, CameraStatus] = {}
        watched = {None, *cameras}
        self._keep(self.store.forget_health(lambda part: camera_of(part) not in watched))

    @property
    def problem(self) -> str:
        """Why events cannot be kept at the moment, or the last could not; empty if all is well."""
        return self._keeping.problem or self._failed

    def take(self, scored: ScoredSnippet) -> None:
        """One scored snippet of any camera."""
        for message in self._machines[scored.camera].push(scored):
            self._put(message)

    def change_rules(self, camera: str, rules: EventRules) -> None:
        """Go by other rules from now on; an open event goes on or ends by them."""
        self._machines[camera].change_rules(rules)

    def saw(self, camera: str, second: float, boxes: Sequence[Box], rows: Mapping[str, np.ndarray] | None = None) -> None:
        """What the detector saw in a frame: for clips, and for words about them. `rows`: its features, for `EventPictures`."""
        self._keeping.see_boxes(camera, second, boxes)
        if rows is not None and camera in self._pictures:
            self._pictures[camera].saw(second, rows)

    def heard(self, camera: str, status: CameraStatus) -> None:
        """How a camera is now: what is new about it is kept. A picture that is frozen, covered or jumps is news about the
        camera, and no event."""
        before = self._heard.get(camera, CameraStatus())
        if camera not in self._heard or (before.state, before.error) != (status.state, status.error):
            self._keep(self.store.set_camera(camera, status.state, status.error))
        if status.state in ("offline", "disabled"):  # else its event goes on for as long as it is away
            for message in self._machines[camera].stop(Ending.gap):
                self._put(message)
        wrong = " and ".join(sorted(status.wrong))
        if camera not in self._heard or before.wrong != status.wrong:
            self._keep(self.store.set_health(PICTURE_OF + camera, not wrong, wrong))
            if wrong:
                self._keep(self.store.log(camera, f"the picture is {wrong}"))
        off_s, was_s = status.camera_off_s or 0.0, before.camera_off_s or 0.0
        off = abs(off_s) > CLOCK_OFF_S
        if camera not in self._heard or off != (abs(was_s) > CLOCK_OFF_S):
            told = f"its own clock is {abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} this machine's" if off else ""
            self._keep(self.store.set_health(CLOCK_OF + camera, not off, told))
        if status.jumps > before.jumps:
            self._keep(self.store.log(camera, "the picture changed as a whole (lights, infrared, a push)"))
        self._heard[camera] = status

    def close(self) -> None:
        """End what is going on, and write it."""
        for machine in self._machines.values():
            for message in machine.stop():
                self._put(message)
        self._feed.close()
        self._keeping.close()

    def _put(self, message: EventMessage) -> None:
        if self._sure is not None and message.after.curve:
            scores = np.array([score for _, score in message.after.curve])
            probability = min(max(float(self._sure(scores)), 0.0), 1.0)
            message = message._replace(after=message.after.model_copy(update={"probability": probability}))
        pictures = self._pictures.get(message.after.camera)
        future = self._keeping.take(message, pictures.jobs(message) if pictures is not None else ())
        future.add_done_callback(lambda done: self._kept(message) if done.exception() is None else None)
        self._keep(future)
        if message.kind in _TOLD:
            event = message.after
            say(f"{event.camera}: {event.category} {_TOLD[message.kind]} ({event.state}, peak {event.peak:.2f}, {event.id})")
            if message.kind is Kind.end and event.state is State.confirmed:
                say(f"{event.camera}: {self._keeping.composed}")

    def _keep(self, future: Future) -> None:
        future.add_done_callback(self._done)

    def _done(self, future: Future) -> None:
        error = future.exception()
        self._failed = "" if error is None else reason(error)


def _channels(notices: Notices, cameras: list[str], address: str | None = None) -> dict[str, Channel]:
    """Those who are told of events, by name."""
    channels: dict[str, Channel] = {}
    if notices.webhook is not None:
        channels["webhook"] = Webhook(notices.webhook.get_secret_value(), address=address)
    if notices.mqtt is not None:
        channels["mqtt"] = Mqtt(notices.mqtt.get_secret_value(), notices.mqtt_topic, cameras, address)
    return channels
