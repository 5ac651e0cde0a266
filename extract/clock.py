"""Which frame of the file a decoded picture is, and when it is shown: numbers and times that ascend, whatever the file says."""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

import av

LEAP_S, LOST_S = 10.0, 30 * 3600.0
_TS_DISCONT, _NO_TIMES = 0x200, 0x80  # AVFMT_TS_DISCONT, AVFMT_NOTIMESTAMPS


@dataclass(frozen=True)
class Numbered:
    """A decoded picture, its index among all frames of the file, and its time as stated, seconds from the file's start."""

    picture: av.VideoFrame
    index: int
    stated_s: float | None


def has_no_container(container: av.container.InputContainer) -> bool:
    """Whether this is a bare stream of one codec, which states a rate at best."""
    return bool(container.format.flags & _NO_TIMES)


def frame_rate(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Frames per second, 0 if unknown: the average; of a bare stream what it states itself. Ask after the first picture."""
    codec = stream.codec_context
    if not has_no_container(container):
        rate = stream.average_rate or stream.guessed_rate
    else:  # MPEG-4 states ticks there, of which a frame may last many
        rate = stream.guessed_rate if codec.name == "mpeg4" else codec.framerate
    return float(rate or 0)


class FrameOrder:
    """The index that each decoded picture has among all frames of the file, those included that do not decode.

    Packets come in the order of coding, pictures in that of presentation; every picture knows its packet. So a picture's
    index is the number of packets that are shown before it. AVI and bare streams state no order of presentation: there pictures
    are counted, and key frames put the count right where something was lost. AVI shows the k-th picture with the k-th chunk.
    """

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream):
        self._codec = stream.codec_context
        self._chunks: list[int] | None = [] if container.format.name == "avi" else None
        # MPEG-PS times one picture here and there; FFmpeg makes up the rest.
        self._times_are_own = container.format.name != "mpeg"
        self._base_s = float(stream.time_base or 0)
        self._start_s = None if container.start_time is None else container.start_time / av.time_base
        self._packets = self._pictures = self._part = 0
        self._clock: list[int] = []  # the last two times of coding
        self._stamps: dict[int, tuple[int, int]] = {}  # part of the file and time of presentation of each packet in the decoder
        self._waiting: list[tuple[tuple[int, int], int]] = []  # the same as a heap: what should be shown next
        self._passed: set[int] = set()  # packets whose turn came and went
        self.index = -1

    @property
    def lost(self) -> int:
        """Frames up to here that gave no picture."""
        return self.index + 1 - self._pictures

    def add(self, packet: av.Packet) -> None:
        """Number a packet before it goes to the decoder; one that is never shown gets none."""
        if packet.is_discard or (self._codec.name == "vp8" and not memoryview(packet)[0] & 0x10):
            return
        packet.opaque = number = self._packets
        self._packets += 1
        if self._chunks is not None:
            self._chunks.append(len(self._chunks) if packet.dts is None else packet.dts)
        elif packet.pts is not None:
            self._stamps[number] = stamp = self._part_of(packet), packet.pts
            heapq.heappush(self._waiting, (stamp, number))

    def _part_of(self, packet: av.Packet) -> int:
        """Times of coding ascend. Where they step back, files were joined: what follows is shown after all that was before."""
        if packet.dts is not None:
            back = bool(self._clock) and packet.dts < self._clock[-1]
            if back and len(self._clock) == 2 and packet.dts > self._clock[0]:
                self._clock.pop()  # the one before leapt
            elif back:
                self._part += 1
                self._clock.clear()
            self._clock = [*self._clock[-1:], packet.dts]
        return self._part

    def number(self, picture: av.VideoFrame, after_trouble: bool) -> Numbered:
        """Index and stated time of the next decoded picture; `after_trouble` if something did not decode before."""
        packet = picture.opaque if isinstance(picture.opaque, int) else None
        stamp = None if packet is None else self._stamps.pop(packet, None)
        first = not self._pictures
        self._pictures += 1
        exact = self._is_exact(picture)
        if stamp is not None:
            self._pass(packet, stamp, first or after_trouble or exact)
            self.index = max(self.index + 1, self._pictures - 1 + len(self._passed))
        else:
            self.index = max(self.index + 1, self._coded_before(picture, packet) if exact else 0)
        time = picture.pts if packet is None else stamp and stamp[1]
        if self._chunks is not None:
            time = self._chunks[self.index] if self.index < len(self._chunks) else None
        if time is None:
            return Numbered(picture, self.index, None)
        if self._start_s is None:  # a bare stream, which starts with its first picture
            self._start_s = time * self._base_s
        return Numbered(picture, self.index, time * self._base_s - self._start_s)

    def _coded_before(self, picture: av.VideoFrame, packet: int | None) -> int:
        """How many frames are shown before this picture at least: behind a key frame, none that was coded before it."""
        in_order = picture.key_frame or not self._codec.reorder_depth
        return packet if packet is not None and in_order else 0

    def _is_exact(self, picture: av.VideoFrame) -> bool:
        """Whether a packet that gives no picture is a lost one. The two fields of an interlaced picture may be two in H.264."""
        return self._times_are_own and not (self._codec.name == "h264" and picture.interlaced_frame)

    def _pass(self, packet: int | None, stamp: tuple[int, int] | None, count: bool) -> None:
        if packet in self._passed:
            self._passed.remove(packet)
        elif stamp is not None:
            while self._waiting and self._waiting[0] <= (stamp, packet):
                number = heapq.heappop(self._waiting)[1]
                if number in self._stamps:
                    if count:
                        self._passed.add(number)
                    else:
                        del self._stamps[number]


class Clock:
    """Times in seconds from the start of the file, strictly ascending, as the file states them wherever that is possible.

    Where stated times step back (recordings joined one after the other, damage), or leap ahead by more than any pause
    explains, the clock goes on by one frame. A single time out of line with both its neighbours counts as unknown and is
    put between them. Formats made of a stream that may be switched (MPEG-TS, MPEG-PS) are not believed a leap of more than
    10 seconds, all others none of more than 30 hours: FFmpeg's own limits.
    """

    def __init__(self, container: av.container.InputContainer, rate: float):
        self._frame_s = 1 / (rate or 25)
        self._switched = bool(container.format.flags & _TS_DISCONT)
        self._offset_s = 0.0
        self._stated_s: float | None = None
        self._index, self._time_s = -1, -self._frame_s
        self.mended = 0

    def read(self, numbered: Iterator[Numbered]) -> Iterator[tuple[Numbered, float]]:
        """Every picture with its time."""
        now = next(numbered, None)
        while now is not None:
            following = next(numbered, None)
            yield now, self._time(now, following.stated_s if following else None)
            now = following

    def _time(self, now: Numbered, following_s: float | None) -> float:
        stated, last = now.stated_s, self._stated_s
        go_on = self._time_s + self._frame_s * (now.index - self._index)
        if stated is not None and following_s is not None and self._out_of_line(stated, following_s):
            stated, self.mended = None, self.mended + 1
        if stated is None:
            time = go_on
            if following_s is not None and following_s + self._offset_s > self._time_s:
                time = min(time, (self._time_s + following_s + self._offset_s) / 2)
        elif last is None:
            self._offset_s = max(0.0, self._time_s + self._frame_s / 2 - stated) if self._index >= 0 else max(0.0, -stated)
            time = stated + self._offset_s
        elif 0 < stated - last <= (LEAP_S if self._switched else LOST_S):
            time = stated + self._offset_s
        else:
            time, self._offset_s = go_on, go_on - stated
            self.mended += not self._switched
        self._stated_s = last if stated is None else stated
        self._index, self._time_s = now.index, max(time, math.nextafter(self._time_s, math.inf), 0.0)
        return self._time_s

    def _out_of_line(self, stated: float, following: float) -> bool:
        last = self._stated_s
        if last is None:
            return following <= stated
        return last < following and not last < stated < following
