"""Scenes: the same seed gives the same pictures, the truth says what is in them, spans and files agree with both."""

import json
from dataclasses import replace

import numpy as np
import pytest

from aadc.manifests.manifest import read_manifest, video_path, video_root
from aadc.manifests.scenes.camera import Camera
from aadc.manifests.scenes.demo import CAMERAS, plan, write_demo
from aadc.manifests.scenes.figure import place
from aadc.manifests.scenes.kinds import ABNORMAL, KINDS, NORMAL
from aadc.manifests.scenes.look import random_look
from aadc.manifests.scenes.motions import Moment
from aadc.manifests.scenes.scene import FPS
from aadc.manifests.scenes.story import build_scene
from aadc.manifests.scenes.video import read_video, write_video

FRAMES = 24 * FPS


def bare(scene):
    """The scene with its figures, but nothing in their hands, no bag and nothing in front."""
    return replace(scene, occluder=None, bag=None)


def changed(scene, frame):
    """Where the picture differs from the same picture without anybody, bool (H, W)."""
    empty = replace(scene, actors=(), bag=None)
    return (np.abs(Camera(scene)(frame).astype(int) - Camera(empty)(frame)) > 12).any(-1)


def test_there_are_enough_kinds_of_both_sorts():
    assert len(NORMAL) >= 6 and len(ABNORMAL) >= 6
    assert len({kind.prompt for kind in KINDS}) == len({kind.name for kind in KINDS}) == len(KINDS)


def test_a_seed_gives_the_same_frames_and_another_one_different_frames():
    first, again = (build_scene("test", 5, FRAMES, ("fall",)) for _ in range(2))
    assert first.spans == again.spans and first.labels == again.labels
    np.testing.assert_array_equal(Camera(first)(200), Camera(again)(200))
    other = build_scene("test", 6, FRAMES, ("fall",))
    assert np.abs(Camera(first)(200).astype(int) - Camera(other)(200)).mean() > 5


def test_worlds_do_not_share_scenes():
    """The same number in another world is another room with other people."""
    here, there = (build_scene(world, 1, FRAMES) for world in ("demo-train", "demo-test"))
    assert here.actors[0].look != there.actors[0].look
    assert np.abs(np.asarray(here.room.background, int) - np.asarray(there.room.background)).mean() > 5


@pytest.mark.parametrize("name", [kind.name for kind in ABNORMAL])
def test_a_frame_does_not_depend_on_the_frames_before_it(name):
    """Only a part of the picture is drawn again from frame to frame: nothing may be left behind outside of it."""
    scene = build_scene("test", 21, FRAMES, (name,))
    camera = Camera(scene)
    for frame in range(0, FRAMES, 19):
        np.testing.assert_array_equal(camera(frame), everything_drawn(scene, frame))


def everything_drawn(scene, frame):
    """The frame with the whole picture drawn."""
    camera = Camera(scene)
    camera._region = lambda figures, frame: (0, 0, 2 * 320, 2 * 240)
    return camera(frame)


@pytest.mark.parametrize("seed", range(6))
def test_a_truth_box_is_the_extent_of_what_is_drawn(seed):
    """A figure alone in the room: the pixels that change are those of its box, but for its shadow and antialiasing."""
    scene = bare(build_scene("test", seed, FRAMES))
    checked = 0
    for frame in range(3, FRAMES, 29):
        for actor in scene.actors:
            alone = replace(scene, actors=(actor,))
            seen = alone.truth(frame)
            if not seen or seen[0].kind not in ("walking", "standing", "stretching", "treadmill", "cycling"):
                continue
            x0, y0, x1, y1 = seen[0].box
            rows, columns = np.nonzero(changed(alone, frame)[: round(actor.floor_y) - 3])
            # Clothes can have the colour of the wall: the drawing may seem smaller than the box, never larger.
            assert x0 - 2 <= columns.min() and columns.max() <= x1 + 2 and y0 - 2 <= rows.min()
            drawn = (columns.max() - columns.min()) * (rows.max() - rows.min())
            assert drawn > 0.6 * (x1 - x0) * (min(y1, actor.floor_y - 3) - y0)
            checked += 1
    assert checked >= 3


def test_figures_change_the_picture_inside_their_boxes_only():
    """All figures and bags of a scene at once; equipment in hands may stick out by less than half a figure."""
    scene = replace(build_scene("test", 13, FRAMES, ("abandoned bag",)), occluder=None)
    for frame in range(5, FRAMES, 30):
        inside = np.zeros((240, 320), bool)
        for actor, _, figure in scene.figures(frame):
            x0, y0, x1, y1 = figure.box
            reach = 0.55 * actor.scale
            x0, y0, x1, y1 = (max(0, round(edge)) for edge in (x0 - reach, y0 - reach, x1 + reach, y1 + 6))
            inside[y0:y1, x0:x1] = True
        for seen in scene.truth(frame):
            x0, y0, x1, y1 = np.round(seen.box).astype(int)
            inside[y0 - 3 : y1 + 4, max(0, x0 - 3) : x1 + 4] = True
            assert changed(scene, frame)[y0:y1, x0:x1].mean() > 0.2
        assert not (changed(scene, frame) & ~inside).any()


@pytest.mark.parametrize("name", [kind.name for kind in ABNORMAL])
def test_spans_are_the_frames_in_which_the_truth_shows_the_anomaly(name):
    scene = replace(build_scene("test", 3, FRAMES, (name,)), occluder=None)
    ((start, end, kind),) = scene.spans
    assert kind == name and scene.labels[0] == name
    assert 2 * FPS < start < end and end - start > 2 * FPS, "the anomaly is in the middle and long enough"
    shown = np.array([any(seen.kind == name for seen in scene.truth(frame)) for frame in range(FRAMES)])
    truth = (np.arange(FRAMES) >= start) & (np.arange(FRAMES) < end)
    # Somebody with a bag comes into the picture bit by bit; a runner is never out of it for long.
    slack = 0.12 if name == "abandoned bag" else 0.02
    assert (shown != truth).mean() <= slack


def test_a_normal_scene_has_no_span_and_no_abnormal_label():
    scene = build_scene("test", 8, FRAMES)
    assert scene.spans == () and set(scene.labels) <= {kind.name for kind in NORMAL} and len(scene.labels) >= 2


def test_a_scene_too_short_for_its_anomalies_is_refused():
    with pytest.raises(ValueError, match="200 frames are too short for 2 anomalies; at least 240"):
        build_scene("test", 0, 200, ("fall", "phone"))


def test_what_lies_behind_a_pillar_is_not_in_the_truth():
    scene = bare(build_scene("test", 2, FRAMES))
    actor = scene.actors[0]
    x0, _, x1, _ = scene.truth(10)[-1].box
    hidden = replace(scene, actors=(actor,), occluder=((x0 + x1) / 2, (90, 90, 90), False))
    narrow = x1 - x0 < 2 * 11 / 0.6
    assert (hidden.truth(10) == []) is narrow
    assert len(replace(hidden, occluder=((x0 + 150) % 320, (90, 90, 90), False)).truth(10)) == 1


def test_standing_figures_are_tall_and_lying_ones_are_wide():
    look = random_look(np.random.default_rng(0))
    size = {}
    for kind in KINDS:
        x0, y0, x1, y1 = place(kind.motion(Moment(2.0, 2.0)), look, 100, 200, 100, 1).box
        size[kind.name] = (x1 - x0) / (y1 - y0)
        if kind.station is None:
            assert y1 == pytest.approx(200, abs=6), f"{kind.name} stands on the floor"
    assert size["lying"] > 3 and size["bench press"] > 1 and size["fall"] > 1
    assert max(size["standing"], size["phone"], size["drinking"]) < 0.7


def test_a_figure_mirrored_is_the_mirror_image():
    look, pose = random_look(np.random.default_rng(1)), KINDS[0].motion(Moment(0.4, 9.0))
    right, left = (place(pose, look, 100, 200, 100, facing).box for facing in (1, -1))
    np.testing.assert_allclose(left[[0, 2]], 200 - right[[2, 0]])
    np.testing.assert_allclose(left[[1, 3]], right[[1, 3]])


def test_a_video_comes_back_frame_by_frame(tmp_path):
    scene = build_scene("test", 4, FRAMES)
    frames = list(map(Camera(scene), range(60)))
    write_video(tmp_path / "a.mp4", frames, crf=20)
    found = read_video(tmp_path / "a.mp4")
    assert len(found) == 60
    error = [[np.abs(a.astype(int) - b).mean() for b in found] for a in frames[::20]]
    assert [int(np.argmin(row)) for row in error] == [0, 20, 40], "frame i of the file is frame i of the scene"
    assert max(row[20 * i] for i, row in enumerate(error)) < 8


def test_a_plan_is_repeatable_and_mixes_all_anomalies():
    first = plan(3, 36, 24)
    assert first == plan(3, 36, 24) and first != plan(4, 36, 24)
    assert len({video.seed for video in first}) == 60, "no two videos share a seed"
    assert {video.camera for video in first} == {(3, number) for number in range(CAMERAS)}
    for split in ("train", "test"):
        videos = [video for video in first if video.split == split]
        assert {name for video in videos for name in video.anomalies} == {kind.name for kind in ABNORMAL}
        assert 0.4 <= np.mean([not video.anomalies for video in videos]) <= 0.5


def test_a_written_demo_reads_back_and_its_segments_are_the_truth(tmp_path):
    manifest = read_manifest(write_demo(1, tmp_path / "demo", train=1, test=1))
    root = video_root(manifest, None)
    assert [row.split for row in manifest.rows] == ["train", "test"]
    for row in manifest.rows:
        truth = json.loads((tmp_path / "demo" / "truth" / row.video.replace("mp4", "json")).read_text())
        assert row.frames == truth["frames"] == len(truth["seen"])
        assert manifest.card.is_abnormal(row.labels) == bool(truth["spans"])
        assert row.segments == () if row.split == "train" else [list(one) for one in row.segments] == truth["spans"]
    test = manifest.split("test")[0]
    assert len(read_video(video_path(root, test.video))) == test.frames
