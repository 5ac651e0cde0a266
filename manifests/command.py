"""How every `aadc-*` command starts and ends: one sentence for an error, exit statuses that scripts can rely on, and a terminal
that takes whatever is said."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from aadc.manifests.errors import UserError
from aadc.manifests.files import reason
from aadc.manifests.shown import shown


class _Command(TyperCommand):
    """A command whose help calls an argument MANIFEST, and leaves completion to `aadc --help`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Of arguments and options, as helps and errors name them."""
        return _plain(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What stands behind the command's name; newer Typers write {MANIFEST}."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]


class CommandGroup(TyperGroup):
    """Several commands in one; the same."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Of options."""
        return _plain(super().get_params(ctx))


class _App(typer.Typer):
    def command(self, name: str | None = None, *, cls: type[TyperCommand] | None = None, **settings: Any) -> Any:
        return super().command(name, cls=cls or _Command, **settings)


def _plain(params: list[Any]) -> list[Any]:
    for one in params:
        if isinstance(one, TyperArgument) and one.name:
            one.metavar = one.metavar or one.name.upper()
            vars(one)["display_type_rich"] = lambda ctx: None  # newer Typers add Python's name of the type: <list[Path]>
        elif isinstance(one, TyperOption) and one.name in ("install_completion", "show_completion"):
            one.hidden = True  # they work, but four lines in each help are too many
    return params


def command_app(cls: type[CommandGroup] = CommandGroup, **settings: Any) -> typer.Typer:
    """A typer app as every command is one: plain help, completion of the shell, errors left to `run_command`."""
    return _App(cls=cls, rich_markup_mode=None, pretty_exceptions_enable=False, **settings)


def run_command(app: typer.Typer, name: str) -> NoReturn:
    """Run a typer app as the console script `name`.

    Exit status: what the command asks for (0 all done, 1 some videos failed), 2 for wrong usage, a `UserError`, a file system
    that refuses (no permission, no space), too little memory or a library that cannot be loaded, 130 after Ctrl-C.
    `AADC_DEBUG=1` lets the traceback through.
    """
    _ready_streams()
    try:
        _refuse_empty_words(sys.argv[1:])
        app(prog_name=name)
    except (UserError, OSError, MemoryError, ImportError) as error:
        if os.environ.get("AADC_DEBUG"):
            raise
        hint = "" if isinstance(error, UserError) else " (AADC_DEBUG=1 shows where)"
        print(f"{name}: {shown(_sentence(error), lines=True)}{hint}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as stop:  # typer ends every other way itself; Ctrl-C it turns into a silent 130
        if stop.code == 130:
            print(f"{name}: interrupted; start it again to go on", file=sys.stderr)
        raise
    sys.exit(0)


def _refuse_empty_words(arguments: Sequence[str]) -> None:
    """An empty word is a variable of a script that was not set, and as a path it would mean the folder that one is in."""
    for word in arguments:
        if not word or (word.startswith("--") and word.endswith("=")):
            raise UserError(f"{word or 'a word of the command'} is empty; is a variable in it not set?")


def _sentence(error: BaseException) -> str:
    """What an error says; never nothing, for some libraries raise errors without a word."""
    if isinstance(error, MemoryError):
        return f"out of memory ({reason(error)}); close other programs, or give the command less at once"
    if isinstance(error, ImportError):
        return f"a library cannot be loaded ({reason(error)}); is there memory for it, and is the installation whole?"
    return str(error).strip() or type(error).__name__


def _ready_streams() -> None:
    """Make the process fit to read any file name and to print any text.

    Names of files are UTF-8 whatever the locale says (Python decides that once, at its start, so it starts again); what the
    terminal's encoding lacks is written out instead of raising; a stream that was closed is an empty one.
    """
    if not sys.flags.utf8_mode and sys.getfilesystemencoding().lower() != "utf-8" and "PYTHONUTF8" not in os.environ:
        told = sys.stdout.encoding if sys.stdout else "utf-8"
        os.environ.setdefault("PYTHONIOENCODING", told)
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    for number, (stream, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, stream) is None:
            with suppress(OSError):  # the number itself is taken too, or the next file opened would get it
                if (there := os.open(os.devnull, os.O_RDWR)) != number:
                    os.dup2(there, number)
                    os.close(there)
            setattr(sys, stream, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, for as long as the process lives
        elif stream != "stdin" and hasattr(getattr(sys, stream), "reconfigure"):
            getattr(sys, stream).reconfigure(errors="backslashreplace")
