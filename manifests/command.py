"""How every `aadc-*` command starts and ends: one sentence for an error, exit statuses that scripts can rely on."""

import os
import sys
from typing import NoReturn

import typer

from aadc.manifests.errors import UserError


def run_command(app: typer.Typer, name: str) -> NoReturn:
    """Run a typer app as the console script `name`.

    Exit status: what the command asks for (0 all done, 1 some videos failed), 2 for a `UserError` or wrong usage,
    130 after Ctrl-C. `AADC_DEBUG=1` lets the traceback of a `UserError` through.
    """
    try:
        app(prog_name=name)
    except UserError as error:
        if os.environ.get("AADC_DEBUG"):
            raise
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted; start it again to go on", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
