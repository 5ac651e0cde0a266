"""Facts in, checked sentences out: the model writes, the checker reads, what is wrong is written again once, then replaced."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from torch import Tensor

from aadc.eval.describe.checker import faults
from aadc.eval.describe.compose import as_text, compose
from aadc.eval.describe.facts import Facts
from aadc.eval.describe.reading import Vocabulary
from aadc.eval.describe.template import MOST_FAULTS, Request

_AT_ONCE = 16


class How(StrEnum):
    """How a text was made: by the model at first, by the model once its fault was named, composed from the facts because both
    were wrong, or composed from the facts because no model was asked."""

    first = "model"
    retry = "model, second try"
    composed = "composed"
    unasked = "composed from the facts (no language model)"


class LanguageModel(Protocol):
    """`Llm` or `Endpoint`: answers to requests, in their order. `source` names it."""

    source: str

    def __call__(self, requests: Sequence[Request]) -> list[str]: ...


@dataclass(frozen=True)
class Description:
    """A text that the checker found nothing wrong with, how it was made, and the answers it turned down with their faults."""

    text: str
    how: How
    refused: tuple[tuple[str, tuple[str, ...]], ...] = ()


def write_checked(
    asked: Sequence[Request],
    judge: Sequence[Callable[[str], list[str]]],
    fallback: Sequence[str],
    llm: LanguageModel,
) -> Iterator[Description]:
    """An answer to each request that its judge (text -> faults) accepts, else its fallback; in order, a few at a time."""
    for start in range(0, len(asked), _AT_ONCE):
        requests = list(asked[start : start + _AT_ONCE])
        judges, fallbacks = judge[start : start + _AT_ONCE], fallback[start : start + _AT_ONCE]
        first = llm(requests)
        wrong = [tuple(check(text)) for check, text in zip(judges, first, strict=True)]
        again = [place for place, found in enumerate(wrong) if found]
        second = llm([_corrected(requests[place], first[place], wrong[place]) for place in again]) if again else []
        retried = dict(zip(again, second, strict=True))
        for place, text in enumerate(first):
            if place not in retried:
                yield Description(text, How.first)
                continue
            refused = [(text, wrong[place])]
            if not (found := tuple(judges[place](retried[place]))):
                yield Description(retried[place], How.retry, tuple(refused))
                continue
            refused.append((retried[place], found))
            yield Description(fallbacks[place], How.composed, tuple(refused))


def describe(
    facts: Sequence[Facts], tokens: Sequence[Tensor | None], words: Vocabulary, llm: LanguageModel | None
) -> Iterator[Description]:
    """A true description of each video, from its facts and (where the model takes them) its video tokens; without a model, from
    the facts alone."""
    if llm is None:
        return (Description(compose(one), How.unasked) for one in facts)
    asked = [
        Request(facts=as_text(one, length=soft is not None), tokens=soft, max_tokens=most_tokens(one))
        for one, soft in zip(facts, tokens, strict=True)
    ]
    judges = [lambda text, one=one: faults(text, one, words) for one in facts]
    return write_checked(asked, judges, [compose(one) for one in facts], llm)


def most_tokens(facts: Facts) -> int:
    """Room for a sentence on every event: times take many tokens."""
    return 48 + 40 * len(facts.events)


def _corrected(request: Request, text: str, wrong: tuple[str, ...]) -> Request:
    return Request(request.question, request.facts, request.tokens, (text, wrong[:MOST_FAULTS]), request.max_tokens)
