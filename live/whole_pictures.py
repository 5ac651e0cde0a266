"""RTP packets put together into pictures that can be decoded right: none is given out whose forerunners are not there.

aiortc's own buffer waits for a lost packet until 512 newer ones are there, which is seconds to minutes, and then has pictures
decoded that refer to what never came. Here a packet is waited for as long as sending it again may take; then the next key
picture is asked for, again and again, and all goes on with that.
"""

import time
from typing import Any, cast

import aiortc.rtcrtpreceiver
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket
from aiortc.utils import uint16_add

PATIENCE_S = 0.5  # for a packet to be sent again, and for a key picture that was asked for
_IDR, _SPS, _AUD, _SEI = 5, 7, 9, 6  # kinds of H.264's units (ITU-T H.264, table 7-1)


class WholePictures(JitterBuffer):
    """In the place of aiortc's buffer, for pictures (VP8, H.264); sound goes the old way."""

    def __init__(self, capacity: int, prefetch: int = 0, is_video: bool = False) -> None:
        super().__init__(capacity, prefetch, is_video)
        self._needs_key = True
        self._begins = False  # what is first in the buffer is known to be the first packet of a picture
        self._newest: int | None = None
        self._hole: tuple[int, float] | None = None  # which packet is missing, since when
        self._asked_s = 0.0

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """One more packet has come: whether a key picture must be asked for, and the next picture where one is whole."""
        if not self._is_video:
            return super().add(packet)
        now = time.monotonic()
        if self._newest is None:
            self._newest, self._asked_s = packet.sequence_number, now
        if self._origin is not None and _follows(self._origin, packet.sequence_number, self._capacity):
            return False, None  # sent again, too late
        if _follows(packet.sequence_number, self._newest):
            self._newest = packet.sequence_number
        overflows, frame = super().add(packet)
        if overflows:
            self._needs_key, self._begins, self._newest = True, False, packet.sequence_number
        if frame is None and self._missing_since(now) >= PATIENCE_S:
            self._needs_key = True
            if self._go_to_key():
                frame = self._remove_frame(packet.sequence_number)
        while frame is not None:
            begins, self._begins = self._begins, True
            self._needs_key &= not _is_key(frame.data, begins)
            if not self._needs_key:
                break
            frame = self._remove_frame(packet.sequence_number)
        asks = self._needs_key and now - self._asked_s >= PATIENCE_S
        if asks:
            self._asked_s = now
        return asks, frame

    def _missing_since(self, now: float) -> float:
        """For how long the same packet has been missing, seconds."""
        at = cast(int, self._origin)
        while self._packets[at % self._capacity] is not None and at != self._newest:
            at = uint16_add(at, 1)
        if self._packets[at % self._capacity] is not None:
            self._hole = None
            return 0.0
        if self._hole is None or self._hole[0] != at:
            self._hole = at, now
        return now - self._hole[1]

    def _go_to_key(self) -> bool:
        """Forget what comes before the first packet of the next key picture; False where none has come."""
        assert self._origin is not None and self._newest is not None
        for ahead in range(1, uint16_add(self._newest, -self._origin) + 1):
            here, before = (self._packets[(self._origin + number) % self._capacity] for number in (ahead, ahead - 1))
            if here is None:
                continue
            begins = before is not None and (before.timestamp != here.timestamp)
            if _begins_key(_data(here), begins):
                self.remove(ahead)
                self._hole, self._begins = None, True
                return True
        return False


def install() -> None:
    """Have aiortc use it, which lets nobody choose."""
    cast(Any, aiortc.rtcrtpreceiver).JitterBuffer = WholePictures


def _follows(number: int, other: int, within: int = 2**15) -> bool:
    """Whether one sequence number is after another, by less than `within`."""
    return 0 < uint16_add(number, -other) < within


def _data(packet: RtpPacket) -> bytes:
    return cast(bytes, cast(Any, packet)._data)


def _is_vp8_key(data: bytes) -> bool:
    """RFC 6386, 9.1: the lowest bit is 0 and the start code is there."""
    return len(data) > 6 and not data[0] & 1 and data[3:6] == b"\x9d\x01\x2a"


def _units(data: bytes) -> list[int]:
    """Kinds of H.264's units, behind each start code; nothing for VP8."""
    if not data.startswith((b"\0\0\1", b"\0\0\0\1")):
        return []
    return [part[0] & 31 for part in data.split(b"\0\0\1")[1:] if part]


def _is_key(data: bytes, begins: bool) -> bool:
    """Whether a picture needs no other. `begins`: it is known to have its beginning."""
    units = _units(data)
    return _is_vp8_key(data) or (_IDR in units and (begins or units[0] in (_SPS, _AUD)))


def _begins_key(data: bytes, begins: bool) -> bool:
    """Whether a packet is the first of a picture that may be a key. `begins`: it is known to be the first of some picture."""
    if _is_vp8_key(data):
        return True
    first = _units(data)[:1]
    return first in ([_SPS], [_AUD]) or (begins and first in ([_IDR], [_SEI]))
