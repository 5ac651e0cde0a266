"""Does a text say only what was detected? Whatever is not known to be true is a fault: a composed sentence is at hand.

A text may use few forms, so that there is one way to read it: a verdict, then classes, each followed by its times, counts,
confidence and share. Classes joined before their times have them in common (`fall and fight from …`). Words that claim nothing
are listed; any other word, and any other order, is a fault.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from aadc.eval.describe.facts import Count, Event, Facts, Objects, plain
from aadc.eval.describe.phrases import ORDER, Phrase, phrases
from aadc.eval.describe.reading import VERDICTS, Token, Vocabulary, read

MOST_WORDS, MORE_WORDS = 40, 20  # a description may have so many, and so many more for each event
# A sentence by its phrases: counts alone, or a verdict with what is true of it, or classes, each with what is true of it.
_DETAILS = r"(?:&*[pselnho])*"
_SENTENCE = re.compile(rf"&*(?:(?:o(?:&+o)*)?|v+{_DETAILS}|v*&*c{_DETAILS}(?:&+c{_DETAILS})*)")


@dataclass
class _Reader:
    """Where the reading is: the group of classes spoken of, the events they can be, and what was wrong so far."""

    facts: Facts
    group: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    closed: bool = True  # the next class opens a new group
    pinned: bool = False  # something was said that is true of these events alone
    counted: set[str] = field(default_factory=set)  # objects counted in these events
    starts: list[float] = field(default_factory=list)  # of what was spoken of, in order
    said: set[tuple] = field(default_factory=set)
    found: list[str] = field(default_factory=list)

    def wrong(self, sentence: str) -> None:
        if sentence not in self.found:
            self.found.append(sentence)

    def sentence(self) -> None:
        """A new sentence starts with nothing spoken of."""
        self.group, self.closed, self.pinned, self.counted = [], True, False, set()
        self.events = self.all_of([])

    def all_of(self, group: Sequence[str]) -> list[Event]:
        if not self.facts.events:  # then the whole video is what happened, of whatever normal class
            return [Event(0.0, self.facts.duration_s, self.facts.normal or "", -1.0, self.facts.objects)]
        return [event for event in self.facts.events if not group or plain(event.category) in group]

    def name(self, phrase: Phrase) -> None:
        if self.closed:
            self.group, self.events, self.closed, self.pinned, self.counted = [], [], False, False, set()
        own = self.all_of([phrase.name])
        if phrase.plural and len(own) < 2:
            self.wrong(f"there was one {phrase.name!r}")
        self.group.append(phrase.name)
        self.events += own
        self.starts.append(min((event.start_s for event in own), default=0.0))

    def meant(self, fits: Callable[[Event], bool], sentence: str, another: bool = False) -> None:
        """Every class of the group must have an event that fits; from here on those are meant.

        Args:
            another: whether another event of the group may be meant than before, as with a second pair of times.
        """
        among = self.all_of(self.group) if another and not self.pinned else self.events
        fitting = [event for event in among if fits(event)]
        if not fitting or any(not any(plain(event.category) == name for event in fitting) for name in self.group):
            self.wrong(sentence)
            return
        self.events, self.closed, self.pinned = fitting, True, self.pinned or not another
        if self.starts:
            self.starts[-1] = min(event.start_s for event in fitting)

    def once(self, *what: object) -> None:
        if (*self.group, *what) in self.said:
            self.wrong("say everything once")
        self.said.add((*self.group, *what))

    def count(self, name: str) -> None:
        if name in self.counted:
            self.wrong(f"count {name!r} once")
        self.counted.add(name)


def faults(text: str, facts: Facts, words: Vocabulary) -> list[str]:
    """What is wrong with a description, in sentences a language model can act on; empty if all of it is backed."""
    return check(read(text, words, facts), facts)


def check(tokens: Sequence[Token], facts: Facts, must: Sequence[str] | None = None) -> list[str]:
    """As `faults`, of a text that is read already.

    Args:
        must: classes that have to be named, as they are spoken. None: every abnormal one that was detected, and that a video is
            normal where none was.
    """
    if not tokens:
        return ["say something"]
    reader = _Reader(facts)
    if len(tokens) > MOST_WORDS + MORE_WORDS * len(facts.events):
        reader.wrong("say it in fewer words")
    if tokens[-1].kind != "stop":
        reader.wrong("end the sentence with a full stop")
    said, wrong = phrases(tokens)
    for fault in wrong:
        reader.wrong(fault)
    _classes(said, reader, must)
    _verdict(said, reader, must is None)
    named = False
    for sentence in _sentences(said):
        kinds = "".join(phrase.kind for phrase in sentence)
        if not _SENTENCE.fullmatch(kinds) or "oo" in kinds or (kinds.strip("&")[:1] == "o" and named):
            reader.wrong("say it more simply: each class, then its times, then what was counted")
        named |= "c" in kinds
        reader.sentence()
        for phrase in sentence:
            _judge(phrase, reader)
    ordered = any(token.kind == "word" and token.name in ORDER for token in tokens)
    if ordered and reader.starts != sorted(reader.starts):
        reader.wrong("that is not the order in which it happened")
    return reader.found


def claims(tokens: Sequence[Token], facts: Facts) -> list[tuple[str, bool]]:
    """What a text states, and whether it holds: the kind of each phrase (a letter, as in `phrases`), one after the other.

    Each is judged for itself, beside the classes and times said before it in its sentence. Words that are not understood state
    nothing here; `check` refuses them.
    """
    found = []
    reader = _Reader(facts)
    for sentence in _sentences(phrases(tokens)[0]):
        reader.sentence()
        for phrase in sentence:
            if phrase.kind == "&":
                continue
            reader.found, reader.said, reader.counted = [], set(), set()
            if phrase.kind == "v":
                _verdict([phrase], reader, must=False)
            elif phrase.kind == "c":
                _classes([phrase], reader, ())
            _judge(phrase, reader)
            found.append((phrase.kind, not reader.found))
    return found


def _sentences(said: Sequence[Phrase]) -> list[list[Phrase]]:
    sentences: list[list[Phrase]] = [[]]
    for phrase in said:
        if phrase.kind == ".":
            sentences.append([])
        else:
            sentences[-1].append(phrase)
    return [sentence for sentence in sentences if sentence]


def _classes(said: Sequence[Phrase], reader: _Reader, must: Iterable[str] | None) -> None:
    """Only what was detected, and all that has to be said."""
    facts = reader.facts
    named = [phrase.name for phrase in said if phrase.kind == "c"]
    detected = [plain(name) for name in facts.categories] or ([plain(facts.normal)] if facts.normal else [])
    for name in dict.fromkeys(named):
        if name not in detected:
            reader.wrong(f"{name!r} was not detected")
    for name in map(plain, facts.categories) if must is None else must:
        if name not in named and name not in VERDICTS:
            reader.wrong(f"say that there was {name!r}")


def _verdict(said: Sequence[Phrase], reader: _Reader, must: bool) -> None:
    verdicts = {phrase.name for phrase in said if phrase.kind == "v"}
    if reader.facts.events and "normal" in verdicts:
        reader.wrong("the video is not normal")
    if not reader.facts.events and "abnormal" in verdicts:
        reader.wrong("nothing abnormal was detected")
    if must and not reader.facts.events and "normal" not in verdicts:
        reader.wrong("say that the activities are normal")


def _judge(phrase: Phrase, reader: _Reader) -> None:
    """Compare a phrase with the events it can mean, and keep those it does mean."""
    first, second, kind = phrase.value, phrase.until, phrase.kind
    if kind == "c":
        reader.name(phrase)
    elif kind == "p":
        reader.once(phrase.name)
        reader.meant(lambda one: _near(first, one.start_s) and _near(second, one.end_s),
                     f"nothing of that kind lasted {phrase.name}", another=True)  # fmt: skip
    elif kind == "s":
        reader.meant(lambda one: _near(first, one.start_s), f"nothing of that kind began at {phrase.name}", another=True)
    elif kind == "e":
        reader.meant(lambda one: _near(first, one.end_s), f"nothing of that kind ended at {phrase.name}")
    elif kind == "l":
        reader.meant(lambda one: _near(first, one.end_s - one.start_s), f"nothing of that kind lasted {phrase.name}")
    elif kind == "n":
        reader.meant(lambda one: abs(first - one.probability) < 0.011, "that is not its confidence")
    elif kind == "h":
        reader.meant(lambda one: one.share is not None and abs(first - one.share) < 0.011, "that is not its share")
    elif kind == "o":
        sentence = f"that number of {phrase.name!r} was not detected there"
        if not phrase.least and _is_cut(phrase.name, reader.facts):
            sentence += "; where the facts say 'at least', say it too"
        reader.count(phrase.name)
        if reader.group and reader.facts.events:
            reader.meant(lambda one: _enough(one.objects, phrase), sentence)
        elif not _enough(reader.facts.objects, phrase):
            reader.wrong(sentence)


def _near(said_s: float, true_s: float) -> bool:
    """As shown (whole seconds, cut off), give or take one."""
    return abs(said_s - int(true_s)) <= 1


def _enough(objects: Objects, phrase: Phrase) -> bool:
    """A number is the most seen at once, where that is known; `a person` one or more, `persons` two or more, `at least 3
    persons` three or more."""
    seen = {plain(one.name): one for one in objects}.get(phrase.name, Count(phrase.name, 0))
    if phrase.value < 0:
        return seen.most >= (2 if phrase.plural else 1)
    return seen.most >= phrase.value if phrase.least else seen.most == phrase.value and not seen.cut


def _is_cut(name: str, facts: Facts) -> bool:
    every = [*facts.objects, *(one for event in facts.events for one in event.objects)]
    return any(one.cut and plain(one.name) == name for one in every)
