"""What a worker of `--workers` does before its work; Dask imports this there and calls `dask_setup`."""

import signal


def dask_setup(worker: object) -> None:
    """Leave Ctrl-C, which a terminal sends to all processes in it, to the one that started the workers and ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
