"""Cameras that speak HTTP, each with a trick of its own; with TLS where a certificate is given."""

import io
import ssl
import threading
import time
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np

from aadc.live.strip_clock import MOST, burn, now_ms

SIZE, RATE = (320, 240), 25


def pictures(first: int, count: int):
    """Numbered ones over grey."""
    for number in range(first, first + count):
        rgb = np.full((SIZE[1], SIZE[0], 3), 100, np.uint8)
        burn(rgb, number)
        yield av.VideoFrame.from_ndarray(rgb, "rgb24")


def coded(form: str, seconds: float = 20.0, options: dict | None = None) -> bytes:
    """A film as MPEG-TS, fragmented MP4 and so on."""
    file = io.BytesIO()
    with av.open(file, "w", format=form, options=options or {}) as output:
        stream = output.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "bf": "0", "g": str(RATE)})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for frame in pictures(0, int(seconds * RATE)):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def jpegs(count: int = 2 * RATE) -> list[bytes]:
    """Single pictures."""
    coder = av.CodecContext.create("mjpeg", "w")
    coder.width, coder.height, coder.pix_fmt, coder.time_base = *SIZE, "yuvj420p", Fraction(1, RATE)
    return [bytes(coder.encode(frame.reformat(format="yuvj420p"))[0]) for frame in pictures(0, count)]


class HttpCamera:
    """`ways`: path -> what is done with a request. Each request's path and headers are kept."""

    def __init__(self, ways: dict, certificate: tuple[Path, Path] | None = None) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802
                camera.asked.append((self.path, dict(self.headers)))
                try:
                    ways.get(self.path.partition("?")[0], missing)(self)
                except OSError:
                    return  # whoever asked is gone

            def log_message(self, *_): ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
            self.scheme = "https"
        self.server.handle_error = lambda *_: None
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path: str, user_info: str = "", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{user_info}{host}:{self.server.server_port}{path}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def missing(request: BaseHTTPRequestHandler) -> None:
    """404."""
    request.send_error(404)


def answers(kind: str, body: bytes, code: int = 200, **headers: str):
    """Sends it, and that is all."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def leads_to(where: str, code: int = 302):
    """A redirect."""
    return lambda request: answers("text/plain", b"", code, Location=where)(request)


def goes_on(kind: str, data: bytes, seconds: float, stops_after_s: float = 1e9, then_silent: bool = False):
    """Sends a film of so many seconds at its pace, without saying how long it is."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.end_headers()
        begun, sent = time.monotonic(), 0
        while sent < len(data) and time.monotonic() - begun < stops_after_s:
            due = int(min(1.0, (time.monotonic() - begun + 0.2) / seconds) * len(data))
            request.wfile.write(data[sent:due])
            sent = max(sent, due)
            time.sleep(0.02)
        while then_silent:
            time.sleep(0.1)

    return answer


def multipart(request: BaseHTTPRequestHandler) -> None:
    """JPEGs without an end, as most cheap cameras have them."""
    request.send_response(200)
    request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
    request.end_headers()
    for jpeg in jpegs() * 100:
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        request.wfile.write(head.encode() + jpeg + b"\r\n")
        time.sleep(0.04)


def never(request: BaseHTTPRequestHandler) -> None:
    """Takes the question, and says nothing."""
    time.sleep(60)


class Unseen(io.RawIOBase):
    """What is muxed goes to whoever asked, at once."""

    def __init__(self, request: BaseHTTPRequestHandler) -> None:
        self.request = request

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.request.wfile.write(data)
        return len(data)


def has_in_store(seconds: float):
    """MPEG-TS of a camera that first sends what it has in store, from the middle of a GOP on, and then what it sees. Each
    picture carries the time of its drawing (`strip_clock.now_ms`)."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "video/mp2t")
        request.end_headers()
        output = av.open(Unseen(request), "w", format="mpegts", options={"flush_packets": "1"})
        stream = output.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "tune": "zerolatency", "g": str(RATE)})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        began, asked_ms, held = time.monotonic(), now_ms(), []

        def sees(since_ms: int):
            rgb = np.full((SIZE[1], SIZE[0], 3), 100, np.uint8)
            burn(rgb, (asked_ms + since_ms) % (MOST + 1))
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24")
            frame.pts, frame.time_base = since_ms + 10_000, Fraction(1, 1000)
            return stream.encode(frame)

        for number in range(-int(seconds * RATE), 0):
            held += sees(number * 1000 // RATE)
        for packet in held[RATE // 2 :]:
            output.mux(packet)
        while True:
            for packet in sees(int((time.monotonic() - began) * 1000)):
                output.mux(packet)
            time.sleep(1 / RATE)

    return answer
