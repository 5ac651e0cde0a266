"""How models are called in what is written down, and where the ones that come with the package are."""

import os
from pathlib import Path

MINIATURE = "miniature"
_OWN = Path(__file__).parent / MINIATURE


def named(source: str, part: str) -> str:
    """How a model is called in settings, shards and run.json: those that come with the package by what they are.

    Args:
        part: `detr` or `clip`.
    Returns:
        `miniature` for the package's own folder, also where it stood when an earlier run wrote its path down; else `source`.
    """
    own, folder = _OWN / part, Path(source.replace("\\", "/"))
    gone = folder.parts[-3:] == ("extract", MINIATURE, part) and not os.path.exists(folder)
    return MINIATURE if gone or folder == own else source


def place(source: str, part: str) -> str:
    """Where a model so named is: the package's own folder for `miniature`, else `source`."""
    return str(_OWN / part) if named(source, part) == MINIATURE else source
