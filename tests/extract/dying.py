"""A worker that dies so many times while it puts a shard together, as if the machine killed it."""

import os
import signal
from pathlib import Path

from distributed import WorkerPlugin

from aadc.extract import shard_task

_publish = shard_task._publish


class Dying(WorkerPlugin):
    """Given to every worker, also to those that start in place of dead ones. The deaths are counted in a file."""

    name = "dying"

    def __init__(self, deaths: int, count: str):
        self.deaths, self.count = deaths, count

    def setup(self, worker) -> None:
        def publish(*arguments):
            count = Path(self.count)
            before = len(count.read_text()) if count.exists() else 0
            if before < self.deaths:
                count.write_text("x" * (before + 1))
                os.kill(os.getpid(), signal.SIGKILL)
            return _publish(*arguments)

        shard_task._publish = publish

    def teardown(self, worker) -> None:
        shard_task._publish = _publish
