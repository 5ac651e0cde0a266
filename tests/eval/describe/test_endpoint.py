"""A language model behind an address: a real server that speaks the protocol, and servers that fail in every way."""

import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

from aadc.eval.describe.endpoint import KEY, Endpoint
from aadc.eval.describe.llm import Llm
from aadc.eval.describe.template import Request, chat_messages
from aadc.manifests.errors import UserError

FACTS = "Length: 00:31\nAbnormal: fall from 00:05 to 00:12, confidence 0.91"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def server(tiny_chat_llama):
    """transformers' own OpenAI-compatible server with the tiny chat model, on loopback."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    port = free_port()
    program = Path(sys.executable).with_name("transformers")
    command = [str(program), "serve", str(tiny_chat_llama), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    process = subprocess.Popen(
        command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            assert process.poll() is None, "the server ended"
            try:
                if httpx2.get(f"{url}/health", timeout=1).status_code == 200:
                    break
            except httpx2.HTTPError:
                time.sleep(0.5)
        yield f"{url}/v1"
    finally:
        process.kill()
        process.wait()


def test_a_real_server_gives_what_the_model_gives_here(server, tiny_chat_llama):
    asked = [Request(facts=FACTS, max_tokens=10), Request(facts="Length: 00:09", max_tokens=10)]
    local = Llm(str(tiny_chat_llama))
    assert Endpoint(server, str(tiny_chat_llama))(asked) == local(asked)


class Wayward(BaseHTTPRequestHandler):
    """Answers as the server's `behaviour` says, and keeps what it was asked."""

    def do_POST(self):  # noqa: N802, the library's name
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, asked, self.headers.get("Authorization")))
        self.server.encodings = self.headers.get("Accept-Encoding")
        status, body = self.server.behaviour(asked)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in getattr(self.server, "headers", {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def wayward():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Wayward)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}/v1/"
    yield server
    server.shutdown()


def reply(text: object) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


def test_what_is_asked_is_the_protocol_s_and_answers_keep_their_order(wayward, monkeypatch):
    monkeypatch.setenv(KEY, "secret")
    wayward.behaviour = lambda asked: (200, reply(f"About {asked['messages'][2]['content'][-1]}.\n### Human: more"))
    asked = [Request(facts=f"Length: 00:0{n}", max_tokens=7) for n in range(6)]
    assert Endpoint(wayward.url, "llama", 0.5, 3)(asked) == [f"About {n}." for n in range(6)]
    path, body, key = min(wayward.asked, key=lambda one: one[1]["messages"][2]["content"])
    assert path == "/v1/chat/completions" and key == "Bearer secret"
    assert body == {
        "model": "llama", "messages": chat_messages(asked[0]), "temperature": 0.5, "seed": 3, "max_tokens": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "what"),
    [
        (500, b"out of\nmemory", r"status 500 \(out of memory\)"),
        (404, b"no such model", "status 404"),
        (200, b"<html>", "not that of an OpenAI-compatible server"),
        (200, b"{}", "not that of an OpenAI-compatible server"),
        (200, b'{"choices": [{"message": {"content": ["parts"]}}]}', "not that of an OpenAI-compatible server"),
        (200, b"[" * 200_000, "not that of an OpenAI-compatible server"),
        (500, b"\x1b[2Jgone", r"status 500 \(\\x1b\[2Jgone\)"),
        (200, b'{"choices": []}', "not that of an OpenAI-compatible server"),
    ],
)
def test_what_is_no_answer_is_said_in_one_sentence(wayward, status, body, what):
    wayward.behaviour = lambda asked: (status, body)
    with pytest.raises(UserError, match=what):
        Endpoint(wayward.url, "llama")([Request()])


def test_no_words_and_no_answer_in_time_are_an_empty_answer(wayward):
    """Empty answers fail the check, so a composed sentence goes out in their place."""
    wayward.behaviour = lambda asked: (200, reply(None))
    assert Endpoint(wayward.url, "llama")([Request()]) == [""]
    wayward.behaviour = lambda asked: (time.sleep(3), (200, reply("late")))[1]
    began = time.monotonic()
    assert Endpoint(wayward.url, "llama", timeout_s=0.3)([Request(), Request()]) == ["", ""]
    assert time.monotonic() - began < 3


def test_a_key_that_cannot_be_sent_is_refused(monkeypatch):
    monkeypatch.setenv(KEY, "cl\xe9")
    with pytest.raises(UserError, match=KEY):
        Endpoint("http://127.0.0.1:9/v1", "llama")


def test_half_a_character_is_no_trap(wayward):
    wayward.behaviour = lambda asked: (200, reply("a\ud800b"))
    Endpoint(wayward.url, "llama")([Request()])[0].encode()


def test_nobody_there():
    with pytest.raises(UserError, match="nobody answers there"):
        Endpoint(f"http://127.0.0.1:{free_port()}/v1", "llama")([Request()])
    with pytest.raises(UserError, match="nobody answers there"):
        Endpoint("http://a..b/v1", "llama")([Request()])
    with pytest.raises(UserError, match="begins with http"):
        Endpoint("localhost:8080", "llama")


class Trickling(BaseHTTPRequestHandler):
    """A server that always has one more byte: every fifth of a second, or as fast as they are taken; in head or body."""

    def do_POST(self):  # noqa: N802, the library's name
        kind = self.server.kind
        try:
            if kind == "slow head":
                self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
            elif kind == "never":
                self.server.stop.wait(60)
            else:
                self.send_response(200)
                self.end_headers()
            while not self.server.stop.wait(0 if kind == "endless" else 0.2):
                self.wfile.write(b" " * (2**16 if kind == "endless" else 1))
                self.wfile.flush()
        except OSError:
            pass

    def log_message(self, *args):
        pass


@pytest.fixture
def trickling():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Trickling)
    server.daemon_threads, server.stop = True, threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield server
    server.stop.set()
    server.shutdown()


@pytest.mark.parametrize("kind", ["slow head", "slow body", "never"])
def test_a_batch_has_one_deadline_whatever_the_server_does(trickling, kind):
    """Nine answers that never end, four asked for at once: they do not add up."""
    trickling.kind = kind
    found = []
    asking = threading.Thread(
        target=lambda: found.append(Endpoint(trickling.url, "llama", timeout_s=1.0)([Request()] * 9)), daemon=True
    )
    asking.start()
    asking.join(30)  # without a deadline it would stand here for ever
    assert found == [[""] * 9]


def test_an_endless_answer_is_cut_off(trickling):
    trickling.kind = "endless"
    with pytest.raises(UserError, match="longer than 1 MB"):
        Endpoint(trickling.url, "llama", timeout_s=60)([Request()])


SECRET = "http://user:hidden@127.0.0.1:{port}/v1?key=alsohidden"


def test_no_secret_of_an_address_is_shown(wayward, monkeypatch):
    """It is sent; neither the address for people nor an error has it, even where the server says it back."""
    monkeypatch.setenv(KEY, "mykey")
    wayward.behaviour = lambda asked: (401, b"mykey is not known")
    there = Endpoint(SECRET.format(port=wayward.server_port), "llama")
    with pytest.raises(UserError, match="status 401") as said:
        there([Request()])
    for hidden in ("hidden", "user", "mykey"):
        assert hidden not in str(said.value) and hidden not in there.shown_url
    assert wayward.asked[0][0] == "/v1/chat/completions?key=alsohidden"
    for odd in ("ftp://user:hidden@host/v1", "user:hidden@host", "http://[user:hidden@x"):
        with pytest.raises(UserError) as said:
            Endpoint(odd, "llama")([Request()])
        assert "hidden" not in str(said.value)


def test_a_secret_at_the_edge_of_what_is_shown_is_hidden_all_the_same(wayward, monkeypatch):
    """Wherever the server's text is cut, no part of a key is left; nor of one that JSON has to escape."""
    monkeypatch.setenv(KEY, 'k"ey-0123456789-abcdefghij')
    there = Endpoint(SECRET.format(port=wayward.server_port), "llama")
    for place in (*range(170, 205, 3), *range(1970, 2005, 3)):
        for said in (there.key, json.dumps(there.key), "alsohidden"):
            wayward.behaviour = lambda asked, place=place, said=said: (401, b"x" * place + f"{said} no".encode())
            with pytest.raises(UserError, match="status 401") as found:
                there([Request()])
            assert "ey-0" not in str(found.value) and "alsoh" not in str(found.value), place


def test_a_secret_in_an_answer_is_not_kept_with_what_was_refused(wayward, monkeypatch):
    monkeypatch.setenv(KEY, "my key")
    wayward.behaviour = lambda asked: (200, reply("You are my key and alsohidden."))
    assert Endpoint(SECRET.format(port=wayward.server_port), "llama")([Request()]) == ["You are … and …."]


@pytest.mark.parametrize("packing", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_a_packed_answer_is_refused_before_it_is_unpacked(wayward, packing):
    """A few kilobytes may be gigabytes."""
    wayward.behaviour = lambda asked: (200, packed)
    packed, wayward.headers = gzip.compress(bytes(2**26)), {"Content-Encoding": packing}
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="is packed"):
            Endpoint(wayward.url, "llama")([Request()])
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
    assert wayward.encodings == "identity"


@pytest.mark.parametrize(
    ("url", "warned"),
    [("http://example.org/v1", True), ("https://example.org/v1", False), ("http://127.0.0.2:1/v1", False),
     ("http://localhost/v1", False), ("http://[::1]/v1", False), ("http://127.0.0.1.example.org/v1", True)],
)  # fmt: skip
def test_a_key_in_clear_over_the_net_is_warned_of(url, warned, monkeypatch, capsys):
    Endpoint(url, "llama")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv(KEY, "mykey")
    Endpoint(url, "llama")
    err = capsys.readouterr().err
    assert ("unencrypted" in err) == warned and "mykey" not in err
