"""Many independent pieces of work, side by side in processes of their own, which end with the one that asked for them."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

Result = TypeVar("Result")


def side_by_side(work: Callable[..., Result], pieces: Iterable[tuple], workers: int) -> Iterator[tuple[int, Result]]:
    """Call `work(*piece)` for every piece; gives (number of the piece, result) in the order in which they get done.

    The first error ends all and is raised here. Processes are spawned, so `work` and the pieces must be picklable.
    """
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, context, initializer=_follow_parent)
    try:
        numbers = {pool.submit(work, *piece): number for number, piece in enumerate(pieces)}
        for future in as_completed(numbers):
            yield numbers[future], future.result()
    except BaseException:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it does: a worker of a killed parent would wait for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None  # the pool's processes are spawned by one

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
