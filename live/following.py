"""How a process of the live part begins, `python -m aadc.live.following MODULE PARENT`: bound to its parent before all else."""

import ctypes
import importlib
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Have the system kill this process when its parent is gone, also while it hangs or is stopped (more exactly, when that
    thread is gone which started this process), leave Ctrl-C to the parent, and go on with the module's `main`."""
    module, parent = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went while this process was starting
        os._exit(0)
    from aadc.live.credentials import hide_credentials
    from aadc.manifests.errors import UserError
    from aadc.manifests.shown import say

    try:
        importlib.import_module(module).main()
    except UserError as error:  # a port in use, a damaged file: one sentence, as of every command
        say(f"{module.rpartition('.')[2]}: {hide_credentials(error)}", err=True)
        sys.stdout.flush()
        os._exit(2)


if __name__ == "__main__":
    main()
