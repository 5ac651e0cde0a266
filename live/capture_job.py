"""What a capture process is asked to do; apart from it, for the parent reads no video."""

from aadc.live.addresses import Kind
from aadc.manifests.records import Record


class CaptureJob(Record):
    """What a capture process is asked to do. `began_ns`: monotonic time of second 0 of the stream; `frames` and `view`: file
    descriptors of the two slots; `middle`: see `snippets.middle_of`; `secrets`: words that must not be shown; `trust`: what
    `open_source` is told of the camera's certificate."""

    name: str
    source: str
    kind: Kind
    loop: bool = False
    pace: float = 1.0
    blackouts: list[list[tuple[float, float]]] = []
    snippet_s: float
    middle: float = 0.5
    view_fps: float = 15.0
    view_px: int = 960
    began_ns: int
    frames: int = -1
    view: int = -1
    secrets: list[str] = []
    trust: dict[str, str] = {}
    back_off: float = 1.0
