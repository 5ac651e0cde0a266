"""Waiting for what other processes and threads do: never for a time, always for the thing itself."""

import time
from collections.abc import Callable


def wait_until(there: Callable[[], object], seconds: float = 20.0) -> float:
    """Seconds until it was there; fails after `seconds`."""
    began = time.monotonic()
    while not there():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - began
