"""Where the process that scores keeps memory: engine, event rules, store and clips in one process, as fast as they go.

    python benchmarks/score_memory.py                         # on what `make demo` made
    python benchmarks/score_memory.py --parts engine          # without events
    python benchmarks/score_memory.py --parts events          # without models: made-up scores, pictures for their clips

Four made-up cameras give frames of the demo's abnormal test videos, looped, two snippets of each in a second of their time.
Told twice a minute: own memory (RssAnon), what the C library has in use, blocks and objects of Python. `make soak` shows
whether the real process grows; this runs several times faster, and parts of it can be left out.
"""

import argparse
import ctypes
import gc
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from aadc.eval.video import Models, open_models
from aadc.extract.run_folder import RunFolder
from aadc.head.checkpoint import LoadedHead, load_head
from aadc.live.clip_file import small_jpeg
from aadc.live.data_folder import MARKER
from aadc.live.demo import abnormal_videos
from aadc.live.engine import Engine
from aadc.live.event_pictures import ClipUsed
from aadc.live.event_sink import EventSink
from aadc.live.frame_slot import SlotFrame
from aadc.live.read_config import parse_config
from aadc.live.recent import boxes_of
from aadc.live.scored import ScoredSnippet

SNIPPET_S = 0.5
STRIDE = 5  # of the demo's frames, ten a second
WAITING = 20  # pictures of a camera's clip; more and the cameras wait
TOLD_EVERY_S = 30.0


class Looped:
    """A camera that has its next frame whenever it is asked."""

    def __init__(self, frames: list[np.ndarray], began_ns: int):
        self.frames, self._began_ns, self.count = frames, began_ns, 0

    @property
    def place(self) -> int:
        """Of the newest frame in its video."""
        return (self.count - 1) % len(self.frames)

    def read(self, after: int = 0) -> SlotFrame:
        """The next one; a loop is an epoch."""
        epoch, second = self.count // len(self.frames), self.count * SNIPPET_S
        self.count += 1
        utc_ns = self._began_ns + int(second * 1e9)
        return SlotFrame(
            rgb=self.frames[self.place], number=self.count, epoch=epoch, snippet=self.count - 1, second=second,
            utc_ns=utc_ns, arrived_ns=time.monotonic_ns(), last=False, clock="arrival",
        )  # fmt: skip


def made_up(cameras: dict[str, Looped], head: LoadedHead) -> Iterator[list[ScoredSnippet]]:
    """Scores in place of an engine's: ten of every forty snippets are high, each told provisionally and finally."""
    classes = np.full(len(head.card.names), 1 / len(head.card.names), np.float32)
    while True:
        found = []
        for name, camera in cameras.items():
            frame = camera.read()
            score = 0.95 if 10 <= frame.snippet % 40 < 20 else 0.05
            for final in (False, True):
                found.append(
                    ScoredSnippet(
                        name, 0, frame.snippet, frame.second, frame.utc_ns, frame.arrived_ns, score, classes, final, False, None
                    )
                )
        yield found


class Used(ctypes.Structure):
    """What glibc's `mallinfo2` says."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    ]


def tell(minutes: float, rounds: int, out: int) -> None:
    """A line of figures."""
    gc.collect()
    info = ctypes.CDLL(None).mallinfo2
    info.restype = Used
    used = info()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    own = int(status["RssAnon"].split()[0]) / 1024
    line = (
        f"{minutes:5.1f} minutes, {rounds} rounds: own {own:.1f} MB, C library {(used.uordblks + used.hblkhd) / 2**20:.1f} MB"
    )
    os.write(out, f"{line}, Python {sys.getallocatedblocks()} blocks, {len(gc.get_objects())} objects\n".encode())


def main() -> None:
    """Score, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/demo"))
    parser.add_argument("--scenes", type=Path, default=Path("demo"))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--parts", choices=("all", "engine", "events"), default="all")
    given = parser.parse_args()
    run = RunFolder(given.run.resolve())
    head, cameras = load_head(run.head), {}
    for number, video in enumerate(abnormal_videos(given.scenes, 4)):
        with av.open(str(given.scenes / "videos" / video)) as file:
            frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        cameras[f"camera {number}"] = Looped(frames[::STRIDE], time.time_ns())
    pictures = {name: [small_jpeg(frame) for frame in camera.frames] for name, camera in cameras.items()}
    embedder = engine = sink = None
    if given.parts != "events":
        embedder = open_models(run, Models("cpu"))
        engine = Engine(embedder, head, cameras, SNIPPET_S)
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is said of events goes nowhere
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MARKER).touch()
        text = f'data = "{folder}"\n[rules]\nmost_an_hour = 10000\n[retention]\ngigabytes = 0.01\nfree_gigabytes = 0.01\n'
        text += "".join(f'[[camera]]\nname = "{name}"\nsource = "{folder}/{name}.mp4"\n' for name in cameras)
        config = parse_config(text, Path(folder) / "cameras.toml").config
        if given.parts != "engine":
            sink = EventSink(config, head.card, list(cameras), None, head.sure, clip=ClipUsed("", "") if engine else None)
        scores = iter(engine.round, None) if engine else made_up(cameras, head)
        began = told = time.monotonic()
        for rounds, found in enumerate(scores):
            now = time.monotonic()
            if now - began > given.minutes * 60:
                break
            if now - told > TOLD_EVERY_S:
                told = now
                tell((now - began) / 60, rounds, out)
            if sink is None:
                continue
            for name, camera in cameras.items():
                recorder = sink._keeping._recorders[name]
                while recorder.waiting > WAITING:
                    time.sleep(0.002)
                recorder.add(pictures[name][camera.place], (camera.count - 1) * SNIPPET_S)
                if engine is not None and embedder is not None:
                    frame, rows = engine.looked[name]
                    boxes = boxes_of(rows, {str(number): word for number, word in embedder.detector.class_names.items()})
                    sink.saw(name, frame.second, boxes, rows)
            for one in found:
                sink.take(one)
        if sink is not None:
            sink.close()


if __name__ == "__main__":
    main()
