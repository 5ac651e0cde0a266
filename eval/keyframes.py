"""The frames of a video worth looking at, with the boxes that the detector kept in them."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from aadc.eval.mistakes import Verdict
from aadc.eval.spans import Span, clock
from aadc.extract.decode import VideoFacts
from aadc.extract.decode_child import DecodeChild
from aadc.extract.video_features import VideoFeatures

WIDTH, QUALITY = 320, 68
FOUND, MISSED = 2, 1  # most key frames a video for each


@dataclass(frozen=True)
class Box:
    """What the detector saw: left, top, width, height in percent of the frame, name and confidence."""

    left: float
    top: float
    width: float
    height: float
    name: str
    score: float


@dataclass(frozen=True)
class KeyFrame:
    """Snippet `row` of a video, shown at `time_s` seconds, what it shows in words, its boxes, and the picture (None: not
    decoded)."""

    row: int
    time_s: float
    caption: str
    boxes: tuple[Box, ...]
    picture: "Picture | None" = None


@dataclass(frozen=True)
class Picture:
    """A JPEG that needs no file beside the page, and its size in pixels, which a browser keeps free until it is there."""

    uri: str
    width: int
    height: int


def choose_rows(anomaly: np.ndarray, found: Sequence[Span], verdict: Verdict, stride: int) -> dict[int, str]:
    """Snippets to show, with what they are: the best of the strongest found spans, other categories before a second of one,
    of the worst missed event, else the highest of all."""

    def best(start_frame: int, end_frame: int) -> int:
        start = min(start_frame // stride, len(anomaly) - 1)
        return start + int(anomaly[start : max(-(-end_frame // stride), start + 1)].argmax())

    chosen = {}
    strongest = sorted(found, key=lambda span: -span.peak)
    firsts = {span.category: span for span in reversed(strongest)}
    for span in sorted(strongest, key=lambda span: span is not firsts[span.category])[:FOUND]:
        false = "false alarm: " if span in verdict.false_alarms else ""
        chosen[best(span.start_frame, span.end_frame)] = f"{false}{span.category}"
    for start, end, label in sorted(verdict.missed, key=lambda span: anomaly[best(span[0], span[1])])[:MISSED]:
        chosen.setdefault(best(start, end), f"missed: {label}")
    return dict(sorted((chosen or {int(anomaly.argmax()): "highest score"}).items()))


def key_frames(
    features: VideoFeatures, anomaly: np.ndarray, rows: Mapping[int, str], names: Mapping[str, str], tenths: bool = False
) -> list[KeyFrame]:
    """Key frames without pictures. `features` needs time, count, box, score and class; `names` are the detector's; `tenths`:
    times to a tenth of a second."""
    frames = []
    for row, what in rows.items():
        time_s = float(features.time[row])
        caption = f"{clock(time_s, tenths)} {what}, score {anomaly[row]:.2f}"
        frames.append(KeyFrame(row, time_s, caption, tuple(_boxes(features, row, names))))
    return frames


def _boxes(features: VideoFeatures, row: int, names: Mapping[str, str]) -> Iterable[Box]:
    for place in range(features.count[row]):
        x, y, width, height = (100 * float(value) for value in features.box[row, place])
        name = names.get(str(int(features.class_id[row, place])), "?")
        yield Box(x - width / 2, y - height / 2, width, height, name, float(features.score[row, place]))


def pictures(decoder: DecodeChild, path: Path, stride: int, rows: Iterable[int]) -> dict[int, bytes]:
    """JPEGs of these snippets' frames, at most `WIDTH` px wide. `VideoError` if the video cannot be decoded."""
    wanted = sorted(set(rows))
    blocks = decoder.blocks(path, stride, wanted)
    made = [_jpeg(rgb) for block in blocks if not isinstance(block, VideoFacts) for rgb in block.rgb]
    return dict(zip(wanted, made, strict=False))  # a video that has shrunk since gives fewer


def _jpeg(rgb: np.ndarray) -> bytes:
    image = Image.fromarray(rgb)
    image.thumbnail((WIDTH, 10 * WIDTH))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def picture_of(jpeg: bytes) -> Picture:
    """A JPEG as the page holds it."""
    return Picture("data:image/jpeg;base64," + base64.b64encode(jpeg).decode(), *Image.open(io.BytesIO(jpeg)).size)
