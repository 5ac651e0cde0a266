"""Work in other processes: all of it is done, an error comes through, and nobody is left behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from aadc.manifests.processes import side_by_side


def test_every_piece_comes_back_with_its_number():
    assert dict(side_by_side(pow, [(n, 2) for n in range(7)], 2)) == {n: n**2 for n in range(7)}


def test_an_error_comes_through():
    with pytest.raises(TypeError):
        list(side_by_side(pow, [(2, 2), ("x", 2)], 2))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent(how):
    program = (
        "import signal, time; from aadc.manifests.processes import side_by_side\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "if __name__ == '__main__':\n"
        "    print('up', flush=True); list(side_by_side(time.sleep, [(60,)] * 2, 2))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, text=True
    )
    parent.stdout.readline()
    wait_until(lambda: len(workers_of(parent.pid)) >= 2)
    workers = workers_of(parent.pid)
    time.sleep(1)
    parent.send_signal(how)
    parent.wait(20)
    wait_until(lambda: not any(alive(worker) for worker in workers))


def workers_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        children = [int(child) for child in file.read().split()]
    return [child for child in children if "spawn_main" in command(child)]


def command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    return "spawn_main" in command(pid) and os.path.exists(f"/proc/{pid}")


def wait_until(true, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)
