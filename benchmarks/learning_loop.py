"""The loop that learns, end to end, by the commands that people type: false alarms of something new, before and after.

    python benchmarks/learning_loop.py 1 2

A head is trained on the demo's scenes. Then people begin to do sit-ups in front of the cameras: normal, never seen in training,
and close to a fall and to lying. `aadc-live` watches four cameras on which sit-ups and real anomalies happen; somebody who
knows what happened confirms and dismisses its events; export, extraction and training follow as `docs/events.md` has them.
Both heads are then asked about scenes that neither has seen. A folder a seed is kept and gone on with (`--folder`).
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from aadc.live.reader import KeptEvent, Reader
from aadc.live.store import STORE
from aadc.manifests.card import Card
from aadc.manifests.manifest import Row, Segment, write_manifest
from aadc.manifests.scenes import kinds
from aadc.manifests.scenes.camera import Camera
from aadc.manifests.scenes.demo import CAMERAS, demo_card
from aadc.manifests.scenes.figure import Pose, blend
from aadc.manifests.scenes.kinds import ABNORMAL, Kind
from aadc.manifests.scenes.motions import Moment
from aadc.manifests.scenes.scene import FPS, Scene
from aadc.manifests.scenes.story import build_scene, random_room
from aadc.manifests.scenes.video import write_video

BIN = Path(sys.executable).parent
NEW = "sit-ups"  # what the head has never seen, and what is normal
DAY = (NEW, "", NEW, "anomaly", NEW, "anomaly")  # what happens before each of the four cameras, one after the other
PACE = 3.0  # how much faster than it was taken, on two idle cores
FRAMES = 26 * FPS


def sit_ups(moment: Moment) -> Pose:
    """On the floor, knees bent, up and down; down and up again in half a second."""
    flat = Pose(lean=-86, near_upper=200, near_fore=250, far_upper=200, far_fore=250, near_thigh=130, near_shin=25,
                far_thigh=126, far_shin=22)  # fmt: skip
    up = Pose(lean=-8, near_upper=70, near_fore=120, far_upper=66, far_fore=118, near_thigh=128, near_shin=22, far_thigh=124,
              far_shin=20)  # fmt: skip
    at = blend(flat, up, 0.5 + 0.5 * moment.wave(0.4))
    still = min(moment.time_s, moment.left_s)
    return at if still > 0.5 else blend(Pose(), at, still / 0.5)


kinds.BY_NAME[NEW] = Kind(NEW, "abnormal", "a person doing sit-ups", sit_ups)  # the story then knows its span


def scene(seed: int, world: str, number: int, what: str) -> Scene:
    """The scene `number` of a world, in one of the rooms that the demo's cameras of this seed look into."""
    rng = np.random.default_rng([seed, number, *world.encode()])
    camera = (seed, int(rng.integers(CAMERAS)))
    happens = {"": (), "anomaly": (ABNORMAL[number % len(ABNORMAL)].name,), NEW: (NEW,)}[what]
    return build_scene(
        world, int(rng.integers(2**31)), FRAMES, happens, random_room(np.random.default_rng([*camera, *b"camera"]))
    )


def frames_of(scenes: Sequence[Scene]) -> Iterator[np.ndarray]:
    return chain.from_iterable(map(Camera(one), range(one.frames)) for one in scenes)


def run(folder: Path, *command: str) -> str:
    done = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def first_head(folder: Path, seed: int) -> None:
    if not (folder / "runs/first/head/config.json").exists():
        run(folder, "aadc-manifest", "demo", "--seed", f"{seed}", "--out", "demo")
        run(folder, "aadc-extract", "demo/demo.csv", "--models", "miniature", "--stride", "5", "--run", "runs/first")
        run(folder, "aadc-train-head", "--run", "runs/first", "--seed", f"{seed}")


def days(seed: int) -> list[list[Scene]]:
    """What four cameras see."""
    return [
        [scene(seed, f"live-{number}", place + number * len(DAY), what) for place, what in enumerate(DAY)]
        for number in range(4)
    ]


def watch(folder: Path, cameras: Sequence[Sequence[Scene]], pace: float) -> None:
    """`aadc-live` on the four files, until nothing more comes."""
    if (folder / "watched").exists():
        return
    tables = []
    for number, scenes in enumerate(cameras):
        write_video(folder / f"camera-{number}.mp4", frames_of(scenes))
        tables.append(f'[[camera]]\nname = "camera {number}"\nsource = "camera-{number}.mp4"\npace = {pace}\n')
    head = 'data = "live"\nrun = "runs/first"\n\n[rules]\nmost_an_hour = 1000\n\n[web]\nenabled = false\n\n'
    (folder / "cameras.toml").write_text(head + "\n".join(tables))
    with (folder / "watch.log").open("w") as log:
        live = subprocess.Popen([str(BIN / "aadc-live"), "cameras.toml"], cwd=folder, stdout=log, stderr=log)
        status, still = folder / "live/status.json", 0
        before = None
        while still < 15:  # seconds without a new score, after the first
            time.sleep(1)
            now = scored(status)
            still = still + 1 if now == before and now else 0
            before = now
            if (code := live.poll()) == 0:  # all files are done
                break
            if code is not None:
                sys.exit(f"aadc-live ended: {(folder / 'watch.log').read_text()}")
        if live.poll() is None:
            live.send_signal(signal.SIGTERM)
            live.wait(30)
    (folder / "watched").write_text(json.dumps(before))


def scored(status: Path) -> list[int]:
    try:
        return [camera["scored"] for camera in json.loads(status.read_text())["score"]["cameras"].values()]
    except (OSError, ValueError, KeyError):
        return []


def decide(folder: Path, cameras: Sequence[Sequence[Scene]]) -> tuple[int, int]:
    """Confirm what overlaps a real anomaly, under its true name, and dismiss the rest; how many of each."""
    reader = Reader(folder / "live" / STORE)
    events = reader.events(most=10**6)
    reader.close()
    confirmed = dismissed = 0
    for number, scenes in enumerate(cameras):
        mine = [one for one in events if one.event.camera == f"camera {number}"]
        happened = spans_of(scenes)
        began = beginning(mine, happened)
        for one in mine:
            seen = [overlap(one, span, began) for span in happened]
            truth = happened[int(np.argmax(seen))][2] if max(seen) > 0 else NEW
            if truth == NEW:
                dismissed += 1
                run(folder, "aadc-live", "dismiss", one.event.id)
            else:
                confirmed += 1
                verdict = ("confirm", one.event.id) if truth == one.category else ("rename", one.event.id, truth)
                run(folder, "aadc-live", *verdict)
    return confirmed, dismissed


def spans_of(scenes: Sequence[Scene]) -> list[tuple[float, float, str]]:
    """What happens in scenes that follow each other: seconds from, to, and what."""
    begins = np.cumsum([0, *(one.frames for one in scenes)])
    return [
        ((begin + start) / FPS, (begin + end) / FPS, kind)
        for begin, one in zip(begins, scenes, strict=False)
        for start, end, kind in one.spans
    ]


def overlap(one: KeptEvent, span: tuple[float, float, str], began: float) -> float:
    """Seconds that an event and what happened have in common, if the recording began at this second of the camera's stream."""
    return max(0.0, min(one.event.end_s - began, span[1]) - max(one.event.start_s - began, span[0]))


def beginning(events: Sequence[KeptEvent], happened: Sequence[tuple[float, float, str]]) -> float:
    """At which second of a camera's stream, which counts from the program's start, its recording began: where most agrees. (A
    person looks at the clips instead.)"""
    return max(np.arange(0, 40, 0.1), key=lambda began: sum(overlap(one, span, began) for one in events for span in happened))


def held_out(folder: Path, seed: int, count: int) -> dict[str, Scene]:
    """Scenes that neither head has seen: half with sit-ups, half with one anomaly each, as a run like the first."""
    scenes = {
        f"{what or 'normal'}-{n:02d}.mp4": scene(seed, "held-out", n, what) for what in (NEW, "anomaly") for n in range(count)
    }
    place = folder / "held-out"
    if not (folder / "runs/held-out/manifest.csv").exists():
        (place / "videos").mkdir(parents=True, exist_ok=True)
        rows = []
        for name, one in scenes.items():
            write_video(place / "videos" / name, frames_of([one]))
            labels = tuple(label for label in one.labels if label != NEW)
            spans = tuple(Segment(*span) for span in one.spans if span[2] != NEW)
            rows.append(Row(video=name, split="test", labels=labels, segments=spans, frames=one.frames))
        card: Card = demo_card()
        write_manifest(rows, card, place / "held-out.csv")
        run(folder, "aadc-extract", "held-out/held-out.csv", "--like", "runs/first")
    return scenes


def figures(folder: Path, head: str, scenes: dict[str, Scene]) -> list[str]:
    """What a head makes of the scenes that are held out, and of the first test set."""
    out = f"eval-{head}"
    run(folder, "aadc-eval", "--metric", "all", "--run", "runs/held-out", "--head", f"runs/{head}/head", "--out", out)
    with (folder / out / "spans.csv").open() as file:
        found = [(row["video"], int(row["start_frame"]), int(row["end_frame"])) for row in csv.DictReader(file)]
    false = hit = 0
    for name, one in scenes.items():
        mine = [(start, end) for video, start, end in found if video == name]
        real = [(start, end) for start, end, kind in one.spans if kind != NEW]
        false += sum(not any(start < last and end > first for first, last in real) for start, end in mine)
        hit += sum(any(start < last and end > first for start, end in mine) for first, last in real)
    hours = sum(one.frames for one in scenes.values()) / FPS / 3600
    anomalies = sum(kind != NEW for one in scenes.values() for *_, kind in one.spans)
    there = json.loads((folder / out / "metrics.json").read_text())["frame"]
    run(folder, "aadc-eval", "--metric", "all", "--run", "runs/first", "--head", f"runs/{head}/head", "--out", f"old-{head}")
    old = json.loads((folder / f"old-{head}" / "metrics.json").read_text())["frame"]
    rates = [f"{100 * figure:.1f}" for figure in (there["auc"], there["ap"], old["auc"], old["ap"])]
    return [f"{false} ({false / hours:.0f} an hour)", f"{hit} of {anomalies}", *rates]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--folder", type=Path, default=Path("learning-loop"), help="where it works, and goes on")
    parser.add_argument("--held-out", type=int, default=20, help="scenes of either kind")
    parser.add_argument("--pace", type=float, default=PACE, help="of the cameras' files; less where others are at work too")
    options = parser.parse_args()
    heads = ["seed", "head", "false alarms", "anomalies found", "AUC", "AP", "AUC, first test set", "AP, first test set"]
    print("| " + " | ".join(heads) + " |\n" + "| ---: | --- |" + " ---: |" * 6, flush=True)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for seed in options.seeds:
        folder = options.folder.resolve() / f"seed-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        first_head(folder, seed)
        cameras = days(seed)
        watch(folder, cameras, options.pace)
        if not (folder / "decided").exists():
            (folder / "decided").write_text("{} confirmed, {} dismissed".format(*decide(folder, cameras)))
        if not (folder / "runs/feedback/head/config.json").exists():
            run(folder, "aadc-live", "export", "learned", "--run", "runs/first", "--add", "demo/demo.csv", "--test-share", "0")
            run(folder, "aadc-extract", "learned/feedback.csv", "--like", "runs/first")
            run(folder, "aadc-train-head", "--run", "runs/feedback", "--seed", f"{seed}")
        scenes = held_out(folder, seed, options.held_out)
        decided = (folder / "decided").read_text()
        for head, name in (("first", "first"), ("feedback", f"with {decided}")):
            print("| " + " | ".join([f"{seed}", name, *figures(folder, head, scenes)]) + " |", flush=True)


if __name__ == "__main__":
    main()
