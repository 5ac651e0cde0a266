"""Streams, clocks, shapes and names of the kinds that people's files have: what is read, when it is shown, how wide it is."""

import os
import resource
import signal
import socket
import sys
import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
import videos
from videos import read_numbered as read

from aadc.eval.keyframes import pictures
from aadc.extract.clock import Clock, Numbered
from aadc.extract.decode import VideoError, VideoFacts, read_blocks
from aadc.extract.decode_child import DecodeChild

FINE = {"crf": "12"}


def reason(path: Path) -> str:
    with pytest.raises(VideoError) as error:
        list(read_blocks(path, 16))
    return error.value.reason


# Which file, which stream


NAMES = ("12:00:00.mp4", "concat:x.mp4", "file:y.mp4", "http://z", "img%d.png", "%03d.mp4", "-i.mp4", "\udcff.ts", "pipe:0")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_name(tmp_path, monkeypatch, name):
    """Neither an address nor a pattern nor an option, from its own folder too."""
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True, parents=True)
    video = videos.write_numbered(tmp_path / "plain.mp4", 5, options=FINE).rename(name)
    for number in range(4):
        Image.fromarray(videos.numbered(77)).save(tmp_path / f"img{number}.png")
    for reader in ("pyav", "decord"):
        assert read(video, reader=reader)[2] == read(tmp_path / name, reader=reader)[2] == [0, 1, 2, 3, 4]


def test_a_file_reads_no_other_file(tmp_path):
    """Playlists and scripts of every kind are refused, whatever their names say, and so are pictures."""
    secret = videos.write_numbered(tmp_path / "secret.ts", 30)
    (tmp_path / "root").mkdir()
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n"
    texts = {
        "hls": playlist,
        "relative hls": playlist.replace(str(secret), "../secret.ts"),
        "ffconcat": f"ffconcat version 1.0\nfile {secret}\n",
        "concat": f"file '{secret}'\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        f'<Representation id="0"><BaseURL>{secret}</BaseURL></Representation></AdaptationSet></Period></MPD>',
        "imf": '<?xml version="1.0"?><AssetMap xmlns="http://www.smpte-ra.org/schemas/429-9/2007/AM"></AssetMap>',
        "metadata": ";FFMETADATA1\ntitle=x\n",
    }  # fmt: skip
    for kind, text in texts.items():
        for suffix in (".mp4", ".m3u8", ".ts", ".ffconcat", ".sdp", ".mpd"):
            path = tmp_path / "root" / f"list{suffix}"
            path.write_text(text)
            assert reason(path) == "not_video", (kind, suffix)
    for name in ("a.png", "a.jpg", "img%d.png", "a.mp4"):
        Image.fromarray(videos.numbered(77)).save(tmp_path / name, "png" if name.endswith("png") else "jpeg")
        assert reason(tmp_path / name) == "not_video"


def test_a_movie_that_refers_to_another_file_gets_nothing_of_it(tmp_path):
    """QuickTime can keep its pictures elsewhere."""
    path = videos.write_numbered(tmp_path / "a.mov", 10, options=FINE)
    data = bytearray(path.read_bytes())
    place = data.index(b"url ")
    data[place + 4 : place + 8] = bytes(4)  # no longer "in this very file"
    path.write_bytes(data)
    try:
        shown = read(path)[2]
    except VideoError:
        shown = []
    assert shown in ([], list(range(10)))  # its own pictures or none


def test_players_stream_is_read_and_no_cover(tmp_path):
    small = videos.write_numbered(tmp_path / "small.mp4", 40, options=FINE)
    other = videos.write_numbered(tmp_path / "other.mp4", 40, options=FINE, first=1000, size=(256, 128))
    cover = videos.write_numbered(tmp_path / "cover.mp4", 1, "mjpeg", {"strict": "-1"}, b_frames=0, first=9000)
    for reader in ("pyav", "decord"):
        two = videos.remux(tmp_path / "two.mp4", small, other)
        frame, _, shown, facts = read(two, 16, reader=reader)
        first = 1000 * (facts.width == 256)
        assert [number - first for number in shown] == frame and facts.frames == 40
        frame, _, shown, _ = read(videos.remux(tmp_path / "song.mp4", cover, small, picture_first=True), reader=reader)
        assert frame == shown == list(range(40))
    assert reason(videos.remux(tmp_path / "cover_only.mp4", cover, picture_first=True)) == "no_video_stream"


def test_frames_that_are_never_shown_are_none(tmp_path):
    """VP8 keeps frames for reference that are packets of their own."""
    plain = videos.write_numbered(tmp_path / "plain.webm", 60, "libvpx", gop=12, b_frames=0)
    frame, seconds, shown, facts = read(videos.with_hidden_keys(tmp_path / "a.webm", plain))
    assert frame == shown == list(range(60)) and (facts.frames, facts.decode_errors) == (60, 0)
    np.testing.assert_allclose(seconds, np.arange(60) / videos.RATE, atol=2e-3)


# The clock


@pytest.mark.parametrize(("codec", "options"), [("libx264", FINE), ("mjpeg", {"strict": "-1"}), ("mpeg4", {})])
def test_dropped_frames_of_avi_take_time(tmp_path, codec, options):
    """An empty chunk shows the frame before for longer; the count in the header has them, the pictures do not."""
    number = [index + 7 * (index // 10) for index in range(60)]
    path = videos.write_numbered(tmp_path / "gaps.avi", 60, codec, options, b_frames=0, pts=lambda index: number[index])
    frame, seconds, shown, facts = read(path)
    assert frame == shown == list(range(60))
    np.testing.assert_allclose(seconds, np.array(number) / videos.RATE, atol=1e-6)
    assert facts.frames_expected == 60 and not facts.truncated


@pytest.mark.parametrize(
    ("name", "codec"), [("a.ts", "libx264"), ("a.ts", "libx265"), ("a.ts", "mpeg2video"), ("a.mpg", "mpeg2video")]
)
def test_the_clock_goes_on_where_recordings_are_joined(tmp_path, name, codec):
    parts = [videos.write_numbered(tmp_path / f"{first}{name}", 40, codec, first=first, noise=60) for first in (0, 40, 80)]
    joined = tmp_path / name
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    frame, seconds, shown, facts = read(joined)
    assert frame == shown == list(range(120)) and facts.decode_errors == 0
    np.testing.assert_allclose(seconds, np.arange(120) / videos.RATE, atol=1e-3)


@pytest.mark.parametrize("rate", [8, Fraction(25, 2), Fraction(30000, 1001), 50, 120])
@pytest.mark.parametrize(
    ("name", "codec"), [("a.h264", "libx264"), ("a.hevc", "libx265"), ("a.m4v", "mpeg4"), ("a.m2v", "mpeg2video")]
)
def test_a_bare_stream_runs_at_its_own_rate(tmp_path, name, codec, rate):
    try:
        path = videos.write_numbered(tmp_path / name, 40, codec, rate=rate)
    except ValueError:
        pytest.skip("MPEG-2 has no such rate")
    frame, seconds, shown, facts = read(path)
    assert frame == shown == list(range(40))
    np.testing.assert_allclose(seconds, np.arange(40) / float(rate), atol=1e-3)
    assert facts.fps == pytest.approx(float(rate)) or (codec, rate) == ("mpeg4", Fraction(25, 2))


def test_a_time_out_of_line_is_mended_and_told(tmp_path):
    """One frame's time of presentation leaps by hours, as after damage."""
    matroska = SimpleNamespace(format=SimpleNamespace(name="matroska,webm", flags=0))

    def times(*stated: float | None) -> tuple[list[float], int]:
        clock = Clock(matroska, 25)
        return [t for _, t in clock.read(iter(Numbered(None, i, s) for i, s in enumerate(stated)))], clock.mended

    assert times(0, 0.04, 9000.0, 0.12, 0.16) == (pytest.approx([0, 0.04, 0.08, 0.12, 0.16]), 1)
    assert times(0, 0.04, -9000.0, 0.12, 0.16) == (pytest.approx([0, 0.04, 0.08, 0.12, 0.16]), 1)
    assert times(9000.0, 0.04, 0.08) == (pytest.approx([0, 0.04, 0.08]), 1)
    assert times(-0.5, -0.46, -0.42) == (pytest.approx([0, 0.04, 0.08]), 0)
    assert times(None, None, 0.08) == (pytest.approx([0, 0.04, 0.08]), 0)
    assert times(0, 600.0, 600.04) == (pytest.approx([0, 600, 600.04]), 0)  # a camera that pauses
    assert times(0, 3.6e6, 3.6e6 + 0.04) == (pytest.approx([0, 0.04, 0.08]), 1)
    for stated in ([1.0, 1.0, 1.0, 1.0], [3, 2, 1, 0], [0, 0.04, 5, 5.04, 0.16, 0.2, 0.24]):
        assert (np.diff(times(*stated)[0]) > 0).all() and times(*stated)[1] > 0


def test_times_ascend_whatever_is_damaged(tmp_path):
    """Seeded byte flips in every container: rows in order, times that ascend with the frames, or a typed error."""
    random, outcomes = np.random.default_rng(5), set()
    for name, codec in (
        ("a.mp4", "libx264"),
        ("a.mkv", "libx264"),
        ("a.ts", "libx264"),
        ("a.avi", "mpeg4"),
        ("a.mpg", "mpeg2video"),
    ):
        whole = videos.write_numbered(tmp_path / name, 60, codec, gop=12).read_bytes()
        for _ in range(12):
            data = bytearray(whole)
            for place in random.integers(0, len(data), 20):
                data[place] ^= 1 << int(random.integers(8))
            (tmp_path / name).write_bytes(data)
            try:
                frame, seconds, _, facts = read(tmp_path / name)
            except VideoError as error:
                outcomes.add(error.reason)
                continue
            outcomes.add("read")
            steps = np.diff(frame)
            assert (steps >= 0).all() and (np.diff(seconds)[steps > 0] > 0).all() and (np.diff(seconds)[steps == 0] == 0).all()
            assert facts.decode_errors > 0 or (steps > 0).all()
    assert "read" in outcomes


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.ts", "libx264", {"x264-params": "open-gop=1:keyint=25:bframes=3"}),
        ("a.ts", "libx265", {"x265-params": "keyint=25:log-level=none"}),
        ("a.ts", "mpeg2video", {}),
        ("a.h264", "libx264", {"x264-params": "keyint=25:bframes=3"}),
    ],
)
def test_a_recording_that_starts_in_the_middle(tmp_path, name, codec, options):
    """Its first pictures do not decode: those that do keep their number and time among all that are there."""
    path = videos.write_numbered(tmp_path / name, 120, codec, options, gop=25, noise=60)
    data = path.read_bytes()
    path.write_bytes(data[len(data) * 3 // 10 // 188 * 188 :])
    frame, seconds, shown, facts = read(path)
    known = np.array(shown) >= 0
    before = np.array(shown)[known] - np.array(frame)[known]
    assert before.min() == before.max() > 0  # the pictures that were cut away
    late = np.array(shown)[known] - seconds[known] * videos.RATE
    assert np.ptp(late) < 1e-3 and abs(late.mean() - before[0]) < 4  # starts with its earliest time
    assert facts.decode_errors >= frame[0] > 0 or codec == "mpeg2video"
    assert facts.frames == frame[-1] + 1


# The shape


@pytest.mark.parametrize("pixel", [Fraction(2), Fraction(1, 2), Fraction(16, 11), Fraction(8, 9)])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mov"])
def test_pixels_become_square(tmp_path, name, pixel):
    path = videos.write_numbered(tmp_path / name, 20, options=FINE, pixel=pixel)
    for reader in ("pyav", "decord"):
        blocks = list(read_blocks(path, 4, reader=reader))
        width, height = blocks[-1].width, blocks[-1].height
        assert width >= 128 and height >= 64 and width / height == pytest.approx(2 * pixel, rel=0.02)
        assert blocks[0].rgb.shape[1:] == (height, width, 3)
        assert [videos.number_of(rgb) for rgb in blocks[0].rgb] == blocks[0].frame.tolist()


def test_pixels_no_camera_has_are_not_believed(tmp_path):
    *_, facts = read_blocks(videos.write_numbered(tmp_path / "a.mp4", 5, options=FINE, pixel=Fraction(300)), 1)
    assert (facts.width, facts.height) == (128, 64)


def test_another_shape_midway_is_not_squeezed(tmp_path):
    """Twice as high from the middle on: shown between black bars, in the size of the first, with the shape it has."""
    first = videos.write_numbered(tmp_path / "a.ts", 30).read_bytes()
    second = videos.write_numbered(tmp_path / "b.ts", 30, first=30, size=(128, 128)).read_bytes()
    (tmp_path / "ab.ts").write_bytes(first + second)
    *blocks, facts = read_blocks(tmp_path / "ab.ts", 1)
    pictures = np.concatenate([block.rgb for block in blocks])
    assert pictures.shape == (60, 64, 128, 3) and (facts.width, facts.height) == (128, 64)
    assert [videos.number_of(picture) for picture in pictures[:30]] == list(range(30))
    assert [videos.number_of(picture[:, 32:96]) for picture in pictures[30:]] == list(range(30, 60))
    assert pictures[30:, :, :31].max() == pictures[30:, :, 97:].max() == 0


# How many frames there should be


def test_a_count_only_where_the_header_has_one(tmp_path):
    for name, expected in (("a.mp4", 50), ("a.avi", 50), ("a.mkv", 0), ("a.ts", 0), ("a.flv", 0), ("a.h264", 0)):
        *_, facts = read_blocks(videos.write_numbered(tmp_path / name, 50, options=FINE), 16)
        assert facts.frames_expected == expected and not facts.truncated, name


def test_a_camera_that_pauses_is_not_cut_off(tmp_path):
    for name in ("a.mp4", "a.mkv"):
        path = videos.write_numbered(tmp_path / name, 50, options=FINE, pts=lambda index: index + 3000 * (index // 10))
        frame, seconds, shown, facts = read(path)
        assert frame == shown == list(range(50)) and not facts.truncated
        assert seconds[-1] == pytest.approx((49 + 3000 * 4) / videos.RATE, abs=1e-2)


def test_frames_that_an_edit_list_hides_are_not_missed(tmp_path):
    """As a phone trims a clip: samples before the cut stay in the file, to decode what follows, and are not shown."""
    path = videos.hide_start(videos.write_numbered(tmp_path / "a.mp4", 60, options=FINE, b_frames=0), 20)
    for reader in ("pyav", "decord"):
        frame, seconds, shown, facts = read(path, reader=reader)
        assert shown == list(range(20, 60)) and frame == list(range(40))
        assert (facts.frames, facts.frames_expected, facts.truncated) == (40, 40, False)
        np.testing.assert_allclose(seconds, np.arange(40) / videos.RATE, atol=2e-3)


@pytest.mark.parametrize(("name", "options"), [("a.mp4", {"movflags": "faststart"}), ("a.mkv", {}), ("a.ts", {}),
                                               ("a.mp4", {"movflags": "frag_keyframe+empty_moov"})])  # fmt: skip
def test_a_file_without_its_end_is_cut_off(tmp_path, name, options):
    path = videos.write_numbered(tmp_path / name, 60, options=FINE, container_options=options, gop=12)
    whole = path.read_bytes()
    assert not read(path)[3].cut_off
    for missing in (1, 50, len(whole) // 5):
        missing += name.endswith("ts") and (len(whole) - missing) % 188 == 0
        path.write_bytes(whole[:-missing])
        assert read(path)[3].cut_off and read(path)[3].truncated


# The child


def test_only_the_wanted_rows_are_read(tmp_path):
    path = videos.write_numbered(tmp_path / "a.mp4", 200, options=FINE)
    whole = read(path, 7)
    for rows in ([0], [3, 11], [28], [], [5, 5000]):
        with DecodeChild() as decoder:
            *blocks, facts = decoder.blocks(path, 7, rows)
            process = decoder._process.pid
            assert list(decoder.blocks(path, 7, [1]))[-1] and decoder._process.pid == process
        frame = [int(index) for block in blocks for index in block.frame]
        there = [row for row in rows if row < 29]
        assert frame == [whole[0][row] for row in there] == [videos.number_of(rgb) for block in blocks for rgb in block.rgb]
        if there and there == rows:
            assert facts.frames <= 7 * there[-1] + 7 + 1  # nothing behind it was decoded
    with DecodeChild() as decoder:
        assert list(pictures(decoder, path, 7, {11, 3})) == [3, 11]


def test_long_work_without_a_row_is_not_a_hang(tmp_path):
    """A sparse stride: nothing to hand over for longer than the deadline, which is one second here."""
    path = videos.write_numbered(tmp_path / "a.h264", 50, options={"preset": "ultrafast"}, size=(640, 320), noise=40)
    path.write_bytes(path.read_bytes() * 80)
    with DecodeChild(deadline_s=60) as decoder:
        list(decoder.blocks(path, 10**6, [0]))
        decoder.deadline_s = 1.0
        *blocks, facts = decoder.blocks(path, 10**6)
    assert facts.frames == 4000 and [block.frame.tolist() for block in blocks] == [[3999]]


def test_a_decoder_that_stops_within_a_block_is_ended(tmp_path):
    path = videos.write_numbered(tmp_path / "big.mp4", 60, size=(1280, 720), options={"preset": "ultrafast"}, b_frames=0)
    good = videos.write_numbered(tmp_path / "good.mp4", 5)
    with DecodeChild(deadline_s=60) as decoder:
        list(decoder.blocks(good, 1))
        decoder.deadline_s = 2.0
        blocks = decoder.blocks(path, 1)
        received = threading.Event()

        class Slow:
            """The line, of which some of the block is taken before the child stops."""

            def __init__(self, line):
                self._line, self._taken = line, 0

            def recv_into(self, buffer):
                count = self._line.recv_into(buffer[:65536])
                self._taken += count
                if self._taken > 2**20 and not received.is_set():
                    os.kill(decoder._process.pid, signal.SIGSTOP)
                    received.set()
                return count

            def __getattr__(self, name):
                return getattr(self._line, name)

        decoder._line = Slow(decoder._line)
        with pytest.raises(VideoError) as error:
            list(blocks)
        assert error.value.reason == "timeout" and received.is_set()
        decoder.deadline_s = 60
        assert isinstance(list(decoder.blocks(good, 1))[-1], VideoFacts)


@pytest.mark.parametrize(
    "said", [b"", b"nonsense", (5).to_bytes(8) + b"[1,2]", (2**60).to_bytes(8), (11).to_bytes(8) + b'{"kind": 3}', None]
)
def test_a_decoder_that_talks_nonsense_is_one_rejected_video(tmp_path, said):
    """A child that a crafted file took over: nothing it says is executed here, or believed to be endless."""
    good = videos.write_numbered(tmp_path / "good.mp4", 5)
    if said is None:
        head = b'{"kind": "block", "shape": [1000000, 1000000, 1000]}'
        said = len(head).to_bytes(8) + head
    with DecodeChild(deadline_s=60) as decoder:
        list(decoder.blocks(good, 1))
        ours, theirs = socket.socketpair()
        decoder._line.close()
        decoder._line = ours
        theirs.sendall(said)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(VideoError) as error:
            list(decoder.blocks(good, 1))
        assert error.value.reason in ("crashed", "timeout")
        assert isinstance(list(decoder.blocks(good, 1))[-1], VideoFacts)
        theirs.close()


def test_the_child_may_not_take_more_than_the_machine_has(tmp_path):
    good = videos.write_numbered(tmp_path / "good.mp4", 5)
    with DecodeChild() as decoder:
        assert isinstance(list(decoder.blocks(good, 1))[-1], VideoFacts)
        limit, _ = resource.prlimit(decoder._process.pid, resource.RLIMIT_AS)
        assert 0 < limit <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert Path(f"/proc/{decoder._process.pid}/oom_score_adj").read_text().strip() == "1000"
