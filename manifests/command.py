"""How every `aadc-*` command starts and ends: one sentence for an error, exit statuses that scripts can rely on."""

import os
import sys
from typing import NoReturn

import typer

from aadc.manifests.errors import UserError


def run_command(app: typer.Typer, name: str) -> NoReturn:
    """Run a typer app as the console script `name`.

    Exit status: what the command asks for (0 all done, 1 some videos failed), 2 for wrong usage, a `UserError` or a
    file system that refuses (no permission, no space), 130 after Ctrl-C. `AADC_DEBUG=1` lets the traceback through.
    """
    try:
        app(prog_name=name)
    except (UserError, OSError) as error:
        if os.environ.get("AADC_DEBUG"):
            raise
        hint = "" if isinstance(error, UserError) else " (AADC_DEBUG=1 shows where)"
        print(f"{name}: {error}{hint}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as stop:  # typer ends every other way itself; Ctrl-C it turns into a silent 130
        if stop.code == 130:
            print(f"{name}: interrupted; start it again to go on", file=sys.stderr)
        raise
    sys.exit(0)
