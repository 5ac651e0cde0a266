"""A soak, made shorter: hours of stream in minutes of the clock, through all processes. Do memory, files, threads grow?

    python benchmarks/soak.py                              # half an hour, on what `make demo` made
    python benchmarks/soak.py --minutes 120 --pace 1       # two hours as they are
    python benchmarks/soak.py --slow 10                    # the scoring process gets a tenth of its time

Cameras: recordings that loop at `--pace` times their speed (each loop opens its file anew), one over RTSP, one whose RTSP
server is killed and started again every 30 s, one that is never there. Events are written, clips too, the cleaner has a small
quota, and viewers poll the API all the time.

Slopes are Theil and Sen's of the memory after the warm-up, with 95 % intervals, an hour of the clock and an hour of stream that
each camera of that process took in (one without cameras of its own: the mean of all recordings). They rest on a median of each
minute: looks every few seconds say nearly the same again, and would make intervals too narrow. `own` is memory that only that
process has (RssAnon); RSS counts pages of libraries, too, which come and go with what else the machine does. `held`: the whole
interval of the own memory, an hour of stream, is below 1 MB, and so is the slope of RSS; `grows`: the whole interval is above
it; else `not shown`. The warm-up is longer than anything is remembered by design (five minutes).
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

BAR_MB = 1.0
EVERY_S = 5.0
OUT_FOR_S, BACK_FOR_S = 8.0, 22.0
SLICE_S = 0.02  # of a scoring process that is slowed: it runs for a share of each


class Sample(NamedTuple):
    """One look at a process. `rss_mb`: all of it; `own_mb`: without what it shares (slots, libraries)."""

    wall_s: float
    stream_s: float
    rss_mb: float
    own_mb: float
    files: int
    threads: int


def children(pid: int) -> list[int]:
    """Of all threads of a process."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def look(pid: int, wall_s: float, stream_s: float) -> Sample | None:
    """How a process is; None if it is gone."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        files = len(os.listdir(f"/proc/{pid}/fd"))
        kb = {key: int(status[key].split()[0]) for key in ("VmRSS", "RssAnon")}
    except (OSError, KeyError):
        return None
    return Sample(wall_s, stream_s, kb["VmRSS"] / 1024, kb["RssAnon"] / 1024, files, int(status["Threads"]))


class Soak:
    """The program at work in a folder, and what is seen of its processes."""

    def __init__(self, asked: argparse.Namespace):
        from aadc.live.demo import abnormal_videos

        asked.run, asked.scenes, self.folder = asked.run.resolve(), asked.scenes.resolve(), asked.out.resolve()
        self.asked = asked
        self.folder.mkdir(parents=True, exist_ok=True)
        self.videos = abnormal_videos(asked.scenes, 4)
        self.data = self.folder / "data"
        self.samples: dict[tuple[str, int], list[Sample]] = defaultdict(list)
        self.polled = self.refused = self.outages = 0
        self.stop = threading.Event()

    def config(self, steady: str, flapping: str, port: int) -> Path:
        """The file of cameras."""
        looped, pace = self.asked.scenes / "videos", self.asked.pace
        cameras = [
            (f"recording {n}", f"{looped}/{video}", f"loop = true\npace = {pace}") for n, video in enumerate(self.videos[:2])
        ]
        cameras += [
            ("steady", f"{steady}/{self.videos[0]}?play_count=0", ""),
            ("flapping", f"{flapping}/{self.videos[1]}?play_count=0", ""),
        ]
        cameras += [("never there", "rtsp://admin:nobody@127.0.0.1:9/x", "")]
        text = f'data = "{self.data}"\nrun = "{self.asked.run}"\n[rules]\nmost_an_hour = 10000\n'
        text += f"[retention]\ngigabytes = {self.asked.quota_mb / 1000}\nfree_gigabytes = 0.01\n[web]\nport = {port}\n"
        for name, source, more in cameras:
            text += f'[[camera]]\nname = "{name}"\nsource = "{source}"\n{more}\n'
        path = self.folder / "cameras.toml"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def status(self) -> dict:
        try:
            return json.loads((self.data / "status.json").read_text())
        except (OSError, ValueError):
            return {"cameras": {}, "score": {}, "web": None}

    def named(self, pid: int) -> dict[int, str]:
        """What each process is, by its number."""
        status = self.status()
        names = {pid: "watch"} | {one["pid"]: f"capture {name}" for name, one in status["cameras"].items() if one["pid"]}
        names |= {part["pid"]: name for name in ("score", "web") if (part := status[name]) and part.get("pid")}
        web = next((one for one, name in names.items() if name == "web"), None)
        return names | {one: "media" for one in (children(web) if web else [])}

    def sample(self, pid: int, began: float) -> None:
        """Look at all of them."""
        status = self.status()
        streams = {f"capture {name}": one["second"] for name, one in status["cameras"].items()}
        recordings = [one["second"] for name, one in status["cameras"].items() if name.startswith("recording")]
        mean = sum(recordings) / max(1, len(recordings))
        for one, name in self.named(pid).items():
            if seen := look(one, time.monotonic() - began, streams.get(name, mean)):
                self.samples[name, one].append(seen)

    def flap(self, port: int) -> None:
        """A camera that goes and comes."""
        server = serve(self.asked.scenes / "videos", port)
        while not self.stop.wait(BACK_FOR_S):
            server.kill()
            server.wait()
            self.outages += 1
            self.stop.wait(OUT_FOR_S)
            server = serve(self.asked.scenes / "videos", port)
        server.kill()
        server.wait()

    def poll(self, port: int, password: str) -> None:
        """A viewer: events, cameras, pictures, scores, counters, clips."""
        import httpx2 as httpx

        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            client.post("/login", data={"name": "admin", "password": password})
            while not self.stop.wait(0.3):
                with suppress(httpx.HTTPError, ValueError):
                    listed = client.get("/api/events").json()
                    found = listed if isinstance(listed, list) else listed.get("events", [])
                    paths = ["/api/cameras", "/api/cameras/steady/recent", "/api/cameras/steady/snapshot.jpg", "/metrics", "/"]
                    paths += [f"/clips/{found[0]['id']}.{kind}" for kind in ("mp4", "jpg")] if found else []
                    for path in paths:
                        answer = client.get(path)
                        self.polled += 1
                        self.refused += answer.status_code >= 500

    def slow(self) -> None:
        """The scoring process runs for a share of its time only."""
        runs = SLICE_S / self.asked.slow
        pid, seen = None, 0.0
        while not self.stop.is_set():
            if time.monotonic() - seen > 2:
                seen, pid = time.monotonic(), self.status()["score"].get("pid")
            with suppress(OSError):
                if pid and self.status_known:
                    os.kill(pid, signal.SIGSTOP)
                    time.sleep(SLICE_S - runs)
                    os.kill(pid, signal.SIGCONT)
            time.sleep(runs)

    status_known = False

    def run(self) -> int:
        """All of it; 0 if the bar held."""
        steady_port, flapping_port, port = free_port(), free_port(), free_port()
        steady = serve(self.asked.scenes / "videos", steady_port)
        path = self.config(f"rtsp://127.0.0.1:{steady_port}", f"rtsp://127.0.0.1:{flapping_port}", port)
        log = (self.folder / "log").open("w")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
        program = subprocess.Popen(
            [sys.executable, "-m", "aadc.live.cli", str(path)], stdout=log, stderr=log, env=environment, cwd=self.folder
        )
        threads = [threading.Thread(target=self.flap, args=(flapping_port,))]
        try:
            password = self.wait_ready(program)
            threads += [threading.Thread(target=self.poll, args=(port, password)) for _ in range(self.asked.viewers)]
            threads += [threading.Thread(target=self.slow)] if self.asked.slow > 1 else []
            self.status_known = True
            for thread in threads:
                thread.start()
            began = time.monotonic()
            while (wall := time.monotonic() - began) < self.asked.minutes * 60 and program.poll() is None:
                self.sample(program.pid, began)
                if int(wall) // 60 != int(wall + EVERY_S) // 60:
                    self.say_minute(wall + EVERY_S)
                time.sleep(EVERY_S)
            last = self.status()
        finally:
            self.stop.set()
            for thread in threads:
                if thread.ident:
                    thread.join()
            program.terminate()
            code = program.wait(300)
            steady.kill()
            steady.wait()
        return self.report(last, code)

    def wait_ready(self, program: subprocess.Popen) -> str:
        """Until everything is up; the first password."""
        until = time.monotonic() + 300
        while time.monotonic() < until and program.poll() is None:
            said = (self.folder / "log").read_text()
            counts = [one["scored"] for one in self.status()["score"].get("cameras", {}).values()]
            if (found := re.search(r"password (\S+)", said)) and any(counts):
                return found[1]
            time.sleep(0.5)
        raise SystemExit(f"did not start; see {self.folder / 'log'}")

    def say_minute(self, wall_s: float) -> None:
        newest = {name: seen[-1] for (name, _), seen in self.samples.items()}
        listed = ", ".join(
            f"{name} {one.rss_mb:.0f} MB {one.files} files {one.threads} threads" for name, one in newest.items()
        )
        print(f"minute {wall_s / 60:.0f}: {listed}", flush=True)

    def report(self, last: dict, code: int) -> int:
        """The table, the plot, and whether the bar held."""
        import numpy as np
        from scipy.stats import theilslopes

        warm_s = self.asked.warm_up * 60
        heads = ("own, MB a stream hour", "own, a clock hour", "RSS, a stream hour")
        print(f"\n{'process':20} {'minutes':>7} {'stream h':>8} {'clock h':>7} {'RSS':>7} {'own':>7} ", end="")
        print(*(f"{head:>22}" for head in heads), f"{'files':>9} {'threads':>9}  verdict")
        verdicts = {}
        for (name, _), seen in sorted(self.samples.items()):
            warm = [one for one in seen if one.wall_s >= seen[0].wall_s + warm_s]
            minutes = [list(looks) for _, looks in groupby(warm, lambda one: one.wall_s // 60)]
            if len(minutes) < 5:
                print(f"{name:20} {len(minutes):7}  too few after the warm-up (the process came late, or went)")
                continue
            wall, stream, rss, own = (
                np.array([np.median([getattr(one, key) for one in looks]) for looks in minutes])
                for key in ("wall_s", "stream_s", "rss_mb", "own_mb")
            )
            each = []
            for hours, values in ((stream / 3600, own), (wall / 3600, own), (stream / 3600, rss)):
                each.append(theilslopes(values, hours) if np.ptp(hours) > 0 else None)
            shown = [f"{one[0]:+.2f} [{one[2]:+.2f}, {one[3]:+.2f}]" if one else "no stream" for one in each]
            judged, whole = each[0] or each[1], each[2] or theilslopes(rss, wall / 3600)
            assert judged is not None
            below = judged[3] < BAR_MB and whole[0] < BAR_MB
            verdicts[name] = "held" if below else "grows" if judged[2] >= BAR_MB else "not shown"
            counts = [f"{min(values)}-{max(values)}" for values in ([one.files for one in warm], [one.threads for one in warm])]
            took = f"{np.ptp(stream) / 3600:8.2f} {np.ptp(wall) / 3600:7.2f}"
            print(f"{name:20} {len(minutes):7} {took} {rss[-1]:7.1f} {own[-1]:7.1f} ", end="")
            print(*(f"{one:>22}" for one in shown), f"{counts[0]:>9} {counts[1]:>9}  {verdicts[name]}")
        held = set(verdicts.values()) == {"held"}
        self.tell_cameras(last)
        self.plot()
        print(
            f"ended with status {code}; polled {self.polled} times, {self.refused} answers of 500 and above; "
            f"{self.outages} outages"
        )
        print(f"less than {BAR_MB:g} MB more an hour of stream: {'all' if held else 'NOT shown for all'}")
        return 0 if held and code == 0 and not self.refused else 1

    def tell_cameras(self, last: dict) -> None:
        """What came of it: seconds, drops, ages, events, what was cleaned."""
        from aadc.live.reader import Reader
        from aadc.live.store import STORE

        score = last["score"]
        for name, one in last["cameras"].items():
            counts = score["cameras"].get(name, {})
            due = counts.get("scored", 0) + counts.get("dropped", 0)
            stream = f"{one['second'] / 3600:.2f} h of stream, {one['connects']} connections since its process began"
            dropped = counts.get("dropped", 0) / max(1, due)
            print(f"  {name}: {stream}, {one['restarts']} restarts, scored {counts.get('scored')}, dropped {dropped:.1%}")
        print(f"  age of a frame as its score is known: {score.get('age_s')}; a round of scoring: {score.get('round_s')}")
        reader = Reader(self.data / STORE)
        kept = reader.events(retracted=True, most=10**6)
        clips = sum(one.clip is not None for one in kept)
        size = sum(one.stat().st_size for one in (self.data / "clips").rglob("*") if one.is_file()) / 1e6
        health = {one.name: (one.ok, one.told) for one in reader.health()}
        kept_clips = f"{clips} of them with a clip ({size:.1f} MB; quota {self.asked.quota_mb:g})"
        print(f"  {len(kept)} events, {kept_clips}; health: {health}")

    def plot(self) -> None:
        """Memory over the clock, a line a process."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(figsize=(9, 5), layout="constrained")
        for (name, pid), seen in sorted(self.samples.items()):
            if len(seen) > 3:
                axes.plot([one.wall_s / 60 for one in seen], [one.rss_mb for one in seen], label=f"{name} ({pid})", linewidth=1)
        axes.axvline(self.asked.warm_up, color="0.7", linewidth=0.8)
        axes.set(xlabel="minutes of the clock", ylabel="RSS (MB)", ylim=(0, None))
        axes.legend(fontsize=7)
        figure.savefig(self.folder / "soak.png", dpi=120)
        print(f"plot: {self.folder / 'soak.png'}")


def free_port() -> int:
    """One on loopback."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(folder: Path, port: int) -> subprocess.Popen:
    """The demo's RTSP server."""
    return subprocess.Popen(
        [sys.executable, "-m", "aadc.live.demo", str(folder), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/demo"))
    parser.add_argument("--scenes", type=Path, default=Path("demo"))
    parser.add_argument("--out", type=Path, default=Path("soak"))
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--warm-up", type=float, default=8, help="minutes that are not judged")
    parser.add_argument("--pace", type=float, default=8)
    parser.add_argument("--viewers", type=int, default=2)
    parser.add_argument("--quota-mb", type=float, default=10, help="of clips")
    parser.add_argument("--slow", type=float, default=1, help="so many times slower is the scoring process")
    sys.exit(Soak(parser.parse_args()).run())


if __name__ == "__main__":
    main()
