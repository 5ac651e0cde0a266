"""Decoding: ours beside a plain decord loop, and beside decoding alone.

    python benchmarks/decode.py                          # 640x360, H.264, GOPs of 12 and 250, one frame in 16
    python benchmarks/decode.py --frames 600 --rounds 1

For each length of GOP, sampled frames a second, median over rounds in which the ways take turns: (a) decord's `get_batch` of
the sampled frames, opened once; (b) ours with `--reader decord`, which first proves from the packets that no seek goes wrong;
(c) ours, PyAV from front to back; (d) ours as extraction runs it, in the child process, whose
processor time is not counted; (e) every frame decoded by PyAV and
nothing converted, what a reader from front to back can reach at most. Then the pictures of (a), (b) and (c) are compared.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from aadc.extract.decode import FrameBlock, read_blocks
from aadc.extract.decode_child import DecodeChild
from aadc.extract.decord_reader import _decord
from aadc.extract.sampling import sampled_frames
from extract import write_clip

STRIDE = 16


def plain_decord(path: Path) -> np.ndarray:
    """(a)"""
    reader = _decord().VideoReader(str(path))
    return reader.get_batch(sampled_frames(len(reader), STRIDE)).asnumpy()


def ours(path: Path, reader: str) -> np.ndarray:
    """(b), (c)"""
    return np.concatenate([item.rgb for item in read_blocks(path, STRIDE, reader=reader) if isinstance(item, FrameBlock)])


def decoding_alone(path: Path) -> None:
    """(e)"""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for _ in container.decode(stream):
            pass


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=3000, help="frames a video")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--gops", type=int, nargs="+", default=[12, 250])
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    rows = len(sampled_frames(given.frames, STRIDE))
    print(f"{os.cpu_count()} cores, {given.size}, {given.frames} frames, one in {STRIDE}, {given.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder, DecodeChild() as child:
        for gop in given.gops:
            path = Path(folder) / f"{gop}.mp4"
            write_clip(path, width, height, given.frames, still=False, gop=gop)
            ways: dict[str, Callable[[Path], object]] = {
                "(a) decord, get_batch": plain_decord,
                "(b) ours, decord": lambda path: ours(path, "decord"),
                "(c) ours, PyAV": lambda path: ours(path, "pyav"),
                "(d) ours, PyAV, in the child": lambda path: list(child.blocks(path, STRIDE)),
                "(e) decoding alone": decoding_alone,
            }
            seconds: dict[str, list[float]] = {way: [] for way in ways}
            work = dict.fromkeys(ways, 0.0)
            for turn in range(given.rounds + 1):
                for way, run in ways.items():
                    began, worked = time.perf_counter(), time.process_time()
                    run(path)
                    if turn:  # the first is for warming up
                        seconds[way].append(time.perf_counter() - began)
                        work[way] += time.process_time() - worked
            print(f"GOPs of {gop}")
            for way, times in seconds.items():
                each = 1000 * work[way] / given.rounds / rows
                print(f"  {way}: {rows / statistics.median(times):.0f} sampled frames/s ({rows / max(times):.0f} to "
                      f"{rows / min(times):.0f}), {each:.1f} ms of processor each")  # fmt: skip
            pictures = [plain_decord(path), ours(path, "decord"), ours(path, "pyav")]
            for name, other in zip("bc", pictures[1:], strict=True):
                apart = np.abs(pictures[0].astype(np.int16) - other)
                print(f"  pictures of ({name}) and (a): {apart.max()} levels apart at most, {apart.mean():.3f} in the mean")


if __name__ == "__main__":
    main()
