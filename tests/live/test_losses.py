"""5 % of the packets lost, one in 500 spoiled, both ways: how many key pictures it takes until the picture is right again."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

pytest.importorskip("aiortc")
import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.rtp import RtpPacket
from lossy_way import LossyWay, through_a_lossy_way, without_candidates
from web_peers import Numbered, until

from aadc.live import strip_clock, whole_pictures
from aadc.live.broadcast import Encoder
from aadc.live.frames import InMemory
from aadc.live.webrtc import Peers

pytestmark = pytest.mark.usefixtures("on_loopback")

HEIGHT, WIDTH = 240, 320
_WAVES = (np.sin(np.arange(2 * WIDTH) / 11)[None] * np.cos(np.arange(HEIGHT) / 7)[:, None] * 90 + 128).astype(np.uint8)


def picture(number: int) -> np.ndarray:
    """Waves that go by, and the number on top: uint8 (H, W, 3)."""
    at = number * 3 % WIDTH
    rgb = np.repeat(_WAVES[:, at : at + WIDTH, None], 3, 2)
    strip_clock.burn(rgb, number)
    return rgb


class Waves(Numbered):
    """These, 30 a second."""

    draw = staticmethod(picture)


class Seen(InMemory):
    """Notes of each picture its number and how far it is from the one that was sent (mean over all pixels, of 255)."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[tuple[int | None, float]] = []

    def put(self, camera, frame, arrived_ns):
        rgb = frame.to_ndarray(format="rgb24")
        number = strip_clock.read(rgb)
        off = 255.0 if number is None else float(np.abs(rgb.astype(int) - picture(number)).mean())
        self.all.append((number, off))


async def publish(peers: Peers, track: Waves) -> tuple[RTCPeerConnection, LossyWay]:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver(track, "sendonly")
    await connection.setLocalDescription(await connection.createOffer())
    _, answer = await peers.publish("door", without_candidates(connection.localDescription.sdp))
    way, answer = through_a_lossy_way(answer, seed=1)
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return connection, way


@pytest.fixture
def keys(monkeypatch):
    """Numbers of the pictures that were sent as key pictures, those of the encoder of the test's own publisher."""
    sent = []
    packetize = Vp8Encoder._packetize.__func__

    def note(cls, buffer, picture_id):
        sent.append(not buffer[0] & 1)
        return packetize(cls, buffer, picture_id)

    monkeypatch.setattr(Vp8Encoder, "_packetize", classmethod(note))
    return lambda: [number for number, is_key in enumerate(sent, 1) if is_key]


@pytest.mark.parametrize("sends_again", [True, False])
def test_the_picture_is_right_again_within_two_key_pictures(keys, monkeypatch, sends_again):
    """Row 2: publishers that send lost packets again when asked (browsers), and such that do not. No wrong picture is ever
    handed on; once nothing is lost any more, the first or second key picture brings it back. Without `WholePictures` a
    publisher that does not send again stands still for good after its first loss, key pictures or not."""
    if not sends_again:

        async def never(self, sequence_number):
            """Its packets are gone."""

        monkeypatch.setattr(RTCRtpSender, "_retransmit", never)

    async def run():
        track, seen = Waves(), Seen()
        peers = Peers(seen)
        connection, way = await publish(peers, track)
        await until(lambda: len(seen.all) > 20)
        way.loss, way.spoiled = 0.05, 0.002
        begun = track.number
        await until(lambda: track.number > begun + 100, 60)
        way.loss = way.spoiled = 0.0
        clean_from, there = track.number + 1, len(seen.all)
        await until(lambda: track.number > clean_from + 70, 60)
        await connection.close()
        await peers.close()
        way.stop()
        assert way.lost >= 5
        numbers = [number for number, _ in seen.all]
        assert max(off for _, off in seen.all) < 8, "a wrong picture was handed on"
        assert all(a < b for a, b in zip(numbers, numbers[1:], strict=False))
        back = next(number for number in numbers[there:] if number >= clean_from)
        assert sum(clean_from <= key <= back for key in keys()) <= 2
        assert back - clean_from < 60, "in pictures, of which there are 30 a second"
        after = numbers[numbers.index(back) :]
        assert len(after) > 0.9 * (numbers[-1] - back)
        assert len(numbers) > (0.9 if sends_again else 0.4) * numbers[-1]

    asyncio.run(run())


class Shown(InMemory):
    """Waves that are shown, 20 a second."""

    async def run(self) -> None:
        self.number = 0
        while True:
            self.number += 1
            self.put("door", av.VideoFrame.from_ndarray(picture(self.number), "rgb24"), 0)
            await asyncio.sleep(0.05)


async def watched(peers: Peers, seen: Seen) -> tuple[RTCPeerConnection, LossyWay, asyncio.Task]:
    """A viewer behind a lossy way, who notes all pictures it is given."""
    connection, reading = RTCPeerConnection(RTCConfiguration(iceServers=[])), asyncio.get_running_loop().create_future()
    connection.addTransceiver("video", "recvonly")

    async def read(track) -> None:
        while True:
            seen.put("door", await track.recv(), 0)

    connection.on("track", lambda track: reading.set_result(asyncio.create_task(read(track))))
    await connection.setLocalDescription(await connection.createOffer())
    _, answer = await peers.view("door", without_candidates(connection.localDescription.sdp))
    way, answer = through_a_lossy_way(answer, seed=2)
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return connection, way, await reading


@pytest.mark.parametrize("sends_again", [True, False])
def test_a_viewers_picture_is_right_again_within_two_key_pictures(monkeypatch, sends_again):
    """Row 2 on the way out, where lost packets are sent again and where they are gone: what a viewer who shows whole pictures
    alone, as browsers do, is given is right, and is back with the first or second key picture after the last loss."""
    keys, encode = [], Encoder.encode

    def noted(self, rgb, now_s, key):
        packet = encode(self, rgb, now_s, key)
        if packet is not None and packet.is_keyframe:
            keys.append(strip_clock.read(rgb))
        return packet

    monkeypatch.setattr(Encoder, "encode", noted)
    if not sends_again:

        async def never(self, sequence_number):
            """Its packets are gone."""

        monkeypatch.setattr(RTCRtpSender, "_retransmit", never)

    async def run():
        frames, seen = Shown(), Seen()
        showing = asyncio.create_task(frames.run())
        peers = Peers(frames)
        connection, way, reading = await watched(peers, seen)
        await until(lambda: len(seen.all) > 15)
        way.loss, way.spoiled = 0.05, 0.002
        await until(lambda: way.lost > 25, 60)
        way.loss = way.spoiled = 0.0
        clean_from, there = frames.number + 1, len(seen.all)
        await until(lambda: frames.number > clean_from + 60 and (seen.all[-1][0] or 0) > clean_from + 50, 60)
        reading.cancel()
        showing.cancel()
        await connection.close()
        await peers.close()
        way.stop()
        numbers = [number for number, _ in seen.all]
        assert max(off for _, off in seen.all) < 8, "a wrong picture was shown"
        assert all(a < b for a, b in zip(numbers, numbers[1:], strict=False) if b is not None)
        back = next(number for number in numbers[there:] if number >= clean_from)
        assert sum(clean_from <= key <= back for key in keys) <= 2, (keys, clean_from, back)
        assert [number for number in numbers if number >= back][-1] > clean_from + 50

    asyncio.run(run())


def sent(kinds: list[tuple[bool, int]], vp8: bool, first: int) -> list[RtpPacket]:
    """Packets of pictures, each (is it a key, of how many packets), numbered from `first`; in each its picture's number."""
    packets = []
    for number, (key, parts) in enumerate(kinds):
        for part in range(parts):
            packet = RtpPacket(sequence_number=(first + len(packets)) % 2**16, timestamp=3000 * number)
            mark = f"|{number}.{part}/{parts}|".encode()
            if part:
                beginning = b"\x41" if vp8 or not key else b"\0\0\0\1\x65"  # a key may have slices of its own
            elif vp8:
                beginning = (b"\x10" if key else b"\x11") + b"\2\0" + (b"\x9d\x01\x2a" if key else b"___")
            else:
                beginning = b"\0\0\0\1\x67sps\0\0\1\x68pps\0\0\1\x65" if key else b"\0\0\0\1\x41"
            packet._data = beginning + mark
            packets.append(packet)
    return packets


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(st.tuples(st.booleans(), st.integers(1, 5)), min_size=3, max_size=40),
    vp8=st.booleans(),
    first=st.sampled_from([0, 1000, 2**16 - 20]),
    fates=st.randoms(use_true_random=False),
    loss=st.sampled_from([0.0, 0.05, 0.3]),
    step_s=st.sampled_from([0.001, 0.03, 0.2]),
)
def test_what_is_given_out_is_whole_and_follows_from_a_key(kinds, vp8, first, fates, loss, step_s):
    """Whatever is lost, late, twice or out of order. And two key pictures after the last loss all that follow are given out."""
    packets = sent(kinds, vp8, first)
    last = len(packets)
    way = []  # (when it arrives, packet)
    for at, packet in enumerate(packets):
        if fates.random() < loss:
            if fates.random() < 0.5:
                way.append((at + fates.choice([3.5, 30.5]), packet))  # sent again
        else:
            way += [(at + fates.choice([0, 0, 0, 1.2]), packet)] * fates.choice([1, 1, 1, 2])
    tail = [(True, 2), *[(False, 2)] * 40, (True, 2), *[(False, 3)] * 50]
    way += [(last + 40 + at, packet) for at, packet in enumerate(sent(kinds + tail, vp8, first)[last:])]
    buffer, given_out = whole_pictures.WholePictures(64, is_video=True), []
    with pytest.MonkeyPatch.context() as patch:
        now = [100.0]
        patch.setattr(whole_pictures.time, "monotonic", lambda: now[0])
        for _, packet in sorted(way, key=lambda one: one[0]):
            now[0] += step_s
            if (frame := buffer.add(packet)[1]) is not None:
                given_out.append(frame.data)
    numbers = []
    for data in given_out:
        marks = [mark for mark in data.split(b"|") if b"." in mark and b"/" in mark]
        number, parts = int(marks[0].split(b".")[0]), int(marks[0].split(b"/")[1])
        assert [mark.decode() for mark in marks] == [f"{number}.{part}/{parts}" for part in range(parts)]
        numbers.append(number)
    everything = kinds + tail
    assert all(a < b for a, b in zip(numbers, numbers[1:], strict=False))
    for before, number in zip([None, *numbers], numbers, strict=False):
        assert everything[number][0] or before == number - 1, "it refers to one that was not given out"
    assert numbers[-20:] == list(range(len(everything) - 21, len(everything) - 1))  # the last waits for the next to begin


def test_a_key_picture_is_asked_for_until_it_comes(monkeypatch):
    """Its question, or its packets, may be lost as well; and it is not asked for at every packet."""
    now = [0.0]
    monkeypatch.setattr(whole_pictures.time, "monotonic", lambda: now[0])
    buffer = whole_pictures.WholePictures(512, is_video=True)
    asked = []
    for at, packet in enumerate(sent([(True, 1), *[(False, 1)] * 199, (True, 1), (False, 1), (False, 1)], True, 0)):
        now[0] = at * 0.04
        if at == 10:
            continue
        asks, frame = buffer.add(packet)
        if asks:
            asked.append(at)
        assert (frame is not None) == (1 <= at < 10 or at > 200), at
    assert 20 < asked[0] < 26 and len(asked) > 10
    assert min(b - a for a, b in zip(asked, asked[1:], strict=False)) >= 12


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.one_of(st.integers(0, 2**16 - 1), st.integers(0, 90)), min_size=2, max_size=120), step_s=st.floats(0, 1)
)
def test_any_numbers_are_taken(numbers, step_s):
    """Packets of somebody who counts as they like: no error, and no walk longer than the buffer."""
    buffer, now = whole_pictures.WholePictures(64, is_video=True), [1.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_pictures.time, "monotonic", lambda: now[0])
        for number in numbers:
            now[0] += step_s
            (packet,) = sent([(True, 1)], True, number)
            packet.timestamp = number
            buffer.add(packet)
            assert (buffer._newest - buffer._origin) % 2**16 < 64 or not any(buffer._packets)
