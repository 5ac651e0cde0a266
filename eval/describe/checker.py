"""Does a text say only what was detected? Whatever is not known to be true is a fault: a composed sentence is at hand.

The text is read from left to right. A class opens or joins a group (`fall and fight`); times and counts that follow belong to
every class of the group, and once times are said, to those events alone. Words that claim nothing by themselves are listed;
any other word may say what is not there, and is a fault.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from aadc.eval.describe.facts import Event, Facts, Objects, plain
from aadc.eval.describe.reading import Token, Vocabulary, read

NORMAL = {"normal", "ordinary", "usual", "routine"}
ABNORMAL = {"abnormal", "anomalous", "anomaly", "anomalies", "unusual"}
_SAYS_NOTHING = """
    yes the this that these it is are was were be being been in on at of to and with from between until till about around up
    also where there here which who by its their has have had can be seen see saw shown shows show showing depicts depict
    captures captured capture contains contain features includes include including involves involving observed detected found
    recorded visible present occurs occur occurring occurred happens happening happened takes took taking place engaged
    appears appear camera video footage clip recording scene surveillance film activity activities event events incident
    incidents action actions time session period confidence multiple some once
"""
SAYS_NOTHING = set(_SAYS_NOTHING.split())
ORDER = {"then", "later", "afterwards", "finally", "next"}
EDGES = {"start", "starts", "started", "starting", "begin", "begins", "began", "beginning"}
ENDS = {"until", "till", "to", "by", "end", "ends", "ended", "ending"}
LASTS = {"lasts", "lasting", "lasted", "for", "long", "length", "duration"}
MOST_WORDS, MORE_WORDS = 40, 20  # a description may have so many, and so many more for each event


@dataclass
class _Reader:
    """Where the reading is: the group of classes spoken of, the events they can be, and what was wrong so far."""

    facts: Facts
    group: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    closed: bool = True  # the next class opens a new group
    begun: bool = False  # whether a class was named in this sentence
    ahead: str | None = None  # a class whose times stood before it
    starts: list[float] = field(default_factory=list)  # of what was spoken of, in order
    said: set[tuple] = field(default_factory=set)
    found: list[str] = field(default_factory=list)

    def wrong(self, sentence: str) -> None:
        if sentence not in self.found:
            self.found.append(sentence)

    def name(self, name: str) -> None:
        if self.ahead == name:
            self.ahead = None
            return
        self.begun = True
        if self.closed:
            self.group, self.events, self.closed = [], [], False
        self.group.append(name)
        own = self.of_group([name])
        self.events += own
        self.starts.append(min((event.start_s for event in own), default=0.0))

    def of_group(self, group: Sequence[str]) -> list[Event]:
        if not self.facts.events:  # then the whole video is what happened, of whatever normal class
            return [Event(0.0, self.facts.duration_s, self.facts.normal or "", 0.0, self.facts.objects)]
        return [event for event in self.facts.events if not group or plain(event.category) in group]

    def meant(self, fits: Callable[[Event], bool], anew: bool, sentence: str) -> None:
        """Every class of the group must have an event that fits; from here on those are meant.

        Args:
            anew: whether other events of the group can be meant than just before (a new start), or must be the same (its end).
        """
        fitting = [event for event in (self.of_group(self.group) if anew else self.events) if fits(event)]
        lacking = [name for name in self.group if not any(plain(event.category) == name for event in fitting)]
        if lacking or not fitting:
            self.wrong(sentence)
            return
        self.events, self.closed = fitting, True
        if self.starts:
            self.starts[-1] = min(event.start_s for event in fitting)

    def counts(self, token: Token, number: float | None, several: bool) -> None:
        """So many objects must have been seen at once: in an event of each class of the group, or in the video."""
        if self.group and self.facts.events:
            counted = [[e.objects for e in self.events if plain(e.category) == name] for name in self.group]
        else:
            counted = [[self.facts.objects]]
        self.closed = True
        if not all(any(_enough(objects, token, number, several) for objects in sets) for sets in counted):
            self.wrong(f"that number of {token.name!r} was not detected there")


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
    _classes(tokens, reader, map(plain, facts.categories) if must is None else must)
    _verdict(tokens, reader, must is None)
    place = 0
    while place < len(tokens):
        place += _one(tokens, place, reader)
    ordered = any(token.kind == "word" and token.name in ORDER for token in tokens)
    if ordered and reader.starts != sorted(reader.starts):
        reader.wrong("that is not the order in which it happened")
    return reader.found


def _classes(tokens: Sequence[Token], reader: _Reader, must: Iterable[str]) -> None:
    """Only what was detected, and all that has to be said."""
    facts = reader.facts
    said = [token.name for token in tokens if token.kind == "class"]
    detected = [plain(name) for name in facts.categories] or ([plain(facts.normal)] if facts.normal else [])
    for name in dict.fromkeys(said):
        if name not in detected:
            reader.wrong(f"{name!r} was not detected")
    for name in must:
        if name not in said:
            reader.wrong(f"say that there was {name!r}")


def _verdict(tokens: Sequence[Token], reader: _Reader, must: bool) -> None:
    words = {token.name for token in tokens if token.kind == "word"}
    normal = bool(words & NORMAL) or any(token.kind == "nothing" for token in tokens)
    if reader.facts.events and normal:
        reader.wrong("the video is not normal")
    if not reader.facts.events and words & ABNORMAL:
        reader.wrong("nothing abnormal was detected")
    if must and not reader.facts.events and not normal:
        reader.wrong("say that the activities are normal")


def _one(tokens: Sequence[Token], place: int, reader: _Reader) -> int:
    """Judge what stands at `place`; gives how many tokens that was."""
    token, after = tokens[place], tokens[place + 1 : place + 3]
    if token.kind == "class":
        reader.name(token.name)
    elif token.kind == "time":
        return _time(tokens, place, reader)
    elif token.kind == "object":
        reader.counts(token, None, several=False)
    elif token.kind == "number":
        return _number(tokens, place, reader)
    elif token.kind == "stop":
        reader.closed, reader.begun = True, False
    elif token.kind == "mark":
        reader.wrong(f"leave out {token.name!r}")
    elif token.name in EDGES or token.name in ENDS - {"until", "till", "to", "by"}:
        if not any(next_.kind == "time" for next_ in after):
            reader.wrong(f"{token.name!r} needs a time after it")
    elif token.name in ("multiple", "some"):
        if after and after[0].kind == "object":
            reader.counts(after[0], None, several=True)
            return 2
        reader.wrong(f"{token.name!r} needs what was counted after it")
    elif token.kind == "word" and token.name not in SAYS_NOTHING | NORMAL | ABNORMAL | ORDER | LASTS:
        reader.wrong(f"{token.name!r} was not detected: leave it out")
    return 1


def _number(tokens: Sequence[Token], place: int, reader: _Reader) -> int:
    token = tokens[place]
    after = tokens[place + 1] if place + 1 < len(tokens) else None
    before = {one.name for one in tokens[max(0, place - 2) : place]}
    if after is not None and after.kind == "object":
        reader.counts(after, token.value, several=False)
        return 2
    if "confidence" in before:
        reader.meant(lambda event: abs(event.confidence - token.value) < 0.011, False, "that is not its confidence")
    elif token.value != 1 or token.name[0].isdigit():
        reader.wrong(f"leave out {token.name!r}: give numbers of what was counted alone")
    return 1


def _time(tokens: Sequence[Token], place: int, reader: _Reader) -> int:
    """A pair of times is an event from start to end, a single one its start, after `until` and the like its end, after
    `lasting` and the like how long it took."""
    token, before = tokens[place], [one.name for one in tokens[max(0, place - 2) : place]]
    joined = tokens[place + 1].name if place + 2 < len(tokens) and tokens[place + 2].kind == "time" else ""
    if joined in ("to", "until", "till") or (joined == "and" and "between" in before):
        end = tokens[place + 2]
        said = (token.name, end.name, *_class_of_times(tokens, place + 3, reader))
        if said in reader.said:
            reader.wrong("say every event once")
        reader.said.add(said)
        sentence = f"nothing of that kind lasted from {token.name} to {end.name}"
        reader.meant(lambda one: _near(token, one.start_s) and _near(end, one.end_s), True, sentence)
        return 3
    _class_of_times(tokens, place + 1, reader)
    if set(before) & LASTS:
        reader.meant(lambda one: _near(token, one.end_s - one.start_s), False, f"nothing of that kind lasted {token.name}")
    elif set(before) & ENDS:
        reader.meant(lambda one: _near(token, one.end_s), False, f"nothing of that kind ended at {token.name}")
    else:
        reader.meant(lambda one: _near(token, one.start_s), True, f"nothing of that kind began at {token.name}")
    return 1


def _class_of_times(tokens: Sequence[Token], after: int, reader: _Reader) -> list[str]:
    """The classes that times are about: the last, but at the head of a sentence the next (`from 00:05 to 00:12 a fall`)."""
    if not reader.begun:
        for later in tokens[after:]:
            if later.kind in ("time", "stop"):
                break
            if later.kind == "class":
                reader.ahead = None
                reader.name(later.name)
                reader.ahead = later.name
                break
    return reader.group


def _near(token: Token, true_s: float) -> bool:
    """As shown (whole seconds, cut off), give or take one."""
    return abs(token.value - int(true_s)) <= 1


def _enough(objects: Objects, token: Token, number: float | None, several: bool) -> bool:
    seen = dict((plain(name), count) for name, count in objects).get(token.name, 0)
    if number is None:
        return seen >= (2 if several or token.plural else 1)
    return seen == number or (number == 1 and not token.plural and seen >= 1)
