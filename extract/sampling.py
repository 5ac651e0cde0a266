"""Which frames of a video are looked at: one in `stride`, the one in the middle of its snippet; and by which reader."""

from typing import Literal

import numpy as np

Reader = Literal["pyav", "decord"]
READER_VERSION = 2  # counts up whenever some file's rows, times or pictures change; part of a run's fingerprint


def snippet_count(frames: int, stride: int) -> int:
    """How many snippets `frames` frames make: the last one may be shorter than `stride`, none is dropped."""
    return -(-frames // stride)


def sampled_frames(frames: int, stride: int) -> np.ndarray:
    """Index of the frame that stands for each snippet: int64 (T,), T = ceil(frames / stride).

    Snippet i covers frames [i * stride, (i + 1) * stride) and is seen through the frame in its middle,
    i * stride + stride // 2, or through the video's last frame where the video ends before that (paper III-B takes
    one frame in 16).
    """
    middle = np.arange(snippet_count(frames, stride), dtype=np.int64) * stride + stride // 2
    return np.minimum(middle, frames - 1)
