"""A video of any length takes the memory of a few blocks of frames."""

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

    def blocks(self, path: Path, stride: int):
        return read_blocks(path, stride, BLOCK)


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
