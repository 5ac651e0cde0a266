"""What `aadc-eval` leaves behind beside other writers, when killed, when the disk is full or read-only: real processes."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from calls import call
from test_eval_command import run  # noqa: F401, a fixture

from aadc.eval import experiments, out_folder, scores
from aadc.eval.cli.evaluate import main
from aadc.eval.cli.table import main as table_main
from aadc.eval.out_folder import writing_to
from aadc.manifests.errors import UserError

PROGRAM = [sys.executable, "-c", "from aadc.eval.cli.evaluate import main; main()"]
FILES = ["made_with.json", "metrics.json", "scores.h5", "spans.csv"]


def start(run, *arguments, **options) -> subprocess.Popen:  # noqa: F811
    return subprocess.Popen(
        [*PROGRAM, "--run", str(run.path), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def test_two_at_once_never_meet(run):  # noqa: F811
    """Several real commands on one folder: each is done or told who writes there, and what is left is whole and of one."""
    processes = [start(run, *more) for more in ([], ["--report"], ["--metric", "map"], ["--report", "--metric", "all"])]
    ends = [(process.wait(), *process.communicate()) for process in processes]
    assert {status for status, _, _ in ends} <= {0, 2} and 0 in {status for status, _, _ in ends}
    for status, _, err in ends:
        assert "Traceback" not in err
        assert status == 0 or (len(err.splitlines()) == 1 and "another aadc command (process" in err and "--out" in err), err
    digests = {json.loads((run.eval / "metrics.json").read_text())["made_with"]["scores"]}
    digests.add(json.loads((run.eval / "made_with.json").read_text())["scores"])
    with h5py.File(run.eval / "scores.h5") as file:
        digests.add(json.loads(file.attrs["made_with"])["scores"])
    assert len(digests) == 1 and not list(run.eval.glob("*.tmp"))


def test_while_one_writes_another_is_told_by_whom(run, tmp_path):  # noqa: F811
    with writing_to(run.eval):
        status, _, err = call(main, "--run", str(run.path))
        assert status == 2 and f"process {os.getpid()} on" in err and len(err.strip().splitlines()) == 1
        assert call(main, "--run", str(run.path), "--out", str(tmp_path / "elsewhere"))[0] == 0
        assert call(main, "--run", str(run.path), "--threshold", "0.7")[0] == 0  # a folder of its own
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir() if path.suffix) == FILES
    assert call(main, "--run", str(run.path))[0] == 0


def test_what_a_killed_one_left_is_cleared_and_its_lock_is_gone(run):  # noqa: F811
    """kill -9 in the middle of writing; a stopped process holds its lock, and nobody waits for it without an end."""
    code = "import aadc.eval.out_folder as o, time; from pathlib import Path\nwith o.writing_to(Path(%r)) as f:\n"
    code += " (f / 'scores.h5.1.tmp').write_text('half')\n print('in', flush=True)\n time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code % str(run.eval)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "in\n"
    process.send_signal(signal.SIGSTOP)
    assert call(main, "--run", str(run.path))[0] == 2 and (run.eval / "scores.h5.1.tmp").exists()
    process.kill()
    process.wait()
    assert call(main, "--run", str(run.path))[0] == 0
    assert sorted(path.name for path in run.eval.iterdir()) == [".lock", *FILES]


def test_a_full_disk_leaves_what_was_there(run):  # noqa: F811
    """A limit on the size of files stands for a full disk, at every place where it can strike: one sentence, the old files."""
    assert call(main, "--run", str(run.path))[0] == 0
    before = {name: (run.eval / name).read_bytes() for name in FILES}

    for limit in (0, 10, 3_000, 100_000, 1_000_000):
        process = start(run, preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        _, err = process.communicate()
        (told,) = [line for line in err.splitlines() if line.startswith("aadc-eval: ")]  # joblib warns of shared memory
        assert process.returncode == 2 and "Traceback" not in err, (limit, err)
        assert str(run.eval) in told and "File too large" in told, (limit, err)
        assert {name: (run.eval / name).read_bytes() for name in FILES} == before and not list(run.eval.glob("*.tmp"))


def test_hdf5_s_own_errors_become_a_sentence(run, monkeypatch):  # noqa: F811
    """Where room could not be reserved HDF5 raises RuntimeError, with the same words for all that can go wrong."""
    assert call(main, "--run", str(run.path))[0] == 0
    before = (run.eval / "scores.h5").read_bytes()

    def full(path, scored):
        raise RuntimeError("Can't decrement id ref count (unable to close file)")

    monkeypatch.setattr(scores, "_reserve", full)
    status, _, err = call(main, "--run", str(run.path))
    assert status == 2 and "scores.h5: could not be written" in err and (run.eval / "scores.h5").read_bytes() == before
    assert not list(run.eval.glob("*.tmp"))


@pytest.mark.parametrize("options", [[], ["--report"], ["--out", "OUT"], ["classes"]])
def test_a_folder_that_takes_no_file_is_known_before_any_score(run, monkeypatch, options, tmp_path):  # noqa: F811
    (tmp_path / "file").touch()
    run.eval.symlink_to(tmp_path / "file")
    for module in (scores, experiments):
        monkeypatch.setattr(module, "score_split", lambda *_, **__: pytest.fail("scores were computed for nothing"))
    options = [str(tmp_path / "file" / "out") if option == "OUT" else option for option in options]
    status, _, err = call(table_main if "classes" in options else main, "--run", str(run.path), *options)
    assert status == 2 and len(err.strip().splitlines()) == 1 and "name another" in err


def test_a_read_only_folder_is_known_before_any_score(run, monkeypatch):  # noqa: F811
    run.eval.mkdir()
    (run.eval / ".lock").touch()

    def refuse(path, content):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(out_folder.Path, "write_bytes", refuse)
    monkeypatch.setattr(scores, "score_split", lambda *_, **__: pytest.fail("scores were computed for nothing"))
    status, _, err = call(main, "--run", str(run.path))
    assert status == 2 and f"{run.eval}: nothing can be written there (Read-only file system)" in err


def test_a_lock_is_given_back_when_the_work_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), writing_to(tmp_path):
        raise ZeroDivisionError
    with writing_to(tmp_path), pytest.raises(UserError, match="another aadc command"), writing_to(tmp_path):
        pass
