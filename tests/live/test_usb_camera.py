"""A USB camera through FFmpeg's own reader of Video4Linux, in the process that reads cameras. The kernel's answers are those
of `made_up_v4l2.c`, for there is no camera in a test."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from preloaded import Preloaded
from test_capture import camera  # noqa: F401  a fixture
from waiting import wait_until

DEVICE = "/dev/video-made-up"


@pytest.fixture
def plugged(tmp_path, monkeypatch):
    """Makes the device be so: `w` it works, `b` in use, `s` silent, `g` gone."""
    made_up = Preloaded("made_up_v4l2.c", tmp_path, says="MADE_UP_STATE")
    made_up.tell("w")
    for name, value in {**made_up.environment, "MADE_UP_CAMERA": DEVICE}.items():
        monkeypatch.setenv(name, value)
    return made_up.tell


def test_pictures_of_a_usb_camera_come_in_order_and_its_troubles_are_told_in_a_sentence(plugged, camera):  # noqa: F811
    plugged("b")
    door = camera(DEVICE, "device", hangs_s=6.0, view_fps=60)
    wait_until(lambda: door.status.error == f"{DEVICE} is in use by another program; end that one", 60)
    plugged("w")
    door.reaches("online", 15)
    assert (door.status.width, door.status.height) == (320, 240)
    seen = []

    def look():
        frame = door.view.read(after=seen[-1].number if seen else 0)
        if door.status and frame is not None:
            seen.append(frame)
        return len(seen) >= 40

    wait_until(look, 30)
    levels = np.array([frame.rgb.mean() for frame in seen])
    pictures = np.round((levels * 219 / 255 + 16 - 40) / 6).astype(int)
    assert set(pictures) <= set(range(30)) and len(set(pictures)) > 10
    steps = np.diff(pictures) % 30
    assert (steps >= 1).all() and np.median(steps) <= 3, "each is another one, and none from before"
    assert (np.diff([frame.second for frame in seen]) > 0).all() and door.frames.read().rgb.shape == (240, 320, 3)
    plugged("g")
    told = []  # it is tried again at once, and then there is no error for a moment

    def gone():
        told.append(door.status)
        return told[-1].state == "offline" and "plug the camera in" in told[-1].error

    wait_until(gone, 15)
    assert told[-1].error.startswith(DEVICE) and "Errno" not in told[-1].error
    plugged("w")
    door.reaches("online", 15)
    assert door.child.restarts == 0, "all by the same process"
    hung = door.child.pid
    plugged("s")  # the kernel keeps the process waiting, whatever it was told of patience
    door.reaches("offline", 15)
    wait_until(lambda: door.status and door.child.restarts == 1, 15)
    plugged("w")
    began = time.monotonic()
    door.reaches("online", 15)
    assert door.child.pid != hung and time.monotonic() - began < 15
