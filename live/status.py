"""How things are, over HTTP: cameras for those who may see them, connections for administrators, counters for Prometheus."""

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aadc.live.guard import Guard, Needs, RefusedError, Who, route
from aadc.live.media import Media, MediaError
from aadc.live.rights import Role, Use
from aadc.live.served import CameraSource
from aadc.live.signalling import Connections, told

STATES = ("connecting", "online", "stalled", "offline", "disabled")


def status_routes(guard: Guard, connections: Connections, media: Media, cameras: CameraSource) -> list[Route]:
    """`/health`, `/metrics`, `/api/cameras`, what is drawn over a camera's picture, `/api/connections`."""

    async def health(request: Request) -> Response:
        if media.pid is None:
            return JSONResponse({"status": "starting"}, 503)
        well = all(part["ok"] for part in await run_in_threadpool(cameras.health))
        return JSONResponse({"status": "ok" if well else "trouble"})  # what it is, is for who is logged in

    async def list_cameras(request: Request) -> Response:
        who: Who = request.state.who
        names = [name for name in cameras.names() if who.sees(name)]
        states = [await run_in_threadpool(cameras.state, name) for name in names]
        listed = [{"name": name, "published": media.takes(name), **state} for name, state in zip(names, states, strict=True)]
        return JSONResponse(listed)

    async def recent(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(cameras.recent, request.path_params["camera"]))

    async def list_connections(request: Request) -> Response:
        status = await _status(media)
        opened = connections.all()
        return JSONResponse([told(opened[peer["peer"]], peer) for peer in status["peers"] if peer["peer"] in opened])

    async def end_connection(request: Request) -> Response:
        peer = request.path_params["peer"]
        opened = connections.all().get(peer)
        if opened is None:
            raise RefusedError(404, "there is no such connection")
        await connections.end(peer)
        await guard.note(request.state.who, f"ended: {opened.do}", opened.camera, opened.who.name)
        return JSONResponse({"ended": True})

    async def metrics(request: Request) -> Response:
        status = await _status(media)
        registry = CollectorRegistry(auto_describe=False)
        states = {name: await run_in_threadpool(cameras.state, name) for name in cameras.names()}
        parts = await run_in_threadpool(cameras.health)
        registry.register(_Counters(status, states, media.starts, parts))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    administrator = Needs(Role.ADMINISTRATOR)
    return [
        route("/health", health, Needs()),
        route("/metrics", metrics, Needs(Role.ADMINISTRATOR, Use.METRICS)),
        route("/api/cameras", list_cameras, Needs(Role.VIEWER)),
        route("/api/cameras/{camera}/recent", recent, Needs(Role.VIEWER)),
        route("/api/connections", list_connections, administrator),
        route("/api/connections/{peer}", end_connection, administrator, ["DELETE"]),
    ]


async def _status(media: Media) -> dict[str, Any]:
    try:
        return await media.ask("status")
    except MediaError:
        return {"peers": [], "encoders": {}, "decode_errors": 0}


class _Counters(Collector):
    """One reading of everything, in Prometheus's words."""

    def __init__(
        self, status: dict[str, Any], states: dict[str, dict[str, Any]], starts: int, parts: list[dict[str, Any]]
    ) -> None:
        self._status = status
        self._states = states
        self._starts = starts
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        peers = self._status["peers"]
        connected = GaugeMetricFamily("aadc_webrtc_connections", "Open WebRTC connections", labels=["camera", "way"])
        for camera, way in sorted({(peer["camera"], peer["way"]) for peer in peers}):
            connected.add_metric([camera, way], sum((peer["camera"], peer["way"]) == (camera, way) for peer in peers))
        yield connected
        for name, what, words in (
            ("aadc_webrtc_received_frames", "received", "Pictures that came over the present connection"),
            ("aadc_webrtc_dropped_frames", "dropped", "Pictures of them that newer ones replaced"),
        ):
            family = GaugeMetricFamily(name, words, labels=["camera"])
            for peer in peers:
                if peer["way"] == "in":
                    family.add_metric([peer["camera"]], peer[what])
            yield family
        yield CounterMetricFamily(
            "aadc_webrtc_decode_errors", "Pictures that could not be decoded", value=self._status["decode_errors"]
        )
        yield GaugeMetricFamily("aadc_encoders", "Cameras encoded for viewers right now", value=len(self._status["encoders"]))
        yield CounterMetricFamily("aadc_media_starts", "Times the media process was started", value=self._starts)
        state = GaugeMetricFamily("aadc_camera_state", "1 for the state a camera is in", labels=["camera", "state"])
        numbers: dict[str, GaugeMetricFamily] = {}
        for camera, values in self._states.items():
            for name in STATES:
                state.add_metric([camera, name], float(values.get("state") == name))
            for key, value in values.items():
                if isinstance(value, int | float) and key.isidentifier():
                    family = numbers.setdefault(
                        key, GaugeMetricFamily(f"aadc_camera_{key}", f"{key} of a camera", labels=["camera"])
                    )
                    family.add_metric([camera], float(value))
        yield state
        yield from numbers.values()
        well = GaugeMetricFamily("aadc_part_well", "1 while a part of the system (store, cleaner) is well", labels=["part"])
        last = GaugeMetricFamily("aadc_part_last_success_seconds", "When it was well last (UTC), 0: never", labels=["part"])
        for part in self._parts:
            well.add_metric([part["name"]], float(part["ok"]))
            last.add_metric([part["name"]], part["utc_ns"] / 1e9)
        yield well
        yield last
