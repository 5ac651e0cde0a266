"""A video of any length takes the memory of a few blocks of frames."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import videos

from aadc.extract.decode import VideoFacts, read_blocks
from aadc.extract.features import FrameEmbedder
from aadc.extract.settings import ExtractSettings
from aadc.extract.stats import Stats
from aadc.extract.video import feature_blocks

STRIDE, SIZE, BLOCK = 4, (96, 64), 2**20


class SmallBlocks:
    """A decoder in this process, whose arrays can be watched, with blocks of 1 MB in place of 128."""

    def blocks(self, path: Path, stride: int, reader: str = "pyav"):
        return read_blocks(path, stride, BLOCK, reader=reader)


def test_memory_does_not_grow_with_the_length(tmp_path, tiny_detr, tiny_clip):
    """From file to rows, all stages: 750 frames are looked at, 14 MB of them; at no time are there more than a few blocks."""
    frames = 3000
    path = videos.write_ramp(tmp_path / "long.mp4", frames, size=SIZE)
    embedder = FrameEmbedder(ExtractSettings(detector=str(tiny_detr), clip=str(tiny_clip), stride=STRIDE))
    rows = 0
    tracemalloc.start()
    for block in feature_blocks(path, embedder, SmallBlocks(), Stats()):
        if isinstance(block, VideoFacts):
            assert block.frames == frames
        else:
            rows += len(block["frame"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == frames // STRIDE
    assert peak < 6 * BLOCK < rows * SIZE[0] * SIZE[1] * 3 / 2


UNDER_A_LIMIT = """
import resource, sys
from pathlib import Path
import numpy as np
from aadc.extract.decode import FrameBlock, read_blocks

used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
limit = used + 700 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    np.ones(800 * 2**20, np.uint8)
    sys.exit("the limit does not bite")
except MemoryError:
    pass
for item in read_blocks(Path(sys.argv[1]), 1):
    print(*(item.rgb.nbytes, item.time[-1]) if isinstance(item, FrameBlock) else (item.frames,))
"""


def test_three_hours_stream_under_a_memory_limit(tmp_path):
    """The decoder as it is, with blocks of 128 MB: 1.7 GB of pictures go through where 0.7 GB can be had."""
    frames, step_ms = 7200, 1500
    path = videos.write_ramp(tmp_path / "3h.mp4", frames, size=(320, 240), pts=lambda index: index * step_ms)
    done = subprocess.run([sys.executable, "-c", UNDER_A_LIMIT, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *blocks, told = done.stdout.splitlines()
    assert int(told) == frames and sum(int(line.split()[0]) for line in blocks) == frames * 320 * 240 * 3
    assert float(blocks[-1].split()[1]) > 3 * 3600 - 2
