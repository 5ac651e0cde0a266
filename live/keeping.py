"""All that becomes of events once they are told: kept, recorded, described, made known, and in time removed."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from aadc.live.clips import Recorder, reconcile, remove_clip
from aadc.live.data_folder import DataFolder
from aadc.live.event import Event, EventMessage, Kind, State
from aadc.live.notify import Channel, Notifier
from aadc.live.retention import Cleaner, Limits
from aadc.live.seen_boxes import Box
from aadc.live.store import STORE, Job, Store
from aadc.live.words import composed, facts_of
from aadc.live.words_due import asking


class Keeping:
    """The data folder at work. Nothing here stops scoring, whatever the disk does; `problem` says what is wrong with it."""

    def __init__(
        self,
        path: Path,
        cameras: Sequence[str],
        limits: Limits | None = None,
        channels: Mapping[str, Channel] | None = None,
        told: Callable[[str], None] = lambda _: None,
        words: bool = False,
    ) -> None:
        """Open the folder. What a killed process left behind is ended, completed or removed.

        Args:
            channels: those who are told of events, by name (`notify.Webhook`, `mqtt.Mqtt`).
            told: hears what is wrong with them.
            words: events are to be described by a language model, too (`words_due`).
        Raises:
            UserError: the folder cannot be used, or its disk may be missing.
        """
        limits, channels = limits or Limits(), channels or {}
        self.folder = DataFolder(path)
        self.store = Store(path / STORE, list(channels))
        self._words = words
        self.composed = ""  # what the last event that ended was described by
        self._cleaner = Cleaner(self.folder, self.store, limits)  # first, for on a full disk nothing can be written before
        self.interrupted: list[EventMessage] = self.store.end_interrupted().result()
        self.mended = reconcile(path, self.store)
        self._recorders = {camera: Recorder(path, self._recorded, may_write=self._cleaner.well) for camera in cameras}
        self._notifiers = [Notifier(self.store, name, channel, told) for name, channel in channels.items()]

    @property
    def problem(self) -> str:
        """Why nothing can be written at the moment; empty if it can."""
        return self.store.problem

    @property
    def dropped(self) -> dict[str, int]:
        """Frames of each camera that its clip lacks, since the encoder was behind."""
        return {camera: recorder.dropped for camera, recorder in self._recorders.items()}

    def see(self, camera: str, jpeg: bytes, second: float) -> None:
        """A frame of a camera for its clips (`clip_file.small_jpeg`, blackouts painted)."""
        self._recorders[camera].add(jpeg, second)

    def see_boxes(self, camera: str, second: float, boxes: Sequence[Box]) -> None:
        """What the detector saw in a frame."""
        self._recorders[camera].add_boxes(second, boxes)

    def take(self, message: EventMessage, also: Sequence[Job] = ()) -> Future:
        """What became of an event, and what is kept together with that. The future is done once that is on the disk."""
        event = message.after
        recorder = self._recorders.get(event.camera)
        described = message.kind is Kind.end and event.state is not State.retracted
        boxes = recorder.boxes(event.start_s, event.end_s) if recorder and described else []
        before_s = recorder.before_s(event) if recorder and described else 0.0
        if recorder is not None:
            recorder.tell(message)  # which then may be through with the clip, and know no more of it
        if not described:
            return self.store.put(message, also=also)
        self.composed, how = composed(event, boxes, before_s)
        due = [asking(event.id, facts_of(event, boxes, before_s))] if self._words else []
        return self.store.put(message, self.composed, how, [*also, *due])

    def close(self) -> None:
        """Finish clips and writes."""
        for recorder in self._recorders.values():
            recorder.close()
        self._cleaner.close()
        for notifier in self._notifiers:
            notifier.close()
        self.store.close()

    def _recorded(self, event: Event, path: Path | None, problem: str) -> None:
        if path is not None:
            kept = self.store.set_clip(event.id, str(path))
            kept.add_done_callback(lambda done: self._known(path, done))
        if problem:
            self.store.log("clips", f"event {event.id}: {problem}")

    def _known(self, path: Path, known: Future) -> None:
        """An event that was forgotten while its clip was still being made has none."""
        if known.exception() is None and not known.result():
            remove_clip(self.folder.path, path)
