"""The web server: pages, API, WHIP and WHEP of one origin. Closed: loopback, and nothing without a login or a token."""

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount

from aadc.live.access import Access
from aadc.live.accounts import account_routes
from aadc.live.event_api import event_routes
from aadc.live.export_api import export_routes
from aadc.live.front.house import House
from aadc.live.guard import Front, Guard, Needs, RefusedError, Shield, problem, refused, route
from aadc.live.host_names import with_port
from aadc.live.media import Media, MediaSettings
from aadc.live.served import CameraSource, EventSource
from aadc.live.settings import Settings
from aadc.live.settings_api import settings_routes
from aadc.live.signalling import Connections
from aadc.live.status import status_routes
from aadc.live.whep import whep_routes
from aadc.live.whip import whip_routes
from aadc.manifests.errors import UserError
from aadc.manifests.files import make_folder, reason
from aadc.manifests.shown import say

if TYPE_CHECKING:
    from streamlit import App

PAGES = Path(__file__).parent / "pages"
_PAGE_FILES = {
    "account.js": "text/javascript",
    "live.js": "text/javascript",
    "parts.js": "text/javascript",
    "publish.js": "text/javascript",
    "review.js": "text/javascript",
    "rules.js": "text/javascript",
    "session.js": "text/javascript",
    "style.css": "text/css",
    "tiles.js": "text/javascript",
    "trouble.js": "text/javascript",
    "watch.js": "text/javascript",
    "watch_page.js": "text/javascript",
    "zones.js": "text/javascript",
}
_ASK_RIGHTS_S = 2.0
_TAKES_WITHIN_S = 30
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerSettings:
    """How the server is reached.

    `host`, `port`: where it listens. `tls`: None for TLS unless it listens on loopback alone (browsers trust that without).
    `certificate`, `key`: PEM files instead of our own. `behind_proxy`: a reverse proxy on this machine does TLS and says who
    asks (`X-Forwarded-For`, `X-Forwarded-Proto`). `names`: host names people use for it; `far_origins`: other sites' pages that
    may publish and watch with a token. `media_addresses` and what follows: see `MediaSettings`; the
    addresses follow `host` where none are given. `log_days`: how long the access log is kept; `run`: whose classes
    count when decided events are exported.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8765
    tls: bool | None = None
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False
    names: tuple[str, ...] = ()
    far_origins: tuple[str, ...] = ()
    media_addresses: tuple[str, ...] | None = None
    public_address: str | None = None
    take_over: bool = False
    views: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    log_days: float = 365.0
    run: Path | None = None

    @property
    def loopback(self) -> bool:
        """Whether nobody else can reach it."""
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"

    @property
    def own_tls(self) -> bool:
        """Whether the server itself does TLS."""
        if self.behind_proxy:
            return False
        return self.tls if self.tls is not None else not self.loopback

    @property
    def secure(self) -> bool:
        """Whether browsers reach it over TLS."""
        return self.own_tls or self.behind_proxy

    @property
    def origins(self) -> tuple[str, ...]:
        """What our own pages' addresses begin with, as browsers write it: without the usual port. None where the host is not
        known (all addresses)."""
        scheme, usual = ("https", 443) if self.secure else ("http", 80)
        named = self.names if self.behind_proxy else [with_port(name, self.port) for name in self.names]
        return tuple(f"{scheme}://{name}".removesuffix(f":{usual}") for name in named)

    def media(self) -> MediaSettings:
        """How the media process is started."""
        addresses = self.media_addresses
        if addresses is None:
            everywhere = self.host in ("0.0.0.0", "::")
            addresses = () if everywhere else ("127.0.0.1",) if self.host == "localhost" else (self.host,)
        return MediaSettings(list(addresses), self.public_address, self.take_over, views=self.views, jobs=self.jobs)


def create_app(
    settings: ServerSettings,
    access: Access,
    cameras: CameraSource,
    events: EventSource | None = None,
    front: "Callable[[House], App] | None" = None,
    while_serving: Callable[[], Coroutine[Any, Any, None]] | None = None,
    rules: Settings | None = None,
) -> Starlette:
    """The application. `front`: makes the dashboard, under `/ui`, for who is logged in; `while_serving`: runs beside; `rules`:
    what administrators may change."""
    guard = Guard(access, settings.secure, settings.origins, lambda camera: camera in cameras.names())
    media = Media(settings.media(), lambda peer, why: connections.ended(peer, why))
    connections = Connections(media, guard, frozenset(settings.far_origins))
    shown = front(House(cameras, events, access, guard.cookie)) if front is not None and events is not None else None

    async def home(request: Request) -> Response:
        return RedirectResponse("/ui/" if shown is not None else "/watch", 303)

    async def page(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _PAGE_FILES:
            raise RefusedError(404, "there is no such page")
        return FileResponse(PAGES / name, media_type=_PAGE_FILES[name])

    async def publish_page(request: Request) -> Response:
        return FileResponse(PAGES / "publish.html", media_type="text/html")

    async def watch_page(request: Request) -> Response:
        return FileResponse(PAGES / "watch.html", media_type="text/html")

    anybody = Needs()
    routes: list[BaseRoute] = [
        route("/", home, anybody),
        route("/publish", publish_page, anybody),  # holds nothing: who publishes has a token or a session
        route("/watch", watch_page, anybody),
        route("/pages/{name}", page, anybody),
        *account_routes(guard),
        *status_routes(guard, connections, media, cameras),
        *whip_routes(connections),
        *whep_routes(connections, media, guard),
        *event_routes(guard, events),
        *settings_routes(guard, rules),
        *export_routes(guard, settings.data, settings.run),
    ]
    if shown is not None:
        routes.append(Mount("/ui", Front(shown, guard)))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as inside:
            if shown is not None:  # what is mounted is not told of the beginning by itself
                await inside.enter_async_context(shown.lifespan()(app))
            inside.push_async_callback(media.stop)
            await media.start()
            beside = [_watch_rights(connections, access, settings.log_days)]
            if while_serving is not None:
                beside.append(while_serving())
            for work in beside:
                inside.callback(asyncio.create_task(work).cancel)
            yield

    async def missing(request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 500)
        return problem(
            status, getattr(error, "detail", "an error of the server's; its log says more"), getattr(error, "headers", None)
        )

    async def unusable(request: Request, error: Exception) -> Response:
        return problem(422, str(error))

    async def unreadable(request: Request, error: Exception) -> Response:
        _log.error("the list of users cannot be used (%s)", reason(error))
        return problem(503, "the list of users cannot be used; the server's log says why", {"Retry-After": "60"})

    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Shield, secure=settings.secure)],
        exception_handlers={
            RefusedError: refused,
            UserError: unusable,
            sqlite3.Error: unreadable,  # the store of events has sentences of its own
            404: missing,
            405: missing,
            500: missing,
        },
    )
    app.state.guard = guard
    app.state.media = media
    app.state.connections = connections
    return app


async def _watch_rights(connections: Connections, access: Access, log_days: float) -> None:
    turn = 0
    while True:
        try:
            await connections.end_unentitled()
            if turn % 1800 == 0:
                await asyncio.to_thread(access.forget_log, log_days)
        except Exception:  # a full disk, say: rights are asked again at the next turn
            _log.exception("rights could not be asked")
        turn += 1
        await asyncio.sleep(_ASK_RIGHTS_S)


def serve(
    settings: ServerSettings,
    cameras: CameraSource,
    events: EventSource | None = None,
    front: "Callable[[House], App] | None" = None,
    while_serving: Callable[[], Coroutine[Any, Any, None]] | None = None,
    rules: Settings | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C. At the first start, print the administrator's password: it is not kept.

    Raises:
        UserError: the data folder, the certificate, the port or the settings are no good.
    """
    import uvicorn

    from aadc.live import tls

    if settings.tls is False and not (settings.loopback or settings.behind_proxy):
        raise UserError(
            f"{settings.host} is reached from other machines: leave TLS on, or put a reverse proxy in front (behind_proxy)"
        )
    if settings.behind_proxy and not settings.loopback:
        raise UserError(
            "behind a proxy the server listens on loopback, or others could pretend to be the proxy; set host to 127.0.0.1"
        )
    make_folder(settings.data)
    listening = _listen(settings.host, settings.port)  # before a password is shown that nobody could use
    access = Access(settings.data / "access.sqlite")
    files: dict[str, Any] = {}
    if settings.own_tls:
        path, key = settings.certificate, settings.key
        if path is None or key is None:
            path, key = tls.certificate(settings.data, [*settings.names, *_named(settings.host)])
            say(f"certificate of our own, SHA-256 {tls.fingerprint(path)}")
        files = {"ssl_certfile": path, "ssl_keyfile": key}
    password = access.first_password()
    if password is not None:
        say(f"first start: log in as admin with the password {password} (it is shown this once)")
    scheme = "https" if settings.own_tls else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    say(f"dashboard: {scheme}://{host}:{settings.port}/")
    before = signal.signal(signal.SIGTERM, _leave)  # uvicorn raises it again once all is closed
    try:
        config = uvicorn.Config(
            create_app(settings, access, cameras, events, front, while_serving, rules),
            proxy_headers=settings.behind_proxy,
            forwarded_allow_ips="127.0.0.1,::1",
            server_header=False,
            access_log=False,  # addresses and names are in the access log, and nowhere else
            log_level="warning",
            timeout_keep_alive=15,
            timeout_graceful_shutdown=2,
            limit_concurrency=500,
            h11_max_incomplete_event_size=32 * 1024,
            ws_max_size=2**20,  # what the dashboard's pages say to it takes a few KB
            **files,
        )
        uvicorn.Server(config).run([listening])
    finally:
        signal.signal(signal.SIGTERM, before)
        access.close()
        listening.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Every connection takes these over: one whose other end takes nothing, or is gone, is given up by the system. Else
        # whoever asks for pictures and never reads would keep a place, and what is queued for it, for ever.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _TAKES_WITHIN_S * 1000)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _TAKES_WITHIN_S)
        listening.bind(address)
    except OSError as error:
        raise UserError(f"cannot listen on {host}, port {port} ({reason(error)}); name another address or port") from error
    return listening


def _leave(number: int, frame: Any) -> None:
    raise SystemExit(0)


def _named(host: str) -> list[str]:
    return [] if host in ("0.0.0.0", "::") else [host]
