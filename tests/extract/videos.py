"""Videos for the tests: every frame is grey, and its brightness says which frame it is."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, RATE = 64, 48, 25


def grey(index: int) -> int:
    """Brightness of frame `index`: two levels a frame, so that compression cannot blur one into the next."""
    return 4 + 2 * index


def frame_of(rgb: np.ndarray) -> int:
    """Which frame a grey picture (H, W, 3) claims to be."""
    return round((float(rgb.mean()) - 4) / 2)


def write_ramp(
    path: Path, frames: int = 120, codec: str = "libx264", b_frames: int = 2, gop: int = 30, pts=None,
    size: tuple[int, int] = (WIDTH, HEIGHT), container: str | None = None, container_options: dict | None = None,
) -> Path:  # fmt: skip
    """Encode a grey ramp. `pts` maps a frame's index to its time in milliseconds (default: constant rate)."""
    with av.open(str(path), "w", format=container, options=container_options or {}) as output:
        options = {
            "libx264": {"crf": "10"},
            "libx265": {"crf": "1", "x265-params": "log-level=none"},
            "mjpeg": {"strict": "unofficial"},
        }.get(codec, {})
        stream = output.add_stream(codec, rate=RATE, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.gop_size = gop
        stream.bit_rate = 2_000_000
        stream.max_b_frames = b_frames
        if pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        noise = np.random.default_rng(0).integers(-1, 2, (size[1], size[0], 1))
        for index in range(frames):
            picture = np.clip(grey(index) + noise, 0, 255).astype(np.uint8).repeat(3, 2)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index if pts is None else pts(index)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def write_audio(path: Path) -> Path:
    """A second of silence: a file with sound and no picture."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16000)
        for start in range(0, 16000, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def rotate_by_header(path: Path) -> Path:
    """Set the display matrix of an mp4 as a phone held upright does: shown turned by 90 degrees clockwise."""
    data = bytearray(path.read_bytes())
    tkhd = data.index(b"tkhd")
    version = data[tkhd + 4]
    matrix = tkhd + 4 + 4 + (32 if version else 20) + 16
    one = 1 << 16
    for place, value in enumerate((0, one, 0, -one, 0, 0, 0, 0, 1 << 30)):
        data[matrix + 4 * place : matrix + 4 * place + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path
