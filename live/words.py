"""What happened in an event, in words: composed from the facts at once; a model's, once they are checked, in their place."""

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from aadc.eval.describe import facts
from aadc.eval.describe.compose import compose
from aadc.eval.describe.describer import How, LanguageModel, describe
from aadc.eval.describe.reading import Vocabulary
from aadc.live.clips import Box
from aadc.live.event import Event
from aadc.live.store import Store

_MOST_WAITING = 100
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
    """A language model that describes events after their end, one at a time, on a thread of its own.

    What it says is kept only if the checker finds nothing wrong with it; the composed sentence stays otherwise, and also while
    more events wait than it can do.
    """

    def __init__(
        self, store: Store, vocabulary: Vocabulary, llm: LanguageModel, told: Callable[[str], None] = lambda _: None
    ) -> None:
        """`told` hears why the model could not be asked."""
        self._store, self._vocabulary, self._llm, self._told = store, vocabulary, llm, told
        self._waiting: queue.Queue[tuple[str, facts.Facts] | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._work, name="words", daemon=True)
        self._thread.start()

    def ask(self, event: Event, boxes: Seen = (), before_s: float = 5.0) -> None:
        """Have an event described that is in the store."""
        with suppress(queue.Full):
            self._waiting.put_nowait((event.id, facts_of(event, boxes, before_s)))

    def close(self) -> None:
        """Describe what waits, and end."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (one := self._waiting.get()) is not None:
            event, known = one
            try:
                (found,) = describe([known], [None], self._vocabulary, self._llm)
            except Exception as error:  # a server that is away, a model without memory: the next event may go well
                self._told(f"event {event}: {error}")
                continue
            if found.how is not How.composed:
                self._store.describe(event, found.text, found.how.value)
