"""Sources of each kind, from servers that are as bad as they can be: what is read, what is refused, and the words for it."""

import errno
import os
import socket
import ssl
import sys
import threading
import time
from pathlib import Path

import av
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from http_camera import HttpCamera, answers, coded, goes_on, leads_to, multipart, never
from rtsp import RtspServer, clock_video
from waiting import wait_until

from aadc.live import strip_clock, tls
from aadc.live.capture import Capture, CaptureJob
from aadc.live.frame_slot import FrameSlot
from aadc.live.read_config import read_config
from aadc.live.source_trouble import source_trouble
from aadc.live.sources import SOURCE_ERRORS, open_source
from aadc.manifests.errors import UserError

PASSWORD = "hunter2-x"
USER_INFO = f"admin:{PASSWORD}@"


@pytest.fixture(scope="module")
def films():
    fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    return {"ts": coded("mpegts", 4), "mp4": coded("mp4", 4, fragments), "short": coded("mpegts", 1)}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Two of cameras, self-made, for 127.0.0.1; one for another name."""
    made = {}
    for name, host in (("ours", "127.0.0.1"), ("other", "127.0.0.1"), ("named", "camera.lan")):
        made[name] = tls.certificate(tmp_path_factory.mktemp(name), [host])
    return made


@pytest.fixture(autouse=True)
def quiet():
    av.logging.set_level(None)  # as the process that reads cameras does


def read(source: str, kind: str = "url", most: int = 30, **trust: str) -> tuple[list[int | None], str]:
    """Numbers on the first pictures, and what is said where it ends early."""
    numbers: list[int | None] = []
    try:
        with open_source(source, kind, **trust) as (container, stream):
            for frame in container.decode(stream):
                numbers.append(strip_clock.read(frame.to_ndarray(format="rgb24")))
                if len(numbers) == most:
                    break
    except SOURCE_ERRORS as error:
        return numbers, source_trouble(error, source, kind, **trust)
    return numbers, ""


@pytest.mark.parametrize("way", ["/mjpeg", "/ts", "/mp4", "/moved", "/asks"])
def test_streams_over_http_are_read(films, way):
    """Endless ones of three kinds, one behind a redirect to another host, one that asks for user and password."""

    def asks(request):
        if request.headers.get("Authorization") == "Basic YWRtaW46aHVudGVyMi14":
            return goes_on("video/mp2t", films["ts"], 4)(request)
        return answers("text/plain", b"", 401, **{"WWW-Authenticate": 'Basic realm="camera"'})(request)

    other = HttpCamera({"/x": goes_on("video/mp2t", films["ts"], 4)})
    ways = {
        "/mjpeg": multipart,
        "/ts": goes_on("video/mp2t", films["ts"], 4),
        "/mp4": goes_on("video/mp4", films["mp4"], 4),
        "/moved": leads_to(other.url("/x", host="localhost")),
        "/asks": asks,
    }
    camera = HttpCamera(ways)
    numbers, said = read(camera.url(way, USER_INFO))
    assert said == "" and len(numbers) == 30 and numbers == list(range(numbers[0], numbers[0] + 30))
    camera.close()
    other.close()


def test_what_a_stream_leads_to(films, tmp_path, certificates):
    """No file of this machine by a redirect, playlist, key, script or description, whatever it is; no password to another
    host, though it asks for one; no end without a word for it."""
    secret = tmp_path / "secret.ts"
    secret.write_bytes(films["short"])

    def playlist(part: str, key: str = "") -> object:
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", key, "#EXTINF:1.0,", part, "#EXT-X-ENDLIST", ""]
        return answers("application/vnd.apple.mpegurl", "\n".join(line for line in lines if line or line == "").encode())

    asks = answers("text/plain", b"", 401, **{"WWW-Authenticate": 'Basic realm="x"'})
    other = HttpCamera({"/asks": asks, "/x.ts": answers("video/mp2t", films["short"])})
    unknown = HttpCamera({"/x.ts": answers("video/mp2t", films["short"])}, certificates["other"])
    sdp = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5555 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    ways = {
        "/file": leads_to(f"file://{secret}"),
        "/plain": leads_to(str(secret)),
        "/file.m3u8": playlist(f"file://{secret}"),
        "/passwd.m3u8": playlist("file:///etc/passwd"),
        "/plain.m3u8": playlist(str(secret)),
        "/key.m3u8": playlist("/short.ts", f'#EXT-X-KEY:METHOD=AES-128,URI="file://{secret}"'),
        "/far.m3u8": playlist(unknown.url("/x.ts")),
        "/ok.m3u8": playlist("/short.ts"),
        "/concat": answers("text/plain", f"ffconcat version 1.0\nfile '{secret}'\n".encode()),
        "/sdp": answers("application/sdp", sdp),
        "/far": leads_to(unknown.url("/x.ts")),
        "/round": leads_to("/round"),
        "/thief": leads_to(other.url("/asks")),
        "/page": answers("text/html", b"<html>log in</html>" * 99),
        "/nothing": answers("video/mp2t", b""),
        "/503": answers("text/plain", b"", 503),
        "/short.ts": answers("video/mp2t", films["short"]),
    }
    camera = HttpCamera(ways)
    for way in [*ways, "/none"]:
        numbers, said = read(camera.url(way, USER_INFO))
        if way == "/short.ts":
            assert len(numbers) == 25
            continue
        assert numbers == [] and said, way
        assert PASSWORD not in said and "Errno" not in said and "\n" not in said and str(secret) not in said, said
        if way in ("/file.m3u8", "/ok.m3u8", "/concat"):
            assert "no playlists" in said
    assert "nothing at this path" in read(camera.url("/none"))[1]
    assert "does not accept user and password" in read(camera.url("/thief", USER_INFO))[1]
    assert [path for path, _ in other.asked] and all("Authorization" not in headers for _, headers in other.asked)
    assert unknown.asked == [], "its certificate is known to nobody"
    for one in (camera, other, unknown):
        one.close()


def test_https_reads_what_it_can_trust(films, certificates):
    """FFmpeg by itself trusts whoever answers, and would tell them the password."""
    ways = {"/x": goes_on("video/mp2t", films["ts"], 4)}
    for name, trust, words in (
        ("ours", {}, "is not trusted (self-signed certificate)"),
        ("ours", {"certificate": "ours"}, ""),
        ("ours", {"certificate": "other"}, "is not trusted"),
        ("named", {"certificate": "named"}, "is for another name; write the name that is in it as certificate_name"),
        ("named", {"certificate": "named", "certificate_name": "camera.lan"}, ""),
    ):
        camera = HttpCamera(ways, certificates[name])
        given = {key: str(certificates[value][0]) if key == "certificate" else value for key, value in trust.items()}
        numbers, said = read(camera.url("/x", USER_INFO), most=10, **given)
        assert words in said if words else said == "", said
        assert len(numbers) == (0 if words else 10) and bool(camera.asked) == (not words)
        camera.close()
    back = HttpCamera(ways)
    camera = HttpCamera({"/x": leads_to(back.url("/x"))}, certificates["ours"])
    numbers, said = read(camera.url("/x"), certificate=str(certificates["ours"][0]))
    assert numbers == [] and said and back.asked == [], "what began with TLS goes on with it"
    assert "holds no certificate" in read(camera.url("/x"), certificate=__file__)[1]
    assert "no TLS" in read(back.url("/x").replace("http:", "https:"))[1]
    camera.close()
    back.close()


class TlsDoor:
    """TLS before a port that speaks without."""

    def __init__(self, to_port: int, certificate: tuple[Path, Path]) -> None:
        self.heard = b""
        self._to_port, self._listening = to_port, socket.create_server(("127.0.0.1", 0))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            inside = self._context.wrap_socket(plain, server_side=True)
            far = socket.create_connection(("127.0.0.1", self._to_port))
        except OSError:
            plain.close()
            return
        threading.Thread(target=self._pass_on, args=(far, inside), daemon=True).start()
        self._pass_on(inside, far, hears=True)

    def _pass_on(self, one: socket.socket, other: socket.socket, hears: bool = False) -> None:
        try:
            while data := one.recv(65536):
                self.heard += data if hears else b""
                other.sendall(data.replace(b"rtsps://", b"rtsp://") if hears else data)
        except OSError:
            pass
        for end in (one, other):
            end.close()

    def close(self) -> None:
        self._listening.close()


def test_rtsps_reads_what_it_can_trust(tmp_path, certificates):
    """A real RTSP server behind TLS. To one that is not trusted not a word is said."""
    server = RtspServer(tmp_path)
    clock_video(tmp_path / "a.mp4", seconds=3)
    server.start()
    door = TlsDoor(server.port, certificates["ours"])
    address = f"rtsps://{USER_INFO}127.0.0.1:{door.port}/a.mp4?play_count=0"
    numbers, said = read(address)
    assert numbers == [] and "is not trusted (self-signed certificate)" in said and PASSWORD not in said
    assert door.heard == b""
    numbers, said = read(address, certificate=str(certificates["ours"][0]))
    assert said == "" and len(numbers) == 30 and None not in numbers and b"PLAY" in door.heard
    door.close()
    server.kill()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        assert "refused" in read(f"rtsps://127.0.0.1:{taken.getsockname()[1]}/x")[1].lower()


def test_streams_that_stop_or_hang_are_offline_and_come_back(films):
    """One that stops is told of at once, one that sends no more within seconds; then they are read again."""
    ways = {
        "/stops": goes_on("video/mp2t", films["ts"], 4, stops_after_s=1.5),
        "/hangs": goes_on("video/mp2t", films["ts"], 4, stops_after_s=1.5, then_silent=True),
        "/never": never,
    }
    camera = HttpCamera(ways)
    captures, workers = {}, []
    for way in ways:
        slot = _Noting()
        job = CaptureJob(
            name="a", source=camera.url(way, USER_INFO), kind="url", snippet_s=1, began_ns=time.monotonic_ns(), back_off=0.1
        )
        captures[way] = Capture(job, slot, slot), slot
        workers.append(threading.Thread(target=captures[way][0].run))
        workers[-1].start()
    slots = {way: slot for way, (_, slot) in captures.items()}
    wait_until(lambda: all(slots[way].states.count("online") > 0 for way in ("/stops", "/hangs")), 20)
    wait_until(lambda: all("offline" in slot.states for slot in slots.values()), 20)
    for way in ("/stops", "/hangs"):
        wait_until(lambda: "online" in slots[way].states[slots[way].states.index("offline") :], 20)  # noqa: B023
    assert "online" not in slots["/never"].states
    assert any("does not answer, or sends no more" in error for error in slots["/hangs"].errors)
    assert any("does not answer" in error for error in slots["/never"].errors)
    for capture, slot in captures.values():
        capture.stop()
        assert not any(PASSWORD in error or "Errno" in error for error in slot.errors)
    for worker in workers:
        worker.join(15)
    camera.close()


class _Noting(FrameSlot):
    """Notes which states it was told of, each once in a row."""

    def __init__(self):
        super().__init__(most_pixels=100_000)
        self.states, self.errors = [], set()

    def tell(self, status):
        super().tell(status)
        if status["state"] not in self.states[-1:]:
            self.states.append(status["state"])
        self.errors.add(status["error"])


def test_a_device_that_is_not_there_or_is_none(tmp_path):
    """There is no camera in a test; the words for each trouble, and what the kernel really says where it can be asked."""
    assert "is not there; plug the camera in" in read("/dev/video-none", "device")[1]
    assert "is no camera" in read("/dev/null", "device")[1]
    assert "is no camera" in read("/dev/zero", "device")[1]
    for number, words in ((errno.EACCES, "group video"), (errno.EBUSY, "in use by another program"), (errno.ENODEV, "is gone")):
        said = source_trouble(OSError(number, os.strerror(number)), "/dev/video0", "device")
        assert said.startswith("/dev/video0 ") and words in said
    shut = tmp_path / "video0"
    shut.touch(0o000)
    if os.getuid():  # root may read everything
        assert "group video" in read(str(shut), "device")[1]


def test_certificates_are_named_in_the_file(tmp_path):
    (tmp_path / "cameras.toml").write_text(
        'run = "r"\n[[camera]]\nname = "a"\nsource = "rtsps://h/x"\ncertificate = "a.pem"\ncertificate_name = "b"\n'
        '[[camera]]\nname = "c"\nsource = "rtsps://h/x"\n'
    )
    first, second = read_config(tmp_path / "cameras.toml").config.cameras
    assert first.trust == {"certificate": str((tmp_path / "a.pem").resolve()), "certificate_name": "b"}
    assert second.trust == {}
    text = (tmp_path / "cameras.toml").read_text().replace('"a.pem"', "false")
    (tmp_path / "cameras.toml").write_text(text)
    with pytest.raises(UserError, match="certificate"):
        read_config(tmp_path / "cameras.toml")
