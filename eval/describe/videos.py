"""Describing scored videos: the two channels of each, a checked sentence, and `descriptions.jsonl`."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ConfigDict
from torch import Tensor

from aadc.eval.describe.checker import faults
from aadc.eval.describe.compose import as_text, compose
from aadc.eval.describe.describer import Description, How, LanguageModel, describe
from aadc.eval.describe.facts import Event, Facts, facts_of
from aadc.eval.describe.projector import Projector
from aadc.eval.describe.reading import Vocabulary, vocabulary
from aadc.eval.scores import Scored
from aadc.head.checkpoint import LoadedHead
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason, regular, replace_file
from aadc.manifests.records import Record, parse_record


@dataclass(frozen=True)
class Describer:
    """All it takes to describe the videos of a run: its head, the detector's names, a language model (None: words are composed
    from the facts), a projector if the model takes video tokens."""

    head: LoadedHead
    names: Mapping[str, str]
    llm: LanguageModel | None
    projector: Projector | None
    made_with: Mapping[str, object]  # what a text depends on besides its facts

    @property
    def words(self) -> Vocabulary:
        return vocabulary(self.head.card, self.names.values())

    def facts(self, scored: Scored) -> Facts:
        return facts_of(scored, scored.features, self.head.card, self.names)

    @torch.no_grad()
    def tokens(self, scored: Scored) -> Tensor | None:
        """Video tokens (J, E), or None without a projector."""
        if self.projector is None:
            return None
        anomaly = torch.from_numpy(scored.snippets.anomaly).clamp(1e-4, 1 - 1e-4)
        return self.projector(torch.from_numpy(scored.snippets.features), anomaly.logit())

    def __call__(self, videos: Sequence[Scored]) -> Iterator[Description]:
        """A description of each, in order."""
        return describe([self.facts(one) for one in videos], [self.tokens(one) for one in videos], self.words, self.llm)


def describe_into(
    path: Path, describer: Describer, videos: Sequence[Scored], tell: Callable[[], None] = lambda: None
) -> list[dict]:
    """Rows of `descriptions.jsonl` for these videos, in order; `tell` is called after each.

    Every row is in the file as soon as it is written. A row that is there already is kept if it rests on the same facts, model
    and projector and the checker still finds nothing wrong with it; rows of other videos stay.
    """
    every = {row["video"]: row for row in read_rows(path)}
    facts = [describer.facts(one) for one in videos]
    rows: dict[int, dict] = {}
    for place, (one, fact) in enumerate(zip(videos, facts, strict=True)):
        row = every.get(one.features.video)
        if row and _kept(row, fact, describer):
            rows[place] = {**row, "spans": list(map(event_record, fact.events))}
            tell()
    todo = [place for place in range(len(videos)) if place not in rows]
    with _added_to(path) as add:
        add("\n")  # ends a line that a kill has torn
        for place, found in zip(todo, describer([videos[place] for place in todo]), strict=True):
            rows[place] = _row(videos[place].features.video, found, facts[place], describer.made_with)
            add(_line(rows[place]))
            tell()
    every |= {row["video"]: row for row in rows.values()}
    replace_file(path, "".join(map(_line, every.values())).encode())
    return [rows[place] for place in range(len(videos))]


def still_true(row: Mapping, facts: Facts, words: Vocabulary) -> bool:
    """Whether a row rests on these facts and its text, as it stands there now, says nothing else: a person may have edited
    `descriptions.jsonl`. For whoever shows rows that were written earlier."""
    if row["facts"] != as_text(facts):
        return False
    if row["how"] in (How.composed, How.unasked):
        return row["text"] == compose(facts)
    return row["how"] in set(How) and not faults(row["text"], facts, words)


def _kept(row: Mapping, facts: Facts, describer: Describer) -> bool:
    if row.get("made_with") != dict(describer.made_with) or not still_true(row, facts, describer.words):
        return False
    # An empty answer is one that came too late: another time it may be there.
    return row["how"] != How.composed or all(one["text"] for one in row["refused"])


def _row(video: str, found: Description, facts: Facts, made_with: Mapping) -> dict:
    return {
        "video": video,
        "text": found.text,
        "how": found.how.value,
        "spans": list(map(event_record, facts.events)),
        "refused": [{"text": text, "faults": list(faults)} for text, faults in found.refused],
        "facts": as_text(facts),
        "made_with": dict(made_with),
    }


def event_record(event: Event) -> dict:
    """An event for people and programs: seconds and mm:ss, class, how sure, what was seen at once, and of which of that
    there may have been more."""
    start, end = event.times
    return {
        "start_s": round(event.start_s, 3),
        "end_s": round(event.end_s, 3),
        "start": start,
        "end": end,
        "category": event.category,
        "probability": round(event.probability, 4),
        "share": None if event.share is None else round(event.share, 4),
        "objects": {one.name: one.most for one in event.objects},
        "at_least": [one.name for one in event.objects if one.cut],
    }


def _line(row: Mapping) -> str:
    return json.dumps(row) + "\n"


@contextmanager
def _added_to(path: Path) -> Iterator[Callable[[str], None]]:
    """Gives what puts a text at the end of a file, where it is as soon as that returns. `UserError` where it cannot be put."""
    try:
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise _unwritable(path, error) from None

    def add(text: str) -> None:
        left = memoryview(text.encode())
        try:
            while left:  # a disk that fills up takes a part at first
                left = left[file.write(left) :]
        except OSError as error:
            raise _unwritable(path, error) from None

    with file:
        yield add


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path}: could not be written ({reason(error)}); free some space or name another folder with --out, and start the "
        "command again: what it holds is kept"
    )


class Refused(Record):
    """An answer that was turned down, and why."""

    text: str
    faults: list[str]


class DescriptionRow(Record):
    """A line of `descriptions.jsonl`."""

    model_config = ConfigDict(extra="allow")

    video: str
    text: str
    how: str
    spans: list
    refused: list[Refused]
    facts: str


def read_rows(path: Path) -> list[dict]:
    """Rows of a `descriptions.jsonl`, one a video, the last if it has several; none where there is no file. What is no row (a
    kill tore it, a person edited it) is left out.

    Raises:
        UserError: it cannot be read, or is somebody else's file by the same name, which is about to be replaced.
    """
    try:
        lines = regular(path).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({reason(error)}); remove it, it is written again") from None
    rows = {}
    for line in lines:
        with suppress(UserError):
            row = parse_record(line, str(path), DescriptionRow, "remove it")
            rows[row.video] = row.model_dump()
    if not rows and (foreign := next(filter(_foreign, lines), None)) is not None:
        start = foreign[:40].decode(errors="replace")
        raise UserError(
            f"{path}: holds no descriptions of aadc-describe ({start} …); move it away, or name another folder with --out"
        )
    return list(rows.values())


def _foreign(line: bytes) -> bool:
    """Whether a line is whole JSON, and not what a row of ours became, or was in an earlier version."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return not (isinstance(found, dict) and "video" in found and ("text" in found or "facts" in found))


def summary(rows: Sequence[Mapping]) -> str:
    """How the texts of `describe_into` were made, in a sentence."""
    if all(row["how"] == How.unasked for row in rows):
        return f"{len(rows)} descriptions, {How.unasked}"
    counts = {how: sum(row["how"] == how.value for row in rows) for how in How}
    return (
        f"{len(rows)} descriptions: {counts[How.first]} as the model wrote them, {counts[How.retry]} after a second try, "
        f"{counts[How.composed]} composed from the detections because the model's said what was not detected"
    )
