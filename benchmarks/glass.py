"""From a browser's camera to the video on the dashboard (glass to glass) and to the event it is told of, leg by leg.

    python benchmarks/glass.py --run runs/demo                 # a minute, in headless Chromium
    python benchmarks/glass.py --run runs/demo --seconds 120 --seen seen.json

A page publishes over WHIP what is drawn on a canvas 30 times a second in place of a camera: a strip with the time of the
drawing (`live/strip_clock.py`), and a square that moves for four of every eight seconds. Another page shows the dashboard, one
camera live, and follows the stream of events. The canvas stands for the first glass and the frame that the compositor takes
(`requestVideoFrameCallback`) for the last: a lens and a monitor are not there. Which frames are abnormal is told by their time,
as in `aadc-live bench`, so no head's slowness to notice is in it. All clocks are this machine's.
"""

import argparse
import contextlib
import json
import os
import re
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

CAMERA = "glass"
FLAGS = [
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--no-sandbox",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
]
GLASS = ("drawn, sent, decoded", "into the slot", "encoded, received", "decoded, shown")
TOLD = "told to the page"

# `at()` is this machine's monotonic clock in milliseconds.
CLOCK = "const at = () => performance.timeOrigin + performance.now() + OFFSET;"
DRAWN = """
CLOCK
const canvas = document.createElement("canvas"), pen = canvas.getContext("2d", { alpha: false });
[canvas.width, canvas.height] = [WIDE, HIGH];
function check(ms) {
  let crc = -1;
  for (let byte = 0; byte < 4; byte++) {
    crc ^= (ms >>> (8 * byte)) & 255;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc & 255;
}
function draw() {
  const ms = Math.floor(at()) % 16777216, guard = [1, 0, 1, 0];
  const bits = (value, count) => Array.from({ length: count }, (_, place) => (value >>> place) & 1);
  const cells = [...guard, ...bits(ms, 24), ...bits(check(ms), 8), ...guard];
  pen.fillStyle = "#585858";
  pen.fillRect(0, 0, WIDE, HIGH);
  for (let n = 0; n < 300; n++) {
    pen.fillStyle = `hsl(0 0% ${25 + (n * 7919) % 25}%)`;
    pen.fillRect((n % 20) * WIDE / 20, 40 + Math.floor(n / 20) * 20, WIDE / 20, 20);
  }
  if (ms % 8192 >= 4096) {
    pen.fillStyle = "#d23c3c";
    pen.fillRect((WIDE * 5 / 6) * Math.abs(1 - (ms % 2048) / 1024), HIGH / 2, WIDE / 6, HIGH / 4);
  }
  const cell = WIDE / cells.length;
  cells.forEach((bit, n) => {
    pen.fillStyle = bit ? "#fff" : "#000";
    pen.fillRect(n * cell, 0, cell, Math.floor(cell * 1.5));
  });
}
navigator.mediaDevices.getUserMedia = async () => {
  setInterval(draw, 1000 / 30);
  return canvas.captureStream(30);
};
"""
SEEN = """
CLOCK
window.seen = [];
window.told = [];
window.look = (video) => {
  const canvas = document.createElement("canvas"), pen = canvas.getContext("2d", { willReadFrequently: true });
  const take = (_, frame) => {
    [canvas.width, canvas.height] = [video.videoWidth, 4];
    const cell = video.videoWidth / CELLS, middle = Math.floor(cell * 0.75);
    pen.drawImage(video, 0, middle - 2, video.videoWidth, 4, 0, 0, video.videoWidth, 4);
    const pixels = pen.getImageData(0, 0, video.videoWidth, 4).data, levels = [];
    for (let n = 0; n < CELLS; n++) {
      let sum = 0;
      for (let y = 0; y < 4; y++) for (let x = -2; x < 3; x++)
        sum += pixels[4 * (y * video.videoWidth + Math.floor((n + 0.5) * cell) + x) + 1];
      levels.push(sum / 20);
    }
    const there = performance.timeOrigin + OFFSET;
    window.seen.push([levels, there + (frame.receiveTime ?? NaN), there + frame.presentationTime]);
    video.requestVideoFrameCallback(take);
  };
  video.requestVideoFrameCallback(take);
};
window.follow = () => {
  const stream = new EventSource("/api/events/changes");
  stream.onmessage = (message) => window.told.push([at(), JSON.parse(message.data)]);
};
"""


class Browser(threading.Thread):
    """Publishes and looks, once the server is there; ends the watch in the end. `seen`: (levels of the strip's cells, received,
    shown); `told`: (when, event); milliseconds of the monotonic clock."""

    def __init__(self, watch: Any, said: Path, port: int, seconds: float, chromium: str):
        super().__init__(daemon=True)
        self.seen: list[list[Any]] = []
        self.told: list[list[Any]] = []
        self.problem = ""
        self._watch, self._said, self._port, self._seconds, self._chromium = watch, said, port, seconds, chromium
        self.began_ns = self.ended_ns = 0

    def run(self) -> None:
        """The thread."""
        try:
            self._run()
        except Exception as error:  # whatever it is, the watch has to end
            self.problem = f"{type(error).__name__}: {error}"
        self._watch.stop()

    def _run(self) -> None:
        from playwright.sync_api import sync_playwright

        from aadc.live.strip_clock import CELLS

        password = self._password()
        offset = time.monotonic_ns() / 1e6 - time.time_ns() / 1e6
        clock = CLOCK.replace("OFFSET", repr(offset))
        drawn = DRAWN.replace("CLOCK", clock).replace("WIDE", "640").replace("HIGH", "360")
        looked = SEEN.replace("CLOCK", clock).replace("CELLS", str(CELLS)).replace("OFFSET", repr(offset))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=self._chromium, args=FLAGS)
            base = f"http://127.0.0.1:{self._port}"
            publishing, watching = (browser.new_context(base_url=base).new_page() for _ in range(2))
            publishing.add_init_script(drawn)
            watching.add_init_script(looked)
            for page in (publishing, watching):
                page.goto("/login")
                page.fill("input[name=name]", "admin")
                page.fill("input[name=password]", password)
                page.click("button")
                page.wait_for_url("**/ui/**")
            publishing.goto("/publish")
            publishing.wait_for_selector("#button:enabled")
            publishing.get_by_role("button", name="Send").click()
            publishing.wait_for_selector("#state[data-state=sending]", timeout=60_000)
            watching.goto(f"/ui/live?camera={CAMERA}")
            video = watching.locator("video")
            video.wait_for(timeout=60_000)
            video.evaluate("(video) => window.look(video)")
            watching.evaluate("window.follow()")
            watching.wait_for_function("window.seen.length > 30", timeout=60_000)
            until = time.monotonic() + 120
            while not any(one["scored"] for one in self._watch.scoring().get("cameras", {}).values()):
                if time.monotonic() > until:
                    raise TimeoutError("nothing was scored")
                watching.wait_for_timeout(100)
            self.began_ns = time.monotonic_ns()
            watching.wait_for_timeout(self._seconds * 1000)
            self.ended_ns = time.monotonic_ns()
            self.seen, self.told = watching.evaluate("[window.seen, window.told]")
            browser.close()

    def _password(self) -> str:
        import httpx

        until = time.monotonic() + 180
        while True:  # until it is said, and the server answers
            found = re.search(r"password (\S+)", self._said.read_text())
            with contextlib.suppress(httpx.HTTPError):
                if found and httpx.get(f"http://127.0.0.1:{self._port}/health").status_code == 200:
                    break
            if time.monotonic() > until:
                raise TimeoutError("the server did not start")
            time.sleep(0.1)
        return found.group(1)


class Slot(threading.Thread):
    """Notes of each picture that is shown when it came in and when it was put into the slot, by its strip."""

    def __init__(self, view: Any):
        super().__init__(daemon=True)
        self.times: dict[int, tuple[int, int]] = {}
        self.over = False
        self._view = view

    def run(self) -> None:
        """The thread."""
        from aadc.live.strip_clock import read

        number = 0
        while not self.over:
            frame = self._view.read(number)
            if frame is None:
                time.sleep(0.005)
                continue
            number = frame.number
            if (strip := read(frame.rgb)) is not None:
                self.times[strip] = frame.arrived_ns, self._view.written_ns(number)


def measure(run: Path, seconds: float, chromium: str) -> dict[str, Any]:
    """Run it all; gives what was seen, told and written down."""
    import socket

    from aadc.extract.run_choice import choose_run
    from aadc.live.bench_score import NOTES
    from aadc.live.read_config import read_config
    from aadc.live.watch import Watch

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, said = folder / "cameras.toml", folder / "said"
        path = json.dumps(str(choose_run(run).path.resolve()))
        file.write_text(
            f'data = "data"\nrun = {path}\n[rules]\nclose_after_s = 0.3\nmerge_gap_s = 0.1\nmost_an_hour = 10000\n'
            f'[web]\nport = {port}\n[[camera]]\nname = "{CAMERA}"\nsource = "webrtc"\n'
        )
        with said.open("w") as out:  # the server prints its password there
            before = os.dup(1), os.dup(2)
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            try:
                watch = Watch(read_config(file), file, score="aadc.live.bench_score")
                browser, slot = Browser(watch, said, port, seconds, chromium), Slot(watch.slots[CAMERA][1])
                browser.start()
                slot.start()
                threading.Thread(target=lambda: (browser.join(), setattr(slot, "over", True)), daemon=True).start()
                watch.run()
            finally:
                os.dup2(before[0], 1)
                os.dup2(before[1], 2)
        if browser.problem:
            sys.exit(f"{browser.problem}\n{re.sub(r'password [^ ]+', 'password ...', said.read_text())}")
        rows = [json.loads(line) for line in (folder / NOTES).read_text().splitlines()]
    return {
        "rows": rows, "seen": browser.seen, "told": browser.told, "began_ns": browser.began_ns, "ended_ns": browser.ended_ns,
        "slot": [[strip, *times] for strip, times in slot.times.items()],
    }  # fmt: skip


def glass_to_glass(got: dict[str, Any]) -> tuple[list[dict[str, float]], int]:
    """Legs of each picture that was seen, and of how many the strip could not be read."""
    from aadc.live.legs import legs_of
    from aadc.live.strip_clock import number_of

    slot = {strip: (arrived, written) for strip, arrived, written in got["slot"]}
    found, misread, last = [], 0, None
    for levels, received_ms, shown_ms in got["seen"]:
        if not got["began_ns"] <= shown_ms * 1e6 <= got["ended_ns"]:
            continue
        strip = number_of(np.array(levels))
        misread += strip is None
        if strip is None or strip == last or strip not in slot or not np.isfinite(received_ms or np.nan):
            continue
        last = strip
        found.append(legs_of(GLASS, strip, [*slot[strip], round(received_ms * 1e6), round(shown_ms * 1e6)]))
    return found, misread


def glass_to_event(got: dict[str, Any]) -> tuple[list[dict[str, float]], list[float]]:
    """Legs of each event until the page was told, and seconds until it was told that it is confirmed."""
    from aadc.live.legs import KEPT, WHOLE, event_legs, frame_legs
    from aadc.live.strip_clock import age_ms
    from aadc.live.strip_scene import onset_ms

    told: dict[tuple[str, str], float] = {}
    for at_ms, event in got["told"]:
        told.setdefault((event["id"], event["state"]), at_ms * 1e6)
    rows = [row for row in got["rows"] if row["arrived"] >= got["began_ns"]]
    frames = frame_legs(rows, None)
    strips = {row["arrived"]: row["strip"] for row in rows if row["what"] == "frame"}
    found, confirmed = [], []
    for row in rows:
        at_ns = told.get((row["event"], row["state"])) if row["what"] == "event" else None
        provisional, final = event_legs([row, *(one for one in rows if one["what"] == "frame")], frames) if at_ns else ([], [])
        if at_ns and (provisional or final):
            whole = age_ms(onset_ms(strips[row["arrived"]]), round(at_ns)) / 1000
            for legs in provisional:
                found.append({**legs, TOLD: whole - legs[WHOLE], WHOLE: whole})
            confirmed += [whole] * len(final)
    assert all(KEPT in legs for legs in found)
    return found, confirmed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/demo"))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM", "/usr/bin/chromium"))
    parser.add_argument("--seen", type=Path, help="keep what was seen, as JSON")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    got = measure(given.run, given.seconds, given.chromium)
    if given.seen:
        given.seen.write_text(json.dumps(got))

    from aadc.live.legs import FRAME, KEPT, WAIT, by_leg, percentiles

    pictures, misread = glass_to_glass(got)
    events, confirmed = glass_to_event(got)
    print(f"load {load:.1f} before, {os.getloadavg()[0]:.1f} after; {os.cpu_count()} cores; pictures misread: {misread}")
    for title, many, names in (
        (f"glass to glass, {len(pictures)} pictures", pictures, GLASS),
        (f"glass to event, {len(events)} events", events, (WAIT, *FRAME[1:], KEPT, TOLD)),
    ):
        print(f"\n{title + ' (ms)':40}{'p50':>7}{'p95':>7}{'p99':>7}{'least':>7}")
        for name, shares in by_leg(many, names).items():
            least = min(legs[name] for legs in many)
            print(f"{name:40}" + "".join(f"{value * 1000:7.0f}" for value in (*shares.values(), least)))
    shares = percentiles(confirmed).values()
    print(f"{'until told that it is confirmed':40}" + "".join(f"{value * 1000:7.0f}" for value in shares))


if __name__ == "__main__":
    main()
