"""What happened in an event, in words: composed from the facts at once; a model's, once they are checked, in their place."""

from collections.abc import Callable, Sequence

from aadc.eval.describe import facts
from aadc.eval.describe.compose import compose
from aadc.eval.describe.describer import How, LanguageModel, describe
from aadc.eval.describe.reading import Vocabulary
from aadc.live.event import Event
from aadc.live.reader import Reader
from aadc.live.seen_boxes import Box
from aadc.live.store import Store
from aadc.live.words_due import MOST_BEGUN, beginning, ending, facts_in, leaving

Seen = Sequence[tuple[float, Sequence[Box]]]


def facts_of(event: Event, boxes: Seen = (), before_s: float = 5.0, after_s: float = 5.0) -> facts.Facts:
    """What may be said of an event that ended. Times count from the beginning of its clip.

    Args:
        boxes: (second of the stream, what the detector saw there).
        before_s, after_s: as of the `Recorder`; a stream may have begun later than the clip would.
    """
    start_s = min(before_s, max(event.start_s, 0.0))
    inside = [here for second, here in boxes if event.start_s <= second <= event.end_s]
    most: dict[str, int] = {}
    for here in inside:
        names = [box.name for box in here]
        most |= {name: max(most.get(name, 0), names.count(name)) for name in names}
    objects = tuple(facts.Count(name, most[name]) for name in sorted(most, key=lambda name: (-most[name], name)))
    told = facts.Event(start_s, start_s + event.duration_s, event.category, event.sure, objects, event.share)
    return facts.Facts(start_s + event.duration_s + after_s, (told,), None, objects)


def composed(event: Event, boxes: Seen = (), before_s: float = 5.0) -> tuple[str, str]:
    """The sentence that is there at once, and how it was made."""
    return compose(facts_of(event, boxes, before_s)), How.unasked.value


class EventWords:
    """A language model that describes events after their end, one at a time: those that the store says are due.

    What it says is kept only if the checker finds nothing wrong with it; the composed sentence stays otherwise.
    """

    def __init__(
        self, store: Store, vocabulary: Vocabulary, llm: LanguageModel, told: Callable[[str], None] = lambda _: None
    ) -> None:
        """`told` hears why the model could not be asked."""
        self._store, self._vocabulary, self._llm, self._told = store, vocabulary, llm, told
        self._reader = Reader(store.path)

    def close(self) -> None:
        """Close what it reads from."""
        self._reader.close()

    def describe_one(self) -> bool | None:
        """Describe the event that is due next. True: that is done, whatever came of it; False: the model could not be asked,
        which another time may go well; None: nothing is due."""
        due = self._reader.words_due()
        if not due:
            return None
        number, event, told, begun = due[0]
        known = facts_in(told)
        if known is None or begun >= MOST_BEGUN:
            why = "its facts cannot be read" if known is None else f"it ended this process {begun} times"
            self._told(f"event {event}: {why}; its composed words stay")
            self._store.write(ending(number, event)).result()
            return True
        self._store.write(beginning(number)).result()
        try:
            (found,) = describe([known], [None], self._vocabulary, self._llm)
        except Exception as error:  # a server that is away, a model without memory: the next event may go well
            self._told(f"event {event}: {error}")
            self._store.write(leaving(number)).result()
            return False
        words = ("", "") if found.how is How.composed else (found.text, found.how.value)
        self._store.write(ending(number, event, *words)).result()
        return True
