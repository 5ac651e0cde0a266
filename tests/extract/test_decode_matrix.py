"""Pictures that carry their own number, through every codec, length of GOP, container and stride.

Each row must hold the picture whose number it states, with that picture's time.

A selection runs with the other tests. `AADC_DECODE_ALL=1` (`make test-decode`) runs every combination.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import videos

from aadc.extract.sampling import sampled_frames

ALL = bool(os.environ.get("AADC_DECODE_ALL"))
FRAMES, STRIDES, GOPS = 300 if ALL else 70, (1, 7, 16, 60), (12, 25, 250)
MODERN = ("clip.mp4", "clip.mov", "clip.mkv", "clip.ts", "clip.flv", "clip.avi", "clip.h264", "frag.mp4")


def x264(**more: object) -> dict:
    def options(gop: int) -> dict:
        params = {"keyint": gop, "min-keyint": min(gop, 12), "scenecut": 0, "bframes": 3, **more}
        return {"crf": "12", "x264-params": ":".join(f"{name}={value}" for name, value in params.items())}

    return {"codec": "libx264", "b_frames": 3, "options": options}


CODECS = {
    "H.264, closed GOPs": (x264(), MODERN),
    "H.264, open GOPs": (x264(**{"open-gop": 1}), MODERN),
    "H.264, intra refresh": (x264(**{"intra-refresh": 1}), ("clip.mp4", "clip.mkv", "clip.ts", "clip.h264")),
    "H.264, no B-frames": (x264(bframes=0), ("clip.mp4", "clip.avi")),
    "HEVC, as its encoder comes": (
        {"codec": "libx265", "options": lambda gop: {"crf": "12", "x265-params": f"keyint={gop}:log-level=none"}},
        ("clip.mp4", "clip.mkv", "clip.ts", "clip.hevc", "frag.mp4"),
    ),
    "MPEG-2": ({"codec": "mpeg2video"}, ("clip.mpg", "clip.vob", "clip.ts", "clip.mkv", "clip.mp4", "clip.avi", "clip.m2v")),
    "MPEG-4": ({"codec": "mpeg4"}, ("clip.avi", "clip.mp4", "clip.mkv", "clip.m4v")),
    "VP8": ({"codec": "libvpx", "b_frames": 0}, ("clip.webm", "clip.mkv")),
    "VP9": ({"codec": "libvpx-vp9", "b_frames": 0, "options": lambda gop: {"cpu-used": "8"}}, ("clip.webm", "clip.mp4")),
    "AV1": (
        {
            "codec": "libsvtav1",
            "b_frames": 0,
            "options": lambda gop: {"preset": "8", "crf": "5", "svtav1-params": f"keyint={gop}"},
        },
        ("clip.mp4", "clip.mkv", "clip.webm"),
    ),
    "MJPEG": ({"codec": "mjpeg", "b_frames": 0, "options": lambda gop: {"strict": "-1"}}, ("clip.avi", "clip.mp4", "clip.mkv")),
    "FFV1": ({"codec": "ffv1", "b_frames": 0}, ("clip.mkv", "clip.avi")),
}
CASES = [
    pytest.param(codec, gop, name, id=f"{codec}-{gop}-{name}")
    for codec, (_, names) in CODECS.items()
    for place, name in enumerate(names)
    for turn, gop in enumerate(GOPS)
    if ALL or (turn == (0 if "open" in codec or "HEVC" in codec else place % 3) and place < 5)
]


@pytest.mark.parametrize(("codec", "gop", "name"), CASES)
def test_every_row_is_the_picture_whose_number_it_states(tmp_path, codec, gop, name):
    how, _ = CODECS[codec]
    fragmented = {"movflags": "frag_keyframe+empty_moov"} if name.startswith("frag") else {}
    options = how["options"](gop) if "options" in how else {}
    noise = 60 if name.endswith(("mpg", "vob")) else 0  # a pack that holds many small pictures has one time for all of them
    path = videos.write_numbered(
        tmp_path / name, FRAMES, how["codec"], options, gop, how.get("b_frames", 2), container_options=fragmented, noise=noise
    )
    for reader in ("pyav", "decord"):
        for stride in STRIDES:
            frame, time, shown, facts = videos.read_numbered(path, stride, reader=reader)
            assert frame == sampled_frames(FRAMES, stride).tolist() == shown, (reader, stride)
            assert (facts.frames, facts.decode_errors, facts.truncated) == (FRAMES, 0, False)
            np.testing.assert_allclose(time, np.array(frame) / videos.RATE, atol=2e-3)
