"""WHEP (draft-ietf-wish-whep-03): a camera's picture out, to browsers; as single JPEGs where WebRTC cannot pass."""

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from aadc.live.guard import Guard, Needs, RefusedError, Who, route
from aadc.live.media import Media, MediaError
from aadc.live.rights import Role, Use
from aadc.live.signalling import Connections

_NEEDS = Needs(Role.VIEWER, Use.WATCH)
_BOUNDARY = "aadc-picture"
_LEAST_GAP_S = 0.1  # ten pictures a second: for those who cannot have WebRTC
_ASK_RIGHTS_S = 3.0
MOST_MJPEG = 32


def whep_routes(connections: Connections, media: Media, guard: Guard) -> list[Route]:
    """`/whep/CAMERA` as for WHIP; `/api/cameras/CAMERA/mjpeg` and `snapshot.jpg` over HTTP alone."""
    watching = 0

    async def watch(request: Request) -> Response:
        return await connections.answer(request, "view", "/whep")

    async def watched(request: Request) -> Response:
        return await connections.resource(request, "view")

    async def snapshot(request: Request) -> Response:
        camera = request.path_params["camera"]
        picture = await _newest(media, camera, 0, 1.0)
        if picture is None:
            raise RefusedError(404, "there is no picture of this camera")
        await guard.note(request.state.who, "watch", camera, once_s=600.0)
        return Response(picture[1], media_type="image/jpeg")

    async def mjpeg(request: Request) -> Response:
        if watching >= MOST_MJPEG:
            raise RefusedError(503, "too many look", {"Retry-After": "10"})
        camera = request.path_params["camera"]
        await guard.note(request.state.who, "watch", camera)
        return StreamingResponse(
            pictures(camera, request.state.who), media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        )

    async def pictures(camera: str, who: Who) -> AsyncIterator[bytes]:
        nonlocal watching
        watching += 1
        number, asked_s = 0, 0.0
        try:
            while True:
                if time.monotonic() - asked_s > _ASK_RIGHTS_S:
                    rights = await asyncio.to_thread(who.still, guard.access)
                    if rights is None or not Who(rights, "").sees(camera):
                        return
                    asked_s = time.monotonic()
                picture = await _newest(media, camera, number, 2.0)
                if picture is not None:
                    number, jpeg = picture
                    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    yield head.encode() + jpeg + b"\r\n"
                await asyncio.sleep(_LEAST_GAP_S)
        finally:
            watching -= 1

    return [
        route("/whep/{camera}", watch, _NEEDS, ["POST", "GET", "PUT"], ["OPTIONS"]),
        route("/whep/{camera}/{peer}", watched, _NEEDS, ["DELETE", "PATCH", "GET", "POST", "PUT"], ["OPTIONS"]),
        route("/api/cameras/{camera}/snapshot.jpg", snapshot, _NEEDS),
        route("/api/cameras/{camera}/mjpeg", mjpeg, _NEEDS),
    ]


async def _newest(media: Media, camera: str, after: int, wait_s: float) -> tuple[int, bytes] | None:
    try:
        return await media.picture(camera, after, wait_s)
    except MediaError:
        await asyncio.sleep(0.5)  # it is being started again
        return None
