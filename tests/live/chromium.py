"""Pages in a real browser, as people have them; tests that need it are marked `needs_chromium`."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PROGRAM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
needs_chromium = pytest.mark.skipif(
    importlib.util.find_spec("playwright") is None or not _PROGRAM.exists(),
    reason=f"needs playwright, and Chromium at {_PROGRAM}",
)


@contextmanager
def chromium(*flags: str) -> Iterator:
    """The browser (playwright's), until the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(_PROGRAM), args=["--no-sandbox", *flags])
        try:
            yield started
        finally:
            started.close()


def log_in(page, name: str, password: str) -> None:
    """From the page on which one logs in to the dashboard."""
    page.goto("/login")
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", password)
    page.click("button")
    page.wait_for_url("**/ui/**")


def waited(page, what, seconds: float = 10.0) -> None:
    """Until something is so, while the page goes on."""
    for _ in range(int(seconds * 10)):
        if what():
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"it did not become so; the page says: {page.locator('body').all_inner_texts()}")
