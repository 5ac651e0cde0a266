"""The gate: stillness is carried over within its bound, anything that moves is computed, however small."""

import numpy as np
import pytest

from aadc.extract.decode import FrameBlock, VideoFacts
from aadc.extract.features import FrameEmbedder
from aadc.extract.gate import Gate, _cells, difference
from aadc.extract.settings import ExtractSettings
from aadc.extract.stats import Stats
from aadc.extract.video import feature_blocks

LEVEL = 4.0


def scene(noise: int, person_at: tuple[int, int] | None = None, light: int = 0) -> np.ndarray:
    """A textured 240x320 room with camera noise and, somewhere, a person of 12x30 px."""
    room = np.random.default_rng(0).integers(60, 180, (24, 32, 3)).repeat(10, 0).repeat(10, 1)
    picture = room + np.random.default_rng(100 + noise).normal(0, 5, room.shape) + light
    if person_at:
        y, x = person_at
        picture[y : y + 30, x : x + 12] = (200, 40, 40)
    return np.clip(picture, 0, 255).astype(np.uint8)


def test_noise_and_light_are_still_and_a_small_person_is_not():
    frames = np.stack(
        [scene(0), scene(1), scene(2, light=6), scene(3, (100, 50)), scene(4, (100, 50)), scene(5, (100, 58)), scene(6)]
    )
    assert Gate(LEVEL)(frames).tolist() == [True, False, False, True, False, True, True]


@pytest.mark.parametrize("place", [(0, 0), (209, 307), (120, 0), (0, 160), (97, 143)])
def test_a_person_counts_wherever_they_stand(place):
    assert Gate(LEVEL)(np.stack([scene(0), scene(1, place)])).tolist() == [True, True]


def test_slow_change_adds_up():
    """A person creeping one pixel a frame is compared with the last computed frame, not with the last frame."""
    fresh = Gate(12.0)(np.stack([scene(0, (100, 50 + step)) for step in range(30)]))
    assert fresh[0] and not fresh[1] and 2 <= fresh[1:].sum() < 20


def test_the_bound_holds_for_every_frame_that_is_carried():
    random = np.random.default_rng(3)
    frames = np.stack([scene(n, tuple(random.integers(0, 200, 2)) if n % 4 == 0 else (50, 50)) for n in range(40)])
    source = None
    for frame, fresh in zip(frames, Gate(LEVEL)(frames), strict=True):
        if fresh:
            source = frame
        assert difference(_cells(frame), _cells(source)) < LEVEL


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (7, 9), (1080, 1920)])
def test_any_size_of_picture(shape):
    black, white = np.zeros((1, *shape, 3), np.uint8), np.full((1, *shape, 3), 255, np.uint8)
    white[:, : (shape[0] + 1) // 2, : (shape[1] + 1) // 2] = 0
    assert Gate(LEVEL)(np.concatenate([black, black])).tolist() == [True, False]
    if min(shape) > 8:
        assert Gate(LEVEL)(np.concatenate([black, white])).tolist() == [True, True]


class Blocks:
    """A decoder that hands out frames in blocks."""

    def __init__(self, frames: np.ndarray, sizes: list[int]):
        self.frames, self.sizes = frames, sizes

    def blocks(self, path, stride, **_):
        start = 0
        for size in self.sizes:
            index = np.arange(start, start + size)
            yield FrameBlock(index, index / 25, self.frames[index])
            start += size
        yield VideoFacts(320, 240, 25.0, 0, start, start)


def test_carried_rows_are_those_of_the_last_computed_frame(tiny_detr, tiny_clip):
    """Across blocks too; frames that were computed have the features they would have had without the gate."""
    frames = np.stack([scene(n, (100, 60) if 3 <= n < 9 else None) for n in range(12)])
    gated = FrameEmbedder(ExtractSettings(detector=str(tiny_detr), clip=str(tiny_clip), threshold=0.3, gate=LEVEL))
    for sizes in ([12], [1, 2, 2, 4, 3]):
        stats = Stats()
        *blocks, _ = feature_blocks("x", gated, Blocks(frames, sizes), stats)
        rows = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        assert np.flatnonzero(~rows["carried"]).tolist() == [0, 3, 9]
        assert (stats.sampled_frames, stats.computed_frames) == (12, 3)
        for start, end in ((0, 3), (3, 9), (9, 12)):
            plain = gated(frames[start : start + 1])
            for name, values in plain.items():
                np.testing.assert_allclose(rows[name][start:end], values.repeat(end - start, 0), atol=1e-4)
    ungated = gated.settings.model_copy(update={"gate": 0.0})
    assert FrameEmbedder(ungated).header.fingerprint != gated.header.fingerprint
