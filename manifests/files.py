"""Files that are replaced whole: the old one or the new one, never half of either, whatever happens meanwhile."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aadc.manifests.errors import UserError


@contextmanager
def replacing(path: Path, *errors: type[Exception], way_out: str = "free some space or name another folder") -> Iterator[Path]:
    """Write a file beside `path` and move it there once the block is done, synced; what was there stays until then.

    Args:
        errors: what a library raises where the disk is full, other than `OSError`.
        way_out: what to do about it, as the end of a sentence; then start the command again.
    Yields:
        the path to write to. It is gone afterwards in any case, unless the process is killed (see `clear_torn`).
    Raises:
        UserError: the file could not be written; names it, and why.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    failures: tuple[type[Exception], ...] = (OSError, *errors)
    try:
        beside.touch()
        usual = beside.stat().st_mode
        beside.unlink()
        yield beside
        beside.chmod(usual)  # a library may have made a file of its own there, that nobody else can read
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
        sync_folder(path.parent)
    except failures as error:
        raise UserError(f"{path}: could not be written ({reason(error)}); {way_out}, and start the command again") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def replace_file(path: Path, content: bytes | str) -> None:
    """Put bytes, or text as UTF-8, into a file in one step. `UserError` if that fails; the old file is then untouched."""
    with replacing(path) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


def make_folder(path: Path) -> None:
    """Make a folder and those above it. `UserError` if that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: the folder cannot be made ({reason(error)}); name another one") from error


def regular(path: Path) -> Path:
    """The path, to be opened for reading at once.

    A pipe would wait for ever for somebody to write into it, and some devices have no end; so neither is opened. Those below
    /dev were named on purpose (a shell's `<(command)` is one).

    Raises:
        OSError: such a thing lies there, or nothing that can be looked at.
    """
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and os.path.abspath(path).split(os.sep)[1] != "dev":
        raise OSError(errno.EINVAL, "it is a pipe or device, no file", str(path))
    return path


def sync_folder(path: Path) -> None:
    """Make what a folder lists survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clear_torn(folder: Path) -> None:
    """Remove what killed processes left half written in a folder (not below it). Only for whoever holds its lock."""
    for torn in folder.glob("*.tmp"):
        with suppress(OSError):
            torn.unlink()


def reason(error: BaseException) -> str:
    """Why, in few words: never empty, one line."""
    if isinstance(error, OSError) and error.strerror:  # HDF5's is a story of several lines
        if "\n" not in error.strerror:
            return error.strerror
        if error.errno is not None:
            return os.strerror(error.errno)
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
