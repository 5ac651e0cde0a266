"""Clips of events: a ring of small frames for what came before, a file from the moment the event opens, thumbnail and boxes."""

import ctypes
import json
import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import av
from av.video.reformatter import VideoReformatter

from aadc.live.clip_file import ClipFile, cut_torn, frame_times, make_thumbnail
from aadc.live.database import CLIPS
from aadc.live.event import Ending, Event, EventMessage, Kind, State
from aadc.live.reader import Reader
from aadc.live.seen_boxes import Box, SeenBoxes
from aadc.live.store import Store
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason, replace_file

LONGEST_S = 600.0  # of a clip
LONGEST_DIGEST_S = 60.0
_RING_BYTES = 16 * 2**20
_LATE_S = 10.0  # how long after its beginning an event may open
_SEEN_S = 120.0  # for so long boxes are kept where no event goes on: one that opens may be told late by a slow machine
_STARVED_S = 10.0  # without a frame: the clip of an event that ended is finished then
_MOST_WAITING = 100  # frames, while the encoder is behind; past that the next ones are dropped
_NICE = 5
_BESIDE = (".mp4", ".jpg", ".json")


def clip_path(event: Event) -> Path:
    """Where an event's clip lies below the data folder: clips/CAMERA/YYYY-MM-DD/ID.mp4, whatever the camera's name."""
    day = datetime.fromtimestamp(event.start_ns // 10**9, UTC)
    return Path(CLIPS) / folder_name(event.camera) / f"{day:%Y-%m-%d}" / f"{event.id}.mp4"


def folder_name(camera: str) -> str:
    """A camera's name as that of a folder: never a path, never hidden, never too long."""
    name = quote(camera, safe=" ", errors="surrogatepass")
    return (f"%2E{name[1:]}" if name.startswith(".") else name)[:200] or "%00"


class Recorder:
    """The clips of one camera, written by a thread of its own: `add`, `add_boxes` and `tell` take no time and raise nothing.

    `dropped` counts frames the encoder had no time for. `done(event, path, problem)` is called from the thread when a clip is
    complete: `path` below the data folder, None where there is none, and why.
    """

    def __init__(
        self,
        data: Path,
        done: Callable[[Event, Path | None, str], None],
        before_s: float = 5.0,
        after_s: float = 5.0,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """`before_s`, `after_s`: seconds around the event that its clip shows; `may_write`: whether clips may be begun now."""
        self._data, self._done, self._before_s, self._after_s, self._may_write = data, done, before_s, after_s, may_write
        self.dropped = 0
        self._ring: deque[tuple[float, bytes]] = deque()
        self._ring_bytes = 0
        self._boxes = SeenBoxes()
        self._clips: dict[str, _Clip] = {}
        self._reformatter = VideoReformatter()
        self._waiting: queue.Queue[tuple[float, bytes] | EventMessage | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="clips", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many frames and messages have not been dealt with."""
        return self._waiting.qsize()

    def add(self, jpeg: bytes, second: float) -> None:
        """A frame as `small_jpeg` makes it, blackouts painted, at its time in the stream."""
        if self._waiting.qsize() >= _MOST_WAITING:
            self.dropped += 1
        else:
            self._waiting.put((second, jpeg))

    def add_boxes(self, second: float, boxes: Sequence[Box]) -> None:
        """What the detector saw in the frame at `second`."""
        self._boxes.add(second, boxes)

    def before_s(self, event: Event) -> float:
        """How much of an event's clip comes before it: less than was asked for where the camera had just begun."""
        clip = self._clips.get(event.id)
        return max(0.0, event.start_s - clip.from_s) if clip else min(self._before_s, max(0.0, event.start_s))

    def boxes(self, start_s: float, end_s: float) -> list[tuple[float, tuple[Box, ...]]]:
        """What the detector saw in frames from `start_s` to `end_s`: for as long as an event goes on, and its clip is in the
        making, from its beginning on."""
        return self._boxes.between(start_s, end_s)

    def tell(self, message: EventMessage) -> None:
        """What became of an event."""
        self._waiting.put(message)

    def close(self) -> None:
        """Finish every clip."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        _stand_back()
        fed_s = time.monotonic()
        while True:
            try:
                one = self._waiting.get(timeout=_STARVED_S / 4)
            except queue.Empty:
                if time.monotonic() - fed_s > _STARVED_S:  # the camera is away, and what was to come after will not
                    for clip in [clip for clip in self._clips.values() if not clip.event.open]:
                        self._finish(clip)
                continue
            if one is None:
                break
            if isinstance(one, EventMessage):
                self._hear(one)
            else:
                self._see(*one)
                fed_s = time.monotonic()
        for clip in list(self._clips.values()):
            self._finish(clip)

    def _see(self, second: float, jpeg: bytes) -> None:
        self._boxes.forget(min([second - _SEEN_S, *(clip.from_s for clip in self._clips.values())]))
        self._ring.append((second, jpeg))
        self._ring_bytes += len(jpeg)
        while self._ring_bytes > _RING_BYTES or self._ring[0][0] < second - self._before_s - _LATE_S:
            self._ring_bytes -= len(self._ring.popleft()[1])
            if not self._ring:
                break
        for clip in list(self._clips.values()):
            if not clip.event.open and second > clip.event.end_s + self._after_s:
                self._finish(clip)
            else:
                clip.add(jpeg, second)

    def _hear(self, message: EventMessage) -> None:
        event = message.after
        if message.kind is Kind.new:
            clip = self._clips[event.id] = _Clip(event, self._data, self._may_write(), self._reformatter)
            for second, jpeg in self._ring:
                if second >= event.start_s - self._before_s:
                    clip.add(jpeg, second)
        elif event.id in self._clips:
            self._clips[event.id].event = event
            if event.ending in (Ending.gap, Ending.stopped, Ending.retracted):  # no frame will come, or none is wanted
                self._finish(self._clips[event.id])

    def _finish(self, clip: "_Clip") -> None:
        self._complete(clip)
        _give_back()

    def _complete(self, clip: "_Clip") -> None:
        del self._clips[clip.event.id]
        clip.close()
        if clip.event.state is State.retracted:
            remove_clip(self._data, clip_path(clip.event))
            return self._done(clip.event, None, "")
        shown = self.boxes(clip.from_s, clip.until_s)
        try:
            path = complete(self._data, clip.event, shown, clip.from_s)
        except (UserError, OSError) as error:
            return self._done(clip.event, None, reason(error))
        return self._done(clip.event, path, clip.problem)


class _Clip:
    """A clip in the making; once something cannot be written, what is there is kept and the rest left."""

    def __init__(self, event: Event, data: Path, may_write: bool, reformatter: VideoReformatter) -> None:
        self.event, self.problem = event, "" if may_write else "clips are switched off while the data folder is not well"
        self._file: ClipFile | None = None
        self.from_s = self.until_s = event.start_s
        if may_write:
            with self._noting():
                self._file = ClipFile(data / clip_path(event), reformatter)

    def add(self, jpeg: bytes, second: float) -> None:
        longest = LONGEST_DIGEST_S if self.event.digest else LONGEST_S
        if self._file is not None and (self._file.first_s is None or second - self._file.first_s <= longest):
            with self._noting():
                self._file.add(jpeg, second)
                self.from_s, self.until_s = second if self._file.first_s is None else self._file.first_s, second

    def close(self) -> None:
        if self._file is not None:
            with self._noting():
                self._file.close()

    def _noting(self) -> "_Noting":
        return _Noting(self)

    def broke(self, error: BaseException) -> None:
        """Nothing more can be written."""
        self.problem = reason(error)
        if self._file is not None:
            self._file.abandon()
            self._file = None


class _Noting:
    """A failure within is the clip's problem, and nobody else's."""

    def __init__(self, clip: _Clip) -> None:
        self._clip = clip

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, (OSError, ValueError, av.error.FFmpegError)):
            self._clip.broke(error)
            return True
        return False


def _stand_back() -> None:
    """Scores come first: an event that opens on all cameras is seconds of encoding at once, for the ring of each."""
    if sys.platform == "linux":  # where a thread has a priority of its own
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + _NICE)


def _give_back() -> None:
    """Memory that coders took goes back to the system: glibc keeps it, 6 MB for each camera, for its next clip."""
    with suppress(AttributeError):  # other C libraries
        ctypes.CDLL(None).malloc_trim(0)


def complete(data: Path, event: Event, boxes: Sequence[tuple[float, Sequence[Box]]], from_s: float | None) -> Path | None:
    """Put thumbnail and boxes beside a written clip. Gives its path below the data folder, None where nothing of it plays.

    Args:
        from_s: second of the stream at which it begins; None: not known any more.
    """
    path = clip_path(event)
    with suppress(OSError):
        cut_torn(data / path)
    if not frame_times(data / path):
        remove_clip(data, path)
        return None
    peak_s = max(event.curve, key=lambda point: point[1])[0] if event.curve else event.start_s
    make_thumbnail(data / path, max(0.0, peak_s - (peak_s if from_s is None else from_s)), (data / path).with_suffix(".jpg"))
    seen = [{"second": second, "boxes": [box._asdict() for box in here]} for second, here in boxes if here]
    beside = {"event": event.id, "from_s": from_s, "curve": event.curve, "boxes": seen}
    replace_file((data / path).with_suffix(".json"), json.dumps(beside))
    return path


def remove_clip(data: Path, path: Path) -> int:
    """Remove a clip and what lies beside it; gives the bytes that were freed."""
    freed = 0
    for suffix in _BESIDE:
        one = (data / path).with_suffix(suffix)
        with suppress(OSError):
            size = one.stat().st_size
            one.unlink()
            freed += size
    for folder in ((data / path).parent, (data / path).parent.parent):
        with suppress(OSError):  # there is more in it
            folder.rmdir()
    return freed


def reconcile(data: Path, store: Store) -> tuple[int, int]:
    """Make files and store agree after a crash: a clip without an event goes, one that was being written is completed, an event
    whose clip is gone knows it. To be called before anything is recorded.

    Returns:
        how many clips were completed, and how many files removed.
    """
    reader = Reader(store.path)
    try:
        known = {one.event.id: one for one in reader.events(most=10**9, retracted=True)}
    finally:
        reader.close()
    completed = removed = 0
    for file in sorted((data / CLIPS).glob("*/*/*")):
        kept = known.get(file.stem)
        path = file.relative_to(data).with_suffix(".mp4")
        if kept is None or kept.event.state is State.retracted or path != clip_path(kept.event) or file.suffix not in _BESIDE:
            with suppress(OSError):
                file.unlink()
                removed += 1
        elif kept.clip is None and file.suffix == ".mp4":
            with suppress(UserError):
                done = complete(data, kept.event, (), None)
                store.set_clip(kept.event.id, str(done) if done else None)
                completed, removed = completed + (done is not None), removed + (done is None)
        elif file.suffix != ".mp4" and not file.with_suffix(".mp4").exists():
            with suppress(OSError):
                file.unlink()
                removed += 1
    for one in known.values():
        if one.clip is not None and not (data / one.clip).is_file():
            store.set_clip(one.event.id, None)
    store.write(lambda db: None).result()
    return completed, removed
