"""Rules and zones over HTTP, for administrators: what counts, what the file says, and changes, each of them in the log."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aadc.live.accounts import json_of
from aadc.live.guard import Guard, Needs, RefusedError, Who, route
from aadc.live.rights import Role
from aadc.live.settings import ChangedMeanwhileError, Settings

_ADMINISTRATOR = Needs(Role.ADMINISTRATOR)
_METHODS = ["GET", "PATCH", "DELETE"]


def settings_routes(guard: Guard, settings: Settings | None) -> list[Route]:
    """`/api/settings` for all cameras, `/api/cameras/NAME/settings` for one.

    GET, PATCH (RFC 7396; null goes back to the file's value), DELETE (back to all of them). The ETag of an answer, sent as
    `If-Match`, refuses to change what has changed since."""

    async def of_all(request: Request) -> Response:
        if request.state.who.cameras is not None:
            raise RefusedError(404, "these hold for cameras that you may not see")
        return await answered(request, None)

    async def of_one(request: Request) -> Response:
        return await answered(request, request.path_params["camera"])

    async def answered(request: Request, camera: str | None) -> Response:
        if settings is None:
            raise RefusedError(503, "no settings are kept here")
        who: Who = request.state.who

        def note(what: str, how: str) -> None:
            guard.access.note(who.name, who.address, f"changed: {what}", camera or "", how)

        seen = (request.headers.get("if-match") or "").strip().strip('"') or None
        try:
            if request.method == "PATCH":
                await run_in_threadpool(settings.change, camera, await json_of(request), who.name, note, seen)
            elif request.method == "DELETE":
                await run_in_threadpool(settings.reset, camera, who.name, note)
        except ChangedMeanwhileError as error:
            raise RefusedError(412, str(error)) from None
        plain = await run_in_threadpool(settings.plain, camera)
        return JSONResponse(plain, headers={"ETag": f'"{plain["version"]}"'})

    return [
        route("/api/settings", of_all, _ADMINISTRATOR, _METHODS),
        route("/api/cameras/{camera}/settings", of_one, _ADMINISTRATOR, _METHODS),
    ]
