"""Groups of frames computed at the same time: the rows, and the figures of time, of one thread."""

import time

import numpy as np
import pytest
import torch

from aadc.extract.features import FrameEmbedder
from aadc.extract.settings import ExtractSettings
from aadc.extract.stats import Stats


@pytest.fixture
def threads():
    """Sets how many threads there are; afterwards there are as many as before."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 9, 23])
def test_rows_do_not_depend_on_how_many_are_at_work(tiny_detr, tiny_clip, threads, count):
    embedder = FrameEmbedder(ExtractSettings(detector=str(tiny_detr), clip=str(tiny_clip), threshold=0.0))
    rgb = np.random.default_rng(count).integers(0, 256, (count, 48, 64, 3), dtype=np.uint8)
    threads(1)
    alone = embedder(rgb)
    for many in (2, 3, 8):
        threads(many)
        rows = embedder(rgb)
        assert torch.get_num_threads() == many
        assert rows.keys() == alone.keys()
        for name, values in rows.items():
            assert len(values) == count
            np.testing.assert_allclose(values, alone[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_another_size_of_picture_between_blocks(tiny_detr, tiny_clip, threads):
    """Convolutions are packed anew for another size, by whichever thread comes first."""
    embedder = FrameEmbedder(ExtractSettings(detector=str(tiny_detr), clip=str(tiny_clip), threshold=0.0))
    rng = np.random.default_rng(0)
    blocks = [rng.integers(0, 256, (20, *size, 3), dtype=np.uint8) for size in ((48, 64), (64, 48), (40, 90))]
    threads(1)
    alone = [embedder(rgb) for rgb in blocks]
    threads(4)
    for _ in range(3):
        for rgb, expected in zip(blocks, alone, strict=True):
            np.testing.assert_allclose(embedder(rgb)["detr"], expected["detr"], rtol=1e-4, atol=1e-5)


def test_seconds_are_those_of_the_clock(tiny_detr, tiny_clip, threads):
    """Two threads at work for a second are a second of the run, not two."""
    embedder = FrameEmbedder(ExtractSettings(detector=str(tiny_detr), clip=str(tiny_clip), threshold=0.0))
    embedder.detector = slow(embedder.detector)
    threads(4)
    stats, began = Stats(), time.perf_counter()
    embedder(np.zeros((32, 48, 64, 3), np.uint8), stats)
    assert stats.seconds["detect"] >= 0.5, "each of four groups waited for half a second in the detector"
    assert stats.seconds["detect"] + stats.seconds["encode"] <= time.perf_counter() - began


def slow(detector):
    def detect(frames_BCHW):
        time.sleep(0.5)
        return detector(frames_BCHW)

    return detect


def test_what_fails_in_a_group_is_raised(tiny_detr, tiny_clip, threads):
    embedder = FrameEmbedder(ExtractSettings(detector=str(tiny_detr), clip=str(tiny_clip)))

    def broken(frames_BCHW):
        raise RuntimeError("no more")

    embedder.detector = broken
    threads(4)
    with pytest.raises(RuntimeError, match="no more"):
        embedder(np.zeros((16, 48, 64, 3), np.uint8))
    assert torch.get_num_threads() == 4
