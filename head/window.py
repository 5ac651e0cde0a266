"""Which snippets the score of one is made from: one rule for training, evaluation and live."""

from typing import NamedTuple

AHEAD = 4  # snippets: as far as the widest convolution of the temporal network sees (eq. 1)


class Window(NamedTuple):
    """The score of snippet s is the head's answer on `rows` snippets that end `ahead` after it, s - rows + 1 + ahead to
    s + ahead; M of eq. 2 is over those alone. Where a video (or a stream) begins or ends there are fewer of them: those
    that are there count, and M is their mean. So a score never depends on what lies further off, however long the video."""

    rows: int
    ahead: int = AHEAD

    @property
    def behind(self) -> int:
        """How many snippets before s take part."""
        return self.rows - 1 - self.ahead


def check_window(rows: int, ahead: int) -> Window:
    """A window that is one. `ValueError` else."""
    if ahead < 0:
        raise ValueError(f"ahead {ahead}: a score cannot end before its own snippet")
    if rows <= ahead:
        raise ValueError(f"a window of {rows} snippets that ends {ahead} after the one it scores does not hold that one")
    return Window(rows, ahead)
