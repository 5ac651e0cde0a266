"""Those who asked are told of every event: a channel takes its notices from the store, in order, until they have arrived."""

import http.client
import json
import socket
import threading
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from aadc.live.credentials import hide_credentials, secrets_of
from aadc.live.store import Notice, Store

_LOOKS_EVERY_S = 0.5
_LONGEST_WAIT_S = 60.0
_LAST_WORDS_S = 3.0
_ATTEMPT_S = 30.0  # all of one; the timeout of a socket is for its next byte, and who drips would hold the channel for ever


class RefusedError(Exception):
    """The other side does not want this notice, and never will."""


class Channel(Protocol):
    """A way to somebody. `send` returns once the notice has arrived.

    Raises (`send`):
        OSError: not this time. RefusedError: never.
    """

    def send(self, notice: Notice) -> None: ...

    def close(self) -> None: ...


class Notifier:
    """Sends the notices of one channel on a thread of its own, again and again until each has arrived: 1 s later, at most 60.

    What arrived is removed from the outbox, so that it is not sent again by the next process either; only one that is killed
    in between sends its last notice twice. `told` hears what is wrong, once each time that it changes.
    """

    def __init__(self, store: Store, name: str, channel: Channel, told: Callable[[str], None] = lambda _: None) -> None:
        self._store, self._name, self._channel, self._told = store, name, channel, told
        self._stop = threading.Event()
        self._problem, self._last = "", 0
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send what waits if that goes quickly, and stop; the rest is sent by the next process."""
        self._stop.set()
        self._thread.join(_LAST_WORDS_S)
        self._channel.close()

    def _work(self) -> None:
        wait_s = _LOOKS_EVERY_S
        while not self._stop.is_set():
            try:
                self._send_all()
                wait_s = _LOOKS_EVERY_S
                self._say("")
            except Exception as error:  # whatever a library of networks raises
                wait_s = min(max(2 * wait_s, 1.0), _LONGEST_WAIT_S)
                self._say(str(error) or type(error).__name__)
            self._stop.wait(wait_s)
        if not self._problem:
            with suppress(Exception):
                self._send_all()

    def _send_all(self) -> None:
        while notices := self._store.unsent(self._name, after=self._last).result():
            for notice in notices:
                try:
                    self._channel.send(notice)
                except RefusedError as error:
                    self._say(f"{error}; notice of {notice.event} left out")
                self._last = notice.number  # the store may be unable to take note of it
                self._store.sent([notice])

    def _say(self, problem: str) -> None:
        if problem != self._problem and problem:
            self._told(f"{self._name}: {problem}")
        self._problem = problem


def clip_link(address: str | None, notice: Notice) -> dict[str, str]:
    """`clip_url` of the event, where the server's `address` is known: it opens for who is logged in, from some seconds after
    the event's end on."""
    return {} if address is None else {"clip_url": f"{address}/clips/{notice.event}.mp4"}


class Webhook:
    """Notices as JSON, posted to an address: `type` (new, update, end), `before`, `after`, `description`, and `clip_link`.

    The header `Idempotency-Key` is the same however often a notice is sent.
    """

    def __init__(self, url: str, timeout_s: float = 10.0, address: str | None = None) -> None:
        """`url`: user and password in it are sent as HTTP's basic authorisation; `address`: of the server that shows clips."""
        self._address = address
        parts = urlsplit(url)
        self._secrets, self._timeout_s = secrets_of(url), timeout_s
        self._url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self._headers = {"Content-Type": "application/json", "User-Agent": "aadc-live"}
        if "@" in parts.netloc:
            pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        self._opener = urllib.request.build_opener(_NoRedirects, _Http, _Https)

    def send(self, notice: Notice) -> None:
        """Post it. Redirects are not followed: whoever is told is named in the configuration."""
        headers = self._headers | {"Idempotency-Key": f"{notice.event}-{notice.kind}-{notice.number}"}
        body = notice.body | clip_link(self._address, notice)
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout_s):
                return
        except urllib.error.HTTPError as error:
            with error:
                if 400 <= error.code < 500 and error.code not in (401, 403, 407, 408, 425, 429):
                    raise RefusedError(f"the webhook answers {error.code}") from None
            raise OSError(f"the webhook answers {error.code}") from None
        except http.client.HTTPException as error:  # what comes may be anything, and is not repeated
            raise OSError(f"the webhook does not answer as HTTP has it ({type(error).__name__})") from None
        except (OSError, ValueError) as error:
            raise OSError(hide_credentials(f"the webhook cannot be reached ({error})", self._secrets)) from None

    def close(self) -> None:
        """Nothing is kept open."""


class _InTime(urllib.request.AbstractHTTPHandler):
    """Hangs up after `_ATTEMPT_S`, whatever has come until then."""

    def do_open(self, http_class: Any, req: urllib.request.Request, **http_conn_args: Any) -> http.client.HTTPResponse:
        opened: list[http.client.HTTPConnection] = []

        def connection(*told: Any, **more: Any) -> http.client.HTTPConnection:
            opened.append(http_class(*told, **more))
            return opened[-1]

        def hang_up() -> None:
            for one in opened:
                with suppress(OSError, AttributeError):  # not connected yet, or not any more
                    one.sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(_ATTEMPT_S, hang_up)
        timer.daemon = True
        timer.start()
        try:
            return super().do_open(connection, req, **http_conn_args)
        finally:
            timer.cancel()


class _Http(_InTime, urllib.request.HTTPHandler): ...


class _Https(_InTime, urllib.request.HTTPSHandler): ...


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None
