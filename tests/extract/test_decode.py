"""Each stored row is the frame it claims to be, with its true time, in every container; damage is told, never hidden."""

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
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import videos

from aadc.extract.decode import FrameBlock, VideoError, VideoFacts, read_blocks
from aadc.extract.decode_child import DecodeChild
from aadc.extract.sampling import sampled_frames, snippet_count

CONTAINERS = {
    "mp4": {"name": "clip.mp4"},
    "mp4, one GOP": {"name": "clip.mp4", "gop": 500},
    "mp4, fragmented": {"name": "clip.mp4", "container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "mp4, HEVC": {"name": "clip.mp4", "codec": "libx265"},
    "mov": {"name": "clip.mov"},
    "mkv": {"name": "clip.mkv"},
    "webm, VP9": {"name": "clip.webm", "codec": "libvpx-vp9", "b_frames": 0},
    "webm, VP8": {"name": "clip.webm", "codec": "libvpx", "b_frames": 0},
    "flv": {"name": "clip.flv"},
    "ts, B-frames": {"name": "clip.ts"},
    "ts, one GOP": {"name": "clip.ts", "gop": 500},
    "ts, MPEG-2": {"name": "clip.ts", "codec": "mpeg2video", "gop": 12},
    "avi, H.264": {"name": "clip.avi", "b_frames": 0},
    "avi, H.264 with B-frames": {"name": "clip.avi"},
    "avi, MJPEG": {"name": "clip.avi", "codec": "mjpeg", "b_frames": 0},
    "avi, MPEG-4": {"name": "clip.avi", "codec": "mpeg4", "b_frames": 0},
    "MPEG-PS": {"name": "clip.mpg", "codec": "mpeg2video", "gop": 12},
    "raw H.264": {"name": "clip.h264", "container": "h264"},
}


def read(path: Path, stride: int = 16, block_bytes: int = 2**27) -> tuple[np.ndarray, np.ndarray, list[int], VideoFacts]:
    """Index, time, the frame each picture shows, and the facts."""
    *blocks, facts = read_blocks(path, stride, block_bytes)
    assert all(isinstance(block, FrameBlock) for block in blocks)
    frame = np.concatenate([block.frame for block in blocks])
    seconds = np.concatenate([block.time for block in blocks])
    return frame, seconds, [videos.frame_of(rgb) for block in blocks for rgb in block.rgb], facts


@given(frames=st.integers(1, 5000), stride=st.integers(1, 100))
def test_sampling_rule(frames, stride):
    """Row i stands for frames i*stride to (i+1)*stride, lies among them, and is their middle where they are complete."""
    rows = sampled_frames(frames, stride)
    assert len(rows) == snippet_count(frames, stride) == len(range(0, frames, stride))
    for row, frame in enumerate(rows):
        assert frame // stride == row and frame < frames
        assert frame == row * stride + stride // 2 or frame == frames - 1


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("block_bytes", [2**27, 2 * videos.WIDTH * videos.HEIGHT * 3], ids=["one block", "two rows a block"])
def test_every_row_is_the_frame_it_claims(tmp_path, kind, block_bytes):
    options = dict(CONTAINERS[kind])
    path = videos.write_ramp(tmp_path / options.pop("name"), **options)
    frame, seconds, shown, facts = read(path, block_bytes=block_bytes)
    assert frame.tolist() == sampled_frames(120, 16).tolist()
    assert shown == frame.tolist()
    assert facts.frames == 120 and facts.decode_errors == 0 and not facts.truncated
    np.testing.assert_allclose(seconds, frame / videos.RATE, atol=2e-3)  # containers keep milliseconds at the worst


def test_variable_rate_keeps_the_files_own_times(tmp_path):
    """20 and 120 ms in turn: index / fps would be wrong by seconds."""
    milliseconds = np.cumsum([0] + [20, 120] * 60)
    for name in ("vfr.mp4", "vfr.mkv"):
        path = videos.write_ramp(tmp_path / name, pts=lambda index: int(milliseconds[index]))
        frame, seconds, shown, _ = read(path)
        assert shown == frame.tolist()
        np.testing.assert_allclose(seconds, milliseconds[frame] / 1000, atol=1e-3)


@pytest.mark.parametrize("frames", [1, 2, 8, 9, 15, 16, 17, 33])
@pytest.mark.parametrize("name", ["short.mp4", "short.ts"])
def test_short_videos(tmp_path, frames, name):
    frame, _, shown, facts = read(videos.write_ramp(tmp_path / name, frames=frames))
    assert facts.frames == frames
    assert frame.tolist() == shown == sampled_frames(frames, 16).tolist()


def test_odd_sizes_and_the_display_matrix(tmp_path):
    path = videos.rotate_by_header(videos.write_ramp(tmp_path / "phone.mp4", size=(96, 64)))
    with av.open(str(path)) as container:
        raw = next(container.decode(video=0)).to_ndarray(format="rgb24")
    *_, facts = blocks = list(read_blocks(path, 16))
    assert (facts.width, facts.height, facts.rotation % 180) == (64, 96, 90)
    assert blocks[0].rgb.shape[1:] == (96, 64, 3)
    clockwise = np.flipud(raw).transpose(1, 0, 2)
    first = list(read_blocks(path, 1))[0].rgb[0]
    assert np.abs(first.astype(int) - clockwise).max() <= 2
    assert np.abs(first.astype(int) - np.flipud(np.fliplr(clockwise))).mean() > 0.01 or raw.std() == 0


def test_a_change_of_size_midway_keeps_one_size(tmp_path):
    small = videos.write_ramp(tmp_path / "a.ts", frames=40).read_bytes()
    large = videos.write_ramp(tmp_path / "b.ts", frames=40, size=(128, 96)).read_bytes()
    joined = tmp_path / "joined.ts"
    joined.write_bytes(small + large)
    *blocks, facts = read_blocks(joined, 16)
    assert {block.rgb.shape[1:] for block in blocks} == {(48, 64, 3)}
    assert facts.frames >= 60


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def test_a_cut_off_file_gives_its_good_part_and_says_so(tmp_path):
    for name, options, expected in (("cut.mp4", {"movflags": "faststart"}, 120), ("cut.mkv", {}, 0)):
        path = videos.write_ramp(tmp_path / name, container_options=options)
        assert not read(path)[3].truncated
        frame, _, shown, facts = read(cut(path, 0.6))
        assert facts.truncated and facts.cut_off and 0 < facts.frames < 110 and facts.frames_expected == expected
        assert len(frame) == snippet_count(facts.frames, 16)
        assert shown[:-1] == frame.tolist()[:-1]  # the very last frame may be the broken one


def test_a_cut_off_transport_stream_breaks_a_packet(tmp_path):
    """It has no header that could promise more, but is made of packets of 188 bytes."""
    path = videos.write_ramp(tmp_path / "cut.ts")
    assert not read(path)[3].truncated
    size = path.stat().st_size * 6 // 10 // 188 * 188
    for rest, cut_off in ((100, True), (0, False)):
        data = path.read_bytes()
        path.write_bytes(data[: size + rest])
        frame, _, shown, facts = read(path)
        assert 50 < facts.frames < 90 and shown[:-1] == frame.tolist()[:-1]
        assert (facts.truncated, facts.frames_expected) == (cut_off, 0)
        path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.mp4", b"", "empty"),
        ("page.mp4", b"<html><body>404 Not Found</body></html>", "not_video"),
        ("noise.mp4", np.random.default_rng(0).bytes(5000), "not_video"),
        ("text.avi", b"hello " * 500, "not_video"),
    ],
)
def test_what_is_no_video(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError) as error:
        list(read_blocks(tmp_path / name, 16))
    assert error.value.reason == reason


def test_unreadable_missing_and_audio_only(tmp_path):
    without_index = cut(videos.write_ramp(tmp_path / "half.mp4"), 0.5)  # the index (moov) stands at the end
    folder = tmp_path / "folder.mp4"
    folder.mkdir()
    for path, reason in [
        (without_index, "unreadable"),
        (tmp_path / "nowhere.mp4", "missing"),
        (folder, "not_video"),
        (videos.write_audio(tmp_path / "sound.mp4"), "no_video_stream"),
    ]:
        with pytest.raises(VideoError) as error:
            list(read_blocks(path, 16))
        assert error.value.reason == reason, path


def test_damage_is_counted_and_never_shifts_later_frames(tmp_path):
    """A zeroed third: what decodes past the hole still carries its own number."""
    path = videos.write_ramp(tmp_path / "hole.mp4", gop=12)
    data = bytearray(path.read_bytes())
    start, end = data.index(b"mdat") + 1000, data.index(b"moov")
    hole = start + (end - start) // 3
    data[hole : hole + (end - start) // 4] = bytes((end - start) // 4)
    path.write_bytes(data)
    frame, _, shown, facts = read(path)
    assert facts.decode_errors > 0
    assert len(frame) == snippet_count(facts.frames, 16) and facts.frames == 120
    assert frame[-1] == 119 and shown[-1] == 119
    assert shown[0] == frame[0] == 8


def test_random_damage_never_escapes(tmp_path):
    """Seeded byte flips: a typed error or rows in order, and nothing else."""
    whole = videos.write_ramp(tmp_path / "good.mp4", frames=60).read_bytes()
    path = tmp_path / "bad.mp4"
    random = np.random.default_rng(1)
    outcomes = set()
    for _ in range(25):
        data = bytearray(whole)
        for place in random.integers(0, len(data), 20):
            data[place] ^= 1 << random.integers(8)
        path.write_bytes(data)
        try:
            frame, *_, facts = read(path)
        except VideoError as error:
            outcomes.add(error.reason)
        else:
            outcomes.add("read")
            assert len(frame) == snippet_count(facts.frames, 16) and (np.diff(frame) >= 0).all()
    assert "read" in outcomes


def child_frames(decoder: DecodeChild, path: Path) -> list[int]:
    *blocks, facts = decoder.blocks(path, 16)
    assert isinstance(facts, VideoFacts)
    return [int(frame) for block in blocks for frame in block.frame]


def test_the_child_reads_the_same_and_survives_bad_files(tmp_path):
    good = videos.write_ramp(tmp_path / "good.mp4")
    (tmp_path / "empty.mp4").touch()
    with DecodeChild() as decoder:
        assert child_frames(decoder, good) == sampled_frames(120, 16).tolist()
        first = decoder._process.pid
        with pytest.raises(VideoError, match="empty"):
            child_frames(decoder, tmp_path / "empty.mp4")
        assert child_frames(decoder, good) == sampled_frames(120, 16).tolist()
        assert decoder._process.pid == first


def test_a_hung_decoder_is_stopped_and_the_next_video_read(tmp_path):
    pipe = tmp_path / "hangs.mp4"
    good = videos.write_ramp(tmp_path / "good.mp4")
    with DecodeChild(deadline_s=30) as decoder:
        assert child_frames(decoder, good)
        decoder.deadline_s = 1.0
        os.kill(decoder._process.pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(VideoError) as error:
            child_frames(decoder, good)
        assert error.value.reason == "timeout" and time.monotonic() - began < 10
        decoder.deadline_s = 30
        assert child_frames(decoder, good)
        os.mkfifo(pipe)
        with pytest.raises(VideoError, match="regular file"):
            child_frames(decoder, pipe)


def test_a_crashed_decoder_is_one_rejected_video(tmp_path):
    """It crashes over a video that it was asked for and has said nothing of yet: it is held until it has been asked."""
    good = videos.write_ramp(tmp_path / "good.mp4")
    with DecodeChild() as decoder:
        assert child_frames(decoder, good)
        held = decoder._process.pid
        os.kill(held, signal.SIGSTOP)

        def crash():
            os.kill(held, signal.SIGSEGV)
            os.kill(held, signal.SIGCONT)

        crashing = threading.Timer(0.5, crash)
        crashing.start()
        with pytest.raises(VideoError, match="exit code -11") as error:
            child_frames(decoder, good)
        crashing.join()
        assert error.value.reason == "crashed"
        assert child_frames(decoder, good)


def test_decoding_maps_no_cuda_library(tmp_path):
    """decord would map all that are installed, some 690 MB, into every decoding process."""
    path = tmp_path / "a.mp4"
    videos.write_ramp(path, frames=20)
    code = (
        "import sys; from pathlib import Path; from aadc.extract.decode import read_blocks\n"
        f"blocks = list(read_blocks(Path({str(path)!r}), 5, reader='decord'))\n"
        "maps = Path('/proc/self/maps').read_text()\n"
        "print('decord' in sys.modules, 'libdecord' in maps, '/nvidia/' in maps, 'nvidia' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True", "False", "False"], done.stderr
