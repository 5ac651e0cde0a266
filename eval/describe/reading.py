"""A description taken apart into what it says: classes, objects, times, numbers, and the words between them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aadc.eval.describe.facts import Facts, counted, plain
from aadc.manifests.card import Card

PEOPLE = {"people": True, "individual": False, "individuals": True, "participant": False, "participants": True}
_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve"
NUMBERS = {word: value for value, word in enumerate(_NUMBERS.split())} | {"a": 1, "an": 1, "single": 1}
NOTHING = ("nothing abnormal", "nothing anomalous", "nothing unusual", "no abnormal activity", "no abnormal activities",
           "no abnormal event", "no abnormal events", "no anomaly", "no anomalies", "no unusual activity")  # fmt: skip
VERDICTS = {"normal", "abnormal"}
_LAYOUT = set(" :()'\"’“”\n\t/-–—")


@dataclass(frozen=True)
class Token:
    """One thing said. `kind`: class, object, time (seconds in `value`), number, nothing (found), word, pause (a comma), stop
    (end of a sentence), mark (a sign that has no place in one). `name`: of the class or object, or the word itself."""

    kind: str
    name: str
    value: float = 0.0
    plural: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """The names that texts about one data set may use, as they are spoken: its classes and the detector's."""

    classes: tuple[str, ...]
    objects: tuple[str, ...]


def vocabulary(card: Card, detector_names: Iterable[str]) -> Vocabulary:
    """Names as descriptions write them. A class that is just called normal is a verdict and no name."""
    spoken = dict.fromkeys(plain(name) for name in card.names)
    return Vocabulary(
        tuple(name for name in spoken if name not in VERDICTS),
        tuple(dict.fromkeys(plain(name) for name in detector_names)),
    )


def read(text: str, words: Vocabulary, facts: Facts) -> list[Token]:
    """The text as tokens. A name that is a class and an object is the class where that was detected, unless it is counted (`2
    phones`), else the object."""
    detected = {plain(name) for name in (*facts.categories, *([facts.normal] if facts.normal else []))}
    names: dict[str, Token] = {}
    things: dict[str, Token] = {}
    for name in words.classes:
        for form in (f"{name}s", f"{name}es", f"{name}ing", f"{name}ed"):
            names.setdefault(form.lower(), Token("class", name, plural=form.endswith("s")))
    names |= {name.lower(): Token("class", name) for name in words.classes}  # a name itself before another's inflection
    for name in words.objects:
        for plural in (False, True):
            form = counted(name, 2 if plural else 1).lower()
            things[form] = Token("object", name, plural=plural)
            if form not in names or names[form].name not in detected:
                names[form] = things[form]
    for name in detected - set(words.classes) - VERDICTS:
        names.setdefault(name.lower(), Token("class", name))
    if "person" in words.objects:
        names |= {word: Token("object", "person", plural=plural) for word, plural in PEOPLE.items() if word not in names}
    names |= {phrase: Token("nothing", phrase) for phrase in NOTHING}
    alternatives = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    pattern = re.compile(
        rf"(?P<time>\d{{1,3}}(?::\d{{2}}){{1,2}})(?![\d:])|(?P<name>(?<!\w)(?:{alternatives})(?!\w))"
        r"|(?P<number>\d+(?:\.\d+)?\s?%?)|(?P<word>[^\W\d_]+(?:['’-][^\W\d_]+)*)|(?P<dash>[-–—])|(?P<stop>[.;!?])|(?P<pause>,)|(?P<other>\S)"
    )
    found = []
    for match in pattern.finditer(" ".join(text.lower().split())):
        kind, said = match.lastgroup, match.group()
        if kind == "time":
            parts = [int(part) for part in said.split(":")]
            seconds = sum(part * 60**place for place, part in enumerate(reversed(parts)))
            found.append(Token("time" if max(parts[1:]) < 60 else "mark", said, float(seconds)))
        elif kind == "number":
            share = said.endswith("%")
            found.append(Token("number", said, float(said.rstrip("% ")) / (100 if share else 1)))
        elif kind == "name":
            number = bool(found) and found[-1].kind == "number" and found[-1].name not in ("a", "an")
            found.append(things[said] if number and said in things else names[said])
        elif kind == "word":
            found.append(Token("number", said, NUMBERS[said]) if said in NUMBERS else Token("word", said))
        elif kind == "dash":
            found.append(Token("word", "to"))  # 00:05 - 00:12
        elif kind in ("stop", "pause"):
            found.append(Token(kind, said))
        elif said not in _LAYOUT:
            found.append(Token("mark", said))
    return [token for place, token in enumerate(found) if not _lone_dash(found, place)]


def _lone_dash(tokens: list[Token], place: int) -> bool:
    """A dash that joins no two times is layout. (A written `to` is harmless everywhere, so both are treated alike.)"""
    if tokens[place] != Token("word", "to"):
        return False
    around = tokens[max(0, place - 1) : place] + tokens[place + 1 : place + 2]
    return not any(token.kind == "time" for token in around)
