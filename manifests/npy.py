"""One array in a `.npy` file, read without trust: nothing is unpickled, and no file claims more memory than it is long."""

from pathlib import Path

import numpy as np

from aadc.manifests.files import reason, regular

OBJECTS = "holds Python objects or is no .npy file; those are never opened here, since that could run a program"


class NpyError(Exception):
    """A file that is no array. Says why, as the end of a sentence that begins with the file's name."""


def is_of_objects(error: Exception) -> bool:
    """Whether numpy refused to unpickle something. Other errors quote the file's name, which may hold any word."""
    return isinstance(error, ValueError) and any(word in str(error).lower() for word in ("object", "pickle"))


def map_npy(path: Path) -> np.ndarray:
    """The array of a file, whatever numbers it is of, mapped and not read. `NpyError` if there is none."""
    try:
        array = np.load(regular(path), mmap_mode="r", allow_pickle=False)
    except Exception as error:  # whatever numpy, and zipfile behind it, make of a damaged or foreign file
        raise NpyError(OBJECTS if is_of_objects(error) else f"cannot be read ({reason(error)})") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise NpyError("is an archive of several arrays, whatever its name says")
    return array
