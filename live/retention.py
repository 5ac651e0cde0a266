"""How long clips and events stay: by days, by gigabytes, and by what the disk has left."""

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from aadc.live.clips import remove_clip
from aadc.live.data_folder import DataFolder
from aadc.live.database import CLIPS
from aadc.live.reader import Reader
from aadc.live.store import Store
from aadc.live.timeline import WALL_OFF_NS
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason

GB = 10**9
HEALTH = "cleaner"
LOOKS_EVERY_S = 2.0  # at what is free
BELIEVED_AFTER_NS = 86400 * 10**9
_WAIT_S = 30.0  # for the store


class Limits(NamedTuple):
    """`days` that clips and events stay, `gigabytes` that clips may take (None: without end), and what must stay free."""

    days: float | None = 30.0
    gigabytes: float | None = 10.0
    free_gigabytes: float = 1.0


class Cleaned(NamedTuple):
    """Clips and events removed, the bytes that clips take now, those that the disk has left, and what is still wrong."""

    clips: int
    events: int
    bytes: int
    free: int
    problem: str


def clean(folder: DataFolder, store: Store, limits: Limits, now_ns: int, free: Callable[[Path], int] | None = None) -> Cleaned:
    """Remove what is too old; then the oldest clips, until the rest is within the limits. Their events stay, and clips of open
    events are let be.

    Args:
        free: bytes that are free at a path, where the file system is not to be asked.
    Raises:
        UserError: the data folder is gone.
        OSError: the disk cannot be read.
    """
    if not folder.there():
        raise UserError(f"{folder.path}: the marker file is gone; is its disk still mounted?")
    left = free or (lambda path: shutil.disk_usage(path).free)
    reader = Reader(store.path)
    try:
        open_ones = {one.event.id for one in reader.open_events()}
        numbers = reader.numbers()
    finally:
        reader.close()
    # Oldest first, in the order in which events were kept: the clock may have been set back meanwhile.
    clips = sorted(
        (path for path in (folder.path / CLIPS).glob("*/*/*.mp4") if path.stem not in open_ones),
        key=lambda path: (numbers.get(path.stem, 0), path.stem),
    )
    sizes = {path: sum(one.stat().st_size for one in path.parent.glob(f"{path.stem}.*")) for path in clips}
    total, removed, written = sum(sizes.values()), 0, list[Future]()

    def remove(path: Path) -> None:
        nonlocal total, removed
        clips.remove(path)
        remove_clip(folder.path, path.relative_to(folder.path))
        written.append(store.set_clip(path.stem, None))
        total, removed = total - sizes[path], removed + 1

    before_ns = None if limits.days is None else now_ns - round(limits.days * 86400e9)
    if before_ns is not None:
        before = f"{datetime.fromtimestamp(max(before_ns, 0) // 10**9, UTC):%Y%m%dT%H%M%SZ}"  # as ids begin
        for path in [path for path in clips if path.stem < before]:
            remove(path)
    while clips and limits.gigabytes is not None and total > limits.gigabytes * GB:
        remove(clips[0])
    while clips and left(folder.path) < limits.free_gigabytes * GB:
        remove(clips[0])
    # The store comes last: while the disk is full it cannot write.
    events = store.forget_older(before_ns).result(_WAIT_S) if before_ns is not None else 0
    wait(written, _WAIT_S)
    space = left(folder.path)
    short = space < limits.free_gigabytes * GB
    problem = f"only {space / GB:.2f} GB are free, and no clip is left that could go" if short else ""
    return Cleaned(removed, events, total, space, problem)


class AgeClock:
    """By what clock things are found too old: one that was set forward is believed once it has stayed so for a day. A clock set
    wrong and right again removes nothing, and a day more is no harm; one that was set back is followed at once.

    Args:
        monotonic_ns, wall_ns: the two clocks, for whoever has others.
    """

    def __init__(self, monotonic_ns: Callable[[], int] = time.monotonic_ns, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._monotonic_ns, self._wall_ns = monotonic_ns, wall_ns
        self._anchor = monotonic_ns(), wall_ns()
        self._ahead_since: int | None = None

    def now_ns(self) -> int:
        """UTC, nanoseconds; to be asked every few minutes."""
        now_ns, wall_ns = self._monotonic_ns(), self._wall_ns()
        then_ns, said_ns = self._anchor
        expected_ns = said_ns + now_ns - then_ns
        if wall_ns - expected_ns <= WALL_OFF_NS:
            self._anchor, self._ahead_since = (now_ns, wall_ns), None
        elif self._ahead_since is None:
            self._ahead_since = now_ns
        elif now_ns - self._ahead_since >= BELIEVED_AFTER_NS:
            self._anchor, self._ahead_since = (now_ns, wall_ns), None
        return self._anchor[1] + now_ns - self._anchor[0]


class Cleaner:
    """Cleans every so often, and as soon as the disk has become short, or is no longer; in a thread that nothing ends but
    `close`. Its last success is the health figure `cleaner`.

    `well()` is what a `Recorder` asks before it begins a clip.
    """

    def __init__(self, folder: DataFolder, store: Store, limits: Limits, every_s: float = 60.0) -> None:
        self._folder, self._store, self._limits, self._every_s = folder, store, limits, every_s
        self._problem, self._clock = "", AgeClock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="cleaner", daemon=True)
        self._thread.start()

    def well(self) -> bool:
        """Whether there is a disk, with room on it."""
        return not self._problem and self._folder.there()

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        telling: Future | None = None
        while True:
            try:
                done = clean(self._folder, self._store, self._limits, self._clock.now_ns())
                self._problem = done.problem
                told = done.problem or f"clips take {done.bytes / GB:.2f} GB, {done.free / GB:.2f} GB are free"
            except Exception as error:  # whatever it is, it tries again: a cleaner that died fills the disk
                self._problem = told = self._store.problem or reason(error)
            if telling is None or telling.done():  # a full disk takes nothing, and what waits is bounded
                telling = self._store.set_health(HEALTH, not self._problem, told)
            due = time.monotonic() + self._every_s
            while True:
                if self._stop.wait(min(self._every_s, LOOKS_EVERY_S)):
                    return
                if time.monotonic() >= due or self._turned():
                    break

    def _turned(self) -> bool:
        """Whether the disk is no longer as it was cleaned for."""
        try:
            short = shutil.disk_usage(self._folder.path).free < self._limits.free_gigabytes * GB
        except OSError:
            short = True
        return short == self.well()
