"""The run folder: everything one experiment makes, from shards to report, in one place that explains itself."""

import fcntl
import os
import shlex
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pydantic import Field

from aadc.manifests.errors import UserError
from aadc.manifests.files import clear_torn, make_folder, reason, replace_file
from aadc.manifests.manifest import Manifest, copy_manifest, read_manifest
from aadc.manifests.records import Record, read_record

RUNS = Path("runs")


class RunRecord(Record):
    """What run.json says: what was asked for, and what was there. `settings` are `ExtractSettings` as plain values."""

    manifest: str = ""
    videos: str = Field("videos", min_length=1, description="video root, absolute")
    settings: dict[str, object] | None = None
    fingerprint: str = ""
    models: dict[str, dict[str, object]] = {}
    device: str = ""


_ELSEWHERE = "choose another folder with --run"


@dataclass(frozen=True)
class RunFolder:
    """`runs/<manifest name>/`: shards/, rejected.csv, cut_off.csv, head/, eval/, run.json and a copy of manifest and card."""

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
    def cut_off(self) -> Path:
        """Videos of which only a part decoded, and which are kept; not there where there are none."""
        return self.path / "cut_off.csv"

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
            copy_manifest(manifest.path, self.manifest_csv)

    def record(self) -> RunRecord:
        """What `run.json` says was asked for. `UserError` if it cannot be read; aadc-extract writes it anew."""
        again = f"run aadc-extract again, which mends it: aadc-extract MANIFEST --run {shlex.quote(str(self.path))}"
        return read_record(self.run_json, RunRecord, again)

    def write_record(self, record: RunRecord | Mapping) -> None:
        """Replace `run.json` in one step. `UserError` if that fails."""
        replace_file(self.run_json, RunRecord.model_validate(record).model_dump_json(indent=2) + "\n")

    def mark_latest(self) -> None:
        """Make this the run that commands take which name none (see `run_choice`), though nothing in it has changed."""
        try:
            os.utime(self.run_json)
        except OSError as error:
            raise UserError(f"{self.run_json}: cannot be written ({reason(error)}); {_ELSEWHERE}") from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second writer out, and clear away what killed ones left half written.

        The system lets go of the lock when the process ends, however it ends.

        Raises:
            UserError: somebody else has it, or the folder cannot be written.
        """
        make_folder(self.path)
        try:
            file = (self.path / ".lock").open("a+", errors="replace")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({reason(error)}); {_ELSEWHERE}") from None
        with file:
            self._take(file)
            for folder in (self.path, self.shards, self.parts, self.head, self.eval):
                clear_torn(folder)
            yield

    def _take(self, file: TextIO) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
        except BlockingIOError:
            file.seek(0)
            raise UserError(
                f"{self.path}: another aadc command ({file.read(200).strip() or 'unknown'}) is writing to this run; wait "
                "for it, or use another folder with --run"
            ) from None
        except OSError as error:
            raise UserError(f"{self.path}: cannot be locked ({reason(error)}); {_ELSEWHERE}") from None
