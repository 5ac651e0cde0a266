"""All cameras, one model: the newest frames that are due go through the frozen models together, then through the head."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import numpy as np

from aadc.extract.features import FrameEmbedder
from aadc.extract.gate import Gate
from aadc.head.checkpoint import LoadedHead
from aadc.head.stream import MOST_CARRIED, as_stored
from aadc.live.camera_scores import CameraScores
from aadc.live.frame_slot import SlotFrame
from aadc.live.pace import Ages, Pace
from aadc.live.scored import ScoredSnippet
from aadc.manifests.files import reason

MOST_AT_ONCE = {"cpu": 8}  # frames; on a GPU more
_ON_A_GPU = 32
_NAP_S = 0.005
_LOOKS_BACK_S = 300.0  # for how late each camera's scores are
_LATE_S = 1.0  # beyond what can be carried, before an epoch ends


class Source(Protocol):
    """Where frames come from; a `FrameSlot`."""

    def read(self, after: int = 0) -> SlotFrame | None: ...


class Engine:
    """Scores the frames of all cameras.

    Args:
        sources: by camera.
        snippet_s: seconds a snippet lasts.
        window, ahead: see `StreamScorer`.
        gate: levels of change below which a frame takes over the features of the last one computed; 0 computes every one.
    Raises:
        UserError: a window that cannot be.
    """

    def __init__(
        self,
        embedder: FrameEmbedder,
        head: LoadedHead,
        sources: Mapping[str, Source],
        snippet_s: float,
        window: int | None = None,
        ahead: int = 4,
        gate: float = 0.0,
    ):
        self._embedder, self._head, self._sources, self.snippet_s = embedder, head, sources, snippet_s
        self.cameras = {name: CameraScores(name, head, window, ahead) for name in sources}
        self._gates = {name: Gate(gate) if gate else None for name in sources}
        self._rows: dict[str, dict[str, np.ndarray]] = {}  # of the last computed frame, for the gate
        self._seen = dict.fromkeys(sources, 0)
        self._came = dict.fromkeys(sources, 0.0)
        self._most = MOST_AT_ONCE.get(embedder.device, _ON_A_GPU)
        self.pace = Pace()
        self._late = {name: Ages(_LOOKS_BACK_S) for name in sources}
        self.gated = dict.fromkeys(sources, 0)
        self.looked: dict[
            str, tuple[SlotFrame, dict[str, np.ndarray]]
        ] = {}  # newest frame of each, without picture, and its rows
        self.error = ""

    def run(self, stop: threading.Event, alive: Callable[[], None] = lambda: None) -> Iterator[ScoredSnippet]:
        """Score until `stop`, then give what is still due. `alive` is called after every look for frames."""
        while not stop.is_set():
            found = self.round()
            yield from found
            alive()
            if not found:
                yield from self.close_silent()
                stop.wait(_NAP_S)
        yield from self.round()
        yield from self.end()

    def round(self) -> list[ScoredSnippet]:
        """Score the newest frame of each camera that has one, of at most as many cameras as go through the models at once;
        those whose turn is longest ago come first. Empty if no camera has a new frame."""
        began = time.monotonic()
        frames: dict[str, SlotFrame] = {}
        for name in sorted(self._sources, key=self._came.__getitem__):
            if (frame := self._sources[name].read(after=self._seen[name])) is not None:
                frames[name], self._seen[name] = frame, frame.number
                self._came[name] = time.monotonic()
                if len(frames) == self._most:
                    break
        if not frames:
            return []
        rows = self._features(frames)
        found: list[ScoredSnippet] = []
        for name, frame in frames.items():
            if name not in rows:
                self.cameras[name].unusable += 1
                continue
            self.looked[name] = frame._replace(rgb=np.empty((*frame.rgb.shape[:2], 0), np.uint8)), rows[name]
            detr_1D, vis_1C = as_stored(rows[name], self._head.model.pooling)
            found += self.cameras[name].took(frame, detr_1D, vis_1C)
            if frame.last:
                found += self.cameras[name].end()
        now = time.monotonic()
        ages = {name: now - frame.arrived_ns / 1e9 for name, frame in frames.items()}
        self.pace.worked(now - began, len(frames), list(ages.values()))
        for name, age in ages.items():
            self._late[name].add(age)
        return found

    def close_silent(self) -> list[ScoredSnippet]:
        """End the epochs of cameras from which nothing came for longer than is bridged: what is due is told now, not once they
        are back."""
        limit = time.monotonic() - (MOST_CARRIED + 1) * self.snippet_s - _LATE_S
        silent = [scores for name, scores in self.cameras.items() if scores.is_open and self._came[name] < limit]
        return [one for scores in silent for one in scores.end()]

    def end(self) -> list[ScoredSnippet]:
        """The final scores that are still due, of all cameras."""
        return [one for scores in self.cameras.values() if scores.is_open for one in scores.end()]

    def status(self) -> dict:
        """Figures, as plain values.

        `holds`: how many cameras this machine scores in time, as things went in the last minute; `age_s`: percentiles of a
        frame's age, from its arrival until its score is known; `round_s`: of how long a round of scoring takes; by camera,
        counts since the start, and `real_time`: the share of what was due that was scored (below 1 the machine does not keep
        up), and `late_s`: `age_s` of that camera alone, over the last five minutes.
        """
        rate = self.pace.snippets_a_second()
        cameras = {}
        for name, scores in self.cameras.items():
            taken = scores.scored + scores.unusable
            due = taken + scores.dropped
            cameras[name] = {
                "scored": scores.scored,
                "carried": scores.carried,
                "dropped": scores.dropped,
                "unusable": scores.unusable,
                "gated": self.gated[name],
                "real_time": round(taken / due, 3) if due else 0.0,
                "late_s": self._late[name].percentiles(),
            }
        return {
            "holds": round(rate * self.snippet_s, 2),
            "age_s": self.pace.ages_s(),
            "round_s": self.pace.rounds_s(),
            "error": self.error,
            "cameras": cameras,
        }

    def _features(self, frames: Mapping[str, SlotFrame]) -> dict[str, dict[str, np.ndarray]]:
        """Rows (one each) of all frames that could be computed, those that the gate lets pass from the last computed one."""
        rows: dict[str, dict[str, np.ndarray]] = {}
        fresh: dict[tuple[int, ...], list[str]] = {}
        for name, frame in frames.items():
            gate = self._gates[name]
            still = gate is not None and not gate(frame.rgb[None])[0]
            if still and name in self._rows:
                rows[name] = self._rows[name]
                self.gated[name] += 1
            else:
                fresh.setdefault(frame.rgb.shape, []).append(name)
        for names in fresh.values():
            try:
                together = self._embedder(np.stack([frames[name].rgb for name in names]))
            except (RuntimeError, ValueError) as error:  # one kind of frame that the models cannot take; the others go on
                self.error = reason(error)
                continue
            for place, name in enumerate(names):
                rows[name] = {key: values[place : place + 1] for key, values in together.items()}
                if self._gates[name] is not None:
                    self._rows[name] = rows[name]
        return rows


def machine_holds(embedder: FrameEmbedder, snippet_s: float, size: tuple[int, int] = (720, 1280)) -> float:
    """How many cameras this machine scores in time, every frame with as many objects as are kept at most: measured, on
    frames of noise (height, width), which takes a few frames' time."""
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (2, *size, 3), dtype=np.uint8)
    embedder(frames)  # what is slow the first time is not measured
    began = time.monotonic()
    embedder(frames)
    plain_s = (time.monotonic() - began) / len(frames)
    import torch

    crops = [torch.from_numpy(frames[0, : size[0] // 2, : size[0] // 2]).permute(2, 0, 1)] * embedder.settings.boxes
    began = time.monotonic()
    embedder.encoder([crop.to(embedder.device) for crop in crops])
    return snippet_s / (plain_s + time.monotonic() - began)
