"""Logging in and out, and what administrators do about people, sessions and tokens; over HTTP."""

import html
import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from aadc.live.access import LONGEST_S, Role, Session, Token, Use, User, csrf_token
from aadc.live.guard import Guard, Needs, RefusedError, Who, route, text_of
from aadc.live.limits import TooManyError

_PAGE = Path(__file__).parent / "pages" / "login.html"
_ANYBODY = Needs()
_PERSON = Needs(Role.VIEWER)
_ADMINISTRATOR = Needs(Role.ADMINISTRATOR)


def account_routes(guard: Guard) -> list[Route]:
    """Login, logout, one's own account; users, sessions, tokens and the log for administrators."""
    access = guard.access

    async def login_page(request: Request) -> Response:
        return _login_page()

    async def login(request: Request) -> Response:
        guard.check_origin(request)
        name, password = _login_words(await request.body(), request.headers.get("content-type", ""))
        address = request.client.host if request.client else ""
        try:
            secret = await run_in_threadpool(access.log_in, name, password, address, request.headers.get("user-agent", ""))
        except TooManyError as error:
            return _login_page(
                "Too many tries. Come back in a few minutes.", 429, {"Retry-After": str(math.ceil(error.wait_s))}
            )
        if secret is None:
            return _login_page("Name or password is wrong.", 401)
        if old := request.cookies.get(guard.cookie):  # a new login never goes on with an older session
            session = await run_in_threadpool(access.session, old)
            if session is not None:
                await run_in_threadpool(access.end_session, session.id)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(guard.cookie, secret, int(LONGEST_S), path="/", secure=guard.secure, httponly=True, samesite="lax")
        return answer

    async def logout(request: Request) -> Response:
        who: Who = request.state.who
        if who.session is not None:
            await run_in_threadpool(access.end_session, who.session.id)
        await guard.note(who, "logout")
        answer = JSONResponse({"logged_out": True})
        answer.delete_cookie(guard.cookie, path="/", secure=guard.secure, httponly=True, samesite="lax")
        return answer

    async def me(request: Request) -> Response:
        who: Who = request.state.who
        assert isinstance(who.rights, User)
        return JSONResponse({**_user(who.rights), "csrf": csrf_token(request.cookies.get(guard.cookie, ""))})

    async def password(request: Request) -> Response:
        who: Who = request.state.who
        asked = await json_of(request, "old", "new")
        old, new = text_of(asked.get("old"), 1000, "old"), text_of(asked.get("new"), 1000, "new")
        try:
            right = await run_in_threadpool(access.log_in, who.name, old, who.address)
        except TooManyError as error:
            raise RefusedError(429, str(error), {"Retry-After": str(math.ceil(error.wait_s))}) from error
        if right is None:
            raise RefusedError(403, "the old password is wrong")
        await run_in_threadpool(access.change_user, who.name, password=new)
        await guard.note(who, "password changed", subject=who.name)
        return JSONResponse({"changed": True})

    async def users(request: Request) -> Response:
        who: Who = request.state.who
        if request.method != "POST":
            return JSONResponse([_user(user) for user in await run_in_threadpool(access.users)])
        asked = await json_of(request, "name", "role", "password", "cameras")
        name, role, cameras = text_of(asked.get("name"), 64, "name"), _role(asked), _cameras(asked)
        await run_in_threadpool(access.add_user, name, role, text_of(asked.get("password"), 1000, "password"), cameras)
        await guard.note(who, "user added", subject=_may(User(name, role, None if cameras is None else frozenset(cameras))))
        return JSONResponse({"name": name}, 201)

    async def user(request: Request) -> Response:
        who: Who = request.state.who
        name = request.path_params["user"]
        if request.method == "DELETE":
            await run_in_threadpool(access.remove_user, name)
            await guard.note(who, "user removed", subject=name)
            return JSONResponse({"removed": True})
        asked = await json_of(request, "role", "cameras", "password")
        if not asked:
            raise RefusedError(400, "nothing is to be changed; there are role, cameras, password")
        role = _role(asked) if "role" in asked else None  # what is not named stays as it is: less may never become more
        cameras = _cameras(asked) if "cameras" in asked else ...
        password = text_of(asked["password"], 1000, "password") if "password" in asked else None
        changed = await run_in_threadpool(access.change_user, name, role, cameras, password)
        if "password" in asked:
            await guard.note(who, "password changed", subject=name)
        if "role" in asked or "cameras" in asked:
            await guard.note(who, "rights changed", subject=_may(changed))
        return JSONResponse({"changed": True})

    async def sessions(request: Request) -> Response:
        return JSONResponse([_session(session) for session in await run_in_threadpool(access.sessions)])

    async def session(request: Request) -> Response:
        if not await run_in_threadpool(access.end_session, request.path_params["session"]):
            raise RefusedError(404, "there is no such session")
        await guard.note(request.state.who, "session ended", subject=str(request.path_params["session"]))
        return JSONResponse({"ended": True})

    async def tokens(request: Request) -> Response:
        who: Who = request.state.who
        if request.method != "POST":
            return JSONResponse([_token(token) for token in await run_in_threadpool(access.tokens)])
        asked = await json_of(request, "use", "camera", "label")
        try:
            use = Use(str(asked.get("use")))
        except ValueError:
            raise RefusedError(400, f"use must be one of {', '.join(use.value for use in Use)}") from None
        camera = "" if use is Use.METRICS else text_of(asked.get("camera"), 100, "camera")
        if use is not Use.METRICS and not guard.camera_exists(camera):
            raise RefusedError(404, "there is no such camera")
        number, secret = await run_in_threadpool(
            access.add_token, use, camera, text_of(asked.get("label", ""), 100, "label"), who.name
        )
        await guard.note(who, "token made", camera, f"{number} ({use.value})")
        return JSONResponse({"id": number, "token": secret}, 201)

    async def token(request: Request) -> Response:
        if not await run_in_threadpool(access.revoke_token, request.path_params["token"]):
            raise RefusedError(404, "there is no such token")
        await guard.note(request.state.who, "token revoked", subject=str(request.path_params["token"]))
        return JSONResponse({"revoked": True})

    async def log(request: Request) -> Response:
        before = request.query_params.get("before")
        if before is not None and not (before.isascii() and before.isdigit() and len(before) < 19):
            raise RefusedError(400, "before must be the number of an entry")
        entries = await run_in_threadpool(access.log, int(before) if before else None)
        return JSONResponse([entry._asdict() for entry in entries])

    return [
        route("/login", login_page, _ANYBODY),
        route("/login", login, _ANYBODY, ["POST"]),
        route("/logout", logout, _PERSON, ["POST"]),
        route("/api/me", me, _PERSON),
        route("/api/me/password", password, _PERSON, ["POST"]),
        route("/api/users", users, _ADMINISTRATOR, ["GET", "POST"]),
        route("/api/users/{user}", user, _ADMINISTRATOR, ["PATCH", "DELETE"]),
        route("/api/sessions", sessions, _ADMINISTRATOR),
        route("/api/sessions/{session:int}", session, _ADMINISTRATOR, ["DELETE"]),
        route("/api/tokens", tokens, _ADMINISTRATOR, ["GET", "POST"]),
        route("/api/tokens/{token:int}", token, _ADMINISTRATOR, ["DELETE"]),
        route("/api/log", log, _ADMINISTRATOR),
    ]


def _login_page(error: str = "", status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return HTMLResponse(_PAGE.read_text().replace("<!--error-->", html.escape(error)), status, headers)


def _login_words(body: bytes, content_type: str) -> tuple[str, str]:
    if content_type.split(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        try:
            form = parse_qs(body.decode(), max_num_fields=10)
        except ValueError as error:
            raise RefusedError(400, "this is no form") from error
        return form.get("name", [""])[0], form.get("password", [""])[0]
    raise RefusedError(415, "a login is a form")


async def json_of(request: Request, *names: str) -> dict[str, Any]:
    """The JSON object a request brings. `RefusedError` where it brings none, or one with other names than these (none: any):
    a slip, such as `camera` for `cameras`, must not pass for a wish that was not uttered."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise RefusedError(415, "send application/json")
    try:
        asked = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "this is no JSON") from error
    if not isinstance(asked, dict):
        raise RefusedError(400, "send one JSON object")
    if names and (unknown := sorted(set(asked) - set(names))):
        raise RefusedError(400, f"{unknown[0][:100]!r} is not known here; there are {', '.join(names)}")
    return asked


def _role(asked: dict[str, Any]) -> Role:
    try:
        return Role(str(asked.get("role")))
    except ValueError:
        raise RefusedError(400, f"role must be one of {', '.join(role.value for role in Role)}") from None


def _cameras(asked: dict[str, Any]) -> list[str] | None:
    cameras = asked.get("cameras")
    if cameras is None:
        return None
    if not isinstance(cameras, list) or len(cameras) > 1000:
        raise RefusedError(400, "cameras must be a list of names, or null for all")
    return [text_of(camera, 100, "a camera's name") for camera in cameras]


def _user(user: User) -> dict[str, Any]:
    return {"name": user.name, "role": user.role.value, "cameras": None if user.cameras is None else sorted(user.cameras)}


def _may(user: User) -> str:
    """A person and what that person may, for the log."""
    cameras = "every camera" if user.cameras is None else ", ".join(sorted(user.cameras)) or "no camera"
    return f"{user.name} ({user.role.value}, {cameras})"


def _session(session: Session) -> dict[str, Any]:
    return {**session._asdict(), "user": session.user.name}


def _token(token: Token) -> dict[str, Any]:
    return {**token._asdict(), "use": token.use.value}
