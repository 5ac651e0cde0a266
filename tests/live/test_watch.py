"""The processes as a whole: any of them killed is back, all end together, nothing is left, no password is anywhere."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from rtsp import clock_video
from waiting import wait_until

from aadc.live.watch import alone
from aadc.manifests.errors import UserError

_WATCH = """
import sys
from pathlib import Path
from aadc.live.read_config import read_config
from aadc.live.watch import Watch
path = Path(sys.argv[1])
Watch(read_config(path), path).run()
"""
_LIGHT = """
import sys
for name in ("torch", "torchvision", "transformers", "open_clip", "timm", "sklearn", "scipy", "matplotlib", "streamlit", "av"):
    sys.modules[name] = None  # an import of it fails, as where it is not installed
sys.argv[0] = "aadc-live"
from aadc.live.cli import main
main()
"""
SECRET = "hunter2-%40x"


class Watching:
    """A parent process and everything it says."""

    def __init__(self, folder, text, environment=None):
        self.folder = folder
        (folder / "cameras.toml").write_text(text)
        os.chmod(folder / "cameras.toml", 0o600)
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _WATCH, str(folder / "cameras.toml")],
                stdout=log, stderr=log, cwd=folder, env={**os.environ, **(environment or {})}, start_new_session=True,
            )  # fmt: skip

    @property
    def status(self):
        try:
            return json.loads((self.folder / "live" / "status.json").read_text())
        except FileNotFoundError:
            return {"cameras": {}, "score": {}}

    def scored(self, name):
        return self.status["score"].get("cameras", {}).get(name, {}).get("scored", 0)

    def pids(self):
        """Of all child processes that are alive."""
        try:
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
                return [int(pid) for pid in file.read().split()]
        except OSError:
            return []

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def watching():
    made = []

    def make(folder, text, *arguments, web=""):
        made.append(Watching(folder, text + (web or "\n[web]\nenabled = false\n"), *arguments))
        return made[-1]

    yield make
    for one in made:
        one.end()


def has_loaded(pid, library):
    with open(f"/proc/{pid}/maps") as file:
        return library in file.read()


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_processes_are_back_and_go_together_and_tell_no_password(tmp_path, rtsp_server, watching, trained):
    clock_video(rtsp_server.folder / "a.mp4", seconds=4)
    address = rtsp_server.url("a.mp4", "admin:${DOOR}@")
    text = f"""
    run = "{trained[1].path}"
    snippet_s = 0.4
    [[camera]]
    name = "door"
    source = "{address}"
    [[camera]]
    name = "gone"
    source = "rtsp://admin:hunter2-other@127.0.0.1:9/x?password=hunter2-third"
    [[camera]]
    name = "off"
    source = "rtsp://127.0.0.1:9/x"
    enabled = false
    """
    live = watching(tmp_path, text, {"DOOR": SECRET})
    wait_until(lambda: live.scored("door") > 3, 90)
    cameras = live.status["cameras"]
    assert [cameras[name]["state"] for name in ("door", "off")] == ["online", "disabled"]
    assert cameras["gone"]["state"] in ("offline", "connecting")
    wait_until(lambda: "refused" in live.log.read_text().lower(), 20)
    # Others can read command lines: there is nothing in them.
    for pid in live.pids():
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            assert b"hunter2" not in file.read()

    capture, score = cameras["door"]["pid"], live.status["score"]["pid"]
    torch_in = [has_loaded(pid, "libtorch") for pid in (score, capture, live.process.pid)]
    assert torch_in == [True, False, False], "half a gigabyte each"
    os.kill(capture, signal.SIGKILL)
    assert wait_until(lambda: live.status["cameras"]["door"]["pid"] not in (None, capture), 10) < 5 + 2  # the status is 2 s old
    assert live.status["score"]["pid"] == score, "the others live"
    wait_until(lambda: live.status["cameras"]["door"]["state"] == "online", 15)
    before = live.scored("door")
    wait_until(lambda: live.scored("door") > before, 15)

    capture = live.status["cameras"]["door"]["pid"]
    (tmp_path / "cameras.toml").write_text("half [written")  # what was read at the start counts until the next one
    os.kill(score, signal.SIGKILL)
    assert wait_until(lambda: live.status["score"]["pid"] not in (None, score), 10) < 5 + 2
    assert live.status["cameras"]["door"]["pid"] == capture
    wait_until(lambda: 0 < live.scored("door") < 1000 and live.status["score"]["restarts"] == 1, 90)

    children = live.pids()
    assert len(children) == 3
    began = time.monotonic()
    live.process.send_signal(signal.SIGTERM)
    assert live.process.wait(10) == 0 and time.monotonic() - began < 5
    assert not any(alive(child) for child in children)
    everything = "".join(
        path.read_bytes().decode("latin1") for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".toml"
    )
    assert "online" in everything and "hunter2" not in everything
    with sqlite3.connect(tmp_path / "live" / "events.sqlite") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert {name for (name,) in db.execute("SELECT name FROM cameras")} == {"door", "gone"}


def test_nothing_is_left_of_a_parent_that_was_killed(tmp_path, watching, trained):
    """Not even a child that is stopped."""
    text = f'run = "{trained[1].path}"\n[[camera]]\nname = "a"\nsource = "rtsp://127.0.0.1:9/x"\n'
    live = watching(tmp_path, text)
    wait_until(lambda: len(live.pids()) == 2, 30)
    children = live.pids()
    wait_until(lambda: has_loaded(children[-1], "libavformat"), 60)  # by then it has asked the system to go with its parent
    os.kill(children[-1], signal.SIGSTOP)
    live.process.kill()
    live.process.wait()
    wait_until(lambda: not any(alive(child) for child in children), 5)


@pytest.mark.parametrize("after_s", [0.0, 0.7, 4.0])
def test_sigterm_while_it_starts_is_an_end_like_any_other(tmp_path, trained, after_s):
    """From the first moment at which it is asked: before anything is read, while processes start, while models load."""
    text = f'run = "{trained[1].path}"\n[web]\nport = 1\n' + "".join(
        f'[[camera]]\nname = "{number}"\nsource = "rtsp://127.0.0.1:9/x"\n' for number in range(8)
    )
    (tmp_path / "cameras.toml").write_text(text)
    command = [sys.executable, "-m", "aadc.live.cli", str(tmp_path / "cameras.toml")]
    with (tmp_path / "log").open("w") as log:
        started = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True)

    def takes_it():
        line = next(line for line in Path(f"/proc/{started.pid}/status").read_text().splitlines() if "SigCgt" in line)
        return int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1

    try:
        wait_until(takes_it, 60)
        time.sleep(after_s)
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        assert not has_loaded(started.pid, "libtorch"), "the parent loads no model"
        began = time.monotonic()
        started.terminate()
        assert started.wait(30) == 0 and time.monotonic() - began < 5
        wait_until(lambda: not any(alive(child) for child in children), 1)
        assert "Traceback" not in (tmp_path / "log").read_text()
    finally:
        started.kill()
        started.wait()


def test_a_lock_that_cannot_be_is_said_and_what_fails_under_one_is_not_its_fault(tmp_path):
    with pytest.raises(PermissionError), alone(tmp_path):
        raise PermissionError("of something else")
    (tmp_path / "lock").unlink()
    (tmp_path / "lock").mkdir()
    with pytest.raises(UserError, match=r"lock: cannot be used \(Is a directory\); name another data folder"), alone(tmp_path):
        pass
    (tmp_path / "lock").rmdir()
    os.mkfifo(tmp_path / "lock")  # which was waited for
    with pytest.raises(UserError, match=r"lock: cannot be used \(.*seekable.*\); name another data folder"), alone(tmp_path):
        pass


def test_a_status_that_cannot_be_written_is_said_once(tmp_path, watching, trained):
    """What other programs read there would be old in silence."""
    folder, run, _, _ = trained
    video = sorted((folder / "demo" / "videos").glob("test-*"))[0]
    (tmp_path / "live" / "status.json").mkdir(parents=True)
    (tmp_path / "live" / ".aadc-live").touch()
    live = watching(tmp_path, f'run = "{run.path}"\n[[camera]]\nname = "a"\nsource = "{video}"\nloop = true\n')
    told = f"{tmp_path / 'live' / 'status.json'}: cannot be written (Is a directory); what it says is old; make room for it, or"
    wait_until(lambda: told in live.log.read_text(), 30)
    time.sleep(5)  # twice more it is tried
    assert live.log.read_text().count("cannot be written") == 1
    (tmp_path / "live" / "status.json").rmdir()
    wait_until(lambda: "status.json: is written again" in live.log.read_text(), 20)
    assert live.status["cameras"]["a"]
    live.process.terminate()
    assert live.process.wait(30) == 0


def test_recordings_are_watched_to_their_end(tmp_path, watching, trained):
    """And a second one in the same folder is refused."""
    folder, run, _, head = trained
    video = sorted((folder / "demo" / "videos").glob("test-*"))[0]
    text = (
        f'run = "{run.path}"\n[rules]\nopen_at = 0.01\nclose_at = 0.01\n[[camera]]\nname = "a"\nsource = "{video}"\npace = 5\n'
    )
    live = watching(tmp_path, text)
    wait_until(lambda: (tmp_path / "live" / "lock").exists(), 30)
    time.sleep(0.5)
    other = subprocess.run(
        [sys.executable, "-c", _WATCH, str(tmp_path / "cameras.toml")], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert "another aadc-live is at work" in other.stderr
    assert live.process.wait(120) == 0
    assert live.scored("a") >= 30 and live.status["cameras"]["a"]["error"] == ""
    with sqlite3.connect(tmp_path / "live" / "events.sqlite") as db:
        (count,) = db.execute("SELECT count(*) FROM events WHERE ending IS NOT NULL").fetchone()
        pictures = db.execute("SELECT weights, width, length(things) FROM events JOIN pictures ON event = number").fetchall()
    clip = run.record().models["clip"]
    assert len(pictures) == count and {weights for weights, *_ in pictures} == {clip["weights"]}
    assert all(size and size % (2 * width) == 0 and size <= 6 * 2 * width for _, width, size in pictures)
    assert count >= 1 and " begins (" in live.log.read_text()


def test_a_run_that_cannot_score_is_told_once(tmp_path, watching, trained):
    text = f'run = "{trained[1].path}"\nwindow = 3\n[[camera]]\nname = "a"\nsource = "rtsp://127.0.0.1:9/x"\n'
    live = watching(tmp_path, text)
    assert live.process.wait(60) == 1  # a traceback of the driver here; `run_command` makes it one sentence and exit status 2
    told = live.log.read_text()
    assert told.count("a window of 3 snippets") == 1 and "scoring could not start" in told


def test_the_command_needs_no_torch_and_who_scores_tells_of_a_device_that_is_not_there(tmp_path, trained):
    """All is started where the parent could not load torch, nor read a video."""
    text = f'run = "{trained[1].path}"\n[web]\nenabled = false\n[[camera]]\nname = "a"\nsource = "rtsp://127.0.0.1:9/x"\n'
    (tmp_path / "cameras.toml").write_text(text)
    command = [sys.executable, "-c", _LIGHT, "cameras.toml", "--device", "nothere"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.count("--device nothere: not usable here") == 1 and "scoring could not start" in done.stderr


def test_a_language_model_that_is_not_there_keeps_nobody_from_anything(tmp_path, watching, trained):
    text = (
        f'run = "{trained[1].path}"\n[words]\nllm = "{tmp_path / "nothere.gguf"}"\n'
        '[[camera]]\nname = "a"\nsource = "rtsp://127.0.0.1:9/x"\n'
    )
    live = watching(tmp_path, text)
    wait_until(lambda: "events keep their composed words" in live.log.read_text(), 120)
    wait_until(lambda: live.status["score"].get("cameras"), 90)
    assert live.log.read_text().count("no such GGUF file") == 1 and live.status["words"]["restarts"] == 0
    live.process.send_signal(signal.SIGTERM)
    assert live.process.wait(10) == 0


def test_the_server_is_beside_and_shows_what_is_scored(tmp_path, rtsp_server, watching, trained):
    import httpx

    clock_video(rtsp_server.folder / "a.mp4", seconds=4)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = f"""
    run = "{trained[1].path}"
    snippet_s = 0.4
    [[camera]]
    name = "door"
    source = "{rtsp_server.url("a.mp4")}"
    """
    live = watching(tmp_path, text, web=f"\n[web]\nport = {port}\n")
    wait_until(lambda: "password " in live.log.read_text() and live.scored("door") > 3, 90)
    password = live.log.read_text().partition("password ")[2].split()[0]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:

        def answers(path):
            try:
                return client.get(path)
            except httpx.HTTPError:
                return None

        wait_until(lambda: (answer := answers("/health")) is not None and answer.status_code == 200, 60)
        assert client.post("/login", data={"name": "admin", "password": password}).status_code == 303
        (camera,) = client.get("/api/cameras").json()
        assert camera["name"] == "door" and camera["state"] == "online" and "rtsp" not in str(camera)

        def recently():
            return client.get("/api/cameras/door/recent").json()

        wait_until(lambda: any(final for *_, final in recently()["scores"]), 30)  # final ones come six snippets later
        recent = recently()
        times = [ms for ms, _, _ in recent["scores"]]
        assert len(times) > 3 and times == sorted(times) and 0 <= recent["at_ms"] - times[-1] < 60_000
        assert all(0 <= score <= 1 for _, score, _ in recent["scores"]) and recent["open_at"] == 0.5
        assert not all(final for *_, final in recent["scores"]) and len(recent["shape"]) == 2
        assert client.get("/api/cameras/door/snapshot.jpg").content[:2] == b"\xff\xd8"
        assert not has_loaded(live.status["web"]["pid"], "libtorch")
        os.kill(live.status["web"]["pid"], signal.SIGKILL)
        wait_until(lambda: live.status["web"]["restarts"] == 1, 15)
        wait_until(lambda: (answer := answers("/api/cameras")) is not None and answer.status_code == 200, 60)
    began = time.monotonic()
    live.process.send_signal(signal.SIGTERM)
    assert live.process.wait(10) == 0 and time.monotonic() - began < 5


def test_many_cameras_are_given_room_or_it_is_said():
    """Each takes some open files; many systems allow a thousand unless more are asked for."""
    code = (
        "import resource\n"
        "from aadc.live.watch import _make_room\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (200, 4096))\n"
        "for cameras in (5, 500, 5000):\n"
        "    try:\n"
        "        _make_room(cameras)\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__, error)\n"
        "    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.splitlines() == [
        "200", "3128", "UserError 5000 cameras take 30128 open files, and 4096 are allowed here; see ulimit -Hn", "3128",
    ]  # fmt: skip
