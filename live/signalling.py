"""What WHIP and WHEP have in common: an offer is posted, the answer names a resource that is deleted at the end (RFC 9725)."""

import math
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from aadc.live.guard import Guard, RefusedError, Who
from aadc.live.limits import Attempts, TooManyError
from aadc.live.media import Media, MediaError

SDP = "application/sdp"
_EXPOSED = "Location, ETag, Link, Retry-After"


@dataclass(frozen=True)
class Connection:
    """One connection that was made here. `do`: publish or view."""

    do: str
    camera: str
    who: Who
    since_s: float


class Connections:
    """The open connections, and whose they are; one ends when its owner's right does.

    Args:
        far_origins: pages of other sites that may publish or watch with a token (CORS).
    """

    def __init__(self, media: Media, guard: Guard, far_origins: frozenset[str] = frozenset()) -> None:
        self._media = media
        self._guard = guard
        self._far_origins = far_origins
        self._open: dict[str, Connection] = {}
        self._tries = Attempts(30, 60.0)

    def all(self) -> dict[str, Connection]:
        """All of them, by number."""
        return dict(self._open)

    def ended(self, peer: str | None, why: str) -> None:
        """The media process said that one ended, or all (None)."""
        if peer is None:
            self._open.clear()
        else:
            self._open.pop(peer, None)

    async def end_unentitled(self) -> None:
        """End what belongs to sessions and tokens that are gone, or to people who may see that camera no more."""
        for peer, connection in self.all().items():
            rights = await run_in_threadpool(connection.who.still, self._guard.access)
            if rights is None or not Who(rights, "").sees(connection.camera):
                await self.end(peer)

    async def end(self, peer: str) -> None:
        """End one."""
        self._open.pop(peer, None)
        with suppress(MediaError):  # with the media process, its connections are gone
            await self._media.ask("end", peer=peer)

    async def answer(self, request: Request, do: str, base: str) -> Response:
        """A request to the endpoint of a camera (`/whip/door`)."""
        headers = self._cors(request)
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={**headers, "Accept-Post": SDP, "Allow": "POST, OPTIONS, GET, HEAD, PUT"})
        if request.method != "POST":
            return Response(status_code=204, headers=headers)  # RFC 9725 4.2: kept for what is to come
        who: Who = request.state.who
        try:
            self._tries.take(who.name, time.monotonic())
        except TooManyError as error:
            raise RefusedError(429, str(error), {**headers, "Retry-After": str(math.ceil(error.wait_s))}) from error
        if request.headers.get("content-type", "").split(";")[0].strip().lower() != SDP:
            raise RefusedError(415, f"an offer is {SDP}", {**headers, "Accept-Post": SDP})
        camera = request.path_params["camera"]
        try:
            offer = (await request.body()).decode()
            made = await self._media.ask(do, camera=camera, offer=offer)
        except UnicodeDecodeError as error:
            raise RefusedError(400, "the offer is not UTF-8", headers) from error
        except MediaError as error:
            raise RefusedError(
                error.status, str(error), {**headers, **({"Retry-After": "3"} if error.status == 503 else {})}
            ) from error
        self._open[made["peer"]] = Connection(do, camera, who, time.time())
        await self._guard.note(who, "publish" if do == "publish" else "watch", camera)
        location = f"{base}/{quote(camera, safe='')}/{made['peer']}"
        return Response(made["answer"], 201, {**headers, "Location": location}, SDP)

    async def resource(self, request: Request, do: str) -> Response:
        """A request to what an answer's `Location` named."""
        headers = self._cors(request)
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={**headers, "Allow": "DELETE, OPTIONS"})
        connection = self._open.get(request.path_params["peer"])
        if connection is None or (connection.do, connection.camera) != (do, request.path_params["camera"]):
            raise RefusedError(404, "there is no such connection", headers)
        if request.method != "DELETE":  # no trickle, no restart: whoever lost the connection posts a new offer
            raise RefusedError(405, "only DELETE", {**headers, "Allow": "DELETE, OPTIONS"})
        await self.end(request.path_params["peer"])
        return Response(status_code=200, headers=headers)

    def _cors(self, request: Request) -> dict[str, str]:
        origin = request.headers.get("origin", "")
        if origin not in self._far_origins:
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "POST, DELETE, OPTIONS",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
            "Access-Control-Expose-Headers": _EXPOSED,
            "Vary": "Origin",
        }


def told(connection: Connection, peer: dict[str, Any]) -> dict[str, Any]:
    """A connection with what the media process knows of it."""
    return {**peer, "who": connection.who.name, "address": connection.who.address, "since_s": connection.since_s}
