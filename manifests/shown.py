"""Text that came from elsewhere (names of files and classes, words of a server), made fit to be shown to a person."""

import sys
import unicodedata

INDENT = "  "  # of the lines of a listing


def shown(text: object, lines: bool = False) -> str:
    """The text with every character that is no sign on paper written out (`\\x1b`, `\\u202e`, `\\udcff`).

    So a name can neither clear a screen nor forge a line, nor turn the direction of writing, and can always be encoded.

    Args:
        lines: line ends before `INDENT` are ours (see `table.listing`) and stay; others are part of a name.
    """
    parts = str(text).split(f"\n{INDENT}") if lines else [str(text)]
    return f"\n{INDENT}".join("".join(c if _harmless(c) else _written_out(c) for c in part) for part in parts)


def _harmless(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()


def say(text: object = "", err: bool = False) -> None:
    """Print text for people: the way all commands talk. What the terminal's encoding lacks is written out."""
    print(shown(text, lines=True), file=sys.stderr if err else sys.stdout, flush=True)
