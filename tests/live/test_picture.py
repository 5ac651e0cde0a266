"""The clock strip survives coding and scaling; what ails a picture is told once; blackouts leave nothing."""

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aadc.live import strip_clock
from aadc.live.back_off import BackOff
from aadc.live.blackouts import Blackouts
from aadc.live.picture_health import COVERED_S, FROZEN_S, PictureHealth


def noise(seed, size=(120, 160), low=0, high=256):
    """Patches of eight pixels a side."""
    small = np.random.default_rng(seed).integers(low, high, (size[0] // 8 + 1, size[1] // 8 + 1, 3), dtype=np.uint8)
    return np.ascontiguousarray(small.repeat(8, 0).repeat(8, 1)[: size[0], : size[1]])


@given(st.integers(0, strip_clock.MOST), st.sampled_from([(120, 160), (240, 320), (360, 640), (719, 1281)]))
def test_the_strip_says_what_was_burned_in(number, size):
    rgb = noise(0, size)
    strip_clock.burn(rgb, number)
    assert strip_clock.read(rgb) == number


@given(st.integers(0, 2**32 - 1), st.sampled_from([(48, 64), (120, 160)]))
def test_no_strip_is_none(seed, size):
    assert strip_clock.read(noise(seed, size)) is None
    assert strip_clock.read(np.full((*size, 3), seed % 256, np.uint8)) is None


@pytest.mark.parametrize("codec, bits, size", [("libx264", 150_000, (640, 360)), ("libvpx", 300_000, (320, 180))])
def test_the_strip_survives_coding_and_scaling(codec, bits, size):
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.bit_rate = *size, "yuv420p", bits
    encoder.options = {"deadline": "realtime", "cpu-used": "8"} if codec == "libvpx" else {"preset": "ultrafast"}
    encoder.framerate, encoder.time_base = 25, Fraction(1, 25)
    decoder = av.CodecContext.create(encoder.codec.name.replace("lib", "").replace("x264", "h264").replace("vpx", "vp8"), "r")
    seen = []

    def decode(packets):
        for packet in packets:
            for frame in decoder.decode(packet):
                seen.append(strip_clock.read(frame.reformat(size[0] // 2, size[1] // 2, "rgb24").to_ndarray()))

    for n in range(50):
        rgb = noise(n // 10, size[::-1], 60, 180)
        strip_clock.burn(rgb, n * 7919)
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame.pts = n
        decode(encoder.encode(frame))
    decode(encoder.encode(None))
    decode([None])
    right = [n * 7919 for n in range(50)]
    assert len(seen) == 50 and sum(a == b for a, b in zip(seen, right, strict=True)) >= 45
    assert all(a is None or a == b for a, b in zip(seen, right, strict=True)), "none rather than a wrong one"


def looks(pictures, every=0.2):
    health = PictureHealth()
    return health, [news for n, rgb in enumerate(pictures) for news in health.look(rgb, n * every)]


def test_a_noisy_still_scene_is_well():
    base = noise(0, low=30, high=220).astype(int)
    pictures = [
        np.clip(base + np.random.default_rng(n).integers(-3, 4, base.shape), 0, 255).astype(np.uint8) for n in range(200)
    ]
    health, news = looks(pictures)
    assert news == [] and health.fit(40)


def test_frozen_is_told_when_it_begins_and_ends():
    frozen = int(FROZEN_S / 0.2)
    pictures = [noise(n) for n in range(10)] + [noise(0)] * (frozen + 20) + [noise(n) for n in range(10)]
    health, news = looks(pictures)
    news = [one for one in news if one.kind != "jump"]
    assert [(one.kind, one.began) for one in news] == [("frozen", True), ("frozen", False)]
    assert news[0].second == pytest.approx(10 * 0.2 + FROZEN_S, abs=0.3) and health.wrong == {}


def test_covered_is_told_and_not_scored():
    pictures = [noise(n) for n in range(10)] + [noise(n, low=5, high=12) for n in range(30)]
    health, news = looks(pictures)
    assert [one.kind for one in news] == ["jump", "covered"] and not health.fit(8)
    assert news[1].second == pytest.approx(2 + COVERED_S, abs=0.5)


def test_infrared_and_flicker_are_one_jump():
    """Row 23."""
    day, night = noise(0, low=120, high=220), noise(1, low=20, high=90)
    pictures = [day] * 20 + [night] * 20 + [day, night] * 10 + [night] * 20
    health, news = looks(pictures)
    assert [one.kind for one in news] == ["jump", "jump"], "the switch, and the flicker as one"
    assert not health.fit(8) and health.fit(15)


def test_one_moving_thing_is_no_jump():
    pictures = []
    for n in range(40):
        rgb = noise(0, low=60, high=120)
        rgb[20:100, n * 3 : n * 3 + 50] = 255  # a third of the picture
        pictures.append(rgb)
    assert looks(pictures)[1] == []


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=6), st.integers(1, 60), st.integers(1, 60))
@example([(0.0, 1.0)] * 3, 1, 1)
def test_blackouts_cover_the_same_share_at_any_size(polygon, width, height):
    blackouts = Blackouts([polygon])
    painted = blackouts.paint(np.full((height, width, 3), 255, np.uint8))
    for x, y in polygon:  # corners are inside, also those on the edge of the picture
        assert not painted[min(int(y * height), height - 1), min(int(x * width), width - 1)].any()
    turned = np.rot90(np.full((width, height, 3), 255, np.uint8))  # a view of something else's memory
    assert (blackouts.paint(turned) == painted).all()


def test_waits_grow_to_a_minute_and_stay_there():
    back_off = BackOff()
    waits = [back_off.failed() for _ in range(2000)]
    assert 0.5 <= waits[0] <= 1 and min(waits[6:]) >= 30 and max(waits) <= 60 and len(set(waits[6:])) > 1000
    back_off.worked()
    assert back_off.failed() <= 1
