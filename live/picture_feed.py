"""Pictures of all cameras on their way into clips."""

import threading
from collections.abc import Mapping

from aadc.live.clip_file import small_jpeg
from aadc.live.frame_slot import FrameSlot
from aadc.live.keeping import Keeping

_LOOKS_EVERY_S = 0.02


class PictureFeed:
    """Takes the newest picture of each camera's slot to its recorder, on a thread of its own; what it has no time for is never
    seen. Blackouts are painted before a picture comes into a slot."""

    def __init__(self, views: Mapping[str, FrameSlot], keeping: Keeping, width: int = 640) -> None:
        self._views, self._keeping, self._width = dict(views), keeping, width
        self._seen = dict.fromkeys(self._views, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="pictures", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; clips get no more pictures."""
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(_LOOKS_EVERY_S):
            for camera, view in self._views.items():
                if (frame := view.read(self._seen[camera])) is not None:
                    self._seen[camera] = frame.number
                    self._keeping.see(camera, small_jpeg(frame.rgb, self._width), frame.second)
