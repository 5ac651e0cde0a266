"""Kill -9 of any process at random moments while events flow. What was seen in the store before must be there after, once.

    python benchmarks/kills.py                  # a hundred kills, on what `make demo` made
    python benchmarks/kills.py --kills 30 --seed 7

Two recordings that loop and a camera over RTSP; short events, so that many are open when something dies. Killed are the parent
(all then go, and it is started again at once), the one that scores and writes, those that read cameras, the server, the one
with the media. Before each kill the store is read as any viewer reads it. In the end: `integrity_check`; every event that was
ever seen, once; what had ended when it was seen as it was then; none open; no two events of a camera that claim the same second
of the same start; every clip decoded from its first to its last frame, and no file that belongs to no event.
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from soak import children, free_port, serve

WATCH = """
import sys
from pathlib import Path
from aadc.live.read_config import read_config
from aadc.live.watch import Watch
path = Path(sys.argv[1])
Watch(read_config(path), path).run()
"""
SHARES = {"score": 12, "capture": 42, "watch": 8, "web": 20, "media": 18}  # of the kills
BACK_WITHIN_S = 300.0  # where it is given up; how long it took is printed


class Kills:
    """The program in a folder, killed again and again."""

    def __init__(self, asked: argparse.Namespace):
        self.asked, self.folder, self.data = asked, asked.out.resolve(), asked.out.resolve() / "data"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.random = random.Random(asked.seed)
        self.seen: dict[str, dict] = {}
        self.ended: dict[str, dict] = {}
        self.killed: Counter = Counter()
        self.back: dict[str, list[float]] = defaultdict(list)

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
        with (self.folder / "log").open("a") as log:
            self.program = subprocess.Popen(
                [sys.executable, "-c", WATCH, str(self.folder / "cameras.toml")], stdout=log, stderr=log, env=environment
            )

    def config(self, port: int) -> None:
        """The file of cameras."""
        from aadc.live.demo import abnormal_videos

        videos = abnormal_videos(self.asked.scenes, 3)
        folder = (self.asked.scenes / "videos").resolve()
        text = f'data = "data"\nrun = "{self.asked.run.resolve()}"\n[web]\nport = {free_port()}\n'
        text += "[rules]\nmost_an_hour = 10000\nopen_for = 1\nclose_after_s = 0.5\nmerge_gap_s = 0\nlongest_s = 4\n"
        for n, video in enumerate(videos[:2]):
            text += f'[[camera]]\nname = "recording {n}"\nsource = "{folder}/{video}"\nloop = true\npace = 3\n'
        text += f'[[camera]]\nname = "rtsp"\nsource = "rtsp://127.0.0.1:{port}/{videos[2]}?play_count=0"\n'
        (self.folder / "cameras.toml").write_text(text)

    def status(self) -> dict:
        try:
            return json.loads((self.data / "status.json").read_text())
        except (OSError, ValueError):
            return {}

    def processes(self) -> dict[int, str]:
        """Those that live, and what each is, as their command lines and the parent's children tell."""
        found = {self.program.pid: "watch"}
        for pid in children(self.program.pid):
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                ours = [word.decode() for word in words if word.startswith(b"aadc.live.") and b"following" not in word]
                kind = ours[0].rpartition(".")[2] if ours else ""
                if kind in SHARES:
                    found[pid] = kind
                if kind == "web":
                    found |= dict.fromkeys(children(pid), "media")
        return found

    def read(self) -> None:
        """See what is in the store."""
        from aadc.live.reader import Reader
        from aadc.live.store import STORE
        from aadc.manifests.errors import UserError

        with suppress(UserError, sqlite3.Error):
            reader = Reader(self.data / STORE)
            for one in reader.events(retracted=True, most=10**6):
                self.seen[one.event.id] = one.event.model_dump()
                if not one.event.open:
                    self.ended.setdefault(one.event.id, one.event.model_dump())
            reader.close()

    def flowing(self) -> bool:
        """The one that scores is there, and scored something."""
        score = self.status().get("score", {})
        return score.get("pid") in self.processes() and any(one["scored"] > 2 for one in score.get("cameras", {}).values())

    def wait(self, there: Callable[[], bool], what: str) -> float:
        began = time.monotonic()
        while not there():
            if time.monotonic() - began > BACK_WITHIN_S:
                raise SystemExit(f"{what}: not within {BACK_WITHIN_S:g} s; see {self.folder / 'log'}")
            time.sleep(0.05)
        return time.monotonic() - began

    def kill(self) -> None:
        """One of them, and wait until it is back."""
        there = self.processes()
        kinds = sorted(set(there.values()))
        kind = self.random.choices(kinds, [SHARES[one] for one in kinds])[0]
        before = {pid for pid, one in there.items() if one == kind}
        pid = self.random.choice(sorted(before))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.killed[kind] += 1
        if kind == "watch":
            self.program.wait()
            rest = set(there) - {pid}
            self.back["all others gone"].append(
                self.wait(lambda: not any(lives(one) for one in rest), "what a killed parent left")
            )
            self.start()
        else:
            count = len(before)
            back = self.wait(lambda: sum(one == kind for one in self.processes().values()) == count and not lives(pid), kind)
            self.back[kind].append(back)
        if kind in ("watch", "score"):
            self.wait(self.flowing, "scoring")

    def run(self) -> int:
        """All of it; 0 if everything held."""
        port = free_port()
        server = serve(self.asked.scenes / "videos", port)
        self.config(port)
        self.start()
        began = time.monotonic()
        try:
            self.wait(self.flowing, "scoring")
            for turn in range(self.asked.kills):
                time.sleep(self.random.uniform(0, 2 * self.asked.between_s))
                self.read()
                self.kill()
                if (turn + 1) % 10 == 0:
                    print(f"{turn + 1} kills, {len(self.seen)} events seen, {time.monotonic() - began:.0f} s", flush=True)
            time.sleep(5)
            self.read()
        finally:
            self.program.send_signal(signal.SIGTERM)
            code = self.program.wait(120)
            server.kill()
            server.wait()
        print(f"killed {dict(self.killed)} in {time.monotonic() - began:.0f} s; ended with status {code}")
        for kind, seconds in self.back.items():
            median = sorted(seconds)[len(seconds) // 2]
            print(f"  {kind}: back (or gone) within {median:.1f} s (median), {max(seconds):.1f} s at most")
        problems = self.check()
        for problem in problems:
            print(f"WRONG: {problem}")
        return 1 if problems or code else 0

    def check(self) -> list[str]:
        """What is wrong with what is left."""
        from aadc.live.reader import Reader
        from aadc.live.store import STORE

        wrong = []
        with sqlite3.connect(self.data / STORE) as db:
            if (told := db.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
                wrong.append(f"integrity: {told}")
        kept = Reader(self.data / STORE).events(retracted=True, most=10**6)
        by_id = {one.event.id: one.event for one in kept}
        counted = Counter(one.event.id for one in kept)
        wrong += [f"{one} is there {times} times" for one, times in counted.items() if times != 1]
        wrong += [f"{one} was seen and is gone" for one in self.seen if one not in by_id]
        wrong += [f"{one} had ended and was changed" for one, was in self.ended.items() if by_id[one].model_dump() != was]
        wrong += [f"{one.event.id} is open" for one in kept if one.event.open]
        wrong += [f"{one.event.id} lasts {one.event.duration_s} s" for one in kept if one.event.duration_s < 0]
        spans = defaultdict(list)
        for one in sorted((one for one in kept if one.event.state != "retracted"), key=lambda one: one.number):
            spans[one.event.camera, one.event.start].append(one.event)
        for (camera, _), events in spans.items():
            wrong += [
                f"{camera}: {after.id} ({after.start_s:.2f} s) claims seconds of {before.id} (to {before.end_s:.2f} s)"
                for before, after in zip(events, events[1:], strict=False)
                if after.start_s < before.end_s - 1e-6
            ]
        endings = Counter(str(one.event.ending) for one in kept)
        played = self.play(wrong, {one.event.id for one in kept})
        print(
            f"{len(kept)} events kept ({dict(endings)}), {len(self.seen)} were seen before a kill, "
            f"{len(spans)} spans of cameras and starts"
        )
        print(f"{played} clips played from end to end; {sum(one.clip is None for one in kept)} events without one")
        return wrong

    def play(self, wrong: list[str], known: set[str]) -> int:
        """Decode every clip; how many."""
        import av

        played = 0
        for path in sorted((self.data / "clips").rglob("*")):
            if path.is_file() and path.stem not in known:
                wrong.append(f"{path} belongs to no event")
            if path.suffix == ".mp4":
                try:
                    with av.open(str(path)) as clip:
                        frames = sum(1 for _ in clip.decode(video=0))
                    played += frames > 0
                    if not frames:
                        wrong.append(f"{path} has no frame")
                except av.error.FFmpegError as error:
                    wrong.append(f"{path} does not play ({error})")
        return played


def lives(pid: int) -> bool:
    """It is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main() -> None:
    """Kill, look, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/demo"))
    parser.add_argument("--scenes", type=Path, default=Path("demo"))
    parser.add_argument("--out", type=Path, default=Path("kills"))
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--between-s", type=float, default=1.0, help="seconds between kills, on average")
    parser.add_argument("--seed", type=int, default=0)
    sys.exit(Kills(parser.parse_args()).run())


if __name__ == "__main__":
    main()
