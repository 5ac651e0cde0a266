"""Does a text say only what was detected? Whatever is not known to be true counts as a fault: a composed sentence is at hand.

The text is taken apart into mentions of classes, times, counts of objects, verdicts (normal or not), and neutral words from a
fixed list; any other word may say what is not there, and is a fault. No sentence with a negation passes but the few that say
nothing abnormal was found.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aadc.eval.describe.facts import Facts, counted, plain
from aadc.eval.spans import clock
from aadc.manifests.card import Card

NUMBERS = {
    word: value
    for value, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())  # noqa: SIM905
}
NUMBERS |= {"a": 1, "an": 1, "another": 1, "single": 1, "several": -1, "many": -1, "multiple": -1, "some": -1}
ARTICLES = {"a", "an"}
PEOPLE = ("people", "individual", "individuals", "participant", "participants")
NOTHING = (
    "nothing abnormal", "no abnormal activity", "no abnormal activities", "no abnormal events", "nothing anomalous", "no anomaly",
    "no anomalies", "nothing unusual", "no unusual activity",
)  # fmt: skip
NORMAL = {"normal", "ordinary", "usual", "routine"}
ABNORMAL = {"abnormal", "anomalous", "anomaly", "anomalies", "unusual", "suspicious"}
NEUTRAL = set(
    "yes the this that these it is are was were be been being in on at of to and then also with while during from until till "
    "through between for after before later first second finally again which where there here as by its their has have had "
    "can be seen see shown shows show showing depicts depict captures captured capture contains features includes including "
    "involving involves observed detected found recorded visible present occurs occurring occurred happens happening happened "
    "takes taking place begins beginning starts starting started ends ending ended lasts lasting continues followed follows "
    "video camera footage clip recording scene surveillance film frame activity activities event events incident action "
    "session time period start end beginning length total whole entire saw doing".split()
)
_TIME = re.compile(r"\b(?:(\d{1,2}):)?(\d{1,2}):([0-5]\d)\b")
_TOKEN = re.compile(r"\d+(?:\.\d+)?%?|[^\W\d_]+(?:'[^\W\d_]+)?|[@§][\d:]+§?|[.;!?]")


@dataclass(frozen=True)
class Vocabulary:
    """The names that texts about one data set may use: abnormal and normal classes of its card, the detector's classes."""

    abnormal: tuple[str, ...]
    normal: tuple[str, ...]
    objects: tuple[str, ...]


def vocabulary(card: Card, detector_names: Iterable[str]) -> Vocabulary:
    """Names as descriptions write them."""
    by_kind = {kind: tuple(plain(entry.name) for entry in card.classes if entry.kind == kind) for kind in ("abnormal", "normal")}
    return Vocabulary(by_kind["abnormal"], by_kind["normal"], tuple(plain(name) for name in detector_names))


def faults(text: str, facts: Facts, words: Vocabulary) -> list[str]:
    """What is wrong with a description, in sentences a language model can act on; empty if every word of it is backed."""
    if not text.strip():
        return ["say something"]
    rest, mentions = _mentions(text.lower(), facts, words)
    found = _category_faults(mentions, facts)
    rest, verdict = _verdict_faults(rest, facts, bool(mentions))
    found += verdict
    rest, times = _time_faults(rest, mentions, facts)
    found += times
    return [*found, *_word_faults(rest, mentions, facts, words)]


def _mentions(text: str, facts: Facts, words: Vocabulary) -> tuple[str, list[str]]:
    """The text with its n-th mention of a class as `§n§`, and the classes mentioned."""
    names = sorted({*words.abnormal, *words.normal, *map(plain, facts.categories)}, key=len, reverse=True)
    objects = {form.lower() for name in words.objects for form in (name, counted(name, 2))}
    mentions: list[str] = []
    for name in names:
        low = name.lower()
        if low in NORMAL | ABNORMAL or (low in objects and name not in map(plain, facts.categories)):
            continue  # `Normal` is a verdict, not a mention; a class called like an object is one where it was detected

        def mark(_: re.Match, name: str = name) -> str:
            mentions.append(name)
            return f" §{len(mentions) - 1}§ "

        text = re.sub(rf"(?<![\w§])(?:{re.escape(low)})(?:s|es|ing|ed)?(?![\w§])", mark, text)
    return text, mentions


def _category_faults(mentions: Sequence[str], facts: Facts) -> list[str]:
    detected = [plain(name) for name in facts.categories] or ([plain(facts.normal)] if facts.normal else [])
    wrong = [f"{name!r} was not detected" for name in dict.fromkeys(mentions) if name not in detected]
    left_out = [f"say that there was {name!r}" for name in detected if facts.events and name not in mentions]
    return wrong + left_out


def _verdict_faults(text: str, facts: Facts, mentioned: bool) -> tuple[str, list[str]]:
    said_nothing = False
    for phrase in NOTHING:
        text, times = re.subn(rf"\b{phrase}\b", " ", text)
        said_nothing |= times > 0
    words = set(_TOKEN.findall(text))
    normal, abnormal = bool(words & NORMAL) or said_nothing, bool(words & ABNORMAL)
    if facts.events and normal:
        return text, ["the video is not normal"]
    if not facts.events and abnormal:
        return text, ["nothing abnormal was detected"]
    if not facts.events and not normal and not mentioned:
        return text, ["say that the activities are normal"]
    return text, []


def _time_faults(text: str, mentions: Sequence[str], facts: Facts) -> tuple[str, list[str]]:
    """Each pair of times must be that of a span of the class it stands with, each single one a start, or an end after
    `until` and the like. Times become `@`."""
    found = []
    marks = [(m.start(), m.end(), _seconds(m)) for m in _TIME.finditer(text)]
    places = [(m.start(), mentions[int(m[1])]) for m in re.finditer(r"§(\d+)§", text)]
    position = 0
    while position < len(marks):
        start, end, seconds = marks[position]
        paired = position + 1 < len(marks) and re.fullmatch(
            r"\s*(?:-|–|—|to|until|till|and|through)\s*(?:about\s*)?", text[end : marks[position + 1][0]]
        )
        before = text[max(0, start - 24) : start]
        last = marks[position - 1][1] if position else 0
        stop = marks[position + 1 + bool(paired)][0] if position + 1 + bool(paired) < len(marks) else len(text)
        spans = _spans_of(_stands_with(places, last, start, stop), facts)
        if paired:
            pair = (seconds, marks[position + 1][2])
            if not any(_near(pair[0], one[0]) and _near(pair[1], one[1]) for one in spans):
                found.append(f"nothing of that kind lasted from {clock(pair[0])} to {clock(pair[1])}")
            position += 2
            continue
        ends = re.search(r"\b(until|till|to|ends?|ended|ending|before|by)\b[^@§]*$", before)
        if re.search(r"\b(length|total|lasts?|lasting|for|of|long)\b\W*$", before):
            right = _near(seconds, facts.duration_s) if not places else any(_near(seconds, b - a) for a, b in spans)
            right = right or (bool(re.search(r"\blength\b", before)) and _near(seconds, facts.duration_s))
        else:
            right = any(_near(seconds, one[1 if ends else 0]) for one in spans)
        if not right:
            found.append(f"nothing of that kind {'ended' if ends else 'began'} at {clock(seconds)}")
        position += 1
    return _TIME.sub(" ", text), found


def _stands_with(places: Sequence[tuple[int, str]], last: int, start: int, stop: int) -> str | None:
    """The class a time is about: the nearest one named since the last time, else the next before the next time, else the
    nearest before."""
    since = [name for place, name in places if last <= place < start]
    after = [name for place, name in places if start < place < stop]
    before = [name for place, name in places if place < start]
    return (since[-1:] or after[:1] or before[-1:] or [None])[0]


def _spans_of(category: str | None, facts: Facts) -> list[tuple[float, float]]:
    if not facts.events:
        return [(0.0, facts.duration_s)]
    if category is None:
        return [(event.start_s, event.end_s) for event in facts.events]
    return [(event.start_s, event.end_s) for event in facts.events if plain(event.category) == category]


def _seconds(match: re.Match) -> float:
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds


def _near(said: float, true: float) -> bool:
    """As shown (whole seconds, cut off), give or take one."""
    return abs(said - int(true)) <= 1


def _word_faults(text: str, mentions: Sequence[str], facts: Facts, words: Vocabulary) -> list[str]:
    """Counts that are not those detected, and words that nothing backs."""
    forms: dict[str, tuple[str, bool]] = {}
    for name in words.objects:
        low = name.lower()
        forms |= {low: (low, False), counted(low, 2): (low, True)}
    if "person" in forms:
        forms |= {word: ("person", word.endswith(("s", "people"))) for word in PEOPLE} | {"someone": ("person", False)}
    text = _join_object_names(text, forms)
    forms = {form.replace(" ", "-"): what for form, what in forms.items()}
    found, number, since = [], None, []
    for token in re.findall(r"\d+(?:[.:]\d+)*%?|§\d+§|[^\W\d_§]+(?:[-'][^\W\d_§]+)*|[.;!?]", text):
        if token.startswith("§"):
            if number is not None and number != 1:
                found.append(f"{mentions[int(token[1:-1])]!r} was not counted: leave its number out")
            since, number = [mentions[int(token[1:-1])]], None
        elif token in forms:
            name, plural = forms[token]
            if not _counted_right(name, number, plural, since, facts):
                found.append(f"not so many of {name!r} were detected" if _most(name, facts) else f"no {name!r} was detected")
            number = None
        elif token in NUMBERS or token[0].isdigit():
            if number is not None:
                found.append(f"the number {number} stands with nothing that was counted")
            number = NUMBERS.get(token, int(token) if token.isdigit() else -2)
            if token in ARTICLES:
                number = 1 if token == "a" or token == "an" else number
            if number == -2:
                found.append(f"the number {token} was not detected")
                number = None
        elif token in ".;!?":
            number = None
        elif token in NORMAL or token in ABNORMAL or token in NEUTRAL:
            if number is not None and number != 1:
                found.append("give numbers of objects alone")
            number = None
        else:
            found.append(f"{token!r} was not detected: leave it out")
            number = None
    if number not in (None, 1):
        found.append("give numbers of objects alone")
    return list(dict.fromkeys(found))


def _join_object_names(text: str, forms: Iterable[str]) -> str:
    """Names of two words, like `cell phone`, as one."""
    for form in sorted((form for form in forms if " " in form), key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(form)}\b", form.replace(" ", "-"), text)
    return text


def _most(name: str, facts: Facts) -> int:
    return max((count for what in [facts.objects, *(e.objects for e in facts.events)] for one, count in what
                if plain(one).lower() == name), default=0)  # fmt: skip


def _counted_right(name: str, number: int | None, plural: bool, since: Sequence[str], facts: Facts) -> bool:
    """Whether so many were seen at once: in an event of the class named last, else in any, or in the whole video."""
    events = [event for event in facts.events if plain(event.category) in since] or facts.events
    sets = [event.objects for event in events] if since and facts.events else [facts.objects, *(e.objects for e in events)]
    counts = [count for objects in sets for one, count in objects if plain(one).lower() == name]
    if not counts:
        return False
    if number is None or number == -1:
        return max(counts) >= (2 if plural or number == -1 else 1)
    return number in counts or (number == 1 and not plural and max(counts) >= 1)
