"""Features of all training videos in a file of their own, mapped: what was read stays in memory as long as there is room."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from aadc.manifests.errors import UserError
from aadc.manifests.files import reason

IN_MEMORY = 2 << 30  # bytes; UCF-Crime's training videos take 1.2 GB (512 + 256 numbers a snippet), XD-Violence's 1.6


class RowStore:
    """Half-precision tensors, written one after the other, read as parts of a map.

    Up to `IN_MEMORY` bytes the file is memory's own, else on disk. It has no name, so nothing is left of it however training
    ends. A full disk shows while it is written: in a map that is written to it would be a crash.

    Args:
        folder: on whose disk it lies.
        size: how many bytes will come, about.
    Raises:
        UserError: it cannot be written there.
    """

    def __init__(self, folder: Path, size: int = 0):
        self._folder = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
        try:
            in_memory = size <= IN_MEMORY and hasattr(os, "memfd_create")
            self._file: IO[bytes] = (
                open(os.memfd_create("features"), "w+b") if in_memory else tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
            )
        except OSError as error:
            raise UserError(f"{self._folder}: cannot be written ({reason(error)}); give another folder with --out") from None
        self._size = 0

    def add(self, tensors: Sequence[Tensor]) -> list[tuple[int, tuple[int, ...]]]:
        """Where each lies: its first value, and its shape."""
        places = []
        try:
            for tensor in tensors:
                self._file.write(tensor.half().contiguous().numpy().data)
                places.append((self._size, tuple(tensor.shape)))
                self._size += tensor.numel()
        except OSError as error:
            raise UserError(
                f"{self._folder}: the features of the training videos could not be written ({reason(error)}); free some space, "
                "or give a folder on another disk with --out"
            ) from None
        return places

    def map(self) -> Tensor:
        """All values in a row, float16 (N,). What is added later is not in it."""
        with self._file as file:
            file.flush()
            values = np.memmap(file, np.float16, "c") if os.fstat(file.fileno()).st_size else np.zeros(0, np.float16)
        return torch.from_numpy(values)
