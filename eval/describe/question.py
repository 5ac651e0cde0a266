"""An operator's question about one video: what it asks about, what the detections say to it, and the moments that rests on.

A question is about the classes and objects whose words are in it. Anything else it asks for is outside what was detected, and
the answer says so instead of guessing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aadc.eval.describe.checker import check
from aadc.eval.describe.compose import as_text, compose, joined, number_of
from aadc.eval.describe.facts import Count, Facts, kept, plain, unkept
from aadc.eval.describe.phrases import phrases
from aadc.eval.describe.reading import PEOPLE, Token, Vocabulary, read
from aadc.eval.scores import Scored
from aadc.eval.spans import clock, how_sure
from aadc.manifests.card import Card

_ASKING_WORDS = """
    a about all an and any anybody anyone anything are at be been can could describe did do does during ever for from had happen
    happened happening happens has have how i in is it long many me much of on or please say see seen show shown shows so some
    somebody someone something tell that the there these they this time to up us video was we were what when where which who why
    will with you your camera clip scene footage normal abnormal unusual suspicious wrong events event activity activities
"""
_ASKING = set(_ASKING_WORDS.split())
_PEOPLE = {*PEOPLE, "person", "persons", "anybody", "anyone", "somebody", "nobody"}


@dataclass(frozen=True)
class Subject:
    """What is asked about: a class or an object by its spoken name, words (`kind` unknown) that are neither, or an object that
    may have been among the boxes that were not kept (`kind` cut)."""

    kind: str
    name: str

    @property
    def known(self) -> bool:
        """Whether the facts say yes or no to it."""
        return self.kind in ("class", "object")


@dataclass(frozen=True)
class Moment:
    """Seconds [start_s, end_s] that an answer rests on, and what was detected there."""

    start_s: float
    end_s: float
    what: str

    def __str__(self) -> str:
        times = clock(self.start_s) if self.end_s - self.start_s < 1 else f"{clock(self.start_s)}-{clock(self.end_s)}"
        return f"{times} {self.what}"


def subjects(question: str, card: Card, objects: Sequence[str], facts: Facts) -> list[Subject]:
    """What a question asks about: classes in the words of the card (names, and words that only one prompt has), objects in the
    detector's; numbers, times and all other words are unknown. So is a normal class, unless it is the one the video was given,
    and an object that was not kept where more was seen than kept.
    """
    known: dict[str, Subject] = {}
    own = _own_words(card, objects)
    for entry in card.classes:
        if entry.kind == "abnormal" or entry.name == facts.normal:
            known |= {stem: Subject("class", plain(entry.name)) for stem in own[entry.name]}
    for name in sorted(objects, key=lambda name: len(plain(name).split())):
        known.setdefault(_stem(plain(name).lower().split()[-1]), Subject("object", plain(name)))
    found: dict[Subject, None] = {}
    for word in re.findall(r"\d[\d:.]*|[^\W\d_]+", question.lower()):
        if word in _PEOPLE:
            if word in ("people", "person", "persons") and "person" in map(plain, objects):
                found[Subject("object", "person")] = None
        elif word not in _ASKING:
            found[known.get(_stem(word), Subject("unknown", word))] = None
    if any(one.kind == "class" for one in found):
        found.pop(Subject("object", "person"), None)  # `a person fighting` asks for fights
    hidden = [one for one in found if facts.cut and one.kind == "object" and not _detected(one, facts)]
    return [Subject("cut", one.name) if one in hidden else one for one in found]


def _own_words(card: Card, objects: Sequence[str]) -> dict[str, set[str]]:
    """Stems that stand for one class alone: the last word of its name (`accident`, of a road accident), or the others where
    that is shared (`abandoned`, of an abandoned bag); and the words of its prompt that are in no other's."""
    things = {_stem(plain(name).lower()) for name in objects}
    names = {entry.name: [_stem(word) for word in plain(entry.name).lower().split()] for entry in card.classes}
    prompts = {entry.name: {_stem(word) for word in re.findall(r"[^\W\d_]+", entry.prompt.lower())} for entry in card.classes}
    common = {_stem(word) for word in _ASKING | _PEOPLE | {"two", "over", "floor"}}
    own = {}
    for name, stems in names.items():
        others = set().union(*(prompts[other] | set(names[other]) for other in names if other != name))
        free = [stem for stem in stems if stem not in others | common | (things if len(stems) > 1 else set())]
        if len(stems) == 1 and stems[0] not in common:
            free = stems  # a name of one word is its class's, whatever others say
        own[name] = {free[-1]} if stems[-1:] == free[-1:] else set(free)
        own[name] |= prompts[name] - others - common - things - set(stems)
    return own


def _stem(word: str) -> str:
    """A word without the commonest English endings: `fights`, `fighting` and `fight` are one, so are `bottle` and `bottles`."""
    for ending in ("ing", "ers", "er", "ed", "es", "s", "en"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    word = word[:-1] if len(word) > 3 and word[-1] == word[-2] else word
    return word.removesuffix("e") if len(word) > 3 else word


def facts_for(asked: Sequence[Subject], facts: Facts) -> str:
    """The facts channel of a question: all facts, and of what is asked about whether it was detected."""
    lines = [as_text(facts)]
    for one in asked:
        state = "not known" if not one.known else "detected" if _detected(one, facts) else "not detected"
        lines.append(f"Asked: {one.name}: {state}")
    return "\n".join(lines)


def _detected(one: Subject, facts: Facts) -> bool:
    if one.kind == "class":
        return one.name in [plain(name) for name in (*facts.categories, *([facts.normal] if facts.normal else []))]
    return one.name in [plain(count.name) for count in facts.objects]


def composed_answer(asked: Sequence[Subject], facts: Facts) -> str:
    """The answer that follows from the facts, in plain words. It says yes or no only where it knows all that is asked."""
    known = [one for one in asked if one.known]
    hidden = [repr(one.name) for one in asked if one.kind == "cut"]
    unknown = [repr(one.name) for one in asked if one.kind == "unknown"]
    yes = [_found(one, facts) for one in sorted(known, key=lambda one: one.kind != "object") if _detected(one, facts)]
    no = [f"no {one.name} was detected" for one in known if not _detected(one, facts)]
    sentences = [*yes, *no]
    if known and not (unknown or hidden):
        sentences[0] = f"{'yes' if yes else 'no'}, {sentences[0]}"
    if hidden:
        sentences.append(f"more was seen at once than is kept, so whether there was {joined(hidden)} is not known")
    if unknown:
        sentences.append(f"what was detected says nothing of {joined(unknown)}")
    text = " ".join(f"{one[0].upper()}{one[1:]}." for one in sentences)
    return text if known else f"{text} {without_yes(compose(facts))}".strip()


def without_yes(text: str) -> str:
    """A description as the answer to a question that `yes` may not answer."""
    rest = text.removeprefix("Yes, ")
    return f"{rest[:1].upper()}{rest[1:]}"


def _found(one: Subject, facts: Facts) -> str:
    if one.kind == "object":
        count = _count(one, facts)
        return f"{number_of(count)} {'was' if count.most == 1 else 'were'} seen"
    spans = [event.times for event in facts.events if plain(event.category) == one.name]
    # without events it is the normal class of a video in which nothing was found
    spans = spans or [("00:00", clock(facts.duration_s))]
    times = joined([f"at {start}" if start == end else f"from {start} to {end}" for start, end in dict.fromkeys(spans)])
    return f"{one.name} was detected {times}"


def answer_faults(text: str, asked: Sequence[Subject], facts: Facts, words: Vocabulary) -> list[str]:
    """What is wrong with an answer. It may leave out what was not asked for, and deny what was asked for and not detected."""
    known = [one for one in asked if one.known]
    detected = [one for one in known if _detected(one, facts)]
    denied = {one.name for one in known} - {one.name for one in detected}
    tokens = read(text, words, facts)
    found = []
    if tokens and tokens[0].name in ("yes", "no") and known:
        if (tokens[0].name == "yes") != bool(detected):
            found.append(f"the answer is {'yes' if detected else 'no'}")
        tokens = tokens[1:]
    rest, said = _without_denials(tokens, denied)
    found += [f"say that there was no {name!r}" for name in denied if name not in said]
    found += [f"say that there was {one.name!r}" for one in detected if not _said(one, rest, facts)]
    if not rest or [token.kind for token in rest] == ["stop"]:
        return found
    return found + check(rest, facts, must=())


def _said(one: Subject, tokens: Sequence[Token], facts: Facts) -> bool:
    """Whether a class is named, or an object with the number seen in the whole video, not that of some event, as `at least`
    where it is that."""
    if one.kind == "class":
        return one.name in {token.name for token in tokens}
    count = _count(one, facts)
    told = [phrase for phrase in phrases(tokens)[0] if phrase.kind == "o" and phrase.name == one.name]
    return any((phrase.value, phrase.least) == (count.most, count.cut) for phrase in told)


def _count(one: Subject, facts: Facts) -> Count:
    return next(count for count in facts.objects if plain(count.name) == one.name)


def _without_denials(tokens: Sequence[Token], denied: set[str]) -> tuple[list[Token], set[str]]:
    """The text without `no phone was detected`, and what it denies in this way."""
    rest, said, place = [], set(), 0
    while place < len(tokens):
        if tokens[place].name == "no" and place + 1 < len(tokens) and tokens[place + 1].name in denied:
            said.add(tokens[place + 1].name)
            place += 2
        else:
            rest.append(tokens[place])
            place += 1
    return rest, said


def moments(asked: Sequence[Subject], scored: Scored, facts: Facts, card: Card, names: Mapping[str, str]) -> list[Moment]:
    """What an answer rests on: the events of the classes asked for (of a normal one, all of the video), the frame with most of
    an object; of a class that was not detected, the moment that comes nearest; where nothing known is asked for, all events."""
    features, found = scored.features, []
    for one in asked:
        if one.kind == "class":
            events = [event for event in facts.events if plain(event.category) == one.name]
            found += [Moment(e.start_s, e.end_s, f"{one.name}, {how_sure(e.probability, e.share)}") for e in events]
            if not events and _detected(one, facts):
                found.append(Moment(0.0, facts.duration_s, one.name))
            elif not events:
                column = next(place for place, name in enumerate(card.names) if plain(name) == one.name)
                share = scored.snippets.classes[:, column]
                at = float(features.time[int(share.argmax())])
                found.append(Moment(at, at, f"comes nearest to {one.name} (share {share.max():.2f})"))
        elif one.kind == "object" and _detected(one, facts):
            ids = [int(key) for key, name in names.items() if plain(name) == one.name]
            counts, cut = (np.isin(features.class_id, ids) & kept(features)).sum(1), unkept(features) > 0
            row = int((2 * counts + cut).argmax())  # of the frames with most of it one that may have held more
            at = float(features.time[row])
            found.append(Moment(at, at, number_of(Count(one.name, int(counts[row]), bool(cut[row])))))
    if not any(one.known for one in asked):
        found = [Moment(e.start_s, e.end_s, f"{plain(e.category)}, {how_sure(e.probability, e.share)}") for e in facts.events]
    return found
