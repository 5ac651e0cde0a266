"""Several workers when the world goes wrong: a full disk, a scheduler that dies, two commands on one folder. Real processes."""

import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_extract import assert_same_shards, command, make_set, run_here

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
CLIPS = {f"{number:02d}.mp4": {"frames": 200 + number} for number in range(20)}  # two shards


@pytest.fixture(scope="module")
def models(tiny_detr, tiny_clip) -> tuple[Path, Path]:
    return tiny_detr, tiny_clip


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory, models) -> Path:
    """Twenty videos and their run `whole`, by one process."""
    manifest = make_set(tmp_path_factory.mktemp("cluster"), CLIPS)
    assert run_here(manifest, models, "--run", "whole").returncode == 0
    return manifest


def start(manifest: Path, models: tuple[Path, Path], *options: str, **how) -> subprocess.Popen:
    return subprocess.Popen(
        command(manifest, models, *options), cwd=manifest.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=ENVIRONMENT, **how,
    )  # fmt: skip


def wait_for(what) -> None:
    until = time.monotonic() + 120
    while not what():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


def test_a_full_disk_writes_nothing_wrong_and_says_what_to_do(unharmed, models):
    """A limit on the size of files stands in for the full disk: parts fit, shards do not."""
    folder = unharmed.parent
    limit = 2**20 + (folder / "whole/shards/00000.h5").stat().st_size // 2  # a megabyte is kept free beside what is written
    limited = start(
        unharmed, models, "--run", "full", "--workers", "2",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    _, stderr = limited.communicate(timeout=180)
    assert limited.returncode == 2 and "Traceback" not in stderr and "distributed" not in stderr, stderr
    (sentence,) = [line for line in stderr.splitlines() if line.startswith("aadc-extract: ")]
    assert (
        "00000.h5: could not be written" in sentence and "free some space" in sentence and "start the command again" in sentence
    )
    assert not (folder / "full/shards/00000.h5").exists() and not list((folder / "full").rglob("*.tmp"))
    assert len(list((folder / "full/parts").glob("*.h5"))) >= 16  # all videos of the shard that did not fit
    done = run_here(unharmed, models, "--run", "full")
    assert done.returncode == 0
    assert_same_shards(folder / "full", folder / "whole")


@contextmanager
def cluster(folder: Path):
    """A scheduler and two workers as a user would start them; gives its address and its process."""
    address_file = folder / "scheduler.json"
    dask = str(Path(sys.executable).with_name("dask"))
    loopback = ["--host", "127.0.0.1", "--no-dashboard"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": ENVIRONMENT, "cwd": folder}
    processes = [
        subprocess.Popen([dask, "scheduler", "--port", "0", "--scheduler-file", str(address_file), *loopback], **quiet),
        subprocess.Popen(
            [dask, "worker", "--scheduler-file", str(address_file), "--nworkers", "2", "--nthreads", "1", *loopback], **quiet
        ),
    ]
    try:
        from distributed import Client

        wait_for(address_file.exists)
        with Client(scheduler_file=str(address_file), set_as_default=False) as client:
            client.wait_for_workers(2, timeout=120)
            address = client.scheduler.address
        yield address, processes[0]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def test_a_scheduler_that_dies_costs_nothing_finished(unharmed, models, tmp_path):
    folder = unharmed.parent
    with cluster(tmp_path) as (address, scheduler):
        orphan = start(unharmed, models, "--run", "orphan", "--scheduler", address)
        wait_for(lambda: list((folder / "orphan/parts").glob("*.h5")) or orphan.poll() is not None)
        scheduler.send_signal(signal.SIGKILL)
        _, stderr = orphan.communicate(timeout=120)
        assert orphan.returncode == 2 and "Traceback" not in stderr and "distributed" not in stderr, stderr
        assert "the cluster went away" in stderr and "start the same command again" in stderr
        assert len(stderr.strip().splitlines()[-1]) < 300
    done = run_here(unharmed, models, "--run", "orphan")
    assert done.returncode == 0
    assert_same_shards(folder / "orphan", folder / "whole")


def test_two_commands_on_one_folder(unharmed, models):
    """The second is turned away while the first works, whoever does the work; the first ends as if nothing had been."""
    folder = unharmed.parent
    first = start(unharmed, models, "--run", "shared", "--workers", "2")
    wait_for(lambda: list((folder / "shared/parts").glob("*.working")) or first.poll() is not None)
    first.send_signal(signal.SIGSTOP)  # it must not finish before the second has looked
    try:
        second = run_here(unharmed, models, "--run", "shared", "--workers", "2")
    finally:
        first.send_signal(signal.SIGCONT)
    assert second.returncode == 2 and "another aadc command" in second.stderr
    _, stderr = first.communicate(timeout=180)
    assert first.returncode == 0, stderr
    assert_same_shards(folder / "shared", folder / "whole")
