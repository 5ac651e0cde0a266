"""Scenes as H.264 files."""

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np

from aadc.manifests.scenes.rooms import HEIGHT, WIDTH
from aadc.manifests.scenes.scene import FPS


def write_video(path: Path, frames: Iterable[np.ndarray], crf: int = 26) -> None:
    """Write RGB uint8 frames (HEIGHT, WIDTH, 3) as an mp4 at `FPS`; a higher `crf` compresses harder.

    The same frames give the same bytes.
    """
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": str(crf), "preset": "ultrafast", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        # Frame threads would make the encoder faster on idle machines only: whole videos are written side by side.
        stream.thread_count = 1
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())


def read_video(path: Path) -> list[np.ndarray]:
    """All frames of a short video, RGB uint8 (H, W, 3), from front to back."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
