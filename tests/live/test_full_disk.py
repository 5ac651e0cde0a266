"""All processes on a disk of fifty megabytes that others fill: scoring goes on, health says so, no event is lost."""

import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import sys
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parent))
from test_watch import watching  # noqa: F401  a fixture
from waiting import wait_until

from aadc.live.reader import Reader

FREE_BYTES = 15_000_000  # that the cleaner is to leave to others


def take(path, size):
    """Somebody else's file, of so many bytes, or of as many as there are."""
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        for start in range(0, size, 10_000):
            file.write(bytes(min(10_000, size - start)))


class Watcher:
    """What people see of it: the server's answers, the store beside its writer, the log."""

    def __init__(self, live, disk, port):
        wait_until(lambda: "password " in live.log.read_text(), 120)
        self.live, self.disk = live, disk
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        wait_until(lambda: self.health() == "ok", 120)
        password = live.log.read_text().partition("password ")[2].split()[0]
        assert self.client.post("/login", data={"name": "admin", "password": password}).status_code == 303
        self.reader, self.acknowledged = Reader(disk / "events.sqlite"), {}

    def health(self):
        try:
            return self.client.get("/health").json()["status"]
        except httpx.HTTPError:
            return ""

    def well(self, part):
        """What Prometheus is told of a part."""
        found = re.search(rf'^aadc_part_well{{part="{part}"}} (\S+)$', self.client.get("/metrics").text, re.MULTILINE)
        return bool(float(found[1]))

    def scored(self):
        """Through memory: `status.json` is on the disk."""
        (camera,) = self.client.get("/api/cameras").json()
        return camera["scoring"].get("scored", 0)

    def events(self):
        """Those that are kept, oldest first: each was acknowledged, and has to stay."""
        kept = list(reversed(self.reader.events(most=10_000, retracted=True)))
        self.acknowledged |= {one.event.id: one.event.open for one in kept}
        return kept

    def clips(self):
        return sorted(self.disk.glob("clips/*/*/*.mp4"))


def test_a_disk_of_fifty_megabytes_that_others_fill(tmp_path, disk, watching, trained):  # noqa: F811
    """Row 24. First so much that the oldest clips have to go, then all of it, then it is given back."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    video = sorted((trained[0] / "demo" / "videos").glob("test-*"))[0]
    rules = "open_at = 0.001\nclose_at = 0.001\nlongest_s = 4\nmerge_gap_s = 0\nmost_an_hour = 10000"
    text = f"""
    run = "{trained[1].path}"
    snippet_s = 0.5
    view_px = 320
    [rules]
    {rules}
    [retention]
    free_gigabytes = {FREE_BYTES / 1e9}
    [[camera]]
    name = "yard"
    source = "{video}"
    loop = true
    pace = 4
    """
    live = watching(tmp_path, text, web=f"\n[web]\nport = {port}\n")
    seen = Watcher(live, disk, port)
    wait_until(lambda: seen.events() and len([one for one in seen.events() if one.clip]) >= 6, 180)

    # A part of the clips has to go, and the oldest do.
    others, clips = disk / "others.bin", seen.clips()
    third = sum(path.stat().st_size for path in clips) // 3
    take(others, shutil.disk_usage(disk).free - FREE_BYTES + third)
    wait_until(lambda: shutil.disk_usage(disk).free >= FREE_BYTES and not all(path.exists() for path in clips), 60)
    numbers = seen.reader.numbers()
    gone, left = ([numbers[path.stem] for path in clips if path.exists() == there] for there in (False, True))
    assert gone and max(gone) < min([*left, 10**9])
    count = len(seen.acknowledged)
    wait_until(lambda: len(seen.events()) > count, 60)

    # Not a byte is left: whatever the cleaner frees is taken, too.
    def nothing_left():
        take(others, 10**8)
        return shutil.disk_usage(disk).free == 0 and seen.health() == "trouble" and not seen.well("store")

    wait_until(nothing_left, 90)
    before = seen.scored()
    wait_until(lambda: nothing_left() and seen.scored() > before + 20, 120)
    kept = len(seen.events())
    wait_until(lambda: "events cannot be kept (" in live.log.read_text(), 10)

    # It is back, and all goes on as before; what waited is kept.
    others.unlink()
    wait_until(lambda: seen.health() == "ok" and seen.well("store") and seen.well("cleaner"), 90)
    wait_until(lambda: len(seen.events()) > kept + 3, 90)
    begun = {name for name in re.findall(r"begins \(.*, (\S+)\)", live.log.read_text())}
    wait_until(lambda: seen.events() and begun <= set(seen.acknowledged), 30)
    newest = max(numbers := seen.reader.numbers(), key=numbers.__getitem__)
    wait_until(lambda: any(path.stem >= newest for path in seen.clips()), 60)  # clips are made again
    wait_until(lambda: "events are kept again" in live.log.read_text(), 10)  # the parent looks ten times a second
    assert all(one["restarts"] == 0 for one in (live.status["score"], live.status["web"], live.status["cameras"]["yard"]))
    os.kill(live.process.pid, signal.SIGTERM)
    assert live.process.wait(20) == 0
    kept = {one.event.id: one.event.open for one in seen.events()}
    assert set(seen.acknowledged) == set(kept) and not any(kept.values())
    seen.reader.close()
    with contextlib.closing(sqlite3.connect(disk / "events.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
