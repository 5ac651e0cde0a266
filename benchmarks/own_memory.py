"""Where the memory of a process lies, that only it has: the C library's, code made at run time, threads' stacks, the rest.

    python benchmarks/own_memory.py PID                # a line a minute, until the process is gone
    python benchmarks/own_memory.py PID --every 10

In MB. `heap` is the C library's main arena, `arenas` are those of other threads (each begins at a multiple of 64 MB),
`code` is what may be run or was (oneDNN writes some for each new shape), `files` are changed pages of files (libraries' data),
`large` are mappings of their own: big arrays, the models' weights, Python's arenas.
"""

import argparse
import re
import time
from collections import Counter
from pathlib import Path

KINDS = ("heap", "arenas", "code", "stacks", "files", "large")
_HEAD = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ (\d+) *(.*)$")
_ARENA = 64 * 2**20


def by_kind(pid: int) -> dict[str, float]:
    """MB of each of `KINDS`. `OSError` if the process is gone."""
    found: Counter[str] = Counter()
    kind, arena_end = "large", 0
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if head := _HEAD.match(line):
            start, end, rights, inode, name = int(head[1], 16), int(head[2], 16), head[3], int(head[4]), head[5]
            if name == "[heap]":
                kind = "heap"
            elif "[stack" in name:
                kind = "stacks"
            elif inode or name:
                kind = "files"
            elif "x" in rights:
                kind = "code"
            elif start % _ARENA == 0 and end - start <= _ARENA and (rights.startswith("rw") or start == arena_end):
                kind, arena_end = "arenas", start + _ARENA
            else:
                kind = "large"
        elif line.startswith("Anonymous:"):
            found[kind] += int(line.split()[1])
    return {kind: found[kind] / 1024 for kind in KINDS}


def main() -> None:
    """Tell until it is gone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pid", type=int)
    parser.add_argument("--every", type=float, default=60.0, help="seconds")
    given = parser.parse_args()
    began = time.monotonic()
    print("minutes " + " ".join(f"{kind:>8}" for kind in (*KINDS, "all")), flush=True)
    while True:
        try:
            found = by_kind(given.pid)
        except OSError:
            return
        cells = " ".join(f"{value:8.2f}" for value in (*found.values(), sum(found.values())))
        print(f"{(time.monotonic() - began) / 60:7.1f} {cells}", flush=True)
        time.sleep(given.every)


if __name__ == "__main__":
    main()
