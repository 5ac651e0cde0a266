"""`aadc-manifest` as its users meet it: real processes, exit statuses, what stands on the screen and on the disk."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aadc.manifests.manifest import read_manifest

COMMAND = [sys.executable, "-c", "from aadc.manifests.cli import main; main()"]


@pytest.fixture
def gym(tmp_path) -> Path:
    """A project folder with clips: 4 of walking, 3 of squat, 2 of fall."""
    for name, count in {"walking": 4, "squat": 3, "fall": 2}.items():
        (tmp_path / "clips" / name).mkdir(parents=True)
        for index in range(count):
            (tmp_path / "clips" / name / f"{index} a.mp4").touch()
    return tmp_path


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "AADC_VIDEOS": "", "AADC_DEBUG": "", "COLUMNS": "200", **environment},
    )
    assert "Traceback" not in done.stderr
    return done


def on_terminal(folder: Path, *arguments: str, typed: bytes) -> tuple[int, str]:
    """Run on a pseudo-terminal, type when asked; exit status and everything shown.

    What is typed before the question's own terminal mode is set can get lost: it is typed once all is quiet, and again.
    """
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execv(COMMAND[0], [*COMMAND, *arguments])
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.5)[0]:
            if b"commas between them: " in shown:
                os.write(terminal, typed)
            continue
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # Linux: the other side has hung up
            break
        shown += piece
        if not piece:
            break
    else:
        os.kill(process, signal.SIGKILL)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode()


@pytest.mark.parametrize("command", [[], ["ucf"], ["xd"], ["folder"], ["demo"], ["check"]])
def test_help_shows_an_example_and_loads_nothing_heavy(command):
    heavy = ("torch", "transformers", "av", "numpy", "rich.table", "aadc.manifests.manifest")
    script = (
        f"import sys; sys.argv = ['aadc-manifest', *{command!r}, '--help']\n"
        "from aadc.manifests.cli import main\n"
        "try: main()\n"
        f"finally: print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.endswith("\n[]\n")
    assert command == [] or f"Example:  aadc-manifest {command[0]}" in done.stdout


@pytest.mark.parametrize(("name", "rows"), [("ucf", 1900), ("xd", 4754)])
def test_known_data_sets_come_out_of_the_project(tmp_path, name, rows):
    for _ in range(2):  # the second time it is there already, and the same
        done = run(tmp_path, name)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith(f"next: aadc-extract manifests/{name}.csv --videos FOLDER\n")
    assert len(read_manifest(tmp_path / "manifests" / f"{name}.csv").rows) == rows


def test_inconsistent_lists_are_refused(tmp_path):
    (tmp_path / "ucf_train.txt").write_text("Abuse/a.mp4\nDancing/b.mp4\n")
    (tmp_path / "ucf_test.txt").write_text("Abuse/c.mp4\n")
    (tmp_path / "ucf_temporal_test.txt").write_text("c  Abuse  9  5  -1  -1  \n")
    done = run(tmp_path, "ucf", ".")
    assert done.returncode == 2
    assert ".: 3 faults in the official lists, nothing was written:" in done.stderr
    assert not (tmp_path / "manifests").exists()


def test_folder_makes_a_manifest_whose_next_step_needs_no_videos_option(gym):
    done = run(gym, "folder", "clips", "--normal", "walking,squat", "--test-share", "0.5", "--whole-clips")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("next: aadc-extract manifests/clips.csv\n")
    manifest = read_manifest(gym / "manifests" / "clips.csv")
    assert manifest.card.videos == "../clips"
    assert [(e.name, e.kind) for e in manifest.card.classes[1:]] == [("walking", "normal"), ("fall", "abnormal")]
    assert [len(manifest.split(split)) for split in ("train", "test")] == [4, 5]
    assert run(gym, "check", "manifests/clips.csv").returncode == 0


def test_without_a_terminal_the_normal_classes_must_be_given(gym):
    done = run(gym, "folder", "clips")
    assert done.returncode == 2
    assert "which classes are normal? Say so with --normal" in done.stderr
    assert not (gym / "manifests").exists()


def test_on_a_terminal_they_are_asked_for(gym):
    status, shown = on_terminal(gym, "folder", "clips", typed=b"2, walking\n")
    assert status == 0, shown
    assert "  3  walking" in shown
    kinds = {entry.name: entry.kind for entry in read_manifest(gym / "manifests" / "clips.csv").card.classes}
    assert kinds == {"walking": "normal", "squat": "normal", "fall": "abnormal"}


@pytest.mark.parametrize(("typed", "status", "told"), [(b"\x03", 130, "interrupted"), (b"\x04", 2, "no answer")])
def test_leaving_the_question_writes_nothing(gym, typed, status, told):
    found, shown = on_terminal(gym, "folder", "clips", typed=typed)
    assert found == status, shown
    assert told in shown
    assert "Traceback" not in shown
    assert not (gym / "manifests").exists()


def test_another_manifest_is_never_overwritten(gym):
    assert run(gym, "folder", "clips", "--normal", "walking").returncode == 0
    card = gym / "manifests" / "clips.toml"
    card.write_text(card.read_text().replace('prompt = "fall"', 'prompt = "somebody falls"'))
    before = card.read_text()
    done = run(gym, "folder", "clips", "--normal", "walking")
    assert done.returncode == 2
    assert "there is another manifest already; remove it, or choose another name with --out" in done.stderr
    assert card.read_text() == before
    assert run(gym, "folder", "clips", "--normal", "walking", "--out", "mine.csv").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["folder", "none", "--normal", "walking"], "none: there is no such folder"),
        (["folder", "clips", "--normal", "jumping"], "'jumping' is none of the classes: fall, squat, walking"),
        (["folder", "clips/fall", "--normal", "fall"], "lie in no class folder"),
        (["folder", "clips", "--normal", "walking", "--labels", "none.csv"], "none.csv: there is no such file"),
        (["folder", "clips", "--normal", "walking", "--out", "gym.toml"], "a manifest is a .csv file"),
        (["folder", "clips", "--normal", "walking", "--out", "clips/fall/0 a.mp4/x.csv"], "clips/fall/0 a.mp4"),
        (["folder", "clips", "--normal", "walking", "--test-share", "1.5"], "--test-share"),
        (["ucf", "clips"], "clips: there is no ucf_temporal_test.txt or Temporal_Anomaly_Annotation.txt"),
        (["check", "none.csv"], "none.csv: there is no such manifest"),
        (["check"], "Missing argument"),
        (["dance"], "No such command"),
    ],
)
def test_wrong_input_is_2_and_told(gym, arguments, told):
    done = run(gym, *arguments)
    assert done.returncode == 2
    assert told in done.stderr


def test_one_class_is_not_enough(tmp_path):
    (tmp_path / "clips" / "walking").mkdir(parents=True)
    (tmp_path / "clips" / "walking" / "a.mp4").touch()
    done = run(tmp_path, "folder", "clips", "--normal", "walking")
    assert done.returncode == 2
    assert "only one class, walking" in done.stderr


def test_check_tells_all_bad_rows(gym):
    run(gym, "folder", "clips", "--normal", "walking")
    path = gym / "manifests" / "clips.csv"
    path.write_text(path.read_text() + "a,b,fall\nc,test,jump\n")
    done = run(gym, "check", str(path))
    assert done.returncode == 2
    assert "2 bad rows, nothing was started:\n  line 11: split: " in done.stderr


def test_check_tells_missing_videos(gym):
    run(gym, "folder", "clips", "--normal", "walking")
    (gym / "clips" / "fall" / "1 a.mp4").unlink()
    (gym / "clips" / "squat" / "0 a.mp4").unlink()
    done = run(gym, "check", "manifests/clips.csv")
    assert done.returncode == 1
    assert "2 of 9 videos cannot be read:" in done.stdout
    assert "fall/1 a.mp4: no such file" in done.stdout
    assert "squat/0 a.mp4: no such file" in done.stdout
    elsewhere = run(gym, "check", "manifests/clips.csv", "--videos", "manifests")
    assert elsewhere.returncode == 2
    assert "not one of the 9 videos is there" in elsewhere.stderr


def test_check_counts_and_remarks(gym):
    (gym / "gym.csv").write_text(
        "video,split,labels,segments\na,train,walking,\nb,test,walking|fall,0-5:squash;5-9:fall\nc,test,fall,\n"
    )
    (gym / "gym.toml").write_text(
        'title = "g"\n'
        + "".join(
            f'[[classes]]\nname = "{name}"\nkind = "{kind}"\nprompt = "{name}"\n'
            for name, kind in {"walking": "normal", "fall": "abnormal", "squash": "normal"}.items()
        )
    )
    done = run(gym, "check", "gym.csv")
    assert done.returncode == 0
    cells = [[cell.strip() for cell in line.strip("│ ").split("│")] for line in done.stdout.splitlines() if "│" in line]
    assert cells == [
        ["walking", "normal", "1", "1", "0"],
        ["fall", "abnormal", "0", "2", "1"],
        ["squash", "normal", "0", "0", "1"],
        ["videos", "", "1", "2", "2"],
    ]
    notes = [line for line in done.stdout.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: no train video of fall, squash",
        "note: no test video of squash",
        "note: 1 abnormal test videos have no segments, so only video-level figures can count them",
        "note: b is labelled walking|fall, but has segments of squash",
    ]


def test_demo_writes_scenes_that_the_next_step_finds(tmp_path):
    done = run(tmp_path, "demo", "--seed", "3", "--out", "my demo", "--train", "1", "--test", "1")
    assert done.returncode == 0
    assert "2/2" in done.stderr
    assert done.stdout.endswith("next: aadc-extract 'my demo/demo.csv'\n")
    manifest = read_manifest(tmp_path / "my demo" / "demo.csv")
    assert [row.split for row in manifest.rows] == ["train", "test"]
    assert run(tmp_path, "check", "my demo/demo.csv").returncode == 0


def test_folder_warns_of_negation_and_names_whole_clips(gym):
    (gym / "clips" / "no_mask").mkdir()
    for name in ("1.mp4", "2.mp4"):
        (gym / "clips" / "no_mask" / name).touch()
    out = " ".join(run(gym, "folder", "clips", "--normal", "walking,squat").stdout.split())
    assert 'negation, so "no mask" is near its opposite' in out and "edit the prompt in manifests/clips.toml" in out
    assert "--whole-clips says so" in out and "column segments of manifests/clips.csv" in out
    again = run(gym, "folder", "clips", "--normal", "walking,squat", "--whole-clips", "--out", "whole.csv").stdout
    assert "--whole-clips" not in again and "no segments" not in again
    assert "negation" not in run(gym, "ucf").stdout + run(gym, "xd").stdout  # nor "normal", nor "notebook"


def test_replace_keeps_what_people_wrote(gym):
    run(gym, "folder", "clips", "--normal", "walking,squat")
    table, card = gym / "manifests" / "clips.csv", gym / "manifests" / "clips.toml"
    card.write_text(card.read_text().replace('prompt = "fall"', 'prompt = "somebody falls"'))
    table.write_text(table.read_text().replace(",test,fall,,", ",test,fall,3-9:fall,"))
    marked = [row for row in read_manifest(table).rows if row.segments]
    (gym / "clips" / "squat" / "9.mp4").touch()
    before = table.read_bytes()
    refused = run(gym, "folder", "clips", "--normal", "walking,squat")
    assert refused.returncode == 2 and "--replace" in refused.stderr and table.read_bytes() == before
    done = run(gym, "folder", "clips", "--normal", "walking,squat", "--replace", "--seed", "5")
    assert done.returncode == 0 and "replaced: 1 row added, squat/9.mp4" in done.stdout
    after = read_manifest(table)
    assert len(marked) == 1 and [row for row in after.rows if row.segments] == marked
    assert "somebody falls" in after.card.prompts and run(gym, "check", "manifests/clips.csv").returncode == 0


def test_a_demo_where_a_file_stands(tmp_path):
    (tmp_path / "taken").write_text("mine")
    done = run(tmp_path, "demo", "--out", "taken", "--train", "1", "--test", "1")
    assert done.returncode == 2 and "taken/videos: the folder cannot be made" in done.stderr
    assert (tmp_path / "taken").read_text() == "mine"
