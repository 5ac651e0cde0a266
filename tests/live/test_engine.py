"""What the engine says of a recording is what offline scoring says of it; gaps, slowness and bad frames are accounted for."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_capture import Kept

from aadc.extract.shards import ShardSet
from aadc.head.bags import FIELDS
from aadc.head.scoring import score_video
from aadc.live.camera_scores import CameraScores
from aadc.live.capture import Capture, CaptureJob
from aadc.live.engine import Engine
from aadc.live.frame_slot import FrameSlot, SlotFrame


class Queue:
    """Gives kept frames one after the other, as if the reader was always in time."""

    def __init__(self, kept):
        self.left = [
            SlotFrame(rgb, n + 1, epoch, snippet, second, utc_ns, arrived_ns, last)
            for n, (rgb, second, utc_ns, arrived_ns, epoch, snippet, last) in enumerate(kept)
        ]

    def read(self, after=0):
        return self.left.pop(0) if self.left else None


def frames_of(path, head):
    kept = Kept()
    Capture(
        CaptureJob(
            name="a", source=str(path), kind="file", pace=1000, began_ns=time.monotonic_ns(), snippet_s=head.snippet_s,
            middle=0.5,
        ),
        kept,
        Kept(),
    ).run()  # fmt: skip
    return kept.all


def test_a_file_through_the_engine_is_scored_as_offline(trained):
    """To 1e-4, frame by frame, two cameras at once; provisional scores come at once, final ones `ahead` later."""
    folder, run, embedder, head = trained
    shards = ShardSet(run.shards)
    videos = sorted(entry.video for entry in shards.entries.values() if entry.split == "test")
    sources = {video: Queue(frames_of(folder / "demo" / "videos" / video, head)) for video in videos}
    counts = {video: len(source.left) for video, source in sources.items()}
    engine = Engine(embedder, head, sources, head.snippet_s)
    scored = []
    while found := engine.round():
        scored += found
    scored += engine.end()
    read = shards.read_videos(list(shards.entries), FIELDS)
    offline = {features.video: score_video(head, features) for _, features in read if features.video in videos}
    for video in videos:
        final = [one for one in scored if one.camera == video and one.final]
        early = [one for one in scored if one.camera == video and not one.final]
        assert len(final) == len(early) == counts[video] == len(offline[video].anomaly)
        assert [one.snippet for one in final] == list(range(len(final))) and {one.epoch for one in final} == {0}
        np.testing.assert_allclose([one.score for one in final], offline[video].anomaly, atol=1e-4)
        np.testing.assert_allclose([one.classes for one in final], offline[video].classes, atol=1e-4)
        assert np.ptp([one.score for one in final]) > 0.01
        seconds = [one.second for one in final]
        np.testing.assert_allclose(np.diff(seconds)[:-1], head.snippet_s, atol=0.02)  # the last one is its last frame
    assert not any(one.carried for one in scored)


def rows(head, count):
    """Features of a made-up stream."""
    import torch

    random = torch.Generator().manual_seed(0)
    fusion = head.model.fusion
    return torch.randn(count, len(fusion.detr.mean), generator=random), torch.randn(
        count, len(fusion.vis.mean), generator=random
    )


def frame(number, snippet, epoch=0, second=None):
    second = snippet * 0.5 if second is None else second
    return SlotFrame(np.zeros((4, 4, 3), np.uint8), number, epoch, snippet, second, int(second * 1e9), int(second * 1e9))


def test_gaps_are_carried_and_long_ones_begin_anew(trained):
    head = trained[3]
    detr, vis = rows(head, 12)
    scores = CameraScores("a", head, 16, 4)
    found = []
    for n, snippet in enumerate([0, 1, 4, 5, 10, 16, 17]):  # 2 and 3, then 6 to 9 are missing; then 11 to 15
        found += scores.took(frame(n + 1, snippet), detr[n : n + 1], vis[n : n + 1])
    found += scores.end()
    final = [one for one in found if one.final]
    assert [(one.epoch, one.snippet) for one in final] == [(0, n) for n in range(11)] + [(1, 0), (1, 1)]
    assert [one.snippet for one in final if one.carried] == [2, 3, 6, 7, 8, 9]
    seconds = [one.second for one in final]
    assert (np.diff(seconds) > 0).all() and seconds[:11] == pytest.approx(np.arange(11) * 0.5)
    assert scores.carried == 6 and scores.scored == 7 and not scores.is_open


def test_another_count_of_captures_is_another_epoch(trained):
    head = trained[3]
    detr, vis = rows(head, 3)
    scores = CameraScores("a", head, 16, 4)
    found = scores.took(frame(1, 5, epoch=3), detr[:1], vis[:1])
    found += scores.took(frame(2, 0, epoch=4, second=9.0), detr[1:2], vis[1:2])
    assert [(one.epoch, one.snippet, one.second, one.final) for one in found] == [
        (0, 0, 2.5, False), (0, 0, 2.5, True), (1, 0, 9.0, False),
    ]  # fmt: skip


def test_features_that_are_no_numbers_are_a_missing_snippet(trained):
    head = trained[3]
    detr, vis = rows(head, 6)
    detr[2] = float("nan")
    scores = CameraScores("a", head, 16, 4)
    found = [one for n in range(6) for one in scores.took(frame(n + 1, n), detr[n : n + 1], vis[n : n + 1])] + scores.end()
    final = [one for one in found if one.final]
    assert [one.carried for one in final] == [False, False, True, False, False, False]
    assert all(np.isfinite(one.score) for one in found) and scores.unusable == 1


class Slow:
    """An embedder of which each call takes a while; frames that are all 99 it cannot take."""

    device = "cpu"

    def __init__(self, embedder, seconds, sleep=time.sleep):
        self._embedder, self.seconds, self.sleep, self.calls = embedder, seconds, sleep, []

    def __call__(self, rgb):
        if (rgb == 99).all():
            raise RuntimeError("no such frame")
        self.calls.append(len(rgb))
        self.sleep(self.seconds)
        return self._embedder(rgb)


class Stream:
    """Cameras that write a frame every 20 ms, whoever is at work, by a clock of their own: how busy this machine is counts for
    nothing. It is set (as an event that ends the engine) after 150 frames."""

    def __init__(self, slots):
        self.slots, self.now, self.frames = slots, 1000.0, 0

    def monotonic(self):
        self.now += 1e-9  # no two looks at a clock say the same
        return self.now

    def wait(self, seconds):
        until = self.now + seconds
        while (due := 1000.0 + self.frames * 0.02) <= until:
            for slot in self.slots.values():
                picture = np.full((48, 64, 3), self.frames % 90, np.uint8)
                slot.write(picture, self.frames * 0.02, self.frames, round(due * 1e9), 0, self.frames)
            self.frames += 1
        self.now = until

    def is_set(self):
        return self.frames >= 150


def test_too_slow_a_machine_drops_evenly_and_scores_what_is_fresh(trained, monkeypatch):
    """Frames come five times as fast as they are scored: ages stay below two scorings, and no camera is left out."""
    _, _, embedder, head = trained
    slots = {name: FrameSlot(most_pixels=5000) for name in "abc"}
    stream = Stream(slots)
    for module in ("engine", "pace"):
        monkeypatch.setattr(f"aadc.live.{module}.time", stream)
    engine = Engine(Slow(embedder, 0.1, stream.wait), head, slots, 0.02, window=16)
    engine._most = 2  # of three cameras
    found = list(engine.run(stream))
    status = engine.status()
    scored = [one["scored"] for one in status["cameras"].values()]
    assert min(scored) >= 5 and max(scored) - min(scored) <= 2
    for one in status["cameras"].values():
        assert one["dropped"] > one["scored"] and one["real_time"] < 0.5
    took = 1 / (engine.pace.snippets_a_second() / 2)
    assert status["age_s"]["p99"] < 2 * took + 0.02
    assert abs(took - 0.1) < 1e-6 and status["age_s"]["p99"] < 0.1201, "the newest, never one that waited"
    assert {one.camera for one in found if one.final} == set("abc"), "gaps too long to carry end epochs, and nothing is lost"
    for slot in slots.values():
        slot.close()


def test_a_frame_that_the_models_cannot_take_costs_only_itself(trained):
    _, _, embedder, head = trained
    kept = [(np.full((48, 64, 3), 99 if n == 2 else n, np.uint8), n * 0.5, n, n, 0, n, n == 5) for n in range(6)]
    fine = [(np.full((40, 64, 3), n, np.uint8), n * 0.5, n, n, 0, n, n == 5) for n in range(6)]
    engine = Engine(Slow(embedder, 0), head, {"a": Queue(kept), "b": Queue(fine)}, 0.5, window=16)
    found = []
    for _ in range(6):
        found += engine.round()
    assert engine.error == "no such frame" and engine.cameras["a"].unusable == 1
    for name, carried in (("a", 1), ("b", 0)):
        final = [one for one in found if one.camera == name and one.final]
        assert len(final) == 6 and sum(one.carried for one in final) == carried


def test_the_gate_computes_what_changes(trained):
    _, _, embedder, head = trained
    still = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    other = 255 - still
    pictures = [still, still, still, other, other, still]
    kept = [(rgb, n * 0.5, n, n, 0, n, n == 5) for n, rgb in enumerate(pictures)]
    slow = Slow(embedder, 0)
    engine = Engine(slow, head, {"a": Queue(kept)}, 0.5, window=16, gate=4.0)
    found = [one for _ in range(6) for one in engine.round()]
    assert slow.calls == [1, 1, 1] and engine.gated["a"] == 3
    plain = Engine(embedder, head, {"a": Queue(kept)}, 0.5, window=16)
    expected = [one for _ in range(6) for one in plain.round()]
    np.testing.assert_allclose([one.score for one in found], [one.score for one in expected], atol=1e-4)


def test_what_is_due_of_a_silent_camera_is_told(trained):
    _, _, embedder, head = trained
    kept = [(np.full((48, 64, 3), n, np.uint8), n * 0.01, n, n, 0, n, False) for n in range(3)]
    engine = Engine(embedder, head, {"a": Queue(kept)}, 0.01, window=16)
    found = [one for _ in range(3) for one in engine.round()]
    assert not any(one.final for one in found) and engine.close_silent() == []
    engine._came["a"] -= 2
    assert [(one.snippet, one.final) for one in engine.close_silent()] == [(0, True), (1, True), (2, True)]
    assert engine.close_silent() == []
