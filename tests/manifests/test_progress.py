"""How long work says where it is, with and without a terminal."""

import io
from unittest import mock

import pytest
from rich.console import Console

from aadc.manifests import progress
from aadc.manifests.progress import ProgressLine, clock


def test_without_a_terminal_it_is_a_line_now_and_then(capsys):
    now = 100.0
    with mock.patch.object(progress.time, "monotonic", lambda: now), ProgressLine(every_s=60) as told:
        for now in range(100, 300):
            told.show(f"{now - 100} of 200", now - 100, 200)
    out, err = capsys.readouterr()
    assert out == "" and err == "61 of 200\n122 of 200\n183 of 200\n"


@pytest.mark.parametrize("transient", [True, False])
def test_on_a_terminal_it_is_a_bar_whose_words_are_no_markup(transient):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    with mock.patch.object(progress, "Console", lambda **_: console), ProgressLine(60, "first", transient) as told:
        told.show("[red] 1 of 4", 1, 4)
    shown = screen.getvalue()
    assert "[red] 1 of 4" in shown and " 25%" in shown
    assert shown.rstrip().endswith("\x1b[2K") == transient


def test_nothing_to_do_is_no_division_by_nothing():
    with ProgressLine(60) as told:
        told.show("none", 0, 0)


@pytest.mark.parametrize(("seconds", "told"), [(0, "0:00:00"), (59.6, "0:01:00"), (3723, "1:02:03"), (360000, "100:00:00")])
def test_a_clock_rounds_to_the_second(seconds, told):
    assert clock(seconds) == told
