"""How many cameras this machine scores in time, and how long after a frame came in its scores are known.

Cameras are recordings that loop at their own pace, each read by a process of its own as a camera is. Frames carry a clock
in the picture (`strip_clock`): that it can be read from what is scored shows that frames come through whole.
"""

import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from aadc.extract.run_folder import RunFolder
from aadc.live.capture import CaptureJob
from aadc.live.child import Child
from aadc.live.config import LiveConfig
from aadc.live.frame_slot import FrameSlot, SlotFrame
from aadc.live.run_clock import run_clock
from aadc.live.strip_clock import burn, read

RATE = 30
_SHARES = (50, 95, 99)


class BenchResult(NamedTuple):
    """`holds`: cameras, measured on crowded frames, every one computed; `real_time`: snippets scored of those due, the
    worst camera's; `legs_s`: p50, p95 and p99 by leg, seconds; `gated`: share of frames that the gate carried over; `misread`:
    frames whose strip could not be read."""

    cameras: int
    holds: float
    real_time: float
    gated: float
    dropped: int
    misread: int
    legs_s: dict[str, dict[str, float]]


class _Watched:
    """A slot that notes when each frame was taken up, and whether the strip in it can be read."""

    def __init__(self, slot: FrameSlot):
        self._slot = slot
        self.waited_s: list[float] = []
        self.misread = 0

    def read(self, after: int = 0) -> SlotFrame | None:
        """As `FrameSlot.read`."""
        frame = self._slot.read(after)
        if frame is not None:
            self.waited_s.append((time.monotonic_ns() - frame.arrived_ns) / 1e9)
            self.misread += read(frame.rgb) is None
        return frame


def bench(
    run: RunFolder, device: str, cameras: int, seconds: float, size: tuple[int, int] = (640, 360), gate: float = 0.0
) -> BenchResult:
    """Score so many cameras for so long.

    Raises:
        UserError: the run cannot score live.
    """
    from aadc.eval.video import Models, open_models  # heavy
    from aadc.head.checkpoint import load_head
    from aadc.live.engine import Engine, machine_holds

    clock = run_clock(LiveConfig.model_validate({"camera": [{"name": "bench", "source": "webrtc"}]}), run)
    embedder, head = open_models(run, Models(device)), load_head(run.head)
    holds = machine_holds(embedder, clock.snippet_s, size[::-1])
    with tempfile.TemporaryDirectory() as folder:
        video = strip_video(Path(folder) / "strip.mp4", size)
        slots = {f"camera {number}": (FrameSlot(), FrameSlot()) for number in range(1, cameras + 1)}
        children = [_child(name, video, pair, clock.snippet_s, clock.middle) for name, pair in slots.items()]
        sources = {name: _Watched(frames) for name, (frames, _) in slots.items()}
        engine = Engine(embedder, head, sources, clock.snippet_s, gate=gate)
        stop = threading.Event()
        until = time.monotonic() + seconds
        first: list[float] = []
        final: list[float] = []

        def alive() -> None:
            for child in children:
                child.look_after()
            if time.monotonic() > until:
                stop.set()

        try:
            for scored in engine.run(stop, alive):
                (final if scored.final else first).append((time.monotonic_ns() - scored.arrived_ns) / 1e9)
            status = engine.status()
        finally:
            for child in children:
                child.ask_to_end()
            for child in children:
                child.end(time.monotonic() + 2)
    waited = [one for source in sources.values() for one in source.waited_s]
    figures = status["cameras"].values()
    scored_count = sum(one["scored"] for one in figures)
    legs = {"taken up": waited, "first score": first, "final score": final}
    return BenchResult(
        cameras, round(holds, 1), min((one["real_time"] for one in figures), default=0.0),
        round(sum(one["gated"] for one in figures) / max(1, scored_count), 3), sum(one["dropped"] for one in figures),
        sum(source.misread for source in sources.values()), {name: _percentiles(values) for name, values in legs.items()},
    )  # fmt: skip


def strip_video(path: Path, size: tuple[int, int], seconds: float = 10.0) -> Path:
    """A video (H.264, 30 fps) whose frame n carries the number n: a square that goes to and fro over a still ground."""
    width, height = size
    ground = np.random.default_rng(0).integers(60, 120, (height // 8 + 1, width // 8 + 1, 1), dtype=np.uint8)
    ground = ground.repeat(8, 0).repeat(8, 1)[:height, :width].repeat(3, 2)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = width, height, "yuv420p", RATE
        stream.codec_context.time_base = Fraction(1, RATE)
        for n in range(int(seconds * RATE)):
            rgb = ground.copy()
            left = int((width - width // 6) * abs(1 - 2 * n / (seconds * RATE)))
            rgb[height // 2 : height // 2 + height // 4, left : left + width // 6] = (210, 60, 60)
            burn(rgb, n)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def _child(name: str, video: Path, slots: tuple[FrameSlot, FrameSlot], snippet_s: float, middle: float) -> Child:
    frames, view = slots
    job = CaptureJob(
        name=name, source=str(video), kind="file", loop=True, snippet_s=snippet_s, middle=middle, began_ns=time.monotonic_ns(),
        frames=frames.descriptor, view=view.descriptor,
    )  # fmt: skip
    return Child(
        name, "aadc.live.capture", job.model_dump, [frames.descriptor, view.descriptor], lambda: view.beaten_ns, 30.0, 30.0
    )


def _percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{share}": round(float(np.percentile(values, share)), 3) for share in _SHARES} if values else {}


def as_lines(result: BenchResult) -> list[str]:
    """The result in words, a line each."""
    lines = [
        f"{result.cameras} cameras at {RATE} fps: real-time factor {result.real_time:g} (the worst), {result.dropped} dropped, "
        f"{result.gated:.0%} carried over by the gate, {result.misread} frames misread",
        f"this machine holds about {result.holds:g} cameras whose pictures are crowded and change",
        "seconds after a frame came in:",
    ]
    for name, shares in result.legs_s.items():
        lines.append(f"  {name:12} " + "  ".join(f"{share} {value:.3f}" for share, value in shares.items()))
    return lines
