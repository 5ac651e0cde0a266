"""WHIP (RFC 9725): a camera's picture in, from browsers, OBS and other publishers."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aadc.live.guard import Needs, route
from aadc.live.rights import Role, Use
from aadc.live.signalling import Connections

_NEEDS = Needs(Role.ADMINISTRATOR, Use.PUBLISH)  # a publisher decides what is scored


def whip_routes(connections: Connections) -> list[Route]:
    """`/whip/CAMERA` takes offers, `/whip/CAMERA/NUMBER` ends what came of them."""

    async def publish(request: Request) -> Response:
        return await connections.answer(request, "publish", "/whip")

    async def published(request: Request) -> Response:
        return await connections.resource(request, "publish")

    return [
        route("/whip/{camera}", publish, _NEEDS, ["POST", "GET", "PUT"], ["OPTIONS"]),
        route("/whip/{camera}/{peer}", published, _NEEDS, ["DELETE", "PATCH", "GET", "POST", "PUT"], ["OPTIONS"]),
    ]
