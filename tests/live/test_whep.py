"""What viewers are sent, and what becomes of pictures nobody takes in time; without a server around it."""

import asyncio
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

pytest.importorskip("aiortc")
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from web_peers import Numbered, number_on, picture, until

from aadc.live.broadcast import Broadcast, Encoder, ViewerTrack
from aadc.live.frames import InMemory
from aadc.live.webrtc import Peers

pytestmark = pytest.mark.usefixtures("on_loopback")


def numbers_of(packets) -> list[int]:
    """Decoded from the first on, as by somebody who just came."""
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    return [number_on(frame.to_ndarray(format="rgb24")) for frame in frames]


def test_each_picture_is_one_packet_and_a_key_comes_every_second():
    encoder = Encoder()
    packets = [encoder.encode(picture(number), number / 25, key=number == 10) for number in range(1, 81)]
    assert all(packets) and numbers_of(packets) == list(range(1, 81))
    keys = [number for number, packet in enumerate(packets, 1) if packet.is_keyframe]
    assert keys[:2] == [1, 10] and all(b - a <= 25 for a, b in zip(keys, [*keys[1:], 81], strict=True))
    for key in keys:  # whoever begins there sees all from there on
        assert numbers_of(packets[key - 1 :]) == list(range(key, 81))
    assert all(a.pts < b.pts for a, b in zip(packets, packets[1:], strict=False))


def test_a_picture_of_another_size_begins_anew():
    encoder = Encoder()
    sizes = [(192, 240), (96, 120), (192, 240), (1080, 1920), (301, 333)]
    noise = np.random.default_rng(0)
    scenes = [noise.integers(0, 255, (*size, 3), np.uint8) for size in sizes]
    packets = [encoder.encode(scene, at / 25, key=False) for at, scene in enumerate(scenes)]
    assert all(packet.is_keyframe for packet in packets)
    frames = []
    for packet in packets:
        decoder = av.CodecContext.create("h264", "r")
        frames += [*decoder.decode(packet), *decoder.decode(None)]
    assert [(frame.height, frame.width) for frame in frames] == [(192, 240), (96, 120), (192, 240), (720, 1280), (300, 332)]
    assert all(packet.size < 600_000 for packet in packets), (
        "row 3: noise, the largest there is, fits a receiver's jitter buffer"
    )


def test_a_slow_viewer_loses_pictures_up_to_the_next_key():
    """Row 18: what waits for a viewer is bounded; what comes after a loss begins with a key picture and is whole."""

    async def run():
        encoder, track = Encoder(), ViewerTrack()
        track.give(encoder.encode(picture(1), 0.04, key=True))
        track.give(encoder.encode(picture(2), 0.08, key=False))
        assert numbers_of([await track.recv() for _ in range(2)]) == [1, 2]
        for number in range(3, 400):
            track.give(encoder.encode(picture(number), number / 25, key=False))
        assert track._packets.qsize() <= 50
        assert track.dropped + track._packets.qsize() == 397
        rest = [await track.recv() for _ in range(track._packets.qsize())]
        assert rest[0].is_keyframe
        last = numbers_of(rest)
        assert last[-1] == 399 and last == list(range(last[0], 400))

    asyncio.run(run())


def test_who_comes_late_sees_a_picture_that_stands_still():
    """And the encoder runs from the first viewer to the last."""

    async def run():
        from concurrent.futures import ThreadPoolExecutor

        frames = InMemory()
        frames.put("door", av.VideoFrame.from_ndarray(picture(7), "rgb24"), 0)
        threads = ThreadPoolExecutor(1)
        broadcast = Broadcast("door", frames, threads)
        assert broadcast.encoded == 0
        first = broadcast.join()
        assert numbers_of([await asyncio.wait_for(first.recv(), 5)]) == [7]
        late = broadcast.join()
        assert numbers_of([await asyncio.wait_for(late.recv(), 5)]) == [7]
        await broadcast.leave(first)
        assert broadcast.viewers == 1
        await broadcast.leave(late)
        encoded = broadcast.encoded
        await asyncio.sleep(1.2)
        assert broadcast.encoded == encoded
        threads.shutdown()

    asyncio.run(run())


class Slow(InMemory):
    """Takes a third of a second for each picture, and notes its number."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[tuple[int, int]] = []
        self.sent = lambda: 0
        self.fails = 0

    def put(self, camera, picture, arrived_ns):
        self.numbers.append((number_on(picture.to_ndarray(format="rgb24")), self.sent()))
        if len(self.numbers) == 3:
            self.fails += 1
            raise RuntimeError("once")
        time.sleep(0.33)


def own_threads() -> int:
    """How many there are beside those that the loop keeps for whatever it is asked next, as many as it once had need of."""
    return sum(not thread.name.startswith("asyncio_") for thread in threading.enumerate())


def test_a_slow_taker_keeps_one_picture():
    """Row 1: whatever is behind is behind by one picture, not by all that came; what was dropped is counted. Nor does an error
    of the taker's stop the reading."""

    async def run():
        frames = Slow()
        ended = []
        peers = Peers(frames, lambda peer, why: ended.append(why))
        before = own_threads()
        connection, track = RTCPeerConnection(RTCConfiguration(iceServers=[])), Numbered()
        frames.sent = lambda: track.number
        connection.addTransceiver(track, "sendonly")
        await connection.setLocalDescription(await connection.createOffer())
        peer, answer = await peers.publish("door", connection.localDescription.sdp)
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await until(lambda: len(frames.numbers) >= 12, 30)
        (told,) = peers.told()
        assert frames.fails == 1
        assert told["received"] > 3 * told["taken"] and told["dropped"] == told["received"] - told["taken"]
        ages = [sent - number for number, sent in frames.numbers]
        assert max(ages) < 20, ages  # in pictures; 100 and more went by
        (remote,) = peers._peers[peer].connection.getReceivers()
        assert remote.track._queue.qsize() <= 2
        await connection.close()
        await until(lambda: ended == ["the publisher stopped"] or ended == ["the connection closed"], 10)
        assert peers.told() == []
        await peers.close()
        await until(lambda: own_threads() <= before, 10)

    asyncio.run(run())


def test_what_never_connects_is_given_up(monkeypatch):
    monkeypatch.setattr("aadc.live.webrtc.CONNECT_S", 0.5)

    async def run():
        ended = []
        peers = Peers(InMemory(), lambda peer, why: ended.append(why))
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.addTransceiver("video", "recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        await peers.view("door", connection.localDescription.sdp)
        assert peers._broadcasts["door"].viewers == 1
        await connection.close()
        await until(lambda: ended, 10)
        assert peers.told() == [] and peers._broadcasts["door"].viewers == 0
        await peers.close()

    asyncio.run(run())


def test_no_server_is_asked_for_an_address(monkeypatch):
    """Row 17: aiortc's own list names a STUN server far away."""
    from aiortc.rtcicetransport import RTCIceGatherer

    async def run():
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.addTransceiver("video", "recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        monkeypatch.setattr(RTCIceGatherer, "getDefaultIceServers", lambda *_: pytest.fail("it would be asked"))
        peers = Peers(InMemory())
        await peers.view("door", connection.localDescription.sdp)
        await peers.close()
        await connection.close()

    asyncio.run(run())
