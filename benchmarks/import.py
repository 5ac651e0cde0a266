"""How long an import takes, and how much memory: VadCLIP's layout, UCF-Crime's 1,900 videos, one crop, made up.

    python benchmarks/import.py [videos]

The folder takes about 0.4 GB of the temporary folder, the run as much again.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path, PurePosixPath

import numpy as np

from aadc.manifests.manifest import write_manifest
from aadc.manifests.official import shipped

PROGRAM = "import sys; from aadc.extract.published.cli import main; sys.argv[0] = 'aadc-import'; main()"


def make(folder: Path, rows: list) -> int:
    """Random features: lengths of the test videos are the real ones, of train videos drawn. Gives the number of rows."""
    random, total = np.random.default_rng(0), 0
    for row in rows:
        path, count = PurePosixPath(row.video), row.frames // 16 if row.frames else int(random.integers(20, 800))
        file = folder / path.parent.name / f"{path.stem}__5.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, random.normal(size=(count, 512)).astype(np.float16))
        total += count
    return total


def main() -> None:
    listed = shipped("ucf")
    rows = listed.rows[-int(sys.argv[1]) :] if len(sys.argv) > 1 else listed.rows
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_manifest(rows, listed.card, root / "ucf.csv")
        total = make(root / "UCFClipFeatures", rows)
        words = [str(root / "UCFClipFeatures"), str(root / "ucf.csv"), "--run", str(root / "run")]
        for what in ("import", "again, nothing left to do"):
            began = time.monotonic()
            with open(os.devnull, "w") as silent:
                child = subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stdout=silent, stderr=silent)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            print(
                f"{what}: {len(rows)} videos, {total} rows: {time.monotonic() - began:.1f} s "
                f"({usage.ru_utime + usage.ru_stime:.1f} s of processor), {usage.ru_maxrss / 1024:.0f} MB at most, "
                f"exit {child.returncode}"
            )


if __name__ == "__main__":
    main()
