"""More than one worker: Dask gives each a shard at a time, and sorts out which video killed a worker.

Workers need the package and the files, at the same paths. Models are loaded once a worker and stay. Only as many tasks are
handed out as there are workers, so that a dying worker takes down no task but its own.
"""

import logging
import os
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from aadc.extract.progress import ExtractProgress
from aadc.extract.settings import ExtractSettings
from aadc.extract.shard_task import ShardResult, ShardTask, mark_path, run_task, shard_path
from aadc.manifests.errors import UserError
from aadc.manifests.extras import needed
from aadc.manifests.files import reason

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

    from aadc.extract.decode_child import DecodeChild
    from aadc.extract.features import FrameEmbedder

_CLOSING_S = 20
_NOBODY_FOR = "10 minutes"  # no local worker could be started anew for so long: none will be
_MOST_DEATHS = 3  # of workers over one task while none of its videos is in work
_loaded: "dict[tuple[ExtractSettings, str], tuple[FrameEmbedder, DecodeChild]]" = {}
_one_at_a_time = Lock()  # a worker with several threads has one set of models and one decoder all the same


@contextmanager
def connect(workers: int, scheduler: str | None) -> Iterator:
    """A Dask client: of `workers` local processes, or of the cluster at `scheduler` (tcp://…).

    Raises:
        UserError: nobody answers at `scheduler`, or it has no workers.
    """
    asked = "--scheduler" if scheduler else f"--workers {workers}"
    with needed(asked, "cluster"):
        import dask

    # A worker that dies fails its task at once: which video to blame is found out here, from the mark it left. Logging is
    # set up when distributed is imported, so it has to be told before.
    dask.config.set({"distributed.scheduler.allowed-failures": 0, "logging.distributed": "critical"})
    with needed(asked, "cluster"):
        from distributed import Client, LocalCluster

    for name in ("distributed.client", "tornado.application", "asyncio"):  # have levels of their own; what matters is told here
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if scheduler:
        try:
            client = Client(scheduler, timeout="10s")
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(f"--scheduler {scheduler}: nobody answers there ({type(error).__name__}); is it running?") from None
        with _let_go(client):
            if not client.nthreads():
                raise UserError(f"--scheduler {scheduler}: it has no workers; start some with `dask worker {scheduler}`")
            yield client
        return
    # One that died is started anew at once. On a busy machine that takes longer than the 15 s after which it would be given up.
    patience = {"distributed.deploy.lost-worker-timeout": "1 h", "distributed.scheduler.no-workers-timeout": _NOBODY_FOR}
    dask.config.set({"distributed.worker.preload": ["aadc.extract.local_worker"], **patience})
    local = {"n_workers": workers, "threads_per_worker": 1, "memory_limit": 0, "dashboard_address": "127.0.0.1:0"}
    try:
        cluster = LocalCluster(**local, silence_logs=logging.CRITICAL)
        client = Client(cluster)
    except (OSError, RuntimeError, TimeoutError) as error:
        raise UserError(f"--workers {workers}: they could not be started ({reason(error)}); --workers 1 needs none") from error
    with _let_go(client, cluster):
        yield client


@contextmanager
def _let_go(*connections: "Client | LocalCluster") -> Iterator[None]:
    """Close them in the end, within a time. What they raise then is nobody's concern: all results are in, or there is an error
    on its way that says more; workers end with the process."""
    try:
        yield
    finally:
        for one in connections:
            with suppress(Exception):
                one.close(timeout=_CLOSING_S)


def work(
    task: ShardTask, settings: ExtractSettings, device: str, fingerprint: str, neighbours: Mapping[str, int]
) -> ShardResult:
    """What a worker does with a task. Its models must be those of the run; `neighbours` says how many workers a host has.

    Raises:
        UserError: the models on the worker have another fingerprint, or it does not see the run's folder.
    """
    from distributed import get_worker

    worker = get_worker()
    with _one_at_a_time:
        place = worker.name if isinstance(worker.name, int) else 0
        embedder, decoder = _models(settings, _device_of(device, place), neighbours.get(_host(worker.address), 1))
        if embedder.header.fingerprint != fingerprint:
            raise UserError(
                f"the worker at {worker.address} has other models: {embedder.header.fingerprint}, not {fingerprint}"
            )
        try:
            return run_task(task, embedder, decoder, _Nobody())
        except OSError as error:  # a file's; left as it is, it would be taken for the connection's
            again = "what is finished counts: start the same command again"
            raise UserError(f"the worker at {worker.address}: {error}; {again}") from None


def _host(address: str) -> str:
    from distributed.comm import get_address_host

    return get_address_host(address)


class _Nobody:
    """Progress is told by whoever handed the task out."""

    def advance(self, sampled_frames: int) -> None:
        pass

    def finish(self, video: str, video_s: float) -> None:
        pass


def _models(settings: ExtractSettings, device: str, neighbours: int) -> "tuple[FrameEmbedder, DecodeChild]":
    """Embedder and decoder of this worker, loaded when first needed; its `neighbours` workers share the host's cores."""
    import torch

    from aadc.extract.decode_child import DecodeChild
    from aadc.extract.features import FrameEmbedder

    key = (settings, device)
    if key not in _loaded:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // neighbours))
        _loaded.clear()
        _loaded[key] = FrameEmbedder(settings, device), DecodeChild()
    return _loaded[key]


def _device_of(device: str, worker: int) -> str:
    """One GPU a worker, in turn, where `cuda` was asked for without a number. (Untested: no machine with GPUs was there.)"""
    if device != "cuda":
        return device
    import torch

    return f"cuda:{worker % torch.cuda.device_count()}"


def spread(
    tasks: list[ShardTask],
    client: "Client",
    settings: ExtractSettings,
    device: str,
    fingerprint: str,
    progress: ExtractProgress,
) -> Iterator[ShardResult]:
    """Results of tasks as they are done, by the workers of `client`.

    A task whose worker died is handed out again; a video that was in work when a worker died twice is rejected.

    Raises:
        UserError: the cluster went away; what is finished counts.
    """
    from distributed import as_completed
    from distributed.client import FutureCancelledError
    from distributed.scheduler import KilledWorker, NoWorkerError

    waiting = list(reversed(tasks))
    flown: dict[Hashable, ShardTask] = {}
    killed: Counter[str | int] = Counter()
    blamed: dict[int, list[tuple[str, str, str]]] = {}
    neighbours = Counter(map(_host, client.nthreads()))
    workers = max(1, neighbours.total())

    def submit() -> "Future":
        task = waiting.pop()
        future = client.submit(work, task, settings, device, fingerprint, neighbours, pure=False, retries=0)
        flown[future.key] = task
        return future

    flying = as_completed([submit() for _ in range(min(workers, len(waiting)))])
    try:
        for future in flying:
            task = flown[future.key]
            try:
                result = future.result()
            except KilledWorker:
                video = _at_work(task)
                killed[video or task.number] += 1
                if video is None and killed[task.number] >= _MOST_DEATHS:
                    raise UserError(
                        f"{shard_path(task.run, task.number)}: {_MOST_DEATHS} workers died over it, and none had a video in "
                        "work; is there memory for the models, and room on the disk? What is finished counts: start the same "
                        "command again"
                    ) from None
                if video is not None and killed[video] > 1:
                    sentence = "a worker died over it twice and it was set aside"
                    blamed.setdefault(task.number, []).append((video, "killed_worker", sentence))
                    task = replace(task, todo=tuple(row for row in task.todo if row.video != video))
                    progress.finish(video, 0.0)
                waiting.append(task)
            else:
                result.rejected = [*blamed.pop(task.number, []), *result.rejected]
                for video, video_s in result.video_s.items():
                    progress.finish(video, video_s)
                progress.advance(result.stats.sampled_frames)
                yield result
            if waiting:
                flying.add(submit())
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"a worker cannot take the work up ({reason(error)}); every worker needs this version of aadc-net"
        ) from error
    except NoWorkerError:
        raise UserError(
            "all workers are gone and none was started anew; is there memory for them? What is finished counts: start the same "
            "command again"
        ) from None
    except (OSError, FutureCancelledError) as error:
        raise UserError(
            f"the cluster went away ({type(error).__name__}); what is finished counts: start the same command again"
        ) from error


def _at_work(task: ShardTask) -> str | None:
    """The video a task's worker had in hands when it died; None if none: it loaded models, or wrote the shard."""
    with suppress(FileNotFoundError):
        return mark_path(task.run, task.number).read_text(encoding="utf-8")
    return None
