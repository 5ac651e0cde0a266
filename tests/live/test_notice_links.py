"""A notice's link to the clip, from the event to whoever clicks on it."""

import sys
import time
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

pytest.importorskip("aiortc")
from made_events import an_event, messages
from pictures import jpeg_of
from waiting import wait_until
from web_server import Server

from aadc.live.config import Web
from aadc.live.data_folder import MARKER
from aadc.live.frame_slot import FrameSlot
from aadc.live.keeping import Keeping
from aadc.live.kept_events import KeptEvents
from aadc.live.notify import Webhook
from aadc.live.read_config import read_config
from aadc.live.retention import Limits

NAME = "cameras.example"


@pytest.mark.parametrize(
    "web,address",
    [
        ({}, "http://127.0.0.1:8765"),
        ({"host": "localhost", "port": 80}, "http://localhost:80"),
        ({"host": "::1"}, "http://[::1]:8765"),
        ({"host": "10.0.0.7"}, "https://10.0.0.7:8765"),
        ({"host": "0.0.0.0"}, None),
        ({"host": "0.0.0.0", "names": [NAME, "b"]}, f"https://{NAME}:8765"),
        ({"host": "0.0.0.0", "names": [f"{NAME}:443"]}, f"https://{NAME}:443"),
        ({"behind_proxy": True, "names": [NAME]}, f"https://{NAME}"),
        ({"behind_proxy": True, "names": [f"{NAME}:8443"]}, f"https://{NAME}:8443"),
        ({"behind_proxy": True}, None),
        ({"enabled": False}, None),
    ],
)
def test_what_links_begin_with(web, address):
    assert Web(**web).address == address


@pytest.mark.parametrize("proxy", [False, True])
def test_a_link_opens_for_who_is_logged_in(tmp_path, hook, proxy):
    """The event's clip itself; 401 for everybody else. Behind a proxy it has the proxy's name."""
    (tmp_path / MARKER).touch()
    status = FrameSlot(most_pixels=1)
    job = {"data": str(tmp_path), "cameras": ["yard"], "views": {}, "jobs": {}, "status": status.descriptor}
    named = {"behind_proxy": True, "names": [NAME]} if proxy else {}
    server = Server.__new__(Server)
    outside = {"Host": NAME, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"} if proxy else {}
    if proxy:  # its cookie is for TLS alone, which the proxy would do
        server.client = lambda name, password: httpx.Client()
    server.__init__(tmp_path, {**job, **named}, (status.descriptor,))
    web = Web(port=server.port, **named)
    keeping = Keeping(
        tmp_path, ["yard"], Limits(days=None), {"hook": Webhook(f"http://127.0.0.1:{hook.port}/", address=web.address)}
    )
    for message in messages(0):
        keeping.take(message)
        for frame in range(30):
            keeping.see("yard", jpeg_of(frame), message.after.end_s + frame / 10)
            time.sleep(0.001)
    keeping.see("yard", jpeg_of(0), 30.0)
    events, event = KeptEvents(tmp_path), an_event(0).id
    wait_until(lambda: events.one(event)["clip"] and [one["type"] for one in hook.bodies][-1:] == ["end"], 20)
    link = hook.bodies[-1]["clip_url"]
    assert link == f"{web.address}/clips/{event}.mp4" and {one["clip_url"] for one in hook.bodies} == {link}
    here = link.replace(f"https://{NAME}", server.url)  # as the proxy passes it on
    assert httpx.get(here, headers=outside).status_code == 401
    login = {"name": "admin", "password": server.password}
    answer = httpx.post(f"{server.url}/login", data=login, headers=outside)
    assert answer.status_code == 303 and ("secure" in answer.headers["set-cookie"].lower()) == proxy
    clip = httpx.get(here, headers={**outside, "Cookie": answer.headers["set-cookie"].partition(";")[0]})
    assert clip.status_code == 200 and clip.content == events.file(event, "clip").read_bytes() and clip.content[4:8] == b"ftyp"
    keeping.close()
    events.close()
    assert server.stop() == 0
    status.close()


def test_a_setting_that_does_nothing_is_told_of(tmp_path):
    path = tmp_path / "cameras.toml"
    path.write_text('[[camera]]\nname = "a"\nsource = "rtsp://h/x"\nclip_url = "rtsp://h/main"\n')
    assert any("clip_url of a is not read" in caution for caution in read_config(path).cautions)
