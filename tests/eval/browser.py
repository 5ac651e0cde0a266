"""A real browser, to see what a page is once its scripts have run. Skips the test where there is none."""

import shutil
import subprocess
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import pytest


def open_page(path: Path, script: str = "") -> tuple["Page", str]:
    """The page after its scripts and `script` ran, and what the browser complained of."""
    done = _run(path, script, "--dump-dom")
    complaints = "\n".join(line for line in done.stderr.splitlines() if ":CONSOLE" in line)
    return Page(done.stdout), complaints


def print_page(path: Path, pdf: Path, script: str = "") -> None:
    """The page on paper, after `script` ran."""
    _run(path, script, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")


def _run(path: Path, script: str, *what: str) -> subprocess.CompletedProcess:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium here")
    shown = path.with_name("shown.html")
    shown.write_text(path.read_text(encoding="utf-8") + f"<script>{script}</script>", encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
    options += ["--enable-logging=stderr", "--v=0", "--virtual-time-budget=3000", *what]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:  # a browser on its way out still writes
        command = [program, *options, f"--user-data-dir={profile}", shown.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)


class Page(HTMLParser):
    """Elements of a page in order, each (tag, attributes, text directly in it)."""

    def __init__(self, html: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), []))

    def handle_data(self, text):
        if self.elements:
            self.elements[-1][2].append(text)

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        """Attributes of every such element; `class_` stands for class."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [own for name, own, _ in self.elements if name == tag and wanted.items() <= own.items()]

    def text(self, **attributes: str) -> str:
        """Text of the first element with these attributes."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return next("".join(text).strip() for _, own, text in self.elements if wanted.items() <= own.items())
