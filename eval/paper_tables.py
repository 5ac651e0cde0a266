"""Tables like the paper's, for people (terminal, Markdown) and for programs (CSV)."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from aadc.eval.sheets import write_rows
from aadc.eval.tables import text
from aadc.manifests.files import make_folder, replace_file
from aadc.manifests.shown import shown


@dataclass(frozen=True)
class PaperTable:
    """`rows` are what people read; `numbers` what the CSV holds, under `columns`."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    columns: Sequence[str]
    numbers: Sequence[Sequence[object]]

    def markdown(self) -> str:
        """A title and a table."""
        lines = [self.heads, ["---", *["---:"] * (len(self.heads) - 1)], *self.rows]
        return f"**{_cell(self.title)}**\n\n" + "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)

    def csv(self) -> str:
        """The numbers, unrounded; an undefined one is empty."""
        file = io.StringIO()
        write_rows(file, self.columns, self.numbers)
        return file.getvalue()

    def terminal(self) -> Table:
        """For rich."""
        table = Table(title=text(self.title), title_justify="left")
        for place, head in enumerate(self.heads):
            table.add_column(text(head), justify="right" if place else "left")
        for row in self.rows:
            table.add_row(*map(text, row))
        return table


def _cell(name: str) -> str:
    """A name as it is read in a table of Markdown, whatever signs are in it."""
    return re.sub(r"([\\`*_\[\]<>|$~])", r"\\\1", shown(name))


def over_seeds(title: str, first: str, found: Mapping[str, Sequence[Mapping[str, float | None]]]) -> PaperTable:
    """Mean and deviation (of a sample, n - 1) over seeds, in percent; a dash where a figure is undefined for some seed.

    Args:
        first: what the rows are.
        found: of each row, the figures of every seed.
    """
    names = list(next(iter(found.values()))[0])
    rows, numbers = [], []
    for label, seeds in found.items():
        row, values = [label], [label, len(seeds)]
        for name in names:
            shares = [share for one in seeds if (share := one[name]) is not None]
            if len(shares) < len(seeds):
                row.append("-")
                values += ["", ""]
                continue
            mean = float(np.mean(shares))
            spread = float(np.std(shares, ddof=1)) if len(shares) > 1 else None
            row.append(f"{100 * mean:.2f}" + ("" if spread is None else f" ± {100 * spread:.2f}"))
            values += [mean, "" if spread is None else spread]
        rows.append(row)
        numbers.append(values)
    columns = [first, "seeds", *(f"{name} {part}" for name in names for part in ("mean", "deviation"))]
    return PaperTable(title, [first, *names], rows, columns, numbers)


def confusion_table(kind: str, figures: Mapping) -> PaperTable:
    """A confusion matrix (Fig. 5): rows are true classes, columns predicted ones, cells videos."""
    names = figures["classes"]
    rows = [[name, *map(str, counts)] for name, counts in zip(names, figures["confusion"], strict=True)]
    right = "" if figures["accuracy"] is None else f", {100 * figures['accuracy']:.1f} % right"
    heads = ["true \\ predicted", *names]
    return PaperTable(f"{kind} classes, videos{right}", heads, rows, heads, rows)


def keep(tables: Mapping[str, PaperTable], folder: Path) -> list[Path]:
    """Write `<name>.md` and `<name>.csv` of each; gives the paths."""
    make_folder(folder)
    paths = []
    for name, table in tables.items():
        for suffix, content in ((".md", table.markdown()), (".csv", table.csv())):
            paths.append(folder / f"{name}{suffix}")
            replace_file(paths[-1], content)
    return paths
