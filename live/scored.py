"""What scoring says of one snippet of one camera: the engine makes it, events are made of it."""

from typing import NamedTuple

import numpy as np

from aadc.live.timeline import Clock


class ScoredSnippet(NamedTuple):
    """One snippet of a camera.

    `snippet` counts from the start of the `epoch` (a new one after each gap that scoring does not bridge); `second` is the
    stream's own time of its frame (seconds, never backwards, over all epochs), `utc_ns` when it was captured (UTC,
    nanoseconds), `arrived_ns` when it came in (monotonic clock, nanoseconds). `score` in [0, 1] (eq. 4), `classes` float32
    (C,) a distribution (eq. 10). `final` is False for the provisional score, which knows nothing of what comes after.
    `carried`: no frame came in time, the last one stands for it. `clock`: whose time `second` and `utc_ns` are.
    """

    camera: str
    epoch: int
    snippet: int
    second: float
    utc_ns: int
    arrived_ns: int
    score: float
    classes: np.ndarray
    final: bool
    carried: bool = False
    clock: Clock | None = None
