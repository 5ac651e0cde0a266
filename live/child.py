"""A process that the parent keeps alive: started again when it ends, killed and started again when it hangs."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from aadc.live.back_off import BackOff

STEADY_S = 20.0  # one that lives so long is not in trouble


class Child:
    """One child process.

    Args:
        name: what it is called towards people.
        module: whose `main` it runs.
        job: makes its job, anew at each start; goes through its standard input, which stays open.
        descriptors: of memory that it shares.
        beaten_ns: when it last gave a sign of life (monotonic, nanoseconds).
        hangs_s: it counts as hung after so long without one.
        ready_s: the same before its first.
        may_end: exit status 0 means that its work is done; otherwise it has to be there always.
    """

    def __init__(
        self,
        name: str,
        module: str,
        job: Callable[[], dict],
        descriptors: Sequence[int],
        beaten_ns: Callable[[], int],
        hangs_s: float,
        ready_s: float,
        may_end: bool = False,
    ):
        self.name, self.restarts, self.ended = name, -1, False
        self.code: int | None = None  # exit status of the last process that ended by itself
        self._module, self._job, self._descriptors, self._beaten_ns = module, job, descriptors, beaten_ns
        self._hangs_s, self._ready_s, self._may_end = hangs_s, ready_s, may_end
        self._process: subprocess.Popen | None = None
        self._unsaid = b""  # of the job
        self._began_ns = 0
        self._again_at = 0.0
        self._back_off = BackOff()

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        return None if self._process is None else self._process.pid

    def look_after(self) -> str | None:
        """Start it where it is not there, kill it where it hangs. To be called several times a second, from the main thread.

        Returns:
            what happened, for the log; None if nothing did.
        """
        if self.ended:
            return None
        if self._process is None:
            if time.monotonic() < self._again_at:
                return None
            self._start()
            return None if self.restarts == 0 else f"{self.name}: started again"
        self._say_job()
        code = self._process.poll()
        self.code = self.code if code is None else code
        if code == 0 and self._may_end:
            self.ended = True
            self._gone()
            return f"{self.name}: is done"
        if code is not None:
            wait = self._wait_before_next()
            return f"{self.name}: ended ({_why(code)}); starts again in {wait:.1f} s"
        now = time.monotonic_ns()
        beaten, limit = self._beaten_ns(), self._hangs_s
        if beaten < self._began_ns:
            beaten, limit = self._began_ns, self._ready_s
        if now - beaten > limit * 1e9:
            self._process.kill()
            self._process.wait()
            self._wait_before_next()
            return f"{self.name}: gave no sign of life for {limit:g} s and was killed"
        return None

    def ask_to_end(self) -> None:
        """SIGTERM, if it is there; it is not started again."""
        self.ended = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self, deadline: float) -> None:
        """Wait until it has ended, or until `deadline` (monotonic, seconds)."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.0, deadline - time.monotonic()))

    def kill(self) -> None:
        """Kill it where it is still there; that takes no time."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def end(self, deadline: float) -> None:
        """Wait for it until `deadline` (monotonic, seconds), then kill it and see it out."""
        if self._process is None:
            return
        self.wait(deadline)
        self.kill()
        self._process.wait()
        self._gone()

    def _start(self) -> None:
        self._began_ns = time.monotonic_ns()
        self.restarts += 1
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aadc.live.following", self._module, str(os.getpid())],
            stdin=subprocess.PIPE,
            pass_fds=self._descriptors,
            env=_environment(),
            bufsize=0,
        )
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        self._unsaid = json.dumps(self._job()).encode() + b"\n"
        self._say_job()

    def _say_job(self) -> None:
        """As much of the job as its pipe takes; the rest at the next look. A pipe holds 64 KB, and a process that is starting,
        or hangs, reads none of it: whoever waited for that would look after no other."""
        assert self._process is not None and self._process.stdin is not None
        try:
            while self._unsaid:
                self._unsaid = self._unsaid[os.write(self._process.stdin.fileno(), self._unsaid) :]
        except BlockingIOError:
            pass
        except OSError:  # it is gone already, which this look or the next one finds
            self._unsaid = b""

    def _wait_before_next(self) -> float:
        if time.monotonic_ns() - self._began_ns > STEADY_S * 1e9:
            self._back_off.worked()
        wait = self._back_off.failed()
        self._again_at = time.monotonic() + wait
        self._gone()
        return wait

    def _gone(self) -> None:
        assert self._process is not None and self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        self._process = None


def _environment() -> dict[str, str]:
    """Paths of this process for the child, too: it may run from where nothing is installed."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _why(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"
