"""Several workers: the same shards, and a video that kills its worker takes no other with it. A real cluster, real kills."""

import os
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import dask
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import videos
from dying import Dying
from test_extract import assert_same_shards, make_set, run_here

from aadc.extract import cluster as cluster_module
from aadc.extract.cluster import _host, connect, spread
from aadc.extract.features import FrameEmbedder
from aadc.extract.pipeline import extract, here, prepare
from aadc.extract.plan import make_plan
from aadc.extract.progress import ExtractProgress
from aadc.extract.run_folder import RunFolder
from aadc.extract.settings import ExtractSettings
from aadc.extract.shards import ShardSet
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import read_manifest


@pytest.fixture(scope="module")
def cluster():
    with connect(2, None) as client:
        yield client


def settings_of(models: tuple[Path, Path]) -> ExtractSettings:
    return ExtractSettings(detector=str(models[0]), clip=str(models[1]), threshold=0.3)


def spread_over(cluster, manifest: Path, run: RunFolder, settings: ExtractSettings, fingerprint: str):
    plan = make_plan(read_manifest(manifest), manifest.parent / "videos", run, strict=False)
    prepare(run)
    progress = ExtractProgress(dict.fromkeys(plan.videos, 1))
    return extract(run, spread(plan.tasks, cluster, settings, "cpu", fingerprint, progress)), progress


@pytest.fixture(scope="module")
def models(tiny_detr, tiny_clip) -> tuple[Path, Path]:
    return tiny_detr, tiny_clip


def test_workers_write_the_same_shards(tmp_path, models, cluster):
    """Byte for byte in their datasets, as one process with as many threads; a bad video is rejected on a worker as here."""
    manifest = make_set(tmp_path, {f"{number:02d}.mp4": {"frames": 20 + number} for number in range(36)})
    (tmp_path / "videos/07.mp4").write_bytes(b"")
    settings = settings_of(models)
    embedder = FrameEmbedder(settings)
    alone, spread_out = RunFolder(tmp_path / "alone"), RunFolder(tmp_path / "spread")
    plan = make_plan(read_manifest(manifest), tmp_path / "videos", alone, strict=False)
    assert len(plan.tasks) == 3
    prepare(alone)
    threads = torch.get_num_threads()
    torch.set_num_threads(
        max(1, (os.cpu_count() or 1) // 2)
    )  # as each of two workers has: sums in another order round otherwise
    one = extract(alone, here(plan, embedder, ExtractProgress(dict.fromkeys(plan.videos, 1))))
    torch.set_num_threads(threads)
    two, progress = spread_over(cluster, manifest, spread_out, settings, embedder.header.fingerprint)
    assert_same_shards(alone.path, spread_out.path)
    assert (one.done, one.rejected) == (two.done, two.rejected) and [row[:2] for row in two.rejected] == [("07.mp4", "empty")]
    assert two.stats.sampled_frames == one.stats.sampled_frames == progress.frames and two.stats.videos == 35
    assert progress.videos == 36 and not spread_out.parts.exists()
    assert set(cluster.run(torch.get_num_threads).values()) == {max(1, (os.cpu_count() or 1) // 2)}  # divided among the two


def test_a_host_is_shared_by_its_own_workers_alone():
    """The cores of a host are divided among the workers on it, not among those of the whole cluster."""
    addresses = ["tcp://10.0.0.1:4000", "tcp://10.0.0.1:4001", "tcp://10.0.0.2:4000", "tls://[fe80::1]:4000"]
    neighbours = Counter(map(_host, addresses))
    assert [neighbours[_host(address)] for address in addresses] == [2, 2, 1, 1]


def kill_whoever_works_on(video: str, run: RunFolder, cluster, times: int, killed: list[int]) -> None:
    """SIGKILL the worker that has `video` in hands, so many times; once no other is at work, for a mark does not say whose.
    A mark from before the last kill is the dead one's: the next has not come to a video yet."""
    until, last_ns = time.monotonic() + 300, 0
    while len(killed) < times and time.monotonic() < until:
        for mark in run.parts.glob("*.working") if run.parts.exists() else ():
            try:
                if mark.read_text() != video or mark.stat().st_mtime_ns <= last_ns:
                    continue
            except FileNotFoundError:
                continue
            try:
                pids = cluster.run(os.getpid)
            except OSError:  # the last one killed is not back yet
                continue
            at_work = [address for address, keys in cluster.processing().items() if keys]
            if len(at_work) == 1 and at_work[0] in pids and pids[at_work[0]] not in killed:
                killed.append(pids[at_work[0]])
                last_ns = time.time_ns()
                os.kill(pids[at_work[0]], signal.SIGKILL)
        time.sleep(0.02)


def test_a_video_that_kills_its_worker_is_set_aside_alone(tmp_path, models, cluster):
    clips = {f"{number:02d}.mp4": {"frames": 20} for number in range(4)}
    clips["02.mp4"] = {"frames": 6000}
    manifest = make_set(tmp_path, clips)
    run, settings, killed = RunFolder(tmp_path / "run"), settings_of(models), []
    killer = threading.Thread(target=kill_whoever_works_on, args=("02.mp4", run, cluster, 2, killed), daemon=True)
    killer.start()
    summary, _ = spread_over(cluster, manifest, run, settings, FrameEmbedder(settings).header.fingerprint)
    killer.join(5)
    assert len(killed) == 2
    assert [row[:2] for row in summary.rejected] == [("02.mp4", "killed_worker")] and summary.done == 3
    assert {entry.video for entry in ShardSet(run.shards).entries.values()} == {"00.mp4", "01.mp4", "03.mp4"}
    assert "02.mp4,killed_worker" in run.rejected.read_text()


def test_nobody_at_the_scheduler_is_told(tmp_path, models):
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}})
    done = run_here(manifest, models, "--scheduler", "tcp://127.0.0.1:9")
    assert done.returncode == 2 and "nobody answers there" in done.stderr


def test_the_workers_option_of_the_command(tmp_path, models):
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}, "b.mp4": {"frames": 40}})
    videos.write_ramp(tmp_path / "videos/b.mp4", frames=33)
    done = run_here(manifest, models, "--workers", "2")
    assert done.returncode == 0 and "2 videos done" in done.stdout


@pytest.mark.parametrize("deaths", [2, 3])
def test_a_worker_that_dies_while_it_only_publishes(tmp_path, models, deaths):
    """All videos are done, the worker dies over the shard: no video is blamed, and it is tried again, but not for ever. The one
    that is started in its place may take longer than Dask waits by itself."""
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}, "b.mp4": {"frames": 40}})
    run, settings = RunFolder(tmp_path / "run"), settings_of(models)
    fingerprint = FrameEmbedder(settings).header.fingerprint
    dask.config.set({"distributed.deploy.lost-worker-timeout": "0.1 s"})
    with connect(1, None) as client:
        client.register_plugin(Dying(deaths, str(tmp_path / "deaths")))
        if deaths < 3:
            summary, _ = spread_over(client, manifest, run, settings, fingerprint)
            assert summary.done == 2 and not summary.rejected and len(ShardSet(run.shards).keys) == 2
        else:
            with pytest.raises(UserError, match="00000.h5: 3 workers died over it, and none had a video in work"):
                spread_over(client, manifest, run, settings, fingerprint)
            assert len(list(run.parts.glob("*.h5"))) == 2  # what is finished counts


def test_where_no_worker_is_left_nobody_waits_for_ever(tmp_path, models, monkeypatch):
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}})
    run, settings = RunFolder(tmp_path / "run"), settings_of(models)
    monkeypatch.setattr(cluster_module, "_NOBODY_FOR", "1 s")
    with connect(1, None) as client:
        client.cluster.scale(0)
        until = time.monotonic() + 60
        while client.nthreads():
            assert time.monotonic() < until
            time.sleep(0.05)
        with pytest.raises(UserError, match="all workers are gone .* start the same command again"):
            spread_over(client, manifest, run, settings, "0" * 16)


def test_a_worker_that_does_not_see_the_run_is_told_of(tmp_path, models, cluster):
    """No such folder there, or another one: never a success, never `the cluster went away`."""
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}})
    run, settings = RunFolder(tmp_path / "run"), settings_of(models)
    fingerprint = FrameEmbedder(settings).header.fingerprint
    plan = make_plan(read_manifest(manifest), manifest.parent / "videos", run, strict=False)
    prepare(run)
    for elsewhere, word in ((tmp_path / "nowhere", "went away"), (tmp_path / "other", "another")):
        if elsewhere.name == "other":
            prepare(RunFolder(elsewhere))
            (elsewhere / "parts/token").write_text("of another extraction")
        tasks = [replace(task, run=RunFolder(elsewhere)) for task in plan.tasks]
        results = spread(tasks, cluster, settings, "cpu", fingerprint, ExtractProgress({"a.mp4": 1}))
        with pytest.raises(UserError, match=f"{elsewhere.name}.*{word}"):
            list(results)


def test_what_closing_raises_does_not_undo_what_is_done(monkeypatch, capfd):
    """Seen on a busy machine: all videos done, then a TimeoutError without a word."""
    from distributed import LocalCluster

    def slow(self, timeout=None):
        close(self, timeout=timeout)
        raise TimeoutError

    close = LocalCluster.close
    monkeypatch.setattr(LocalCluster, "close", slow)
    with connect(1, None) as client:
        assert client.submit(sum, [1, 2]).result() == 3
    with pytest.raises(UserError, match="what happened"), connect(1, None):
        raise UserError("what happened")
    assert "Traceback" not in capfd.readouterr().err


def test_a_missing_file_is_no_lost_connection(tmp_path, models, cluster, monkeypatch):
    manifest = make_set(tmp_path, {"a.mp4": {"frames": 20}})
    run, settings = RunFolder(tmp_path / "run"), settings_of(models)
    plan = make_plan(read_manifest(manifest), manifest.parent / "videos", run, strict=False)
    prepare(run)
    fingerprint = FrameEmbedder(settings).header.fingerprint
    (run.parts / "00000.working").mkdir()  # where the worker wants to write a file
    (run.parts / "00000.working" / "x").touch()
    results = spread(plan.tasks, cluster, settings, "cpu", fingerprint, ExtractProgress({"a.mp4": 1}))
    with pytest.raises(UserError) as caught:
        list(results)
    assert "went away" not in str(caught.value) and "00000.working" in str(caught.value)
