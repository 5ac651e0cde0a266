"""Which run a command works on, said aloud, and how the next command is told so that it takes the same one."""

import os
import shlex
from pathlib import Path

from aadc.extract.run_folder import RUNS, RunFolder
from aadc.manifests.errors import UserError
from aadc.manifests.shown import say


def choose_run(run: Path | None) -> RunFolder:
    """The run folder `run`, else the one that AADC_RUN names, else the latest under runs/; says which it is, and why, and
    whether its shards were made by an earlier reader.

    Latest is the one that aadc-extract worked on last, be it that nothing was left to do.

    Raises:
        UserError: there is none, or what was named is no run.
    """
    if run is None and (named := os.environ.get("AADC_RUN")):
        folder, why = named_run(Path(named), "AADC_RUN "), " (AADC_RUN)"
    elif run is not None:
        folder, why = named_run(run, "--run "), ""
    else:
        every = _latest_first()
        if not every:
            raise UserError(f"no run under {RUNS}/ here; run aadc-extract MANIFEST first, or name one with --run FOLDER")
        folder, others = every[0], [other.path.name for other in every[1:]]
        listed = ", ".join(others[:3]) + (" …" if len(others) > 3 else "")
        why = f" (latest of {len(every)}; others: {listed}; --run takes one)" if others else " (the only one)"
    say(f"run: {folder.path}{why}")
    from aadc.extract.old_reader import old_reader  # opens a shard: not for whoever only asks for the next step

    if told := old_reader(folder):
        say(told)
    return folder


def next_step(folder: RunFolder, command: str) -> str:
    """`command` as it has to be typed for this run: with `--run FOLDER` where it would take another one without."""
    named = os.environ.get("AADC_RUN")
    taken = [RunFolder(Path(named))] if named else _latest_first()[:1]
    if taken and taken[0].path.resolve() == folder.path.resolve():
        return command
    return f"{command} --run {shlex.quote(str(folder.path))}"


def named_run(path: Path, source: str = "") -> RunFolder:
    """The run folder at `path`; `source`: the option or variable that named it. `UserError` if it is none."""
    if not os.path.isfile(path / "run.json"):
        raise UserError(
            f"{source}{path}: not a run folder (no run.json in it); aadc-extract MANIFEST --run {shlex.quote(str(path))} "
            "makes one"
        )
    return RunFolder(path)


def _latest_first() -> list[RunFolder]:
    found = [(os.stat(path).st_mtime_ns, path) for path in RUNS.glob("*/run.json") if os.path.isfile(path)]
    return [RunFolder(path.parent) for _, path in sorted(found, reverse=True)]
