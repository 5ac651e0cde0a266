"""Events that a language model is still to describe: kept in the store, so that a kill loses none, and never many."""

import sqlite3

from pydantic import TypeAdapter, ValidationError

from aadc.eval.describe.facts import Facts
from aadc.live.store import Job, describing

MOST_DUE = 100  # events that wait; past that the oldest keep their composed words
MOST_BEGUN = 3  # times that a process may die over an event
_FACTS = TypeAdapter(Facts)


def asking(event: str, facts: Facts) -> Job:
    """Have an event described that is in the store."""
    told = _FACTS.dump_json(facts).decode()

    def job(db: sqlite3.Connection) -> None:
        db.execute("INSERT OR REPLACE INTO words_due (event, facts) SELECT number, ? FROM events WHERE id = ?", (told, event))
        newest = "SELECT event FROM words_due ORDER BY event DESC LIMIT ?"
        db.execute(f"DELETE FROM words_due WHERE event NOT IN ({newest})", (MOST_DUE,))

    return job


def facts_in(told: str) -> Facts | None:
    """The facts as `asking` wrote them; None where it did not."""
    try:
        return _FACTS.validate_json(told)
    except ValidationError:
        return None


def beginning(number: int) -> Job:
    """A model is asked now; whoever dies over it has it counted."""
    return lambda db: (
        db.execute("UPDATE words_due SET tries = tries + 1, begun = begun + 1 WHERE event = ?", (number,)).rowcount
    )


def leaving(number: int) -> Job:
    """The model could not be asked: later, after those that were tried less often."""
    return lambda db: db.execute("UPDATE words_due SET begun = 0 WHERE event = ?", (number,)).rowcount


def ending(number: int, event: str, description: str = "", how: str = "") -> Job:
    """It is described so, or keeps the words that it has."""

    def job(db: sqlite3.Connection) -> None:
        if db.execute("DELETE FROM words_due WHERE event = ?", (number,)).rowcount and description:
            describing(event, description, how)(db)

    return job
