"""The run folder: everything one experiment makes, from shards to report, in one place that explains itself."""

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Manifest, read_manifest

RUNS = Path("runs")


@dataclass(frozen=True)
class RunFolder:
    """`runs/<manifest name>/`: shards/, rejected.csv, head/, eval/, run.json and a copy of the manifest with its card."""

    path: Path

    @property
    def shards(self) -> Path:
        return self.path / "shards"

    @property
    def parts(self) -> Path:
        """Finished videos whose shard is not complete yet; gone when the extraction is."""
        return self.path / "parts"

    @property
    def rejected(self) -> Path:
        return self.path / "rejected.csv"

    @property
    def head(self) -> Path:
        return self.path / "head"

    @property
    def eval(self) -> Path:
        return self.path / "eval"

    @property
    def manifest_csv(self) -> Path:
        return self.path / "manifest.csv"

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    def manifest(self) -> Manifest:
        """The manifest this run was extracted from. `UserError` if the folder has none."""
        return read_manifest(self.manifest_csv)

    def keep_manifest(self, manifest: Manifest) -> None:
        """Copy manifest and card into the run, so that later stages need nothing else."""
        if manifest.path.resolve() != self.manifest_csv.resolve():
            shutil.copyfile(manifest.path, self.manifest_csv)
            shutil.copyfile(manifest.path.with_suffix(".toml"), self.manifest_csv.with_suffix(".toml"))

    def record(self) -> dict:
        """What `run.json` says was asked for. `UserError` if it cannot be read."""
        try:
            record = json.loads(self.run_json.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{self.run_json}: cannot be read ({error}); run aadc-extract again") from None
        if not isinstance(record, dict):
            raise UserError(f"{self.run_json}: not the record of a run; run aadc-extract again")
        return record

    def write_record(self, record: Mapping) -> None:
        """Replace `run.json` in one step."""
        beside = self.run_json.with_suffix(".json.tmp")
        beside.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        os.replace(beside, self.run_json)

    def mark_latest(self) -> None:
        """Make this the run that commands take which name none (see `run_choice`), though nothing in it has changed."""
        os.utime(self.run_json)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second writer out. The system lets go of the lock when the process ends, however it ends."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise UserError(
                    f"{self.path}: another aadc command ({file.read().strip() or 'unknown'}) is writing to this run; wait "
                    "for it, or use another folder with --run"
                ) from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            yield
