"""The web process as the parent of all starts it: a peer's pictures are scored, kept and shown as any camera's; real events."""

import asyncio
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

pytest.importorskip("aiortc")
from made_events import an_event, messages
from test_watch import has_loaded
from waiting import wait_until
from web_peers import CELLS, Publisher, Viewer, number_on, until
from web_server import Server

from aadc.live.camera_state import status_of
from aadc.live.capture_job import CaptureJob
from aadc.live.frame_slot import FrameSlot
from aadc.live.kept_events import KeptEvents
from aadc.live.store import STORE, Store
from aadc.live.watch import WEB_HANGS_S
from aadc.live.web import SlotCameras

pytestmark = pytest.mark.usefixtures("on_loopback")

BLACKOUT = [(0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)]  # the lower half


class House:
    """Slots, a store and the server between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.frames, self.view, self.other = FrameSlot(), FrameSlot(), FrameSlot()
        self.status, self.scorer = FrameSlot(most_pixels=1), FrameSlot(most_pixels=1)
        self.store = Store(folder / STORE)
        job = CaptureJob(
            name="door", source="webrtc", kind="webrtc", blackouts=[BLACKOUT], snippet_s=16 / 30, view_fps=25, view_px=960,
            began_ns=time.monotonic_ns(), frames=self.frames.descriptor, view=self.view.descriptor,
        )  # fmt: skip
        slots = (self.frames, self.view, self.other, self.status, self.scorer)
        self.server = Server(
            folder,
            {
                "data": str(folder), "cameras": ["door", "yard", "shed"],
                "views": {"door": self.view.descriptor, "yard": self.other.descriptor}, "jobs": {"door": job.model_dump()},
                "status": self.status.descriptor, "scorer": self.scorer.descriptor,
            },
            tuple(slot.descriptor for slot in slots),
        )  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    made = House(tmp_path_factory.mktemp("house"))
    yield made
    made.server.ends_well()
    made.store.close()


def state(house: House, camera: str) -> dict:
    return next(one for one in house.server.admin.get("/api/cameras").json() if one["name"] == camera)


def test_who_goes_away_within_a_request_is_no_fault_of_the_server(house):
    """A page that is left while it asks; what `house` looks for at its end is that nothing is said of it either."""
    head = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n"
    for body in (b"", b"name=admin&pass"):
        with socket.create_connection(("127.0.0.1", house.server.port)) as leaving:
            leaving.sendall(head + body)
            time.sleep(0.2)
    assert house.server.admin.get("/api/me").status_code == 200
    time.sleep(0.2)
    assert "Traceback" not in house.server.said()


def test_a_peers_pictures_are_scored_kept_and_shown(house):
    """One frame a snippet by time, in order; states as of any camera; the blackout on all of them."""
    assert state(house, "door")["state"] == "offline" and state(house, "door")["error"] == "nobody sends to it"
    assert state(house, "shed")["state"] == "disabled"
    assert [state(house, camera)["published"] for camera in ("door", "yard", "shed")] == [True, False, False]

    async def run():
        publisher, viewer = Publisher(house.server), Viewer(house.server)
        assert (await publisher.start()).status_code == 201
        await until(lambda: status_of(house.view).state == "online")
        await viewer.start()
        snippets = []
        until_s = time.monotonic() + 6
        while time.monotonic() < until_s and len(snippets) < 6:
            frame = house.frames.read(snippets[-1].number if snippets else 0)
            if frame is not None:
                snippets.append(frame)
            await asyncio.sleep(0.02)
        await until(lambda: len(viewer.seen) > 10)
        assert len(snippets) == 6
        assert [one.snippet for one in snippets] == list(range(snippets[0].snippet, snippets[0].snippet + 6))
        steps = np.diff([one.second for one in snippets])
        assert np.all(np.abs(steps - 16 / 30) < 0.1), steps
        numbers = [number_on(one.rgb[:40]) for one in snippets]
        assert np.all(np.abs(np.diff(numbers) - 16) <= 4), numbers
        for one in (*snippets, house.view.read()):
            height = one.rgb.shape[0]
            assert one.rgb[height // 2 :].max() == 0 and one.rgb[: height // 3].max() > 150
        jpeg = await asyncio.to_thread(lambda: house.server.admin.get("/api/cameras/door/snapshot.jpg").content)
        shown = np.asarray(Image.open(io.BytesIO(jpeg)))
        assert shown[shown.shape[0] * 2 // 3 :].max() < 30 and shown[: shown.shape[0] // 3].max() > 150
        there = await asyncio.to_thread(state, house, "door")
        assert (there["state"], there["width"], there["height"]) == ("online", CELLS * 20, CELLS * 16)
        assert "aadc_camera_decoded" in await asyncio.to_thread(lambda: house.server.admin.get("/metrics").text)
        await publisher.http.delete(publisher.where)
        await until(lambda: status_of(house.view).state == "offline")
        assert status_of(house.view).error == "the publisher left"
        last = house.frames.read().second
        again = Publisher(house.server)  # whose own time begins at 0
        assert (await again.start()).status_code == 201
        await until(lambda: status_of(house.view).state == "online")
        assert status_of(house.view).clock == "camera" and status_of(house.view).connects == 2
        await until(lambda: house.frames.read().second > last)
        await again.http.delete(again.where)
        await again.stop()
        stranger = Publisher(house.server, "yard")
        refused = await stranger.start()
        assert refused.status_code == 409 and "source is webrtc" in refused.text
        await stranger.stop()
        await viewer.stop()
        await publisher.stop()

    asyncio.run(run())
    beaten_ns = house.status.beaten_ns
    wait_until(lambda: house.status.beaten_ns > beaten_ns, WEB_HANGS_S)  # as its parent looks whether it lives


def test_what_another_process_puts_into_a_slot_is_shown(house):
    house.other.write(np.full((64, 96, 3), 200, np.uint8), 1.0, 1, time.monotonic_ns())
    jpeg = house.server.admin.get("/api/cameras/yard/snapshot.jpg")
    assert Image.open(io.BytesIO(jpeg.content)).size == (96, 64)


def test_events_of_the_store_are_told_and_decided(house):
    """Listed, followed while they change, decided by who may; the decision is in the store, with who made it."""
    http = house.server.admin
    assert http.get("/api/events").json() == []
    for message in messages(1, "door"):
        house.store.put(message, "a car hits a wall <b>").result(5)
    (event,) = http.get("/api/events").json()
    assert (
        event["id"] == an_event(1, "door").id and event["description"] == "a car hits a wall <b>" and event["ending"] == "quiet"
    )
    assert http.get("/api/events", params={"words": "car"}).json() == [event]
    assert http.get("/api/events", params={"words": '" OR 1 --'}).json() == []
    assert http.get("/api/events", params={"before": event["id"]}).json() == []
    with http.stream("GET", "/api/events/changes", params={"after": 0}) as stream:
        lines = stream.iter_lines()
        first = next(json.loads(line[6:]) for line in lines if line.startswith("data: "))
        assert first["id"] == event["id"]
        answer = http.post(f"/api/events/{event['id']}/decision", json={"decision": "dismissed"})
        assert answer.status_code == 200 and answer.json()["decision"] == "dismissed"
        changed = next(json.loads(line[6:]) for line in lines if line.startswith("data: "))
        assert changed["decision"] == "dismissed"
    assert http.get("/api/events", params={"decision": "open"}).json() == []
    assert http.get("/api/events", params={"decision": "dismissed"}).json()[0]["id"] == event["id"]
    clip = Path("clips") / "x.mp4"
    (house.folder / "clips").mkdir(exist_ok=True)
    (house.folder / clip).write_bytes(b"0123456789")
    house.store.set_clip(event["id"], str(clip)).result(5)
    part = http.get(f"/clips/{event['id']}.mp4", headers={"Range": "bytes=2-4"})
    assert part.status_code == 206 and part.content == b"234"
    house.store.set_clip(event["id"], "../../etc/passwd").result(5)
    assert http.get(f"/clips/{event['id']}.mp4").status_code == 404


def test_the_web_process_ends_with_its_parent(tmp_path):
    """However that ends, and the media process with it."""
    job = {"data": str(tmp_path), "cameras": []}
    code = (
        "import os, subprocess, sys, time\n"
        "command = [sys.executable, '-m', 'aadc.live.following', 'aadc.live.web', str(os.getpid())]\n"
        "web = subprocess.Popen(command, stdin=subprocess.PIPE)\n"
        "web.stdin.write(sys.argv[1].encode() + b'\\n'); web.stdin.flush(); print(web.pid, flush=True); time.sleep(600)"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [sys.executable, "-c", code, json.dumps({**job, "port": port})]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as parent:
        web = int(parent.stdout.readline())

        def children() -> list[str]:
            return Path(f"/proc/{web}/task/{web}/children").read_text().split()

        wait_until(children, 60)
        (media,) = children()
        wait_until(lambda: has_loaded(media, "libavformat"), 60)  # by then it has asked the system to go with its parent
        os.kill(int(media), signal.SIGSTOP)  # it hangs besides
        parent.kill()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in (web, media)), 20)


def test_what_keeps_the_server_from_starting_is_one_sentence(tmp_path):
    """A port that another program has, say; the parent tries again, so it is said more than once."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        job = json.dumps({"data": str(tmp_path), "cameras": [], "port": other.getsockname()[1]})
        command = [sys.executable, "-m", "aadc.live.following", "aadc.live.web", str(os.getpid())]
        done = subprocess.run(command, input=job + "\n", capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert re.fullmatch(
        r"web: cannot listen on 127\.0\.0\.1, port \d+ \(Address already in use\); name another .*\n", done.stderr
    )


def test_no_camera_password_is_told(house):
    """Row 26: what the parent writes for people may hold addresses; no answer does, to nobody."""
    status = {
        "cameras": {"door": {"source": "rtsp://ann:hunter2@10.0.0.9/"}},
        "score": {"cameras": {"door": {"real_time": 1.0}}},
    }
    (house.folder / "status.json").write_text(json.dumps(status))
    house.scorer.tell(status["score"])
    http = house.server.admin
    assert state(house, "door")["scoring"] == {"real_time": 1.0}
    for path in ("/api/cameras", "/metrics", "/api/connections", "/api/log", "/api/events", "/health", "/api/me"):
        assert "hunter2" not in http.get(path).text, path
    assert "hunter2" not in house.server.said()


def test_health_says_what_the_store_cannot_keep(house):
    """Row 24: while the disk is full, that it is comes from memory; the cleaner's last success is a metric."""
    http = house.server.admin
    house.store.set_health("cleaner", True, "clips take 1 GB").result(20)
    for problem, status in (("", "ok"), ("database or disk is full", "trouble"), ("", "ok")):
        house.scorer.tell({"problem": problem, "written_ns": 7 * 10**9})
        assert http.get("/health").json() == {"status": status}
        told = http.get("/metrics").text
        assert f'aadc_part_well{{part="store"}} {0.0 if problem else 1.0}\n' in told
        assert 'aadc_part_last_success_seconds{part="store"} 7.0\n' in told
        since = float(told.partition('aadc_part_last_success_seconds{part="cleaner"} ')[2].split()[0])
        assert abs(since - time.time()) < 600
    house.store.set_health("cleaner", False, "no room").result(20)
    assert http.get("/health").json() == {"status": "trouble"}
    house.store.set_health("cleaner", True, "").result(20)


def test_health_says_that_nothing_scores(house, monkeypatch):
    """From what the process that scores last gave as a sign of life; before its first one there is nothing to be said."""
    now_ns, utc_ns = 100 * 10**9, 1_800_000_000 * 10**9
    kept = KeptEvents(house.folder)

    def parts(silent_s):
        beaten_ns = 0 if silent_s is None else now_ns - silent_s * 10**9
        scorer = SimpleNamespace(told=dict, beaten_ns=beaten_ns)
        return {part["name"]: part for part in SlotCameras([], {}, kept, scorer=scorer).health()}

    with monkeypatch.context() as stopped:
        stopped.setattr("aadc.live.web.time", SimpleNamespace(monotonic_ns=lambda: now_ns, time_ns=lambda: utc_ns))
        assert "scoring" not in parts(None)
        well, ill = parts(8)["scoring"], parts(12)["scoring"]
    kept.close()
    assert well["ok"] and not ill["ok"] and ill["told"] == "gave no sign of life for 12 s"
    assert ill["utc_ns"] == utc_ns - 12 * 10**9 and well["camera"] is ill["camera"] is None
    house.scorer.beat()
    assert 'aadc_part_well{part="scoring"} 1.0' in house.server.admin.get("/metrics").text


def test_blanks_are_neither_words_nor_a_class(house):
    """Blanks listed every event, and an event could be renamed to nothing that one sees."""
    http = house.server.admin
    *_, last = messages(50, "door")
    house.store.put(last, "somebody falls").result(20)
    for path in ("/api/events?words=%20%20", "/api/events?words=%09"):
        refused = http.get(path)
        assert refused.status_code == 422 and "there are no words to look for" in refused.text
    assert len(http.get("/api/events?words=").json()) == len(http.get("/api/events").json()) > 0, (
        "a field that is not filled in"
    )
    for blank in ("", "  ", "\u00a0"):
        asked = {"decision": "renamed", "category": blank, "new": True}
        refused = http.post(f"/api/events/{last.after.id}/decision", json=asked)
        assert refused.status_code == 422 and "the class has no name" in refused.text
    asked = {"decision": "renamed", "category": " fall ", "new": True}
    assert http.post(f"/api/events/{last.after.id}/decision", json=asked).json()["category"] == "fall"


def test_a_store_that_was_damaged_meanwhile_is_told_and_ends_nothing(tmp_path):
    """Whoever asks for health is told that there is trouble, and not where files lie; who follows events is answered in full
    by nobody, and the server's log has no fault of the server's."""
    with closing(Store(tmp_path / STORE)) as store:
        for number in range(60):
            for message in messages(number, "door", curve=((number * 60.0, 0.6),) * 50):
                store.put(message)
        store.log("anna", "was here").result(20)
    server = Server(tmp_path, {"data": str(tmp_path), "cameras": ["door"], "views": {}, "jobs": {}})
    path = tmp_path / STORE
    os.truncate(path, path.stat().st_size // 2)
    anybody = httpx.get(f"{server.url}/health")
    assert anybody.status_code == 200 and anybody.json() == {"status": "trouble"}
    assert 'aadc_part_well{part="store"} 0.0\n' in server.admin.get("/metrics").text
    asked = server.admin.get("/api/events")
    assert asked.status_code == 422 and "put a copy of it back" in asked.text
    assert server.admin.get("/api/events/changes", timeout=20).text.strip() == ": here"
    assert server.admin.get("/api/cameras").status_code == 200
    server.ends_well()
