"""What `aadc-eval` did in 0.1 and commands of their own do now; the earlier spelling goes on working until 0.3."""

import importlib
import sys
from collections.abc import Sequence

from aadc.manifests.errors import UserError
from aadc.manifests.shown import say

FLAGS = ("--report", "--describe", "--help", "--install-completion", "--show-completion")
MODES = {"--video": "score", "--find": "find", "--ask": "ask", "--table": "table"}
OF_SPLITS = ("--metric", "--protocol", "--split")  # meant nothing beside a mode, and no other command has them


def run_earlier(arguments: Sequence[str]) -> None:
    """Where these, of aadc-eval, are an earlier spelling, say how it is spelled now, and run that; does not come back then."""
    try:
        found = spelled_now(arguments)
    except UserError as error:
        print(f"aadc-eval: {error}", file=sys.stderr)
        sys.exit(2)
    if found is None:
        return
    name, arguments, what = found
    say(f"aadc-eval {what} is now aadc-{name}; this spelling will work until 0.3", err=True)
    sys.argv = [f"aadc-{name}", *arguments]
    importlib.import_module(f"aadc.eval.cli.{name}").main()


def spelled_now(arguments: Sequence[str]) -> tuple[str, list[str], str] | None:
    """The command (without `aadc-`) and its arguments for an earlier spelling, and the option that told; None where it is none.

    Raises:
        UserError: options that belonged to two commands, or one without its value.
    """
    options, free = _parsed(arguments)
    names = [name for name, _ in options]
    modes = list(dict.fromkeys(name for name in names if name in MODES))
    if len(modes) > 1 or (modes and modes != ["--video"] and "--report" in names):
        raise UserError(
            "--video, --find, --table, --ask and --report cannot be combined: aadc-score, aadc-find, aadc-table and aadc-ask "
            "do one thing each"
        )
    if not modes:
        return _describe(options, free)
    (mode,) = modes
    command = MODES[mode]
    kept = [(name, value) for name, value in options if name != mode and name not in OF_SPLITS]
    given = [value for name, value in options if name == mode and value is not None]
    if missing := [name for name, value in options if value in (None, "--") and name not in FLAGS]:
        raise UserError(f"{missing[0]} needs a value; aadc-{command} --help shows how it is spelled now")
    return command, [*_flat(kept), "--", *given, *free], mode


def _describe(options: list[tuple[str, str | None]], free: list[str]) -> tuple[str, list[str], str] | None:
    told = [name for name, value in options if name in ("--describe", "--references") or (name, value) == ("--metric", "text")]
    if not told:
        return None
    kept = [(name, value) for name, value in options if name != "--describe" and (name, value) != ("--metric", "text")]
    what = "--metric text" if told[0] == "--metric" else told[0]
    return "describe", [*_flat(kept), *free], what


def _parsed(arguments: Sequence[str]) -> tuple[list[tuple[str, str | None]], list[str]]:
    """Options with their values (None: it has none), and what is no option."""
    options: list[tuple[str, str | None]] = []
    free: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            free += rest
            break
        if not word.startswith("--"):
            free.append(word)
        elif "=" in word:
            name, _, value = word.partition("=")
            options.append((name, value))
        else:
            options.append((word, rest.pop(0) if rest and word not in FLAGS else None))
    return options, free


def _flat(options: list[tuple[str, str | None]]) -> list[str]:
    return [word for option in options for word in option if word is not None]
