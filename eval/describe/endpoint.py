"""The language model behind an OpenAI-compatible address (llama.cpp's server, vLLM, Ollama): facts only, as chat messages."""

import ipaddress
import json
import os
import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import httpx2

from aadc.eval.describe.template import Request, chat_messages, clean
from aadc.manifests.errors import UserError
from aadc.manifests.shown import say, shown

KEY = "AADC_LLM_KEY"
MOST_BYTES = 2**20  # of an answer: a description has a few hundred
_AT_ONCE = 4
_SECRET = 4  # characters; what is shorter in an address is found in any text


class Endpoint:
    """A chat model at `url` (the part before `/chat/completions`, for example http://127.0.0.1:8080/v1).

    A key, where one is needed, is read from the environment variable AADC_LLM_KEY. What the address itself says of a user and a
    password, or behind a question mark, is sent, but neither shown nor stored, be it that the server says it back: `shown_url`
    is the address for people.

    Args:
        source: the model's name there.
        timeout_s: most seconds for the answers of a call together, whatever the server does meanwhile.
    """

    weights = ""  # what lies behind an address cannot be known

    def __init__(self, url: str, source: str, temperature: float = 0.0, seed: int = 0, timeout_s: float = 120.0):
        self.shown_url = without_secrets(url)
        if not url.startswith(("http://", "https://")):
            raise UserError(
                f"--llm-url {self.shown_url}: an address begins with http:// or https://, for example http://127.0.0.1:8080/v1"
            )
        self.key = os.environ.get(KEY, "")
        if not (self.key.isascii() and self.key.isprintable()):
            raise UserError(f"{KEY}: a key has printable ASCII characters alone")
        if (self.key or self.shown_url != url.rstrip("/")) and url.startswith("http://") and not _is_loopback(url):
            say(
                f"--llm-url {self.shown_url}: the key goes there unencrypted; use https:// where others share the net", err=True
            )
        self.secrets = sorted({self.key, *_secrets_of(url)} - {""}, key=len, reverse=True)
        self.url, self.source = url.rstrip("/"), source
        self.temperature, self.seed, self.timeout_s = temperature, seed, timeout_s

    def __call__(self, requests: Sequence[Request]) -> list[str]:
        """An answer to each, in their order; an empty one where the server took too long.

        The threads that wait for the server are not waited for: looking up a name, or the library, may hold one beyond the
        deadline, and then it alone.

        Raises:
            UserError: nobody answers there, or not as the protocol says.
        """
        deadline = time.monotonic() + self.timeout_s
        todo: SimpleQueue = SimpleQueue()
        done: SimpleQueue = SimpleQueue()
        for place, request in enumerate(requests):
            todo.put((place, request))

        def work() -> None:
            while time.monotonic() < deadline:
                try:
                    place, request = todo.get_nowait()
                except Empty:
                    return
                try:
                    done.put((place, self._one(request, deadline)))
                except Exception as error:  # said by whoever waits
                    done.put((place, error))

        for _ in range(min(_AT_ONCE, len(requests))):
            threading.Thread(target=work, daemon=True).start()
        answers = [""] * len(requests)
        for _ in requests:
            try:
                place, found = done.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                break
            if isinstance(found, Exception):
                raise found
            answers[place] = found
        return answers

    def _one(self, request: Request, deadline: float) -> str:
        asked = {
            "model": self.source,
            "messages": chat_messages(request),
            "temperature": self.temperature,
            "seed": self.seed,
            "max_tokens": request.max_tokens,
        }
        # Compressed, a megabyte could hold a gigabyte, which is unpacked before it can be counted.
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        body = bytearray()
        try:
            left = max(0.001, deadline - time.monotonic())
            with (
                httpx2.Client(headers=headers, timeout=left) as client,
                client.stream("POST", _join(self.url), json=asked) as reply,
            ):
                if (packed := reply.headers.get("content-encoding", "identity").strip().lower()) not in ("", "identity"):
                    raise UserError(f"--llm-url {self.shown_url}: its answer is packed ({shown(packed)[:40]}), unasked")
                for part in reply.iter_raw(2**16):
                    body += part
                    if time.monotonic() > deadline:
                        return ""
                    if len(body) > MOST_BYTES:
                        raise UserError(f"--llm-url {self.shown_url}: its answer is longer than {MOST_BYTES >> 20} MB")
                status = reply.status_code
        except httpx2.TimeoutException:
            return ""
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError, ValueError) as error:
            raise UserError(
                f"--llm-url {self.shown_url}: nobody answers there ({type(error).__name__}); is the server running?"
            ) from None
        if status != 200:
            told = shown(" ".join(self._hidden(body.decode("utf-8", "replace")).split())[:200])
            raise UserError(f"--llm-url {self.shown_url}: the server refuses with status {status} ({told})")
        try:
            text = json.loads(bytes(body))["choices"][0]["message"]["content"] or ""
            return clean(self._hidden(text).encode("utf-8", "replace").decode())  # a lone surrogate cannot be written to a file
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise UserError(f"--llm-url {self.shown_url}: its answer is not that of an OpenAI-compatible server") from None

    def _hidden(self, text: str) -> str:
        """A server's text without our secrets, as they are or as JSON writes them."""
        for secret in self.secrets:
            text = text.replace(secret, "…").replace(json.dumps(secret)[1:-1], "…")
        return text


def _secrets_of(url: str) -> set[str]:
    """User, password and what is in the query of an address, as it stands there and unescaped."""
    try:
        parts = urlsplit(url)
        found = {parts.query, parts.username or "", parts.password or "", *(value for _, value in parse_qsl(parts.query))}
    except ValueError:
        return set()
    return {one for secret in found for one in (secret, unquote(secret)) if len(one) >= _SECRET}


def without_secrets(url: str) -> str:
    """An address without user, password, query and fragment: any of them may be a key."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(no address)"
    host = parts.netloc.rpartition("@")[2]
    path = parts.path if parts.netloc else parts.path.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, path, "", "")).rstrip("/")


def _join(url: str) -> str:
    """The address of the chat, a query kept behind it."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/chat/completions", parts.query, ""))


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
