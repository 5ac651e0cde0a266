"""Processes that keep events, each killed at a random moment; prints what each was told is kept: id and kind a line.

The writers are forked from this process, which has no thread: a hundred of them need not import everything a hundred times.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from made_events import messages

from aadc.live.store import Store


def write(path: Path, first: int, told: int) -> None:
    store = Store(path, ["mqtt"])
    store.end_interrupted().result()
    os.write(told, b"ready\n")
    for number in range(first, first + 10_000):
        for message in messages(number):
            store.put(message, "a car hits a wall").result()
            os.write(told, f"{message.after.id} {message.kind}\n".encode())


for turn in range(int(sys.argv[2])):
    reads, told = os.pipe()
    child = os.fork()
    if not child:
        os.close(reads)
        write(Path(sys.argv[1]), turn * 10_000, told)
    os.close(told)
    with os.fdopen(reads, "rb") as lines:
        assert lines.readline() == b"ready\n"
        time.sleep(random.Random(turn).random() * 0.03)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for line in lines:
            if line.endswith(b"\n"):
                print(line.decode(), end="")
