"""Tokens put together into what they say: a pair of times, a start, an end, a count of objects.

Kinds of phrases, a letter each: c class, v verdict, p pair of times, s start, e end, l how long, n confidence, h share of the
class, o objects, & what joins (`and`, `with`, a comma), . end of a sentence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aadc.eval.describe.reading import Token

NORMAL = {"normal", "ordinary", "usual", "routine"}
ABNORMAL = {"abnormal", "anomalous", "anomaly", "anomalies", "unusual"}
_SETTING = {"video", "camera", "footage", "clip", "recording", "scene", "film"}
_CLAIMS_NOTHING = """
    yes the this that it is are was were be been can there of surveillance activity activities event events incident incidents
    show shows showed shown showing saw see seen detected found observed recorded visible present
    occurs occur occurred occurring happens happen happened happening
"""
CLAIMS_NOTHING = set(_CLAIMS_NOTHING.split()) | _SETTING
ORDER = {"then", "later", "afterwards", "finally"}
_JOINS = {"and", "with"} | ORDER
_STARTS = {"start", "starts", "started", "starting", "begin", "begins", "began", "beginning"}
_ENDS = {"end", "ends", "ended", "ending"}
_LASTS = {"lasts", "lasting", "lasted", "for"}
_TO = {"to", "until", "till"}
_TIMED = {"from", "at", "between", "around", "about", *_STARTS, *_ENDS, *_LASTS, *_TO}  # a time has to follow


@dataclass(frozen=True)
class Phrase:
    """`name` of the class or object, or the times as said; `value`: start, end or length in seconds, a confidence or share, a
    number of objects (below 0: none said); `until`: end of a pair, in seconds; `plural`: of a class or object; `least`: or
    more."""

    kind: str
    name: str
    value: float = -1.0
    until: float = 0.0
    plural: bool = False
    least: bool = False


def phrases(tokens: Sequence[Token]) -> tuple[list[Phrase], list[str]]:
    """The phrases of a text in order, and what in it is none, in sentences a language model can act on."""
    said: list[Phrase] = []
    wrong: list[str] = []
    place = 0
    while place < len(tokens):
        phrase, length = _phrase(tokens, place)
        if isinstance(phrase, Phrase):
            said.append(phrase)
        elif phrase:
            wrong.append(phrase)
        place += length
    return said, wrong


def _phrase(tokens: Sequence[Token], place: int) -> tuple[Phrase | str | None, int]:
    """What stands at `place`, and of how many tokens it is: a phrase, a fault, or None for words that claim nothing."""
    token = tokens[place]
    rest = tokens[place + 1 :]
    if token.kind == "class":
        return Phrase("c", token.name, plural=token.plural), 1
    if token.kind == "object":
        return Phrase("o", token.name, plural=token.plural), 1
    if token.kind == "nothing":
        return Phrase("v", "normal"), 1
    if token.kind in ("stop", "pause"):
        return Phrase("." if token.kind == "stop" else "&", token.name), 1
    if token.kind == "mark":
        return f"leave out {token.name!r}", 1
    if token.kind == "number":
        return _number(token, rest)
    if token.kind == "time":
        return _times([], token, rest)
    name = token.name
    if name == "at" and rest and rest[0] == Token("word", "least"):
        return _at_least(rest[1:])
    if name in _TIMED:
        return _timed(tokens, place)
    if name in ("confidence", "share"):
        numbers = [one for one in rest[:2] if one.kind == "number" and one.name not in ("a", "an")]
        if numbers and rest[: rest.index(numbers[0])] in ([], [Token("word", "of")]):
            return Phrase("n" if name == "confidence" else "h", numbers[0].name, numbers[0].value), 2 + rest.index(numbers[0])
    if name == "in" and any(one.name in _SETTING for one in rest[:3]):
        return None, 1
    if name in ("multiple", "some") and rest and rest[0].kind == "object":
        return Phrase("o", rest[0].name, plural=True), 2
    if name in NORMAL | ABNORMAL:
        return Phrase("v", "normal" if name in NORMAL else "abnormal"), 1
    if name in _JOINS:
        return Phrase("&", name), 1
    return (None if name in CLAIMS_NOTHING else f"{name!r} was not detected: leave it out"), 1


def _number(token: Token, rest: Sequence[Token]) -> tuple[Phrase | str | None, int]:
    article = token.name in ("a", "an")
    if rest and rest[0].kind == "object" and (article or (token.value >= 1 and "%" not in token.name)):
        return Phrase("o", rest[0].name, -1.0 if article else token.value, plural=rest[0].plural), 2
    return (None if article else f"leave out {token.name!r}: give numbers of what was counted alone"), 1


def _at_least(rest: Sequence[Token]) -> tuple[Phrase | str, int]:
    """`at least` with the number of objects that has to follow."""
    phrase, length = _number(rest[0], rest[1:]) if rest and rest[0].kind == "number" else (None, 0)
    if not isinstance(phrase, Phrase) or phrase.value < 1 or phrase.value % 1:
        return "'at least' needs a number of what was counted after it", 2
    return replace(phrase, least=True), 2 + length


def _timed(tokens: Sequence[Token], place: int) -> tuple[Phrase | str, int]:
    """Words that need a time after them, with that time."""
    words: list[str] = []
    while place < len(tokens) and tokens[place].kind == "word" and len(words) < 4:
        words.append(tokens[place].name)
        place += 1
    if place < len(tokens) and tokens[place].kind == "time" and set(words) <= _TIMED:
        phrase, length = _times(words, tokens[place], tokens[place + 1 :])
        return phrase, len(words) + length
    return f"{words[0]!r} needs a time after it", 1


def _times(before: Sequence[str], token: Token, rest: Sequence[Token]) -> tuple[Phrase, int]:
    """A pair of times, or a single one: a start, after `until` and the like an end, after `lasting` and the like how long."""
    joined = rest[0].name if len(rest) > 1 and rest[1].kind == "time" else ""
    last = before[-1] if before else ""
    if joined in _TO or (joined == "and" and last == "between"):
        return Phrase("p", f"from {token.name} to {rest[1].name}", token.value, rest[1].value), 3
    near = [word for word in before if word in {"from", *_STARTS, *_ENDS, *_LASTS, *_TO}]
    kind = "s" if not near else "e" if near[-1] in _TO | _ENDS else "l" if near[-1] in _LASTS else "s"
    return Phrase(kind, token.name, token.value), 1
