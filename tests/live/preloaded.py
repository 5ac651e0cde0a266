"""A C file of ours that stands before the C library of other processes, and does what a file says meanwhile."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


class Preloaded:
    """Made of a C file beside this one. Processes with `environment` get it; it reads the file that the variable `says` names.
    The test is skipped where there is no C compiler."""

    def __init__(self, source: str, folder: Path, says: str) -> None:
        if shutil.which("cc") is None or sys.platform != "linux":
            pytest.skip(f"no C compiler to make {source} with")
        library, self._file = folder / Path(source).with_suffix(".so"), folder / "told"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, Path(__file__).with_name(source), "-ldl"], check=True)
        self.environment = {"LD_PRELOAD": str(library), says: str(self._file)}

    def tell(self, text: str) -> None:
        """What the file says from now on; nobody reads half of it."""
        beside = self._file.with_name("next")
        beside.write_text(text)
        beside.replace(self._file)
