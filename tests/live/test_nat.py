"""A publisher and a viewer on another machine, the server behind NAT with forwarded ports: network namespaces, real routing."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("aiortc")

INSIDE, ROUTER_IN, ROUTER_OUT, OUTSIDE = "10.231.7.2", "10.231.7.1", "203.0.113.1", "203.0.113.2"
SERVER = """
import pathlib, sys
from aadc.live.served import FixedCameras
from aadc.live.server import ServerSettings, serve
folder, host, public = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
address = public if sys.argv[4] == "told" else None
settings = ServerSettings(folder, host=host, port=8765, names=(public,), public_address=address)
serve(settings, FixedCameras(["door"]))
"""
CLIENT = """
import asyncio, json, sys, types
sys.path.insert(0, sys.argv[1])
import httpx
from aiortc import RTCSessionDescription
from lossy_way import without_candidates
from web_peers import Publisher, Viewer
url, password, do = sys.argv[2:5]
admin = httpx.Client(base_url=url, verify=False, timeout=20)
assert admin.post("/login", data={"name": "admin", "password": password}).status_code == 303
admin.headers["X-CSRF-Token"] = admin.get("/api/me").json()["csrf"]

def token(use, camera="door"):
    return admin.post("/api/tokens", json={"use": use, "camera": camera}).json()["token"]

async def main():
    server = types.SimpleNamespace(url=url, token=token)
    peer = (Publisher if do == "publish" else Viewer)(server)
    peer.http._transport = httpx.AsyncHTTPTransport(verify=False)
    answers = []
    hidden = {"change": without_candidates} if do == "publish" else {}  # as from behind a NAT, or with names (mDNS)
    await peer.start(change_answer=lambda sdp: answers.append(sdp) or sdp, **hidden)
    said = {"addresses": sorted({line.split()[4] for line in answers[0].splitlines() if line.startswith("a=candidate")})}
    came = 0
    for _ in range(60):
        await asyncio.sleep(0.1)
        (there,) = [one for one in admin.get("/api/connections").json()] or [{"received": 0}]
        came = there["received"] if do == "publish" else len(peer.seen)
        if came > 10:
            break
    picture = admin.get("/api/cameras/door/snapshot.jpg")
    said |= {"came": came, "state": peer.connection.connectionState, "picture": picture.content[:2].hex()}
    await asyncio.wait_for(peer.stop(), 10)
    print(json.dumps(said))

asyncio.run(main())
"""


def run(*words: str, check: bool = True) -> subprocess.CompletedProcess:
    return subprocess.run(words, check=check, capture_output=True, text=True)


@pytest.fixture
def street():
    """Three namespaces in a row: the server's, the router's, somebody's outside. The router forwards port 8765 and all UDP."""
    if os.getuid() or not all(shutil.which(tool) for tool in ("ip", "nft")):
        pytest.skip("needs root, ip and nft")
    inside, router, outside = names = [f"aadc{os.getpid()}{end}" for end in "iro"]
    if run("ip", "netns", "add", inside, check=False).returncode:
        pytest.skip("no network namespaces here")
    try:
        for name in (router, outside):
            run("ip", "netns", "add", name)
        for name, near, address, far_address in ((inside, "a", INSIDE, ROUTER_IN), (outside, "b", OUTSIDE, ROUTER_OUT)):
            run("ip", "link", "add", f"{near}0", "netns", name, "type", "veth", "peer", "name", f"{near}1", "netns", router)
            for where, link, own in ((name, f"{near}0", address), (router, f"{near}1", far_address)):
                run("ip", "-n", where, "addr", "add", f"{own}/24", "dev", link)
                run("ip", "-n", where, "link", "set", link, "up")
        for name in names:
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", inside, "route", "add", "default", "via", ROUTER_IN)
        run("ip", "netns", "exec", router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        rules = f"""table ip street {{
            chain to {{ type nat hook prerouting priority -100; iif b1 tcp dport 8765 dnat to {INSIDE};
                        iif b1 udp dport 1024-65535 dnat to {INSIDE}; }}
            chain from {{ type nat hook postrouting priority 100; oif b1 masquerade; }}
            chain shut {{ type filter hook forward priority 0; }}
            }}"""
        subprocess.run(["ip", "netns", "exec", router, "nft", "-f", "-"], input=rules, text=True, check=True)
        yield inside, router, outside
    finally:
        for name in names:
            run("ip", "netns", "del", name, check=False)


def served(namespace: str, folder: Path, told: str) -> tuple[subprocess.Popen, str]:
    """The server within a namespace, and its administrator's password."""
    folder.mkdir()
    with (folder / "said.txt").open("w") as out:
        command = ["ip", "netns", "exec", namespace, sys.executable, "-c", SERVER, str(folder), INSIDE, ROUTER_OUT, told]
        process = subprocess.Popen(command, stdout=out, stderr=out)
    until = time.monotonic() + 60
    while ":223D " not in run("ip", "netns", "exec", namespace, "cat", "/proc/net/tcp").stdout:  # 8765, once all is started
        assert process.poll() is None and time.monotonic() < until, (folder / "said.txt").read_text()
        time.sleep(0.1)
    return process, re.search(r"password (\S+)", (folder / "said.txt").read_text())[1]


def outside_does(namespace: str, password: str, do: str) -> dict:
    command = ["ip", "netns", "exec", namespace, sys.executable, "-c", CLIENT, str(Path(__file__).parent)]
    done = run(*command, f"https://{ROUTER_OUT}:8765", password, do, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_behind_nat_with_forwarded_ports(street, tmp_path):
    """Row 17: with `public_address` both ways pass; where UDP is shut nothing does but single pictures over HTTPS."""
    inside, router, outside = street
    process, password = served(inside, tmp_path / "a", "told")
    try:
        published = outside_does(outside, password, "publish")
        assert published["addresses"] == [ROUTER_OUT] and published["came"] > 10 and published["state"] == "connected"
        watched = outside_does(outside, password, "watch")
        assert watched["addresses"] == [ROUTER_OUT] and watched["came"] > 0 and watched["state"] == "connected"
        shut = ["nft", "add", "rule", "ip", "street", "shut", "meta", "l4proto", "udp", "drop"]
        run("ip", "netns", "exec", router, *shut)
        blocked = outside_does(outside, password, "watch")
        assert blocked["came"] == 0 and blocked["state"] != "connected" and blocked["picture"] == "ffd8"
    finally:
        process.terminate()
        assert process.wait(10) == 0
