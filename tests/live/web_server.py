"""A server as it runs: a process of its own with two cameras and a few events. And the events it shows."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from aadc.live.served import LikeWords

CAMERAS = ["door", "yard <b>&\u202e"]


class MadeEvents:
    """Three events of two cameras, kept in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = ["door", CAMERAS[1], "door"]
        self.events = {f"e{n}": {"id": f"e{n}", "camera": camera, "category": "fall"} for n, camera in enumerate(names)}
        self.log = list(enumerate(self.events.values(), 1))
        folder.mkdir(exist_ok=True)
        for event in self.events:
            (folder / f"{event}.mp4").write_bytes(bytes(range(256)) * 40)

    def newest(self, cameras, before, limit, words, category, decision):
        """Newest first."""
        found = [event for event in reversed(self.events.values()) if cameras is None or event["camera"] in cameras]
        return found[:limit]

    def like(self, words, cameras, limit, category, decision):
        """All of them alike."""
        return LikeWords([event | {"similarity": 0.5} for event in self.newest(cameras, None, limit, *[None] * 3)], "")

    def one(self, event):
        """One of them."""
        return self.events.get(event)

    def classes(self):
        """Not known."""
        return []

    def decide(self, event, decision, category, by, new=False):
        """Decided."""
        self.events[event] = {**self.events[event], "decision": decision, "by": by}
        self.log.append((len(self.log) + 1, self.events[event]))
        return self.events[event]

    def changes(self, after, limit):
        """What came after."""
        return [(number, event) for number, event in self.log if number > after][:limit]

    def file(self, event, kind):
        """The clip; there are no thumbnails."""
        return self.folder / f"{event}.mp4" if kind == "clip" else None


class Server:
    """The process, its address, and an administrator's client."""

    def __init__(self, folder: Path, job: dict | None = None, descriptors: tuple[int, ...] = (), **settings) -> None:
        self.folder, self.job, self.descriptors = folder, job, descriptors
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.settings = settings
        self.start()
        self.password = re.search(r"password (\S+)", self.said()).group(1)
        self.admin = self.client("admin", self.password)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        code = (
            "import sys, pathlib; sys.path.insert(0, sys.argv[3]); from web_server import CAMERAS, MadeEvents\n"
            "from aadc.live.server import ServerSettings, serve; from aadc.live.served import FixedCameras\n"
            "folder = pathlib.Path(sys.argv[1])\n"
            f"settings = ServerSettings(folder, port=int(sys.argv[2]), **{self.settings!r})\n"
            "serve(settings, FixedCameras(CAMERAS), MadeEvents(folder / 'clips'))\n"
        )
        self.out = (self.folder / "said.txt").open("a+")
        arguments = [sys.executable, "-c", code, str(self.folder), str(self.port), str(Path(__file__).parent)]
        if self.job is None:
            self.process = subprocess.Popen(arguments, stdout=self.out, stderr=subprocess.STDOUT)
        else:  # as the parent of all starts it
            command = [sys.executable, "-m", "aadc.live.following", "aadc.live.web", str(os.getpid())]
            pipes = {"stdin": subprocess.PIPE, "stdout": self.out, "stderr": subprocess.STDOUT}
            self.process = subprocess.Popen(command, pass_fds=self.descriptors, **pipes)
            self.process.stdin.write(json.dumps({**self.job, "port": self.port}).encode() + b"\n")
            self.process.stdin.flush()
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/health").status_code == 200:
                    return
            assert self.process.poll() is None, self.said()
            time.sleep(0.05)
        raise AssertionError(self.said())

    def said(self) -> str:
        """All it printed."""
        return (self.folder / "said.txt").read_text()

    def client(self, name: str, password: str) -> httpx.Client:
        """A browser that logged in, as far as requests go."""
        client = httpx.Client(base_url=self.url, timeout=20)
        assert client.post("/login", data={"name": name, "password": password}).status_code == 303
        client.headers["X-CSRF-Token"] = client.get("/api/me").json()["csrf"]
        return client

    def token(self, use: str, camera: str = "door") -> str:
        """A device's token."""
        return self.admin.post("/api/tokens", json={"use": use, "camera": camera}).json()["token"]

    def media_process(self) -> int:
        """The number of the media process."""
        return media_process(self.process.pid)

    def ends_well(self) -> None:
        """It ends when it is told to, and has said nothing of a fault."""
        assert self.stop() == 0
        assert "Traceback" not in self.said()

    def stop(self) -> int:
        """SIGTERM; gives the exit status, or fails after 10 s."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(10)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.out.close()
            self.admin.close()


def media_process(web: int) -> int:
    """The number of the media process of a server's."""
    children = Path(f"/proc/{web}/task/{web}/children").read_text().split()
    (media,) = [int(child) for child in children if b"aadc.live.media" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return media


def threads_and_files(pid: int) -> tuple[int, int]:
    """How many threads and open files a process has."""
    return len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd"))
