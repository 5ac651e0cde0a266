"""Shards whose videos were read by an earlier version of the program's reader, and what is told of them."""

from collections.abc import Mapping
from contextlib import suppress

from aadc.extract.run_folder import RunFolder
from aadc.extract.sampling import READER_VERSION
from aadc.extract.shards import shard_files, shard_index
from aadc.manifests.errors import UserError

IMPORTED = "imported"  # in place of a reader: features that others extracted
MADE_BY = (
    "made by an earlier reader of videos, whose rows were not always the frames they claim to be: extract into a new run with "
    "--run, or remove the shards"
)


def of_old_reader(sampling: Mapping) -> bool:
    """Whether a shard's header names no reader, or one of an earlier version (see `sampling.READER_VERSION`). Imported features
    were read by none of ours."""
    if str(sampling.get("reader", "")) == IMPORTED:
        return False
    version = str(sampling.get("reader", "")).rpartition("/")[2]
    return not (version.isascii() and version.isdecimal() and len(version) < 10 and int(version) >= READER_VERSION)


def old_reader(run: RunFolder) -> str | None:
    """A sentence for every command that reads a run whose shards an earlier reader made; None for any other.

    The first shard speaks for all, which have one fingerprint; a damaged one is told where it is read.
    """
    with suppress(UserError, OSError):
        for path in shard_files(run.shards)[:1]:
            if of_old_reader(shard_index(path).header.sampling):
                return f"{run.shards}: {MADE_BY}"
    return None
