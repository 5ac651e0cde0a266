"""A slot holds the newest picture whole, for any number of readers in any process, at any size, in constant memory."""

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from aadc.live.config import MOST_CAMERAS
from aadc.live.frame_slot import FrameSlot

READER = """
import sys; from aadc.live.frame_slot import FrameSlot
slot = FrameSlot(int(sys.argv[1])); seen = 0; torn = 0; count = 0
while seen < 400:
    frame = slot.read(after=seen)
    if frame is None: continue
    value = frame.number % 251
    torn += int((frame.rgb != value).any() or frame.snippet != frame.number or frame.second != frame.number / 8)
    assert frame.number > seen; seen = frame.number; count += 1
print(torn, count)
"""


def test_readers_elsewhere_see_whole_pictures_of_changing_size():
    slot = FrameSlot()
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(slot.descriptor)], pass_fds=[slot.descriptor], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    number = 0
    while any(reader.poll() is None for reader in readers):
        number += 1
        size = (240, 320, 3) if number % 7 else (90, 160, 3)
        slot.write(np.full(size, number % 251, np.uint8), number / 8, number, number, snippet=number)
        if number < 400:
            threading.Event().wait(0.001)
    for reader in readers:
        torn, count = map(int, reader.communicate()[0].split())
        assert torn == 0 and count > 10
    slot.close()


def test_only_the_newest_is_there_and_only_once():
    slot = FrameSlot(most_pixels=100)
    assert slot.read() is None
    for number in range(1, 6):
        slot.write(np.full((5, 4, 3), number, np.uint8), 0.5, 7, 8, 9, 10, last=number == 5, clock="arrival")
    frame = slot.read()
    assert frame.number == 5 and (frame.rgb == 5).all() and frame[2:] == (9, 10, 0.5, 7, 8, True, "arrival")
    assert slot.read(after=5) is None
    slot.write(np.rot90(np.arange(60, dtype=np.uint8).reshape(4, 5, 3)), 0, 0, 0)
    assert (slot.read().rgb == np.rot90(np.arange(60).reshape(4, 5, 3))).all()
    with pytest.raises(ValueError):
        slot.write(np.zeros((60, 60, 3), np.uint8), 0, 0, 0)
    slot.close()


def test_state_and_signs_of_life():
    slot = FrameSlot(most_pixels=100)
    assert slot.told() == {} and slot.beaten_ns == 0
    slot.tell({"state": "online", "error": "é"})
    slot.beat()
    other = FrameSlot(os.dup(slot.descriptor))
    assert other.told() == {"state": "online", "error": "é"} and other.beaten_ns > 0
    other.close()
    slot.close()


def test_what_is_said_is_read_once_however_often_it_is_asked_for(monkeypatch):
    read, real = [], json.loads
    monkeypatch.setattr("aadc.live.frame_slot.json.loads", lambda content: read.append(content) or real(content))
    slot = FrameSlot(most_pixels=1)
    other = FrameSlot(os.dup(slot.descriptor))
    for number in (1, 2, 1):
        slot.tell({"number": number})
        assert [other.told()["number"] for _ in range(5)] == [number] * 5
    assert len(read) == 3
    other.close()
    slot.close()


def test_of_a_thousand_cameras_all_is_said():
    """As scoring does of each: more would end that process, again and again."""
    figures = dict.fromkeys(("scored", "carried", "dropped", "unusable", "gated"), 10**7) | {
        "real_time": 0.123, "late_s": {"p50": 1.2345, "p95": 12.3456, "p99": 123.4567}
    }  # fmt: skip
    told = {"cameras": {f"{number:04d}" + "\N{VIDEO CAMERA}" * 96: figures for number in range(MOST_CAMERAS)}}
    slot = FrameSlot(most_pixels=1)
    slot.tell(told)
    assert slot.told() == told
    slot.close()
