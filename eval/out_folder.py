"""The folder that a command of evaluation leaves its files in: one writer at a time, known to be writable before any work."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from aadc.manifests.errors import UserError
from aadc.manifests.files import clear_torn, make_folder, reason


@contextmanager
def writing_to(folder: Path) -> Iterator[Path]:
    """Make the folder if need be and keep it for this process; what killed ones left half written in it is removed.

    Raises:
        UserError: another process writes there, or nobody may.
    """
    check_writable(folder)
    try:
        file = (folder / ".lock").open("a+b")
    except OSError as error:
        raise UserError(f"{folder / '.lock'}: cannot be written ({reason(error)}); name another folder with --out") from error
    with file:
        _lock(file, folder)
        clear_torn(folder)
        yield folder


def check_writable(folder: Path) -> None:
    """Make the folder if need be and try whether a file can be made in it, before hours go into what it shall hold.

    Raises:
        UserError: it cannot.
    """
    make_folder(folder)
    trial = folder / f"trial.{os.getpid()}.tmp"
    try:
        trial.write_bytes(b"x")
    except OSError as error:
        raise UserError(f"{folder}: nothing can be written there ({reason(error)}); name another folder with --out") from error
    finally:
        with suppress(OSError):
            trial.unlink(missing_ok=True)


def _lock(file: BinaryIO, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it when the process ends, however it ends
    except BlockingIOError:
        file.seek(0)
        holder = file.read(200).decode(errors="replace").strip() or "unknown"
        raise UserError(
            f"{folder}: another aadc command ({holder}) is writing there; wait for it, or name another folder with --out"
        ) from None
    except OSError as error:
        raise UserError(f"{folder}: cannot be locked ({reason(error)}); name another folder with --out") from error
    with suppress(OSError):  # a full disk: who writes here is then not known to the next, and that is all
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}".encode())
