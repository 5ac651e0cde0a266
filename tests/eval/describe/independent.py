"""A second judge of descriptions, written apart from the project's checker and in another way: it cuts a text into clauses and
compares every time, class, count and verdict that it can find with the events by set membership."""

import re

COUNTS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}


def seconds(text: str) -> int:
    """`mm:ss` or `h:mm:ss`."""
    total = 0
    for part in text.split(":"):
        total = total * 60 + int(part)
    return total


def contradictions(
    text: str,
    duration_s: float,
    events: list[tuple],
    normal: str | None,
    classes: list[str],
    overall: dict | None = None,
) -> list[str]:
    """Statements of `text` that the events do not bear out.

    Args:
        events: (class, start_s, end_s, {object: most at once, as a number or `at least 5`}); classes: all class names, lower
            case; overall: objects in the whole video, looked at where there are no events.
    """
    low, found = text.lower(), []
    objects = {name for event in events for name in event[3]}
    apart = low
    for name in sorted(objects | {"cell phone"}, key=len, reverse=True):
        if any(one in name and one != name for one in classes):
            apart = apart.replace(name, "thing")
    named = {name for name in classes if re.search(rf"\b{re.escape(name)}", apart)}
    there = {event[0] for event in events} | ({normal} if normal and not events else set())
    found += [f"class {name}" for name in named - there - objects]
    found += [f"left out {name}" for name in {event[0] for event in events} - named]
    stated = re.sub(r"\b(?:nothing|no) (?:ab|un)\w+", "normal", low)
    if events and re.search(r"\bnormal\b", stated):
        found.append("called normal")
    if not events and re.search(r"\b(abnormal|unusual|anomalous)\b", stated):
        found.append("called abnormal")
    if re.search(r"\b(not|never|nobody|without|no)\b", stated):
        found.append("denies something")
    spans = [(start, end) for _, start, end, _ in events] or [(0.0, duration_s)]
    edges = [int(edge) for span in spans for edge in span]
    for clause in re.findall(r"\d+:\d\d(?::\d\d)?\s*(?:-|to|until|till)\s*\d+:\d\d(?::\d\d)?", low):
        first, last = (seconds(one) for one in re.findall(r"\d+:\d\d(?::\d\d)?", clause))
        if not any(abs(first - int(start)) <= 1 and abs(last - int(end)) <= 1 for start, end in spans):
            found.append(f"span {clause}")
    for said in re.findall(r"\d+:\d\d(?::\d\d)?", low):
        lengths = [int(end - start) for start, end in spans]
        if min(abs(seconds(said) - edge) for edge in edges + lengths) > 1:
            found.append(f"time {said}")
    most: dict[str, set[str]] = {}
    for there in [event[3] for event in events] or [overall or {}]:
        for name, count in there.items():
            most.setdefault(name, set()).add(str(count))
    for least, number, name in re.findall(r"(\bat least )?\b(\d+|one|two|three|four|five|six)(?= ([a-z]+(?: [a-z]+)?))", low):
        count = COUNTS.get(number) or int(number)
        for object_name, counts in most.items():
            if name.startswith(object_name) and not any(bears_out(one, bool(least), count) for one in counts):
                found.append(f"{least}{count} {object_name}")
    return found


def bears_out(seen: str, least: bool, count: int) -> bool:
    """Whether `seen` (a number, or `at least` one) makes it true that there were `count`, or at least so many. One person is
    there where two are."""
    bound = int(seen.removeprefix("at least "))
    if least:
        return count <= bound
    return count == bound and "at least" not in seen or count == 1 < bound


def as_told(objects) -> dict[str, str]:
    """The objects of facts as `contradictions` takes them."""
    return {one.name: f"at least {one.most}" if one.cut else str(one.most) for one in objects}
