"""`aadc-live` as a person types it, within the test's own process."""

from typer.testing import CliRunner

from aadc.live.cli import app


def typed(*words: str) -> tuple[int, str]:
    """The exit status and what it prints; what it raises is raised."""
    done = CliRunner().invoke(app, words)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output
