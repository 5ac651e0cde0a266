"""Running a command the way its console script does, within the test's own process."""

import contextlib
import io
import sys
from unittest import mock

import pytest


def call(program, *arguments: str) -> tuple[int, str, str]:
    """A command's own `main`: exit status, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["aadc", *arguments]),
        pytest.raises(SystemExit) as left,
    ):
        program()
    assert "Traceback" not in err.getvalue()
    return left.value.code or 0, out.getvalue(), err.getvalue()
