"""Videos for the tests: every frame is grey, and its brightness says which frame it is."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from aadc.extract.decode import VideoFacts, read_blocks

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


CELL, COLUMNS, LINES = 16, 8, 4  # a numbered picture: 16 cells of black or white for the number, 16 for its complement


def numbered(index: int) -> np.ndarray:
    """A picture (64, 128, 3) that carries its own number."""
    bits = [(index >> place) & 1 for place in range(16)]
    cells = np.array(bits + [1 - bit for bit in bits], np.uint8).reshape(LINES, COLUMNS)
    return (16 + 224 * cells).repeat(CELL, 0).repeat(CELL, 1)[..., None].repeat(3, 2)


def number_of(rgb: np.ndarray) -> int:
    """The number that a picture of any size carries; -1 where it carries none, being a mixture of several."""
    height, width = rgb.shape[0] / LINES, rgb.shape[1] / COLUMNS
    bits = [
        float(rgb[int((line + 0.3) * height) : int((line + 0.7) * height) + 1,
                  int((column + 0.3) * width) : int((column + 0.7) * width) + 1].mean())
        for line in range(LINES) for column in range(COLUMNS)
    ]  # fmt: skip
    if any(80 < bit < 176 for bit in bits):
        return -1
    value, complement = (sum(int(bit > 128) << place for place, bit in enumerate(half)) for half in (bits[:16], bits[16:]))
    return value if value ^ complement == 0xFFFF else -1


def write_numbered(
    path: Path, frames: int = 75, codec: str = "libx264", options: dict | None = None, gop: int = 30, b_frames: int = 2,
    rate=RATE, first: int = 0, pts=None, size=None, pixel: Fraction | None = None, container: str | None = None,
    container_options: dict | None = None, noise: int = 0,
) -> Path:  # fmt: skip
    """Encode pictures that carry the numbers `first`, `first` + 1, …; `pts` maps 0, 1, … to a time in units of 1 / `rate`."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w", format=container, options=container_options or {}) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = size or (COLUMNS * CELL, LINES * CELL)
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size, stream.max_b_frames = gop, b_frames
        stream.bit_rate = 0 if "crf" in (options or {}) else 4_000_000
        if pixel:
            stream.sample_aspect_ratio = pixel
        for index in range(frames):
            picture = numbered(first + index)
            picture = (picture + random.integers(-noise, noise + 1, picture.shape)).clip(0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(stream.width, stream.height, stream.pix_fmt, interpolation="POINT")
            frame.pts = index if pts is None else pts(index)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def read_numbered(path: Path, stride: int = 1, **options: object) -> tuple[list[int], np.ndarray, list[int], VideoFacts]:
    """Index and time of each row, the number that its picture carries, and the facts."""
    *blocks, facts = read_blocks(path, stride, **options)
    frame = [int(index) for block in blocks for index in block.frame]
    shown = [number_of(rgb) for block in blocks for rgb in block.rgb]
    return frame, np.concatenate([block.time for block in blocks]), shown, facts


def remux(path: Path, *sources: Path, pixel: Fraction | None = None, picture_first: bool = False) -> Path:
    """The video streams of the sources side by side in one file, nothing encoded again; `picture_first` makes the first of them
    a cover picture."""
    with av.open(str(path), "w") as output:
        inputs = [av.open(str(source)) for source in sources]
        pairs = []
        for number, source in enumerate(inputs):
            stream = output.add_stream_from_template(source.streams.video[0])
            if pixel:
                stream.sample_aspect_ratio = pixel
            if picture_first and number == 0:
                stream.disposition = av.stream.Disposition.attached_pic
            pairs.append((source, stream))
        packets = []
        for source, stream in pairs:
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packets.append((float(packet.dts * packet.time_base), stream, packet))
        for _, stream, packet in sorted(packets, key=lambda item: item[0]):
            packet.stream = stream
            output.mux(packet)
        for source in inputs:
            source.close()
    return path


def hide_start(path: Path, frames: int) -> Path:
    """Let an mp4's edit list begin `frames` frames later, in place: hidden samples stay where they are."""
    data = bytearray(path.read_bytes())
    edit = data.index(b"elst") + 4
    assert data[edit] == 0 and int.from_bytes(data[edit + 4 : edit + 8]) == 1
    header = data.index(b"mdhd") + 4
    scale = int.from_bytes(data[header + 12 : header + 16])
    movie = data.index(b"mvhd") + 4
    movie_scale = int.from_bytes(data[movie + 12 : movie + 16])
    length = int.from_bytes(data[edit + 8 : edit + 12]) - round(frames * movie_scale / RATE)
    begin = int.from_bytes(data[edit + 12 : edit + 16]) + round(frames * scale / RATE)
    data[edit + 8 : edit + 16] = length.to_bytes(4) + begin.to_bytes(4)
    path.write_bytes(data)
    return path


def with_hidden_keys(path: Path, source: Path) -> Path:
    """A VP8 stream whose key frames, but for the first, are decoded twice and shown once, as a frame kept for reference is."""
    with av.open(str(source)) as given, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size and packet.is_keyframe and packet.pts:
                data = bytearray(bytes(packet))
                data[0] &= ~0x10  # show_frame
                hidden = av.Packet(bytes(data))
                hidden.pts = hidden.dts = packet.pts - 1
                hidden.time_base, hidden.stream = packet.time_base, stream
                output.mux(hidden)
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    return path
