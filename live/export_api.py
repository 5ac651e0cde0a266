"""What people decided, to take away: the same as `aadc-live export` writes, for administrators, with their cameras alone."""

import asyncio
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from aadc.live.accounts import json_of
from aadc.live.export import LABEL_STUDIO, MANIFEST
from aadc.live.export_job import ARCHIVE, FOLDER, ExportDone, ExportJob
from aadc.live.guard import Guard, Needs, RefusedError, Who, route
from aadc.live.rights import Role
from aadc.manifests.files import make_folder
from aadc.manifests.records import parse_record

EXPORTS = "exports"  # in the data folder, while they are made and sent
WITHIN_S = 3600.0
_WHAT = {
    "zip": (ARCHIVE, "application/zip"),
    "label_studio": (f"{FOLDER}/{LABEL_STUDIO}", "application/json"),
    "csv": (f"{FOLDER}/{MANIFEST}", "text/csv"),
}


def export_routes(guard: Guard, data: Path, run: Path | None) -> list[Route]:
    """`/api/export`. `run`: whose classes and frame rate count."""
    shutil.rmtree(data / EXPORTS, ignore_errors=True)  # what a killed server left
    busy = asyncio.Lock()

    async def export(request: Request) -> Response:
        what = (await json_of(request, "what")).get("what", "zip")
        if not isinstance(what, str) or what not in _WHAT:
            raise RefusedError(400, f"what must be one of {', '.join(_WHAT)}")
        if run is None:
            raise RefusedError(422, "nothing can be exported here: there is no run whose classes count")
        if busy.locked():
            raise RefusedError(503, "another export is being made; try again when it is done", {"Retry-After": "30"})
        async with busy:
            who: Who = request.state.who
            out = await run_in_threadpool(_folder, data)
            try:
                cameras = None if who.cameras is None else sorted(who.cameras)
                done = await _made(ExportJob(data=str(data), run=str(run), out=str(out), cameras=cameras, who=who.name))
                if done.wrong:
                    raise RefusedError(422, done.wrong)
                told = f"{done.confirmed} confirmed, {done.dismissed} dismissed, {done.left_out} left out, {what}"
                await guard.note(who, "exported", subject=told)
            except BaseException:
                shutil.rmtree(out, ignore_errors=True)
                raise
        name, media_type = _WHAT[what]
        headers = {"X-AADC-Events": str(done.confirmed + done.dismissed), "X-AADC-Left-Out": str(done.left_out)}
        return _Once(out, out / name, media_type, headers)

    return [route("/api/export", export, Needs(Role.ADMINISTRATOR), ["POST"])]


class _Once(FileResponse):
    """A file of a folder that goes once it is sent, or nobody takes it any more."""

    def __init__(self, folder: Path, path: Path, media_type: str, headers: dict[str, str]) -> None:
        super().__init__(path, media_type=media_type, headers=headers, filename=path.name)
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


def _folder(data: Path) -> Path:
    make_folder(data / EXPORTS)
    return Path(tempfile.mkdtemp(dir=data / EXPORTS))


async def _made(job: ExportJob) -> ExportDone:
    """What a process of its own says that came of it; it ends with the request."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aadc.live.following", "aadc.live.export_job", str(os.getpid())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        async with asyncio.timeout(WITHIN_S):
            process.stdin.write(job.model_dump_json().encode() + b"\n")
            await process.stdin.drain()
            told = await process.stdout.read()  # to its end
            code = await process.wait()
    except (OSError, TimeoutError):
        raise RefusedError(503, f"the export did not come to an end within {WITHIN_S / 60:.0f} minutes") from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    if code:
        raise RefusedError(503, f"the export ended by itself (status {code}); try again")
    return parse_record(told, "the answer of the export", ExportDone, "this is a bug")
