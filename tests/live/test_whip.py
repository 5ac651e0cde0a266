"""WebRTC in and out of a server as it runs, aiortc at the other end: rules of RFC 9725, hostile offers, losses, leaks."""

import asyncio
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import av
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

pytest.importorskip("aiortc")
import aioice.ice
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from waiting import wait_until
from web_peers import CELLS, Numbered, Publisher, Viewer, number_on, until
from web_server import CAMERAS, Server, threads_and_files

from aadc.live import tls
from aadc.live.offers import LARGEST, OfferError, Way, checked, finished

pytestmark = pytest.mark.usefixtures("on_loopback")


def listens_on(pid: int) -> set[str]:
    """Addresses of a process's UDP sockets."""
    links = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = set()
    for table in ("udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if f"socket:[{words[9]}]" in links:
                found.add(".".join(str(byte) for byte in bytes.fromhex(words[1].split(":")[0])[::-1]))
    return found


def connections(server: Server) -> list[dict]:
    return server.admin.get("/api/connections").json()


def some_offer(way: Way = Way.IN) -> str:
    async def make():
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        if way is Way.IN:
            connection.addTransceiver(Numbered(), "sendonly")
        else:
            connection.addTransceiver("video", "recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        sdp = connection.localDescription.sdp
        await connection.close()
        return sdp

    return asyncio.run(make())


def test_a_camera_of_any_name_is_published_to(server):
    """What the answer leads to is an address, whatever signs the name has."""
    posted = f"/whip/{quote(CAMERAS[1])}"
    answer = server.admin.post(posted, content=some_offer(), headers={"Content-Type": "application/sdp"})
    assert answer.status_code == 201, answer.text
    assert re.fullmatch(rf"{re.escape(posted)}/[\w-]{{32}}", answer.headers["location"])
    assert server.admin.delete(answer.headers["location"]).status_code == 200


def test_what_aiortc_finds_missing_is_told_and_no_fault_of_ours(server):
    """A publisher's mistake is not a traceback in the log (which the fixture looks for)."""
    offer = some_offer().replace("a=rtcp-mux\r\n", "")
    answer = server.admin.post("/whip/door", content=offer, headers={"Content-Type": "application/sdp"})
    assert answer.status_code == 422 and "RTCP mux" in answer.json()["title"]


def test_viewers_never_keep_a_camera_out():
    """Places are counted for who looks: there is one publisher a camera, and a camera that lost its connection comes back."""
    from aadc.live.frames import InMemory
    from aadc.live.webrtc import BusyError, Peers

    async def run():
        peers = Peers(InMemory(), most=2)
        for _ in range(2):
            await peers.view("door", await asyncio.to_thread(some_offer, Way.OUT))
        with pytest.raises(BusyError, match="2 look"):
            await peers.view("yard", await asyncio.to_thread(some_offer, Way.OUT))
        for camera in ("door", "yard", "gate"):
            await peers.publish(camera, await asyncio.to_thread(some_offer))
        assert len(peers.told()) == 5
        await peers.close()

    asyncio.run(run())


def test_in_and_out_and_nothing_left(server):
    """Pictures pass in order, one encoder for two viewers, none after; DELETE frees the camera; the log says who."""

    async def run():
        publisher, viewers = Publisher(server), [Viewer(server), Viewer(server)]
        answer = await publisher.start()
        assert answer.status_code == 201 and answer.headers["content-type"] == "application/sdp"
        assert re.fullmatch(r"/whip/door/[\w-]{32}", publisher.where)
        prints = re.findall(r"a=fingerprint:(\S+) ", answer.text)
        assert prints == ["sha-256"], "libdatachannel refuses others where it is slow"
        assert "a=recvonly" in answer.text and "b=AS:2500" in answer.text and "stun" not in answer.text
        assert {line.split()[4] for line in answer.text.splitlines() if line.startswith("a=candidate")} == {"127.0.0.1"}
        assert listens_on(server.media_process()) == {"127.0.0.1"}
        for viewer in viewers:
            await viewer.start()
        await until(lambda: all(len(viewer.seen) > 40 for viewer in viewers))
        for viewer in viewers:
            assert all(a < b for a, b in zip(viewer.seen, viewer.seen[1:], strict=False)), viewer.seen
            assert viewer.seen[-1] - viewer.seen[20] < 4 * (len(viewer.seen) - 20)  # hardly any is left out
        second = Publisher(server)
        assert (await second.start()).status_code == 409
        await second.stop()
        there = await asyncio.to_thread(connections, server)
        assert sorted(one["way"] for one in there) == ["in", "out", "out"]
        assert next(one["size"] for one in there if one["way"] == "in") == [CELLS * 20, CELLS * 16]
        metrics = await asyncio.to_thread(lambda: server.admin.get("/metrics").text)
        assert "aadc_encoders 1.0" in metrics and 'aadc_webrtc_connections{camera="door",way="out"} 2.0' in metrics
        stranger = httpx.AsyncClient(
            base_url=server.url, headers={"Authorization": f"Bearer {server.token('publish', CAMERAS[1])}"}
        )
        assert (await stranger.delete(publisher.where)).status_code == 404
        await stranger.aclose()
        assert (await viewers[0].http.delete(publisher.where.replace("whip", "whep"))).status_code == 404
        for one in (*viewers, publisher):
            assert (await one.http.delete(one.where)).status_code == 200
            assert (await one.http.delete(one.where)).status_code == 404
        assert await asyncio.to_thread(connections, server) == []
        assert "aadc_encoders 0.0" in await asyncio.to_thread(lambda: server.admin.get("/metrics").text)
        picture = await asyncio.to_thread(lambda: server.admin.get("/api/cameras/door/snapshot.jpg"))
        assert picture.headers["content-type"] == "image/jpeg"
        rgb = av.open(__import__("io").BytesIO(picture.content)).decode(video=0).__next__().to_ndarray(format="rgb24")
        assert number_on(rgb) >= viewers[0].seen[-1]
        for one in (*viewers, publisher):
            await one.stop()
        what = [entry["what"] for entry in server.admin.get("/api/log").json()]
        assert what.count("watch") >= 3 and "publish" in what

    asyncio.run(run())


def test_the_rules_of_whip(server):
    """RFC 9725, by verb and header."""
    offer = some_offer()
    token = {"Authorization": f"Bearer {server.token('publish')}", "Content-Type": "application/sdp"}
    with httpx.Client(base_url=server.url, headers=token) as http:
        for way, sdp in (("application/json", offer), ("text/plain", offer), ("application/trickle-ice-sdpfrag", offer)):
            refused = http.post("/whip/door", content=sdp, headers={"Content-Type": way})
            assert refused.status_code == 415 and refused.headers["accept-post"] == "application/sdp"
        assert (
            http.post("/whip/door", content=offer, headers={"Content-Type": "Application/SDP; charset=utf-8"}).status_code
            == 201
        )
        where = connections(server)[0]["peer"]
        for method in ("PATCH", "GET", "POST", "PUT"):
            refused = http.request(method, f"/whip/door/{where}")
            assert refused.status_code == 405 and "DELETE" in refused.headers["allow"]
        assert http.delete(f"/whip/door/{where}", headers={"If-Match": '"stale"'}).status_code == 200
        for method in ("GET", "HEAD", "PUT"):
            answer = http.request(method, "/whip/door")
            assert answer.status_code == 204 and not answer.content
        answer = httpx.options(f"{server.url}/whip/door")
        assert answer.status_code == 204 and answer.headers["accept-post"] == "application/sdp"
        assert "access-control-allow-origin" not in answer.headers
        assert http.post("/whip/none", content=offer).status_code == 404
        assert http.post("/whip/door", content=offer.replace("a=sendonly", "a=recvonly")).status_code == 422
        assert http.post("/whip/door", content=offer.replace("a=sendonly", "a=inactive")).status_code == 422
        assert http.post("/whip/door", content=b"\xff\xfe" + offer.encode()).status_code == 400
        assert http.post("/whip/door", content="v=0\r\n" + "a=x\r\n" * 3000).status_code == 400
        assert http.post("/whip/door", content="v=0\r\n" + "a" * 70_000).status_code == 413
        for left_out in ("a=ice-ufrag", "a=fingerprint", "a=setup"):
            spoiled = "".join(line for line in offer.splitlines(True) if not line.startswith(left_out))
            assert http.post("/whip/door", content=spoiled).status_code == 400, left_out
        assert "title" in http.post("/whip/door", content="hello").json()
    assert connections(server) == []


def test_pages_of_other_sites_only_where_they_are_named(tmp_path):
    far = "https://studio.example"
    server = Server(tmp_path, far_origins=(far,))
    try:
        asked = {"Origin": far, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        answer = httpx.options(f"{server.url}/whip/door", headers=asked)
        assert answer.status_code == 204 and answer.headers["access-control-allow-origin"] == far
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in answer.headers
        made = httpx.post(
            f"{server.url}/whip/door", content=some_offer(),
            headers={"Authorization": f"Bearer {server.token('publish')}", "Content-Type": "application/sdp", "Origin": far},
        )  # fmt: skip
        assert made.status_code == 201 and "Location" in made.headers["access-control-expose-headers"]
        other = httpx.options(f"{server.url}/whip/door", headers={**asked, "Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
    finally:
        assert server.stop() == 0


def test_a_right_that_ends_ends_its_connections(server):
    """A token taken back, a session ended, a camera taken away: within seconds nothing is sent or seen any more."""

    async def run():
        publisher, viewer = Publisher(server), Viewer(server)
        await publisher.start()
        await viewer.start()
        await until(lambda: len(viewer.seen) > 5)
        for token in server.admin.get("/api/tokens").json():
            server.admin.delete(f"/api/tokens/{token['id']}")
        await asyncio.to_thread(lambda: asyncio.run(until(lambda: connections(server) == [])))
        await until(lambda: viewer.reading.done())
        assert (await publisher.http.delete(publisher.where)).status_code == 401
        await viewer.stop()
        await publisher.stop()

    asyncio.run(run())


def test_single_pictures_over_http_end_with_the_session(server):
    async def run():
        publisher = Publisher(server)
        await publisher.start()
        await until(lambda: publisher.track.number > 20)
        server.admin.post(
            "/api/users", json={"name": "ann", "role": "viewer", "password": "long enough 1", "cameras": ["door"]}
        )
        ann = server.client("ann", "long enough 1")
        assert ann.get("/api/cameras/yard/mjpeg").status_code == 404

        def read() -> int:
            with ann.stream("GET", "/api/cameras/door/mjpeg") as stream:
                assert stream.headers["content-type"].startswith("multipart/x-mixed-replace")
                data = b""
                for part in stream.iter_bytes():
                    data += part
                    if data.count(b"\xff\xd9") == 8:
                        server.admin.patch("/api/users/ann", json={"role": "viewer", "cameras": []})
            return data.count(b"Content-Type: image/jpeg")

        assert 8 <= await asyncio.to_thread(read) < 80
        await publisher.http.delete(publisher.where)
        await publisher.stop()
        ann.close()

    asyncio.run(run())


def test_what_is_killed_comes_back(tmp_path):
    """The media process killed: within 5 s another answers, and the camera is free. SIGTERM with live streams: over in 5 s."""
    server = Server(tmp_path)

    async def run():
        publisher = Publisher(server)
        await publisher.start()
        await until(lambda: publisher.track.number > 10)
        killed = server.media_process()
        os.kill(killed, signal.SIGKILL)
        begun = time.monotonic()
        again = Publisher(server)
        offer = None
        while time.monotonic() - begun < 5:
            answer = await again.start() if offer is None else await again.post(offer)
            offer = again.connection.localDescription.sdp
            if answer.status_code == 201:
                break
            assert answer.status_code == 503 and answer.headers["retry-after"]
            await asyncio.sleep(0.1)
        assert answer.status_code == 201
        assert server.media_process() != killed
        viewer = Viewer(server)
        await viewer.start()
        await asyncio.sleep(0.5)
        media = server.media_process()
        begun = time.monotonic()
        assert await asyncio.to_thread(server.stop) == 0
        assert time.monotonic() - begun < 5
        assert not Path(f"/proc/{media}").exists()
        for one in (publisher, again, viewer):
            await one.stop()

    asyncio.run(run())


def test_a_media_process_that_hangs_is_replaced(monkeypatch):
    """One that was up, and the next one before it is; a no to what is asked is no hanging."""
    from aadc.live import media

    def be_impatient(ready_s: float, answer_s: float) -> None:
        monkeypatch.setattr(media, "_READY_WITHIN_S", ready_s)
        monkeypatch.setattr(media, "_PATIENCE_S", answer_s)

    monkeypatch.setattr(media, "_LOOKS_EVERY_S", 0.1)
    asked = media.Media._answered
    monkeypatch.setattr(media.Media, "_answered", lambda self, do, what: asked(self, "what nobody knows", what))

    async def run():
        kept = media.Media(media.MediaSettings())
        await kept.start()
        there = kept.pid
        await asyncio.sleep(0.5)
        with pytest.raises(media.MediaError, match="is not known"):
            await kept.ask("status")
        assert (kept.pid, kept.starts) == (there, 1)
        be_impatient(2.0, 2.0)
        os.kill(there, signal.SIGSTOP)
        await until(lambda: kept.starts >= 2 and kept.pid, 60)
        os.kill(kept.pid, signal.SIGSTOP)
        await until(lambda: kept.starts >= 3, 60)
        be_impatient(60.0, 15.0)
        await until(lambda: kept.pid and kept._up.is_set(), 120)
        monkeypatch.setattr(media.Media, "_answered", asked)
        assert (await kept.ask("status"))["peers"] == []
        await kept.stop()

    asyncio.run(run())


def test_the_media_process_does_not_outlive_the_server(tmp_path):
    server = Server(tmp_path)
    media = server.media_process()
    server.process.kill()
    server.process.wait()
    wait_until(lambda: not Path(f"/proc/{media}").exists(), 10)
    server.out.close()


def test_connects_and_kills_leave_nothing(server):
    """Row 4: of 24 publishers and viewers some never connect, some go, some are told to (DELETE) and stay all the same: threads
    and files are as before."""
    http: httpx.AsyncClient
    staying: list[RTCPeerConnection] = []

    async def one(number: int) -> None:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        publishes = number % 8 == 1
        if publishes:
            connection.addTransceiver(Numbered(), "sendonly")
        else:
            connection.addTransceiver("video", "recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        http.headers["Authorization"] = f"Bearer {tokens['publish' if publishes else 'watch']}"
        answer = await http.post(f"/{'whip' if publishes else 'whep'}/door", content=connection.localDescription.sdp)
        assert answer.status_code == 201, answer.text
        if number % 2:
            await connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
            await until(lambda: connection.connectionState == "connected")
        if number % 4 == 1:
            await asyncio.sleep(0.2)
            assert (await http.delete(answer.headers["location"])).status_code == 200
            staying.append(connection)
        else:
            await connection.close()

    async def run():
        nonlocal http
        http = httpx.AsyncClient(base_url=server.url, headers={"Content-Type": "application/sdp"}, timeout=30)
        await until_async(lambda: connections(server) == [])
        before = threads_and_files(media)
        for number in range(24):
            await one(number)
        await http.aclose()
        await until_async(lambda: connections(server) == [], 30)
        await until_async(lambda: threads_and_files(media) <= (before[0] + 4, before[1]), 10)  # + the pool's four
        for connection in staying:
            await connection.close()

    tokens = {use: server.token(use) for use in ("publish", "watch")}
    media = server.media_process()
    asyncio.run(run())


async def until_async(true, within_s: float = 20.0) -> None:
    """As `until`, for what blocks."""
    end = time.monotonic() + within_s
    while not await asyncio.to_thread(true):
        assert time.monotonic() < end, "it did not come true"
        await asyncio.sleep(0.2)


class Relay:
    """A UDP path that loses and spoils packets, always the same ones of a seed; both ends send to it."""

    def __init__(self, loss: float, spoiled: float, seed: int = 0) -> None:
        self.loss, self.spoiled = loss, spoiled
        self.random = random.Random(seed)
        self.lost = 0

    async def start(self, port: int) -> int:
        """Stand before a port; gives the port to send to instead."""
        loop = asyncio.get_running_loop()
        near: list = []

        class Back(asyncio.DatagramProtocol):
            def datagram_received(_, data, address):  # noqa: N805
                near[0].sendto(data, self.client)

        class In(asyncio.DatagramProtocol):
            def connection_made(_, transport):  # noqa: N805
                near.append(transport)

            def datagram_received(_, data, address):  # noqa: N805
                self.client = address
                if 128 <= data[0] < 192:  # RTP, RTCP (RFC 7983); ICE and DTLS pass
                    if self.random.random() < self.loss:
                        self.lost += 1
                        return
                    if self.random.random() < self.spoiled:
                        at = self.random.randrange(12, len(data))
                        data = data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]
                self.far.sendto(data)

        self.far, _ = await loop.create_datagram_endpoint(Back, remote_addr=("127.0.0.1", port))
        self.near, _ = await loop.create_datagram_endpoint(In, local_addr=("127.0.0.1", 0))
        return self.near.get_extra_info("sockname")[1]

    def stop(self) -> None:
        self.near.close()
        self.far.close()


def test_losses_and_spoiled_packets(server):
    """Row 2: 5 % lost, 1 in 500 spoiled. The decoder lives, pictures go on, and once nothing is lost they are right again."""

    async def run():
        relay = Relay(0.05, 0.002)
        publisher, viewer = Publisher(server), Viewer(server)
        publisher.connection.addTransceiver(publisher.track, "sendonly")
        await publisher.connection.setLocalDescription(await publisher.connection.createOffer())
        sdp = publisher.connection.localDescription.sdp
        without = "".join(line for line in sdp.splitlines(True) if not line.startswith("a=candidate"))
        answer = (await publisher.post(without)).text
        port = int(re.search(r"a=candidate:\S+ 1 udp \d+ 127.0.0.1 (\d+)", answer).group(1))
        through = await relay.start(port)
        answer = re.sub(rf"127\.0\.0\.1 {port} ", f"127.0.0.1 {through} ", answer)
        await publisher.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await viewer.start()
        await until(lambda: publisher.track.number > 150, 30)
        status = next(one for one in await asyncio.to_thread(connections, server) if one["way"] == "in")
        assert relay.lost > 5
        assert status["received"] > 60, status
        relay.loss = relay.spoiled = 0.0
        clean_from = publisher.track.number
        await until(lambda: viewer.seen and viewer.seen[-1] > clean_from + 60, 20)
        tail = [number for number in viewer.seen if number > clean_from + 30][-20:]
        assert all(a < b for a, b in zip(tail, tail[1:], strict=False))
        for one in (viewer, publisher):
            await one.stop()
        relay.stop()

    asyncio.run(run())


def test_sound_is_never_opened(server):
    """An offer with sound (OBS has always) is taken, its sound answered as inactive."""

    async def run():
        from aiortc.mediastreams import AudioStreamTrack

        publisher = Publisher(server)
        publisher.connection.addTransceiver(AudioStreamTrack(), "sendonly")
        answer = await publisher.start()
        assert answer.status_code == 201
        audio = answer.text.split("m=audio")[1].split("m=video")[0]
        assert "a=inactive" in audio and "a=recvonly" in answer.text.split("m=video")[1]
        await until(lambda: publisher.track.number > 20)
        (there,) = await asyncio.to_thread(connections, server)
        assert there["received"] > 3
        await publisher.http.delete(publisher.where)
        await publisher.stop()

    asyncio.run(run())


# Offers and answers, as text


@pytest.fixture(scope="module")
def offer():
    original = aioice.ice.get_host_addresses
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    yield some_offer()
    aioice.ice.get_host_addresses = original


def test_no_name_is_looked_up_and_few_addresses_are_sent_to(offer):
    line = next(line for line in offer.splitlines() if line.startswith("a=candidate"))
    words = line.split()

    def with_address(address: str, transport: str = "udp") -> str:
        return " ".join([*words[:2], transport, words[3], address, *words[5:]])

    far = ["abc.local", "evil.example", "224.0.0.251", "0.0.0.0", "::", "ff02::1", "255.255.255.255", "10.0.0.256", "127.1"]
    many = [with_address(f"10.0.0.{number}") for number in range(1, 200)]
    text = offer.replace(line, "\r\n".join([*map(with_address, far), with_address("10.9.9.9", "tcp"), *many]))
    kept = [line.split()[4] for line in checked(text, Way.IN).text.splitlines() if line.startswith("a=candidate")]
    assert kept == [f"10.0.0.{number}" for number in range(1, 17)]


@pytest.mark.parametrize(
    "spoil,malformed",
    [
        (lambda text: text + text[text.index("m=video") :].replace("a=mid:0", "a=mid:1"), False),
        (lambda text: text + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n", False),
        (lambda text: text.replace("a=mid:0", "a=mid:<script>"), True),
        (lambda text: text.replace("VP8", "AV1").replace("H264", "H265"), False),
        (lambda text: text.replace("sha-256", "md5"), False),
        (lambda text: text.replace("v=0", "v=0\x00"), True),
        (lambda text: re.sub("m=video [0-9]+", "m=video ninety", text), True),
        (lambda text: text.replace("a=rtpmap:97", "a=rtpmap:x"), True),
        (lambda text: text.replace("a=setup:actpass", "a=setup:nobody"), True),
        (lambda text: re.sub("a=mid:.*", "a=mid", text), True),
        (lambda text: "v=0\r\n" + "a=x:" + "y" * LARGEST, True),
        (lambda text: "", True),
    ],
)
def test_what_is_not_taken(offer, spoil, malformed):
    spoiled = spoil(offer)
    assert spoiled != offer
    with pytest.raises(OfferError) as refused:
        checked(spoiled, Way.IN)
    assert refused.value.malformed == malformed
    assert "\n" not in str(refused.value)


def test_a_viewer_without_h264_is_told(offer):
    viewer = some_offer(Way.OUT)
    assert checked(viewer, Way.OUT)
    with pytest.raises(OfferError, match="H.264"):
        checked(viewer.replace("H264", "VP9"), Way.OUT)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_text_is_refused_or_taken(offer, data):
    """Lines left out, doubled, cut and filled with other words: an `OfferError` or an offer, never another error."""
    lines = offer.split("\r\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        how = data.draw(st.sampled_from(["out", "twice", "cut", "word", "text"]))
        line = lines[at]
        if how == "out":
            lines[at] = ""
        elif how == "twice":
            lines.insert(at, line)
        elif how == "cut":
            lines[at] = line[: data.draw(st.integers(0, len(line)))]
        elif how == "word":
            words = line.split(" ")
            words[data.draw(st.integers(0, len(words) - 1))] = data.draw(
                st.sampled_from(["", "-1", "99999999999999999999", "\u0663", "%s", "0"])
            )
            lines[at] = " ".join(words)
        else:
            lines[at] = line.partition(":")[0] + ":" + data.draw(st.text(max_size=20))
    with contextlib.suppress(OfferError):
        checked("\r\n".join(lines), Way.IN)


def test_an_answer_names_the_public_address():
    answer = (
        "v=0\r\nm=video 1 UDP/TLS/RTP/SAVPF 97\r\nc=IN IP4 10.0.0.5\r\na=candidate:1 1 udp 21 10.0.0.5 40000 typ host\r\n"
        "a=candidate:2 1 udp 20 fd00::2 40001 typ host\r\na=mid:0\r\n"
    )
    lines = finished(answer, 1500, "203.0.113.7").splitlines()
    assert [line for line in lines if line.startswith("a=candidate")] == ["a=candidate:1 1 udp 21 203.0.113.7 40000 typ host"]
    assert lines[3:5] == ["b=AS:1500", "b=TIAS:1500000"]


FFMPEG = """
import sys, time; from fractions import Fraction
import av, numpy as np
url, token, certificate, key = sys.argv[1:]
options = {"authorization": token, "cert_file": certificate, "key_file": key}
with av.open(url, "w", format="whip", options=options) as out:
    stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"})
    stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
    for number in range(75):
        frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), number, np.uint8), "rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        out.mux(stream.encode(frame))
        time.sleep(0.04)
"""


def test_ffmpeg_publishes_with_a_certificate_of_its_own(server, tmp_path):
    """FFmpeg makes itself one on P-224 (GnuTLS), which OpenSSL refuses as "wrong curve"; one that is given passes."""
    certificate, key = tls.certificate(tmp_path, [])
    arguments = [sys.executable, "-c", FFMPEG, f"{server.url}/whip/door", server.token("publish"), certificate, key]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as ffmpeg:
        most = 0
        end = time.monotonic() + 60
        while ffmpeg.poll() is None and time.monotonic() < end:
            most = max([most, *(one["received"] for one in connections(server))])
            time.sleep(0.1)
        assert ffmpeg.wait(1) == 0, ffmpeg.stderr.read()
    assert most > 40
    assert connections(server) == []  # it said DELETE
