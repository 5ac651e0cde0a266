"""Events made up for tests: what a machine would tell of them."""

from aadc.live.event import Ending, Event, EventMessage, Kind, State, event_id

NOON_NS = 1_750_000_000 * 10**9


def an_event(number: int = 0, camera: str = "yard", **changes) -> Event:
    start_ns = changes.pop("start_ns", NOON_NS + number * 60 * 10**9)
    made = {
        "id": event_id(camera, start_ns, number),
        "camera": camera,
        "state": State.confirmed,
        "start_s": number * 60.0,
        "end_s": number * 60.0 + 4.0,
        "start_ns": start_ns,
        "opened_ns": start_ns + 10**9,
        "decided_ns": 5 * 10**9,
        "confirmed_ns": start_ns + 3 * 10**9,
        "category": "RoadAccidents",
        "share": 0.8,
        "peak": 0.9,
        "mean": 0.7,
        "snippets": 9,
        "curve": ((number * 60.0, 0.6), (number * 60.0 + 0.5, 0.9)),
    }
    return Event(**(made | changes))


def messages(number: int = 0, camera: str = "yard", **changes) -> tuple[EventMessage, EventMessage, EventMessage]:
    """Its new, an update, its end."""
    last = an_event(number, camera, **changes)
    first = last.model_copy(update={"state": State.provisional, "confirmed_ns": None, "end_s": last.start_s + 0.5})
    ended = last.model_copy(update={"ending": Ending.quiet})
    return EventMessage(Kind.new, None, first), EventMessage(Kind.update, first, last), EventMessage(Kind.end, last, ended)
