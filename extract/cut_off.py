"""Whether a file ends before its own container says that it should: told from sizes alone, nothing is decoded."""

import os
from pathlib import Path
from typing import BinaryIO

_SYNC = 0x47
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))  # size, place of the sync byte in it


def is_cut_off(path: Path, container_format: str) -> bool:
    """Whether the end of a whole file (mp4 and its kin, Matroska, MPEG-TS) is missing. False where a format cannot tell."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if container_format.startswith("mov"):
            return _boxes_end(file, size) > size
        if container_format.startswith("matroska"):
            return _segment_end(file) > size
        return container_format == "mpegts" and _breaks_a_packet(file, size)


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Where the last box of an ISO file ends. 0 if something stands there that is no box."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:16])
        if length < 8 or not all(0x20 <= letter < 0x7F or letter == 0xA9 for letter in head[4:8]):
            return 0
        place += length
    return place


def _segment_end(file: BinaryIO) -> int:
    """Where the first segment of a Matroska file should end. 0 if it does not say so (a live recording)."""
    place = 0
    for wanted in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        file.seek(place)
        head = file.read(12)
        if len(head) < 12 or head[:4] != wanted or not head[4]:
            return 0
        width = 9 - head[4].bit_length()
        length = int.from_bytes(head[4 : 4 + width]) - (1 << 7 * width)
        if length == (1 << 7 * width) - 1:
            return 0
        place += 4 + width + length
    return place


def _breaks_a_packet(file: BinaryIO, size: int) -> bool:
    """Whether a transport stream stops within a packet, the packets before being in line from the first to the last."""
    for length, sync in _TS_PACKETS:
        rest = size % length
        places = [0, length, (size // length - 1) * length, size - rest]
        if size < 4 * length or rest <= sync:
            continue
        found = []
        for place in places:
            file.seek(place + sync)
            found.append(file.read(1) == bytes([_SYNC]))
        if all(found):
            return True
    return False
