"""The process that exports what was decided, for the server: clips are decoded and written anew, which is nothing for it."""

import os
import shutil
import sys
import threading
import zipfile
from contextlib import suppress
from pathlib import Path

from aadc.live.job import read_job, until_parent_goes
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason
from aadc.manifests.records import Record

ARCHIVE, FOLDER = "learned.zip", "learned"
_NICE = 10
_LEFT_FREE = 2**30  # bytes of the disk


class ExportJob(Record):
    """What the process is asked to do. `out`: an empty folder; `cameras`: of these alone, None for all; `who`: asked for it."""

    data: str
    run: str
    out: str
    cameras: list[str] | None
    who: str


class ExportDone(Record):
    """What came of it: how many events are in it and how many were left out; or what was wrong."""

    confirmed: int = 0
    dismissed: int = 0
    left_out: int = 0
    wrong: str = ""


def main() -> None:
    """The process: reads its job, writes the folder and the archive of it, says what is in them."""
    os.nice(_NICE)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    job = read_job(ExportJob)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        done = _export(job)
    except UserError as error:
        done = ExportDone(wrong=str(error))
    except OSError as error:
        done = ExportDone(wrong=f"the export cannot be written ({reason(error)})")
    answers.write(done.model_dump_json())
    answers.close()
    sys.stderr.flush()
    os._exit(0)


def _end_with_parent() -> None:
    until_parent_goes()
    os._exit(1)


def _export(job: ExportJob) -> ExportDone:
    from aadc.extract.run_folder import RunFolder
    from aadc.live.export import export_decided
    from aadc.live.reader import Reader
    from aadc.live.store import STORE

    data, out = Path(job.data), Path(job.out)
    reader = Reader(data / STORE)
    clips = [data / one.clip for one in reader.events(job.cameras, most=10**9) if one.verdict and one.clip]
    reader.close()
    size = 0
    for clip in clips:
        with suppress(OSError):
            size += clip.stat().st_size
    if shutil.disk_usage(out).free < 2 * size + _LEFT_FREE:
        raise UserError(
            "the server's disk has no room for an export; aadc-live export FOLDER on that machine writes to another"
        )
    done = export_decided(data, RunFolder(Path(job.run)), out / FOLDER, job.who, job.cameras)
    with zipfile.ZipFile(out / ARCHIVE, "w", zipfile.ZIP_STORED) as archive:  # clips are small already
        for path in sorted((out / FOLDER).rglob("*")):
            if path.is_file():
                archive.write(path, Path(FOLDER) / path.relative_to(out / FOLDER))
                if path.suffix == ".mp4":
                    path.unlink()
    return ExportDone(confirmed=done.confirmed, dismissed=done.dismissed, left_out=len(done.left_out))
