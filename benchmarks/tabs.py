"""Whether the dashboard's memory stays flat: four tabs in headless Chromium, a server where all happens many times faster.

    python benchmarks/tabs.py                   # eight minutes, clocks of the pages 15 times as fast: two hours of a day's work
    python benchmarks/tabs.py --minutes 2

Tabs: cameras, live, review, health. The live tab looks `--speed` times as often; the others are drawn anew, with new pictures,
`--redraws` times as often, which costs the server more. Scores change with every look, events come `--events` a second. Each
line is after a garbage collection in every tab: used JavaScript heap (MB), DOM nodes and listeners, by tab; RSS (MB), threads
and files of the server and of its media process. `life` is how long the live tab takes for so many looks. Slopes: line of least
squares after the first third.
"""

import argparse
import contextlib
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

TABS = {"cameras": "/ui/", "live": "/ui/live?camera=door", "review": "/ui/review", "health": "/ui/health"}
THERE = {"cameras": ".tile", "live": ".legend span", "review": ".card", "health": "[data-testid=stDataFrame]"}
UNHURRIED = [  # tabs that nobody looks at are slowed down otherwise
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
]
LOOKS_EVERY_S = 0.5  # of the live page, in life
FASTER = """(() => {
  const usual = window.setInterval;
  window.setInterval = (what, ms, ...more) => {
    const times = ms === LOOK ? SPEED : REDRAWS;
    let beats = 0;
    return usual(() => {
      if (window.fast || (beats += 1) % times === 0) what(...more);
    }, ms / times);
  };
})()"""


class World:
    """A server with two cameras of which everything changes all the time."""

    def __init__(self, folder: Path, events_a_second: float) -> None:
        from aadc.live.frame_slot import FrameSlot
        from aadc.live.store import STORE, Store

        self._every_s, self._stop, self.told = 1 / events_a_second, threading.Event(), 0
        self._views = {name: FrameSlot() for name in ("door", "yard")}
        self._frames = {name: FrameSlot() for name in self._views}
        self._scorer = FrameSlot(most_pixels=1)
        self._store = Store(folder / STORE)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        slots = [*self._views.values(), *self._frames.values(), self._scorer]
        job = {
            "data": str(folder),
            "cameras": list(self._views),
            "views": {name: slot.descriptor for name, slot in self._views.items()},
            "frames": {name: slot.descriptor for name, slot in self._frames.items()},
            "scorer": self._scorer.descriptor,
            "port": port,
        }
        self._said = (folder / "said").open("w+")
        self.server = subprocess.Popen(
            [sys.executable, "-m", "aadc.live.following", "aadc.live.web", str(os.getpid())],
            stdin=subprocess.PIPE, stdout=self._said, stderr=subprocess.STDOUT, pass_fds=[slot.descriptor for slot in slots],
        )  # fmt: skip
        assert self.server.stdin
        self.server.stdin.write(json.dumps(job).encode() + b"\n")
        self.server.stdin.flush()
        for work in (self._film, self._happen):
            threading.Thread(target=work, daemon=True).start()

    def password(self) -> str:
        """The administrator's, once the server is there."""
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}/health").close()
                return Path(self._said.name).read_text().partition("password ")[2].split()[0]
            time.sleep(0.1)
        raise SystemExit(Path(self._said.name).read_text())

    def media(self) -> int:
        """The number of the media process."""
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text().split()
        return next(int(one) for one in children if b"aadc.live.media" in Path(f"/proc/{one}/cmdline").read_bytes())

    def end(self) -> None:
        """All of it."""
        self._stop.set()
        self.server.send_signal(signal.SIGTERM)
        self.server.wait(20)
        self._store.close()

    def _film(self) -> None:
        random, number = np.random.default_rng(0), 0
        scene = np.kron(random.integers(0, 255, (6, 40, 3), np.uint8), np.ones((30, 16, 1), np.uint8))
        while not self._stop.wait(0.1):
            number += 1
            now_ns, now_ms = time.time_ns(), time.time_ns() // 10**6
            self._scorer.beat()
            scores = [[now_ms - 400 * age, round(float(random.random()), 3), age > 4] for age in range(149, -1, -1)]
            boxes = [
                [*sorted(random.random(2)), *sorted(random.random(2)), f"thing {n}", 0.5]
                for n in range(int(random.integers(20)))
            ]
            boxes = [[left, top, right, bottom, *more] for left, right, top, bottom, *more in boxes]
            for name, view in self._views.items():
                view.write(
                    np.ascontiguousarray(scene[:, number % 320 : number % 320 + 320]), number / 10, now_ns, time.monotonic_ns()
                )
                view.beat()
                view.tell({"state": "online", "newest_ns": time.monotonic_ns(), "fps": 10.0, "decoded": number})
                self._frames[name].tell(
                    {"scores": scores, "boxes": boxes, "open_at": 0.5, "close_at": 0.35, "shape": [180, 320]}
                )

    def _happen(self) -> None:
        from aadc.live.event import Ending, Event, EventMessage, Kind, State, event_id

        while not self._stop.wait(self._every_s):
            self.told += 1
            second, now_ns = self.told * 10.0, time.time_ns()
            curve = tuple((second + n * 0.4, 0.5 + 0.4 * math.sin(n / 3 + self.told)) for n in range(100))
            end = Event(
                id=event_id("door", now_ns, self.told), camera=("door", "yard")[self.told % 2], state=State.confirmed,
                ending=Ending.quiet, start_s=second, end_s=second + 40, start_ns=now_ns, opened_ns=now_ns, decided_ns=now_ns,
                confirmed_ns=now_ns, category=("Fighting", "Robbery", "RoadAccidents")[self.told % 3], share=0.8, peak=0.9,
                mean=0.6, snippets=100, curve=curve,
            )  # fmt: skip
            going = end.model_copy(update={"ending": None})
            self._store.put(EventMessage(Kind.new, None, going))
            self._store.put(
                EventMessage(Kind.end, going, end), f"Event {self.told}: two persons and a car.", "composed"
            ).result(60)
            self._store.set_health("cleaner", True, f"removed {self.told} clips")


def of_process(pid: int) -> tuple[float, int, int]:
    """RSS (MB), threads, open files."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20, len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd"))


def slope(seconds: list[float], values: list[float]) -> float:
    """Of the line of least squares after the first third, per hour."""
    late = len(seconds) // 3
    return float(np.polyfit(seconds[late:], values[late:], 1)[0]) * 3600


def counting(draws: dict[str, int], name: str) -> Callable[[Any], None]:
    """Has the messages counted that come over a tab's WebSocket."""

    def came(_: Any) -> None:
        draws[name] += 1

    return lambda wire: wire.on("framereceived", came)


def main() -> None:
    """Measure and print."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--speed", type=int, default=15)
    parser.add_argument("--redraws", type=int, default=3, help="as --speed, of the other tabs")
    parser.add_argument("--events", type=float, default=2, help="a second")
    parser.add_argument("--every", type=float, default=20, help="seconds between lines")
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM", "/usr/bin/chromium"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        world = World(Path(folder), asked.events)
        try:
            password = world.password()
            browser = playwright.chromium.launch(executable_path=asked.chromium, args=["--no-sandbox", *UNHURRIED])
            context = browser.new_context(base_url=world.url, viewport={"width": 1200, "height": 900})
            words = {"SPEED": asked.speed, "REDRAWS": asked.redraws, "LOOK": round(LOOKS_EVERY_S * 1000)}
            context.add_init_script(re.sub(r"\b(SPEED|REDRAWS|LOOK)\b", lambda one: str(words[one[0]]), FASTER))
            page = context.new_page()
            page.goto("/login")
            page.fill("input[name=name]", "admin")
            page.fill("input[name=password]", password)
            page.click("button")
            page.wait_for_url("**/ui/**")
            page.close()
            tabs, looks, draws = {}, [0], dict.fromkeys(TABS, 0)
            for name, path in TABS.items():
                tabs[name] = context.new_page()
                tabs[name].set_default_timeout(300_000)
                tabs[name].on("websocket", counting(draws, name))
                tabs[name].goto(path)
                tabs[name].locator(THERE[name]).first.wait_for()

            def looked(answer: Any) -> None:
                looks[0] += answer.url.endswith("/recent")

            tabs["live"].on("response", looked)
            for tab in tabs.values():  # once all are there
                tab.evaluate("window.fast = true")
            wires = {name: context.new_cdp_session(tab) for name, tab in tabs.items()}
            for wire in wires.values():
                wire.send("Performance.enable")
            seconds: list[float] = []
            rows: list[dict[str, float]] = []
            began = time.monotonic()
            print(
                "    s  life h  events |",
                " | ".join(f"{name:>7} MB nodes listeners" for name in TABS),
                "| server MB thr files | media MB thr files",
            )
            while (now := time.monotonic() - began) < asked.minutes * 60:
                row: dict[str, float] = {}
                for name, wire in wires.items():
                    wire.send("HeapProfiler.collectGarbage")
                    found = {one["name"]: one["value"] for one in wire.send("Performance.getMetrics")["metrics"]}
                    row |= {f"{name} heap MB": found["JSHeapUsedSize"] / 2**20, f"{name} nodes": found["Nodes"]}
                    row[f"{name} listeners"] = found["JSEventListeners"]
                for name, pid in (("server", world.server.pid), ("media", world.media())):
                    row |= dict(zip((f"{name} RSS MB", f"{name} threads", f"{name} files"), of_process(pid), strict=True))
                seconds.append(now)
                rows.append(row)
                values = [
                    f"{row[f'{name} heap MB']:10.1f} {row[f'{name} nodes']:5.0f} {row[f'{name} listeners']:9.0f}"
                    for name in TABS
                ]
                ours = [
                    f"{row[f'{name} RSS MB']:9.1f} {row[f'{name} threads']:3.0f} {row[f'{name} files']:5.0f}"
                    for name in ("server", "media")
                ]
                life = looks[0] * LOOKS_EVERY_S / 3600
                print(f"{now:5.0f} {life:7.2f} {world.told:7} |", " | ".join([*values, *ours]), flush=True)
                until = now + asked.every
                while time.monotonic() - began < until:
                    tabs["live"].wait_for_timeout(500)
            life_h = looks[0] * LOOKS_EVERY_S / 3600
            print(f"{looks[0]} looks of the live tab: {life_h:.2f} h of life in {seconds[-1] / 60:.1f} min")
            print("messages by which Streamlit drew:", draws)
            print("hidden tabs:", [name for name, tab in tabs.items() if tab.evaluate("document.hidden")] or "none")
            print("slope in two hours of life; first and last value that count")
            for name in rows[0]:
                column = [row[name] for row in rows]
                grows = slope(seconds, column) * seconds[-1] / 3600 * 2 / max(life_h, 1e-9)
                print(f"{name:20} {grows:+9.2f}   {column[len(column) // 3]:8.1f} {column[-1]:8.1f}")
            browser.close()
        finally:
            world.end()


if __name__ == "__main__":
    main()
