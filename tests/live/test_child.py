"""Children as their parent looks after them: whatever one does, the parent is never kept waiting."""

import json
import time

from waiting import wait_until

from aadc.live.child import Child

_SLEEPS = "import time\n\n\ndef main():\n    time.sleep(60)\n"
_READS = """import json, os, sys


def main():
    job = json.loads(sys.stdin.buffer.readline())
    with open(job["to"], "w") as file:
        file.write(str(len(job["words"])))
    sys.stdin.buffer.read()
"""
WORDS = 3 * 2**20  # many times what a pipe holds


def a_child(folder, monkeypatch, text):
    (folder / "what_it_does.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    job = {"to": str(folder / "read"), "words": "x" * WORDS}
    return Child("child", "what_it_does", lambda: job, [], lambda: 0, 60.0, 60.0)


def test_one_that_does_not_read_its_job_keeps_nobody_waiting(tmp_path, monkeypatch):
    child = a_child(tmp_path, monkeypatch, _SLEEPS)
    began = time.monotonic()
    for _ in range(3):
        child.look_after()
    child.ask_to_end()
    child.end(time.monotonic() + 5)
    assert time.monotonic() - began < 10 and child.pid is None


def test_a_job_larger_than_a_pipe_arrives_whole(tmp_path, monkeypatch):
    child = a_child(tmp_path, monkeypatch, _READS)

    def arrived():
        child.look_after()
        return (tmp_path / "read").exists() and (tmp_path / "read").read_text()

    wait_until(arrived, 60)
    assert json.loads((tmp_path / "read").read_text()) == WORDS
    child.end(time.monotonic())
