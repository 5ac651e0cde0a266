"""The notebook of the docs, from its first cell to its last, in a real kernel."""

import re
from pathlib import Path

import pytest

nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
TOUR = Path(__file__).parents[2] / "docs" / "tour.ipynb"


def printed(notebook) -> str:
    """All that the cells have put out as text."""
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", [])]
    return "\n".join(one.get("text") or one.get("data", {}).get("text/plain", "") for one in outputs)


def test_the_tour_runs_and_says_what_the_docs_show(tmp_path):
    notebook = nbformat.read(TOUR, 4)
    shown = printed(notebook)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for text in (shown, printed(notebook)):
        auc = float(re.search(r"frame AUC (0\.\d+) on 6 videos", text)[1])
        assert auc > 0.6, "guessing gets 0.5"
        assert "22 videos" in text and text.count("->") >= 6 and text.count("cosine 0.") == 3
        assert str(Path.home()) not in text and ".venv" not in text
    assert any("image/png" in one.get("data", {}) for cell in notebook.cells for one in cell.get("outputs", []))
