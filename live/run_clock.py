"""By which clock a trained run is scored live, and which classes it knows: read from its records, without loading any model."""

from typing import NamedTuple

from pydantic import Field

from aadc.extract.run_folder import RunFolder
from aadc.live.config import LiveConfig
from aadc.live.snippets import middle_of
from aadc.manifests.errors import UserError
from aadc.manifests.records import Record, check_record, read_record


class RunClock(NamedTuple):
    """`snippet_s`: seconds a snippet lasts; `middle`: share of it after which its frame is taken."""

    snippet_s: float
    middle: float


class _Sampling(Record):
    stride: int = Field(ge=1)


class _Head(Record):
    snippet_s: float | None = Field(None, gt=0, le=3600)


class _Class(Record):
    name: str


class _Card(Record):
    classes: list[_Class] = []


class _HeadsCard(Record):
    card: _Card = _Card()


def classes_of(run: RunFolder) -> list[str]:
    """The classes that a run's head knows. `UserError` where it has no head."""
    card = read_record(run.head / "config.json", _HeadsCard, "run aadc-train-head").card
    return [one.name for one in card.classes]


def run_clock(config: LiveConfig, run: RunFolder) -> RunClock:
    """The clock of a run.

    Raises:
        UserError: it has no head, or the head knows no clock and the file of cameras names none.
    """
    settings = check_record(run.record().settings, f"{run.run_json}: settings", _Sampling, "run aadc-extract again")
    head = read_record(run.head / "config.json", _Head, "run aadc-train-head")
    snippet_s = config.snippet_s or head.snippet_s
    if snippet_s is None:
        raise UserError(
            f"{run.head}: it is not noted how long a snippet lasted in training; train again with aadc-train-head --restart, "
            "or set snippet_s in the file of cameras (stride / frame rate of the training videos)"
        )
    return RunClock(snippet_s, middle_of(settings.stride))
