"""Clips: what they show, that they play, and what is left of them after a kill, a full disk or a foreign hand."""

import ctypes
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from aadc.live.clip_file import ClipFile, cut_torn, frame_times, make_thumbnail, retime, small_jpeg
from aadc.live.clips import LONGEST_DIGEST_S, Recorder, clip_path, folder_name, reconcile
from aadc.live.event import Ending, State
from aadc.live.reader import Reader
from aadc.live.seen_boxes import Box
from aadc.live.store import Store

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from chromium import chromium, needs_chromium  # noqa: E402
from made_events import an_event, messages  # noqa: E402
from pictures import jpeg_of, number_of  # noqa: E402
from waiting import wait_until  # noqa: E402

FPS = 10


def frames_of(path):
    """(second, number) of each frame."""
    with av.open(str(path)) as clip:
        assert [stream.type for stream in clip.streams] == ["video"]
        return [(frame.time, number_of(frame.to_ndarray(format="rgb24"))) for frame in clip.decode(video=0)]


class Recorded:
    """A recorder, and what it said is done."""

    def __init__(self, data, **settings):
        self.done = []
        self.recorder = Recorder(data, lambda *told: self.done.append(told), **settings)

    def show(self, start, stop):
        for number in range(round(start * FPS), round(stop * FPS)):
            while self.recorder.waiting > 50:
                time.sleep(0.001)
            self.recorder.add(jpeg_of(number), number / FPS)


def at(second, **changes):
    """Messages of an event from `second` to four seconds later."""
    return messages(0, start_s=second, end_s=second + 4.0, curve=((second, 0.6), (second + 2.0, 0.9)), **changes)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A clip as it is made: 30 seconds of a camera, an event from 12 to 16 that is known 3 seconds late."""
    data = tmp_path_factory.mktemp("data")
    recorded = Recorded(data)
    first, update, end = at(12.0)
    recorded.show(0, 15)
    recorded.recorder.add_boxes(13.0, [Box(0.1, 0.2, 0.3, 0.4, "person", 0.9)])
    recorded.recorder.add_boxes(29.0, [Box(0.1, 0.2, 0.3, 0.4, "car", 0.9)])
    recorded.recorder.tell(first)
    recorded.show(15, 20)
    recorded.recorder.tell(update)
    recorded.recorder.tell(end)
    recorded.show(20, 30)
    recorded.recorder.close()
    return data, recorded


def test_a_clip_shows_what_came_before_and_after(made):
    data, recorded = made
    ((event, path, problem),) = recorded.done
    assert path == clip_path(event) == Path(f"clips/yard/2025-06-15/{event.id}.mp4") and problem == ""
    frames = frames_of(data / path)
    assert [number for _, number in frames] == list(range(70, 211))  # 12 - 5 to 16 + 5 seconds, each frame once
    assert [round(second, 3) for second, _ in frames] == [round((number - 70) / FPS, 3) for _, number in frames]


def test_a_clip_is_what_every_browser_plays(made):
    data, recorded = made
    with av.open(str(data / recorded.done[0][1])) as clip:
        (stream,) = clip.streams
        codec = stream.codec_context
        assert (codec.name, codec.profile.lower(), codec.pix_fmt) == ("h264", "constrained baseline", "yuv420p")
        packets = [packet for packet in clip.demux(stream) if packet.size]
    keys = [float(packet.pts * packet.time_base) for packet in packets if packet.is_keyframe]
    assert np.diff(keys).max() <= 1.001 and [packet.pts for packet in packets] == sorted(packet.pts for packet in packets)


def test_thumbnail_boxes_and_curve_lie_beside_it(made):
    data, recorded = made
    event, path, _ = recorded.done[0]
    thumbnail = np.asarray(Image.open((data / path).with_suffix(".jpg")))
    assert number_of(thumbnail) == 140  # where the score was highest
    beside = json.loads((data / path).with_suffix(".json").read_text())
    assert beside["event"] == event.id and beside["curve"] == [[12.0, 0.6], [14.0, 0.9]] and beside["from_s"] == 7.0
    assert beside["boxes"] == [{"second": 13.0, "boxes": [Box(0.1, 0.2, 0.3, 0.4, "person", 0.9)._asdict()]}]


def test_boxes_are_remembered_for_minutes_and_from_the_beginning_of_an_event_that_goes_on(tmp_path):
    """They come from a detector as often as frames are scored, day and night; what they take must not grow."""
    recorded = Recorded(tmp_path)
    recorder, jpeg = recorded.recorder, jpeg_of(0)
    box = Box(0.1234, 0.2, 0.3, 1.0, "person", 0.987)

    def watch(start, stop):
        for second in range(start, stop):
            while recorder.waiting > 50:
                time.sleep(0.001)
            recorder.add_boxes(second, [box, box._replace(name="car")])
            recorder.add(jpeg, second)

    def kept_since(second):
        until = time.monotonic() + 20
        while (found := recorder.boxes(0, 10_000)[0][0]) != second and time.monotonic() < until:
            time.sleep(0.01)
        return found == second

    watch(0, 1000)
    assert kept_since(879) and recorder.boxes(0, 10_000)[-1][0] == 999
    assert recorder.boxes(990, 990) == [(990, (box, box._replace(name="car")))]
    first, _, end = at(995.0)
    recorder.tell(first)
    watch(1000, 1500)
    assert kept_since(990)
    recorder.tell(end)
    watch(1500, 1600)
    assert kept_since(1479)
    recorder.close()


def test_killed_while_it_writes(tmp_path):
    """What was shown up to a second before the kill plays; the next start completes the clip, and the event knows it."""
    environment = os.environ | {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{HERE}"}
    for turn in range(3):
        data = tmp_path / str(turn)
        data.mkdir()
        command = [sys.executable, HERE / "clip_until_killed.py", data]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        while (last := float(child.stdout.readline())) < 3 + 1.7 * turn:
            pass
        child.send_signal(signal.SIGKILL)
        last = float([last, *child.communicate()[0].split()][-1])
        store, event = Store(data / "events.sqlite"), an_event(0)
        store.end_interrupted().result()
        assert reconcile(data, store) == (1, 0) and reconcile(data, store) == (0, 0)
        numbers = [number for _, number in frames_of(data / clip_path(event))]
        assert numbers == list(range(len(numbers))) and numbers[-1] / FPS > last - 1.0
        reader = Reader(store.path)
        assert reader.event(event.id).clip == str(clip_path(event)) and (data / clip_path(event)).with_suffix(".jpg").is_file()
        reader.close()
        store.close()


def test_files_and_store_agree_after_a_crash(tmp_path):
    store, reader = Store(tmp_path / "events.sqlite"), None
    for number in range(4):
        for message in messages(number, state=State.retracted if number == 3 else State.confirmed):
            store.put(message).result()
    whole, torn, lost, retracted = (tmp_path / clip_path(an_event(number)) for number in range(4))
    whole.parent.mkdir(parents=True)
    clip = ClipFile(whole)
    for number in range(30):
        clip.add(jpeg_of(number), number / FPS)
    clip.close()
    torn.write_bytes(whole.read_bytes()[:300])
    retracted.write_bytes(whole.read_bytes())
    store.set_clip(an_event(2).id, str(lost.relative_to(tmp_path))).result()
    for stray in ("nobody.mp4", "nobody.jpg", f"{an_event(2).id}.jpg", f"{an_event(0).id}.mp4.77.tmp"):
        whole.with_name(stray).write_bytes(b"x")
    elsewhere = tmp_path / "clips" / "garage" / "2025-06-15" / whole.name  # a clip that lies under another camera
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_bytes(whole.read_bytes())
    assert reconcile(tmp_path, store) == (1, 7)
    left = sorted(path.name for path in (tmp_path / "clips").rglob("*") if path.is_file())
    assert left == sorted(whole.with_suffix(suffix).name for suffix in (".mp4", ".jpg", ".json"))
    reader = Reader(store.path)
    assert [one.clip for one in reader.events(retracted=True)] == [None, None, None, str(whole.relative_to(tmp_path))]
    reader.close()
    store.close()


def test_what_was_retracted_leaves_no_picture(tmp_path):
    recorded = Recorded(tmp_path)
    first, _, end = at(1.0)
    recorded.show(0, 3)
    recorded.recorder.tell(first)
    recorded.show(3, 5)
    ended = end.after.model_copy(update={"state": State.retracted, "ending": Ending.retracted})
    recorded.recorder.tell(end._replace(after=ended))
    recorded.show(5, 20)
    recorded.recorder.close()
    assert recorded.done == [(ended, None, "")] and not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_another_size_under_way_and_a_picture_that_is_none(tmp_path):
    recorded = Recorded(tmp_path)
    first, _, end = at(0.0)
    recorded.recorder.tell(first)
    recorded.show(0, 2)
    recorded.recorder.add(jpeg_of(20, 241, 319), 2.0)  # odd ones, too
    recorded.recorder.add(jpeg_of(20), 1.0)  # of an earlier time
    recorded.recorder.tell(end)
    recorded.recorder.close()
    assert [number for _, number in frames_of(tmp_path / recorded.done[0][1])] == list(range(21))
    broken = Recorded(tmp_path / "broken")
    broken.recorder.tell(first)
    broken.show(0, 2)
    broken.recorder.add(b"no picture", 2.0)
    broken.recorder.tell(end)
    broken.recorder.close()
    (_, path, problem) = broken.done[0]
    assert "image" in problem and [number for _, number in frames_of(tmp_path / "broken" / path)] == list(range(20))


def test_a_disk_that_takes_nothing_stops_no_recorder(tmp_path, monkeypatch):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    recorded = Recorded(tmp_path)
    first, _, end = at(0.0)
    (tmp_path / clip_path(first.after)).parent.mkdir(parents=True)
    (tmp_path / clip_path(first.after)).symlink_to("/dev/full")
    recorded.recorder.tell(first)
    recorded.show(0, 3)
    recorded.recorder.tell(end)
    second = an_event(1, start_s=4.0, end_s=5.0)
    recorded.recorder.tell(first._replace(after=second.model_copy(update={"end_s": 4.0})))
    recorded.show(3, 6)
    recorded.recorder.close()
    (_, none, problem), (_, path, fine) = recorded.done
    assert none is None and "space" in problem.lower()
    assert path is not None and fine == "" and len(frames_of(tmp_path / path)) > 50


def test_a_clip_is_finished_where_no_frame_comes_any_more(tmp_path, monkeypatch):
    monkeypatch.setattr("aadc.live.clips._STARVED_S", 0.1)
    recorded = Recorded(tmp_path)
    first, update, end = at(0.0)
    recorded.recorder.tell(first)
    recorded.show(0, 3)
    recorded.recorder.tell(update)
    time.sleep(0.4)
    assert not recorded.done  # it goes on
    recorded.recorder.tell(end)
    wait_until(lambda: recorded.done)
    assert len(frames_of(tmp_path / recorded.done[0][1])) == 30
    recorded.recorder.close()


def test_no_clip_is_begun_where_none_may(tmp_path):
    recorded = Recorded(tmp_path, may_write=lambda: False)
    for message in at(0.0):
        recorded.recorder.tell(message)
    recorded.recorder.close()
    assert recorded.done[0][1] is None and "switched off" in recorded.done[0][2] and not list(tmp_path.iterdir())


def test_a_slow_encoder_costs_frames_and_never_the_caller(tmp_path, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(ClipFile, "add", lambda *_: gate.wait())
    recorded = Recorded(tmp_path)
    recorded.recorder.tell(at(0.0)[0])
    for number in range(1000):
        recorded.recorder.add(b"", number / FPS)
    assert recorded.recorder.dropped > 800 and recorded.recorder.waiting <= 101
    gate.set()
    recorded.recorder.close()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_who_encodes_stands_behind_who_scores(tmp_path):
    """The whole ring of every camera is encoded as their events open; scores must not wait for it."""
    before = set(threading.enumerate())
    one = Recorder(tmp_path, lambda *told: None)
    (thread,) = set(threading.enumerate()) - before

    def behind():
        return os.getpriority(os.PRIO_PROCESS, thread.native_id) - os.getpriority(os.PRIO_PROCESS, 0)

    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    wait_until(lambda: behind() > 0 or own == 19)
    one.close()


def test_a_digest_is_no_film(tmp_path, monkeypatch):
    added = []
    monkeypatch.setattr(ClipFile, "add", lambda self, jpeg, second: (added.append(second), setattr(self, "first_s", 0.0)))
    recorded = Recorded(tmp_path)
    first, *_ = at(0.0, swallowed=1)
    recorded.recorder.tell(first)
    recorded.show(0, 2 * LONGEST_DIGEST_S)
    recorded.recorder.close()
    assert max(added) == LONGEST_DIGEST_S


@pytest.mark.parametrize("camera", ["..", ".", "a/b", "/etc", "\0", "", "é" * 100, "a\nb", "\udcff", ".hidden", "C:\\x", "con"])
def test_no_camera_leads_out_of_the_folder(tmp_path, camera):
    name = folder_name(camera)
    assert "/" not in name and name not in ("", ".", "..") and not name.startswith(".") and len(name.encode()) <= 200
    (tmp_path / name).mkdir()


def test_a_small_picture_is_not_made_larger():
    image = Image.open(io.BytesIO(small_jpeg(np.zeros((50, 2000, 3), np.uint8), 640)))
    assert image.size == (640, 16) and Image.open(io.BytesIO(jpeg_of(1))).size == (160, 120)


def test_a_clip_at_another_rate_shows_at_each_time_what_it_showed(made, tmp_path):
    data, recorded = made
    clip, to = data / recorded.done[0][1], tmp_path / "even.mp4"
    for fps in (30.0, 4.0, 12.5):
        frames = retime(clip, to, fps)
        shown = frames_of(to)
        assert len(shown) == frames == np.ceil((14.0 + 1 / fps) * fps - 1e-3)
        for second, number in shown:
            assert number == 70 + int(min(second, 14.0) * FPS + 1e-3)
        assert np.allclose(np.diff([second for second, _ in shown]), 1 / fps, atol=1e-4)
    assert retime(tmp_path / "nothing.mp4", tmp_path / "none.mp4", 30) == 0 and not (tmp_path / "none.mp4").exists()


_THUMBNAILS = """
import ctypes, gc, sys
from pathlib import Path
from aadc.live.clip_file import make_thumbnail

class Used(ctypes.Structure):
    _fields_ = [(f"{n}", ctypes.c_size_t) for n in range(10)]  # 4: in mappings of their own; 7: the rest

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Used

def used():
    gc.collect()
    told = mallinfo2()
    return getattr(told, "4") + getattr(told, "7")

for number in range(400):
    if number == 100:
        before = used()
    assert make_thumbnail(Path(sys.argv[1]), 3.0, Path(sys.argv[2]))
print((used() - before) / 300)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="glibc 2.33 says what is in use")
def test_thumbnails_leave_nothing_in_memory(made, tmp_path):
    """Bytes each, in a process of its own: an event has one, and a process that scores has events for weeks."""
    data, recorded = made
    clip = str(data / recorded.done[0][1])
    told = subprocess.run([sys.executable, "-c", _THUMBNAILS, clip, str(tmp_path / "a.jpg")], capture_output=True, text=True)
    assert float(told.stdout) < 30, told.stderr


def test_no_clip_no_thumbnail(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"x" * 1000)
    assert frame_times(tmp_path / "x.mp4") == [] and not make_thumbnail(tmp_path / "x.mp4", 0, tmp_path / "x.jpg")


def test_a_torn_fragment_is_cut_off_and_nothing_else(made, tmp_path):
    data, recorded = made
    whole = (data / recorded.done[0][1]).read_bytes()
    file = tmp_path / "clip.mp4"
    last = None
    for length in range(len(whole), 0, -251):
        file.write_bytes(whole[:length])
        gone = cut_torn(file)
        assert file.read_bytes() == whole[: length - gone] and cut_torn(file) == 0  # a beginning of it that is whole
        seconds = max(frame_times(file), default=0.0)
        assert length < 5000 or last is None or last - seconds <= 0.5
        last = seconds
    file.write_bytes(whole)
    assert cut_torn(file) == 0
    for nonsense in (b"", b"x" * 7, b"\0" * 100, b"\0\0\0\x01mdat" + b"\xff" * 8, b"\0\0\0\x08moof" * 3):
        file.write_bytes(nonsense)
        cut_torn(file)
        assert file.stat().st_size == 0


@needs_chromium
def test_a_clip_plays_in_a_browser(made, tmp_path):
    """Also one that was cut off in the middle of a fragment, once it was mended."""
    data, recorded = made
    whole = (data / recorded.done[0][1]).read_bytes()
    (tmp_path / "whole.mp4").write_bytes(whole)
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    assert cut_torn(tmp_path / "cut.mp4") > 0
    script = """name => new Promise(resolve => {
        const video = document.createElement("video")
        video.muted = true; video.src = name; video.playbackRate = 4
        video.onerror = () => resolve(["error " + video.error.message])
        const last = () => resolve([video.videoWidth, video.currentTime])
        video.onended = last
        document.body.append(video); video.play()
        setTimeout(last, 8000)
    })"""
    (tmp_path / "page.html").write_text("<!doctype html><title>clips</title>")
    with chromium("--allow-file-access-from-files") as browser:
        page = browser.new_page()
        page.goto((tmp_path / "page.html").as_uri())
        width, second = page.evaluate(script, "whole.mp4")
        assert width == 160 and second > 13.9
        width, second = page.evaluate(script, "cut.mp4")
        assert width == 160 and second > 7
