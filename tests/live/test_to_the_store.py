"""From what a camera sends to what is kept of it: sizes that change, infrared, clocks."""

import sys
import threading
import time
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import json
import signal

from test_watch import watching  # noqa: F401  a fixture
from waiting import wait_until

from aadc.live.camera_state import CameraStatus, status_of
from aadc.live.capture import Capture, CaptureJob
from aadc.live.config import LiveConfig
from aadc.live.event_sink import EventSink
from aadc.live.frame_slot import FrameSlot
from aadc.live.reader import Reader
from aadc.live.scored import ScoredSnippet
from aadc.live.start import Start
from aadc.manifests.card import Card


def video(path, parts, rate=10):
    """A video; where there are several `parts` ((H, W, 3) pictures), its stream changes its size at each: MPEG-TS then, and a
    coder for each."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as out:
        stream = out.add_stream("libx264", rate=rate)
        stream.height, stream.width = parts[0][0].shape[:2]
        stream.pix_fmt, count = "yuv420p", 0
        for pictures in parts:
            coder = av.CodecContext.create("libx264", "w") if len(parts) > 1 else stream.codec_context
            coder.height, coder.width = pictures[0].shape[:2]
            coder.pix_fmt, coder.time_base, coder.framerate = "yuv420p", Fraction(1, rate), rate
            coder.options = {"preset": "ultrafast", "bf": "0", "crf": "20", "tune": "zerolatency"}
            for rgb in [*pictures, None]:
                frame = None if rgb is None else av.VideoFrame.from_ndarray(rgb, format="rgb24")
                if frame is not None:
                    frame.pts, frame.time_base, count = count, coder.time_base, count + 1
                for packet in coder.encode(frame):
                    packet.stream, packet.time_base = stream, coder.time_base
                    out.mux(packet)
    return path


def scene(seed, size, low, high, count, moving=True):
    """Blocks that stand still, and a small square that moves."""
    blocks = np.random.default_rng(seed).integers(low, high, (size[0] // 20, size[1] // 20, 1), dtype=np.uint8)
    base = np.kron(blocks, np.ones((20, 20, 3), np.uint8))
    pictures = []
    for n in range(count):
        rgb = base.copy()
        if moving:
            left = n * 3 % (size[1] // 2) + size[1] // 3
            rgb[size[0] // 2 : size[0] // 2 + size[0] // 8, left : left + size[1] // 8] = [220, 60, 60]
        pictures.append(rgb)
    return pictures


def test_another_size_within_the_stream_reaches_clip_and_boxes(tmp_path, watching, trained):  # noqa: F811
    """Row 16: scoring goes on, blackouts and boxes stay right. Row 11: whose clock, and when it came, is kept."""
    video(tmp_path / "a.ts", [scene(1, (240, 320), 120, 200, 20), scene(2, (360, 480), 120, 200, 20)])
    text = f"""
    run = "{trained[1].path}"
    snippet_s = 0.4
    [rules]
    open_at = 0.001
    close_at = 0.001
    [[camera]]
    name = "door"
    source = "a.ts"
    loop = true
    blackouts = [[[0, 0], [0.3, 0], [0.3, 1], [0, 1]]]
    """
    live = watching(tmp_path, text)
    sizes = set()

    def seen():
        door = live.status["cameras"].get("door", {})
        sizes.add(door.get("width"))
        return {320, 480} <= sizes and live.scored("door") >= 25

    wait_until(seen, 120)
    figures = live.status["score"]["cameras"]["door"]
    live.process.send_signal(signal.SIGTERM)
    assert live.process.wait(30) == 0
    assert live.status["cameras"]["door"]["restarts"] == 0 and live.status["score"]["error"] == ""
    reader = Reader(tmp_path / "live" / "events.sqlite")
    events = [one for one in reversed(reader.events())]
    (first, *_) = events
    event = first.event
    assert event.clock == "camera" and len(event.start) == 12
    assert event.arrived_ns is not None and abs(event.arrived_ns - event.start_ns) < 5e9
    if not figures["dropped"]:  # the machine kept up: nothing but the video may have torn it
        assert len(events) == 1 and event.duration_s > 6, "four changes of the size, and one event"
    shown = 0
    with av.open(str(tmp_path / "live" / first.clip)) as clip:
        for frame in clip.decode(video=0):
            rgb = frame.to_ndarray(format="rgb24")
            edge = int(rgb.shape[1] * 0.3)
            assert rgb[:, : edge - 8].mean() < 6 and rgb[:, edge + 8 :].mean() > 90, "painted to the same share, at either size"
            shown += 1
    assert shown > 40
    beside = json.loads((tmp_path / "live" / first.clip).with_suffix(".json").read_text())
    for seen_then in beside["boxes"]:
        for box in seen_then["boxes"]:
            assert 0 <= box["x0"] <= box["x1"] <= 1 and 0 <= box["y0"] <= box["y1"] <= 1


CARD = Card.model_validate(
    {
        "title": "t", "source": "s", "licence": "MIT", "videos": "v",
        "classes": [
            {"name": "walking", "kind": "normal", "prompt": "walking"},
            {"name": "fall", "kind": "abnormal", "prompt": "a fall"},
        ],
    }
)  # fmt: skip


def test_a_switch_to_infrared_and_flicker_are_one_event_at_most(tmp_path):
    """Row 23, whatever the model thinks: here all that is not day is an anomaly to it. Read as a camera over HTTP."""
    day, night = scene(1, (120, 160), 130, 220, 60), scene(2, (120, 160), 20, 80, 60)
    flicker = [(day if n // 2 % 2 else night)[n % 60] for n in range(80)]
    video(tmp_path / "a.mp4", [day + flicker + night + day + flicker + night * 2])

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_): ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    frames, view = FrameSlot(), FrameSlot()
    address = f"http://127.0.0.1:{server.server_port}/a.mp4"
    job = CaptureJob(
        name="yard", source=address, kind="url", pace=4.0, snippet_s=0.4, began_ns=time.monotonic_ns(), back_off=60.0
    )
    capture = Capture(job, frames, view)
    thread = threading.Thread(target=capture.run, daemon=True)
    config = LiveConfig.model_validate({"data": tmp_path / "live", "camera": [{"name": "yard", "source": address}]})
    sink = EventSink(config, CARD, ["yard"], start=Start.now())
    thread.start()
    taken, nights = 0, 0
    until = time.monotonic() + 60
    while "ended" not in status_of(view).error and time.monotonic() < until:
        sink.heard("yard", status_of(view).model_copy(update={"state": "online"}))
        frame = frames.read(after=taken)
        if frame is None:
            time.sleep(0.002)
            continue
        taken, dark = frame.number, frame.rgb.mean() < 100
        nights += dark
        score, classes = (0.95 if dark else 0.05), np.array([0.1, 0.9], np.float32)
        for final in (False, True):
            sink.take(ScoredSnippet("yard", frame.epoch, frame.snippet, *frame[4:7], score, classes, final))
    capture.stop()
    thread.join(10)
    sink.close()
    server.shutdown()
    assert nights > 5, "what stays dark is scored"
    reader = Reader(tmp_path / "live" / "events.sqlite")
    assert len(reader.events(retracted=True)) <= 2, "one a night that stays, none of the flicker"
    jumps = [line for line in reader.log() if "changed as a whole" in line.what]
    assert 2 <= len(jumps) <= 8 and {line.who for line in jumps} == {"yard"}


def test_a_camera_whose_clock_is_off_is_told_of(tmp_path):
    """Row 11: by more than two seconds."""
    config = LiveConfig.model_validate(
        {"data": tmp_path / "live", "camera": [{"name": "yard", "source": "rtsp://127.0.0.1/x"}]}
    )
    sink = EventSink(config, CARD, ["yard"])
    reader = Reader(tmp_path / "live" / "events.sqlite")

    def clock(off_s):
        sink.heard("yard", CameraStatus(state="online", camera_off_s=off_s))
        sink.store.log("test", "written").result(20)
        return next((one.ok, one.told) for one in reader.health() if one.name == "clock of yard")

    assert clock(None) == (True, "") and clock(1.9) == (True, "") and clock(-1.9) == (True, "")
    assert clock(3600.4) == (False, "its own clock is 3600 s ahead of this machine's")
    assert clock(0.1) == (True, "")
    assert clock(-7.0) == (False, "its own clock is 7 s behind this machine's")
    sink.close()


def test_a_camera_that_is_watched_no_more_is_not_ill_for_ever(tmp_path):
    """Its picture was frozen as it was taken out of the file, or switched off there: nobody would ever say that it is well."""

    def parts(cameras, wrong):
        listed = [{"name": name, "source": "rtsp://127.0.0.1/x"} for name in cameras]
        sink = EventSink(LiveConfig.model_validate({"data": tmp_path / "live", "camera": listed}), CARD, cameras)
        for name in cameras:
            sink.heard(name, CameraStatus(state="online", wrong=wrong))
        sink.close()
        reader = Reader(tmp_path / "live" / "events.sqlite")
        told = {one.name: one.ok for one in reader.health()}
        reader.close()
        return told

    sick = parts(["yard", "gate"], {"frozen": 3.0})
    assert sick["picture of yard"] is sick["picture of gate"] is False
    well = parts(["gate"], {})
    assert well["picture of gate"] is True and not [part for part in well if "yard" in part]
