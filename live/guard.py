"""Who may ask for what: every route says what it needs, and one that says nothing cannot be made.

Two ways to show who one is: a session's cookie (people) or a bearer token (devices). A browser sends a cookie along whoever
makes it ask, so a change needs the page's own token too, and must come from our own pages (OWASP's two defences against CSRF).
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aadc.live.access import Access, Role, Session, Token, Use, User, csrf_token

Endpoint = Callable[[Request], Awaitable[Response]]
SAFE = ("GET", "HEAD", "OPTIONS")
LARGEST_BODY = 64 * 1024
_BODY_WITHIN_S = 15.0


class RefusedError(Exception):
    """A request that is not done. `status` of HTTP, `headers` that go with it."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers or {}


class Who(NamedTuple):
    """Who asks: a person's session or a device's token, and from where."""

    rights: User | Token
    address: str
    session: Session | None = None

    @property
    def name(self) -> str:
        """As it is written in the log."""
        return self.rights.name if isinstance(self.rights, User) else f"token {self.rights.id}"

    def sees(self, camera: str) -> bool:
        """Whether this camera may be shown."""
        return self.rights.sees(camera) if isinstance(self.rights, User) else self.rights.camera == camera

    @property
    def cameras(self) -> frozenset[str] | None:
        """All that may be seen; None: every one."""
        return self.rights.cameras if isinstance(self.rights, User) else frozenset([self.rights.camera])

    def still(self, access: Access) -> User | Token | None:
        """The rights as they are now."""
        return access.still_holds(session=self.session.id) if self.session else access.still_holds(token=self.rights.id)  # type: ignore[union-attr]


@dataclass(frozen=True)
class Needs:
    """What a route needs: a person of that role, or a device with a token of that use. Both None: nothing, anybody may."""

    role: Role | None = None
    use: Use | None = None

    @property
    def nothing(self) -> bool:
        """Whether anybody may."""
        return self.role is None and self.use is None


def route(
    path: str, endpoint: Endpoint, needs: Needs, methods: Iterable[str] = ("GET",), open_methods: Iterable[str] = ()
) -> Route:
    """A route that is answered to whoever has what it needs. `open_methods`: those that anybody may (a CORS preflight)."""
    open_methods = tuple(open_methods)

    async def guarded(request: Request) -> Response:
        guard: Guard = request.app.state.guard
        if request.method not in open_methods:
            request.state.who = await guard.admit(request, needs)
        return await endpoint(request)

    guarded.needs = needs  # type: ignore[attr-defined]
    guarded.open_methods = open_methods  # type: ignore[attr-defined]
    return Route(path, guarded, methods=[*methods, *open_methods], name=endpoint.__name__)


class Guard:
    """Checks who asks.

    Args:
        origins: what our own pages' addresses begin with (`https://host:8443`); none: whatever the request calls this host.
        secure: cookies go over TLS alone.
        camera_exists: whether there is a camera of that name.
    """

    def __init__(
        self,
        access: Access,
        secure: bool,
        origins: Iterable[str] = (),
        camera_exists: Callable[[str], bool] = lambda camera: True,
    ) -> None:
        self.access = access
        self.secure = secure
        self.cookie = "__Host-aadc" if secure else "aadc"
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        self.camera_exists = camera_exists
        self._noted: OrderedDict[tuple[str, str, str, str], float] = OrderedDict()  # until when the same is not written again

    async def who(self, connection: HTTPConnection) -> Who | None:
        """Who asks, by token or cookie. None: nobody.

        Raises:
            RefusedError: a token that does not hold (401).
        """
        address = connection.client.host if connection.client else ""
        scheme, _, secret = connection.headers.get("authorization", "").partition(" ")
        if scheme:
            token = await run_in_threadpool(self.access.token, secret.strip()) if scheme.lower() == "bearer" else None
            if token is None:
                raise RefusedError(401, "this token does not hold", {"WWW-Authenticate": "Bearer"})
            return Who(token, address)
        secret = connection.cookies.get(self.cookie, "")
        session = await run_in_threadpool(self.access.session, secret) if secret else None
        return Who(session.user, address, session) if session else None

    async def admit(self, request: Request, needs: Needs) -> Who | None:
        """Let a request pass, or not.

        Raises:
            RefusedError: 401 nobody, 403 somebody who may not, 404 a camera that is not there for them.
        """
        if needs.nothing:
            return None
        who = await self.who(request)
        if who is None:
            raise RefusedError(401, "log in first, or send a token", {"WWW-Authenticate": "Bearer"})
        if isinstance(who.rights, Token):
            if who.rights.use is not needs.use:
                raise RefusedError(403, "this token is for something else")
        elif needs.role is None or not who.rights.role.covers(needs.role):
            raise RefusedError(403, "your role may not do this")
        camera = request.path_params.get("camera")
        if camera is not None and not (who.sees(camera) and self.camera_exists(camera)):
            raise RefusedError(404, "there is no such camera")
        if who.session is not None and request.method not in SAFE:
            self.check_origin(request)
            sent = request.headers.get("x-csrf-token", "")
            if sent != csrf_token(request.cookies.get(self.cookie, "")):
                raise RefusedError(403, "the page's token is missing or not this session's; load the page again")
        return who

    def check_origin(self, connection: HTTPConnection) -> None:
        """`RefusedError` where a browser was made to ask by a page that is not ours."""
        origin = connection.headers.get("origin")
        if origin is None:
            if connection.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                raise RefusedError(403, "asked by another site's page")
            return
        if self._origins:
            ours = origin.lower() in self._origins
        else:
            ours = urlsplit(origin).netloc.lower() == connection.headers.get("host", "").lower() != ""
        if not ours:
            raise RefusedError(403, "asked by another site's page")

    async def note(self, who: Who, what: str, camera: str = "", subject: str = "", once_s: float = 0.0) -> None:
        """Write into the log. With `once_s`, the same again within so many seconds is not written."""
        key = (who.name, what, camera, subject)
        now = time.monotonic()
        if once_s:
            if now < self._noted.get(key, now):
                return
            self._noted[key] = now + once_s
            self._noted.move_to_end(key)
            while len(self._noted) > 10_000 or self._noted[next(iter(self._noted))] <= now:
                self._noted.popitem(last=False)
        await run_in_threadpool(self.access.note, who.name, who.address, what, camera, subject)


def problem(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """An error as RFC 9457 has it."""
    content = {"title": text, "status": status}
    return JSONResponse(content, status, headers, media_type="application/problem+json")


async def refused(request: Request, error: Exception) -> Response:
    """How a refusal is told: a browser that wanted a page is led to where one logs in."""
    assert isinstance(error, RefusedError)
    wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    if error.status == 401 and wants_page and "authorization" not in request.headers:
        return RedirectResponse("/login", 303)
    return problem(error.status, str(error), error.headers)


class Front:
    """Another program's pages (the dashboard) behind the same door: pages and WebSockets alike only for who is logged in.

    Args:
        app: ASGI; it is told who looks in the headers `x-aadc-user` and `x-aadc-role`, which nobody else can set.
    """

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            # Streamlit takes files of 200 MB into memory, of whoever has a session; nothing of the dashboard's sends any.
            await problem(405, "only GET", {"Allow": "GET, HEAD", "Connection": "close"})(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            who = await self._guard.who(connection)
            if scope["type"] == "websocket":
                self._guard.check_origin(connection)
        except RefusedError:
            who = None
        if who is None or who.session is None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": ""})
            else:
                path = RedirectResponse("/login", 303) if scope["method"] == "GET" else problem(401, "log in first")
                await path(scope, receive, send)
            return
        headers = [(key, value) for key, value in scope["headers"] if not key.lower().startswith(b"x-aadc-")]
        headers += [(b"x-aadc-user", who.name.encode()), (b"x-aadc-role", who.session.user.role.value.encode())]
        await self._app({**scope, "headers": headers}, receive, send)


class Shield:
    """Around everything: no body beyond what is sensible, nothing kept by caches, nothing loaded from elsewhere."""

    def __init__(self, app: ASGIApp, secure: bool = False) -> None:
        self._app = app
        self._headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"SAMEORIGIN"),
            (b"referrer-policy", b"same-origin"),  # without any, browsers call a form's origin null
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(self), microphone=(), geolocation=(), payment=(), usb=()"),
        ]
        if secure:
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with headers, unless the body is too large."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        front = scope["path"].startswith("/ui")
        length = Headers(scope=scope).get("content-length", "0")
        answered = False

        async def with_headers(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                there = {key.lower() for key, _ in message["headers"]}
                more = list(self._headers)
                more.append((b"content-security-policy", _FRONT_POLICY if front else _POLICY))
                if not front:
                    more.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*message["headers"], *(pair for pair in more if pair[0] not in there)]}
            await send(message)

        if not front and (not length.isdigit() or int(length) > LARGEST_BODY):
            await problem(413, f"more than {LARGEST_BODY} bytes", {"Connection": "close"})(scope, receive, with_headers)
            return
        read = 0
        until = asyncio.get_running_loop().time() + _BODY_WITHIN_S
        whole = front

        async def capped() -> Message:
            nonlocal read, whole
            if whole:  # what comes now is that the client went away
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise _BodyError(408, f"the request did not come within {_BODY_WITHIN_S:.0f} s") from None
            read += len(message.get("body", b""))
            whole = not message.get("more_body")
            if read > LARGEST_BODY:
                raise _BodyError(413, f"more than {LARGEST_BODY} bytes")
            return message

        try:
            await self._app(scope, capped, with_headers)
        except _BodyError as error:
            if not answered:
                await problem(error.status, str(error), {"Connection": "close"})(scope, receive, with_headers)
        except ClientDisconnect:
            pass  # went away before the request was whole: nobody is there to be answered, and nothing was wrong here


class _BodyError(RefusedError):
    """A body that is too large or too late."""


_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    b"connect-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
)
# Streamlit writes scripts and styles into its own page; but nothing of it may ask anybody else for anything.
_FRONT_POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; "
    b"connect-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'self'"
)


def text_of(value: Any, longest: int, what: str) -> str:
    """A text from a request's JSON. `RefusedError` (400) where it is none, or longer."""
    if not isinstance(value, str) or len(value) > longest:
        raise RefusedError(400, f"{what} must be a text of at most {longest} characters")
    if any(0xD800 <= ord(c) < 0xE000 for c in value):
        raise RefusedError(400, f"{what} holds half a character")
    return value
