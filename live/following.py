"""How a process of the live part is told its job, and ends with the one that started it, however that ends."""

import ctypes
import os
import signal
import sys
from typing import TypeVar

from aadc.manifests.records import Record, parse_record

_PR_SET_PDEATHSIG = 1
Job = TypeVar("Job", bound=Record)


def follow_parent() -> None:
    """Have the system kill this process when its parent is gone, also while it hangs or is stopped. (More
    exactly, when that thread is gone which started this process.) Ctrl-C is left to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def read_job(kind: type[Job]) -> Job:
    """The one line of JSON on standard input that says what is to be done; command lines can be read by others. Ends the
    process where the parent went away before it said so."""
    line = sys.stdin.buffer.readline()
    if not line:
        os._exit(0)
    return parse_record(line, f"the job of a process ({kind.__name__})", kind, "this is a bug")


def until_parent_goes() -> None:
    """Wait until standard input is closed: the parent ended, or wants this process to."""
    while sys.stdin.buffer.read(1):
        pass
