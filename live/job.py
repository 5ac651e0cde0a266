"""What a process of the live part is to do: told through standard input, open as long as the parent wants it to work."""

import os
import sys
from typing import TypeVar

from aadc.manifests.records import Record, parse_record

Job = TypeVar("Job", bound=Record)


def read_job(kind: type[Job]) -> Job:
    """The one line of JSON on standard input; command lines can be read by others. Ends the process where the parent went away
    before it said so."""
    line = sys.stdin.buffer.readline()
    if not line:
        os._exit(0)
    return parse_record(line, f"the job of a process ({kind.__name__})", kind, "this is a bug")


def until_parent_goes() -> None:
    """Wait until standard input is closed: the parent ended, or wants this process to."""
    while sys.stdin.buffer.read(1):
        pass
