"""`aadc`: all commands in one; `aadc eval …` is `aadc-eval …`."""

import sys
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Any

import typer

from aadc.manifests.command import CommandGroup, command_app, run_command

# In the order of the work; a command that is not named here comes after these.
ORDER = [
    "manifest", "extract", "import", "export", "train-head", "eval", "metrics", "score", "find", "describe", "ask",
    "train-describer", "table", "live",
]  # fmt: skip


class Commands(CommandGroup):
    """The console scripts of this package, each loaded when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names without `aadc-`."""
        return sorted(_scripts(), key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command itself, None if there is none of this name."""
        import importlib

        script = _scripts().get(cmd_name.removeprefix("aadc-"))
        return typer.main.get_command(importlib.import_module(script.module).app) if script else None


app = command_app(
    cls=Commands,
    no_args_is_help=True,
    epilog="\b\nExample:\n  aadc manifest demo --out demo\n  aadc extract demo/demo.csv --models miniature --stride 5\n"
    "  aadc train-head\n  aadc eval --metric auc --report\n\n"
    "Completion by the shell, of each command for itself: aadc --install-completion, aadc-extract --install-completion …",
)


def _scripts() -> dict[str, EntryPoint]:
    found = [one for one in entry_points(group="console_scripts") if one.module.startswith("aadc.")]
    return {one.name.removeprefix("aadc-"): one for one in found if one.name.startswith("aadc-")}


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aadc-net {version('aadc-net')}")
        raise typer.Exit


@app.callback()
def commands(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Weakly supervised video anomaly detection: videos in; scores, spans, classes and words out.

    Each command is one of its own, too: `aadc eval` is `aadc-eval`. Three make a result: extract, train-head, eval.
    """


def main() -> None:
    """Console script. `aadc eval` knows the earlier spellings of `aadc-eval`, too."""
    from aadc.eval.cli.earlier import run_earlier

    if sys.argv[1:2] in (["eval"], ["aadc-eval"]):
        run_earlier(sys.argv[2:])
    run_command(app, "aadc")


if __name__ == "__main__":
    main()
