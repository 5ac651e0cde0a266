"""Words as CLIP embeds them, for whoever looks for pictures of events: by a process of its own, so that the server loads no
model. It begins when somebody looks, and ends when nobody did for five minutes.
"""

import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field

from aadc.extract.run_folder import RunFolder
from aadc.live.event_pictures import ClipUsed
from aadc.live.job import read_job
from aadc.manifests.errors import UserError
from aadc.manifests.records import Record, parse_record

MOST_REMEMBERED = 256  # words, some 2 KB each
MOST_WAITING = 8
ANSWERS_WITHIN_S = 90.0  # a big CLIP on a slow disk
_IDLE_S = 300
_NICE = 5  # somebody waits for it
_LATER = "pictures cannot be looked through just now"


class EmbeddedWords(NamedTuple):
    """CLIP's embedding of some words, float32 (C,) of length 1, and which CLIP it was."""

    clip: ClipUsed
    text: np.ndarray


class TowerJob(Record):
    """What the process is asked to do; words follow, a line of JSON each."""

    run: str


class Answer(Record):
    """Its answer to a line. `wrong`: why there is none."""

    source: str = ""
    weights: str = ""
    text: list[float] = Field([], max_length=100_000)
    wrong: str = ""


def embedded(run: Path, words: str) -> EmbeddedWords:
    """Embed words here and now, with the text tower of the CLIP that a run's features were made with: seconds, and torch.

    Raises:
        UserError: the CLIP is not there, or there are no words, or more than it reads.
    """
    return _Tower(run)(words)


class TextTower:
    """Embeds words in a process of its own; the last ones are remembered. To be called from any thread."""

    def __init__(self, run: Path, answers_within_s: float = ANSWERS_WITHIN_S) -> None:
        self._run, self._within_s = run, answers_within_s
        self._asked: queue.Queue[tuple[str, Future]] = queue.Queue(MOST_WAITING)
        self._known: OrderedDict[str, EmbeddedWords] = OrderedDict()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def __call__(self, words: str) -> EmbeddedWords:
        """The embedding of some words.

        Raises:
            UserError: there are none, or more than CLIP reads; CLIP is not there; too many ask at once.
        """
        words = _one_line(words)
        if not words:
            raise UserError("there are no words to look for")
        with self._lock:
            if words in self._known:
                self._known.move_to_end(words)
                return self._known[words]
            if self._thread is None:  # always the same: the process is bound to the thread that started it
                self._thread = threading.Thread(target=self._work, name="text tower", daemon=True)
                self._thread.start()
        future: Future = Future()
        try:
            self._asked.put_nowait((words, future))
        except queue.Full:
            raise UserError(f"{_LATER}: too many look at once; try again") from None
        try:
            answer = future.result(self._within_s * 2)
        except TimeoutError:
            raise UserError(f"{_LATER}: CLIP does not answer; try again") from None
        if answer.wrong:
            raise UserError(answer.wrong)
        found = EmbeddedWords(ClipUsed(answer.source, answer.weights), np.array(answer.text, np.float32))
        with self._lock:
            self._known[words] = found
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
        return found

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def _work(self) -> None:
        while True:
            words, future = self._asked.get()
            try:
                future.set_result(self._ask(words))
            except Exception as error:  # a process that was killed, no memory for one: the next is another one
                self._end()
                future.set_exception(UserError(f"{_LATER} ({type(error).__name__}); try again"))

    def _ask(self, words: str) -> Answer:
        """Ask the process, and a new one where it ended meanwhile."""
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = self._start()
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        self._process.stdin.flush()
        line, until = b"", time.monotonic() + self._within_s
        while not line.endswith(b"\n"):
            if not select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError
            part = os.read(self._process.stdout.fileno(), 2**16)
            if not part:
                raise EOFError
            line += part
        return parse_record(line, "the answer of the text tower", Answer, "this is a bug")

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "aadc.live.following", "aadc.live.text_tower", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        assert process.stdin is not None
        process.stdin.write(TowerJob(run=str(self._run)).model_dump_json().encode() + b"\n")
        process.stdin.flush()
        return process

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._process = None


def _one_line(words: str) -> str:
    """Half a character, as a terminal or JSON may hand it over, is in no vocabulary."""
    return " ".join(words.encode("utf-8", "replace").decode().split())


class _Tower:
    """The text tower itself."""

    def __init__(self, run: Path) -> None:
        made_with = RunFolder(run).record().models.get("clip", {})
        source = made_with.get("source")
        if not isinstance(source, str):
            raise UserError(f"{run}: does not say which CLIP made its features; run aadc-extract again")
        from aadc.eval.moments import embedded_words  # heavy: torch
        from aadc.head.text_tower import load_tower

        self._clip = load_tower({"source": source, "weights": ""}, None)  # each picture says of which weights it is
        self._embed = embedded_words

    def __call__(self, words: str) -> EmbeddedWords:
        return EmbeddedWords(ClipUsed(self._clip.source, self._clip.weights), self._embed(self._clip, _one_line(words)))


def main() -> None:
    """The process: answers a line for each line."""
    os.nice(_NICE)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    job = read_job(TowerJob)
    tower, wrong = None, ""
    try:
        tower = _Tower(Path(job.run))
    except UserError as error:
        wrong = str(error)
    while True:
        signal.alarm(_IDLE_S)  # which ends the process
        line = sys.stdin.buffer.readline()
        signal.alarm(0)
        if not line:
            return
        answer = Answer(wrong=wrong)
        if tower is not None:
            try:
                found = tower(json.loads(line))
                answer = Answer(source=found.clip.source, weights=found.clip.weights, text=found.text.tolist())
            except UserError as error:
                answer = Answer(wrong=str(error))
        answers.write(answer.model_dump_json().encode() + b"\n")
        answers.flush()
        if tower is None:
            return  # another one may find it
