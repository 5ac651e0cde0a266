"""Events over HTTP: the list, one, decisions, changes as they come, clips. Each only to who may see its camera."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from aadc.live.accounts import json_of
from aadc.live.guard import Guard, Needs, RefusedError, Who, route, text_of
from aadc.live.rights import Role
from aadc.live.served import EventSource
from aadc.manifests.errors import UserError

DECISIONS = ("confirmed", "dismissed", "renamed", "open")
MOST_FOLLOWERS = 64
_MOST = 200
_EVERY_S = 0.5
_ASK_RIGHTS_S = 3.0
_STILL_HERE_S = 15.0
_VIEWER = Needs(Role.VIEWER)
_REVIEWER = Needs(Role.REVIEWER)


def event_routes(guard: Guard, events: EventSource | None) -> list[Route]:
    """`/api/events` and below."""
    following = 0

    def source() -> EventSource:
        if events is None:
            raise RefusedError(503, "no events are kept here", {"Retry-After": "60"})
        return events

    async def seen(request: Request) -> dict[str, Any]:
        event = await run_in_threadpool(source().one, text_of(request.path_params["event"], 64, "the event's id"))
        if event is None or not request.state.who.sees(event["camera"]):
            raise RefusedError(404, "there is no such event")
        return event

    def chosen(request: Request) -> tuple[frozenset[str] | None, str, str | None]:
        """Of which cameras, with which words, decided how."""
        who: Who = request.state.who
        asked = request.query_params
        cameras = who.cameras
        if wanted := asked.getlist("camera"):
            cameras = frozenset(camera for camera in wanted if who.sees(camera))
        decision = asked.get("decision")
        if decision is not None and decision not in DECISIONS:
            raise RefusedError(400, f"decision must be one of {', '.join(DECISIONS)}")
        return cameras, text_of(asked.get("words", ""), 200, "words"), decision

    async def list_events(request: Request) -> Response:
        cameras, words, decision = chosen(request)
        asked = request.query_params
        found = await run_in_threadpool(
            source().newest,
            cameras,
            asked.get("before"),
            _number(asked.get("limit"), 50, _MOST),
            words or None,
            asked.get("category"),
            decision,
        )
        return JSONResponse(found)

    async def like(request: Request) -> Response:
        cameras, words, decision = chosen(request)
        asked = request.query_params
        limit = _number(asked.get("limit"), 50, _MOST)
        found = await run_in_threadpool(source().like, words, cameras, limit, asked.get("category"), decision)
        return JSONResponse(found._asdict())

    async def one_event(request: Request) -> Response:
        event = await seen(request)
        await guard.note(request.state.who, "view", event["camera"], event["id"], once_s=600.0)
        return JSONResponse(event)

    async def decide(request: Request) -> Response:
        event = await seen(request)
        asked = await json_of(request, "decision", "category", "new")
        decision, category, new = asked.get("decision"), asked.get("category"), asked.get("new", False)
        if decision not in DECISIONS:
            raise RefusedError(400, f"decision must be one of {', '.join(DECISIONS)}")
        if category is not None:
            category = text_of(category, 100, "category")
        if (decision == "renamed") != (category is not None):
            raise RefusedError(400, "a category goes with renamed, and with nothing else")
        if not isinstance(new, bool):
            raise RefusedError(400, "new must be true or false")
        changed = await run_in_threadpool(source().decide, event["id"], decision, category, request.state.who.name, new)
        await guard.note(request.state.who, f"decided: {decision}", event["camera"], event["id"])
        return JSONResponse(changed)

    async def changes(request: Request) -> Response:
        if following >= MOST_FOLLOWERS:
            raise RefusedError(503, "too many follow", {"Retry-After": "10"})
        source()
        after = request.headers.get("last-event-id") or request.query_params.get("after")
        return StreamingResponse(follow(request.state.who, _number(after, 0, 2**62)), media_type="text/event-stream")

    async def follow(who: Who, after: int) -> AsyncIterator[str]:
        nonlocal following
        following += 1
        asked_s = said_s = time.monotonic()
        try:
            yield ": here\n\n"
            while True:
                now = time.monotonic()
                if now - asked_s > _ASK_RIGHTS_S:
                    rights = await run_in_threadpool(who.still, guard.access)
                    if rights is None:
                        return
                    who, asked_s = who._replace(rights=rights), now
                try:
                    found = await run_in_threadpool(source().changes, after, _MOST)
                except UserError:  # the store cannot be read; the answer has begun, so no other one can be given
                    return  # the page asks again, and what else it asks for says what is wrong
                for after, event in found:
                    if who.sees(event["camera"]):
                        yield f"id: {after}\ndata: {json.dumps(event)}\n\n"
                        said_s = now
                if now - said_s > _STILL_HERE_S:
                    yield ": here\n\n"
                    said_s = now
                if len(found) < _MOST:
                    await asyncio.sleep(_EVERY_S)
        finally:
            following -= 1

    async def clip(request: Request) -> Response:
        return await file(request, "clip", "video/mp4", "play")

    async def thumbnail(request: Request) -> Response:
        return await file(request, "thumbnail", "image/jpeg", "view")

    async def file(request: Request, kind: str, media_type: str, what: str) -> Response:
        event = await seen(request)
        path = await run_in_threadpool(source().file, event["id"], kind)
        if path is None or not path.is_file():
            raise RefusedError(404, f"there is no {kind} of this event (any more)")
        if request.method == "GET":
            await guard.note(request.state.who, what, event["camera"], event["id"], once_s=600.0)
        return FileResponse(path, media_type=media_type)

    return [
        route("/api/events", list_events, _VIEWER),
        route("/api/events/changes", changes, _VIEWER),
        route("/api/events/like", like, _VIEWER),
        route("/api/events/{event}", one_event, _VIEWER),
        route("/api/events/{event}/decision", decide, _REVIEWER, ["POST"]),
        route("/clips/{event}.mp4", clip, _VIEWER),
        route("/clips/{event}.jpg", thumbnail, _VIEWER),
    ]


def _number(text: str | None, usual: int, most: int) -> int:
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise RefusedError(400, "this must be a number")
    return min(int(text), most)
