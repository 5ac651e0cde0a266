"""Words of events: true of the facts at once, a model's only where they are checked."""

import sys
from pathlib import Path

import pytest

from aadc.eval.describe.checker import faults
from aadc.eval.describe.reading import Vocabulary
from aadc.live.clips import Box
from aadc.live.event import Kind
from aadc.live.reader import Reader
from aadc.live.store import Store
from aadc.live.words import EventWords, composed, facts_of
from aadc.live.words_due import asking

sys.path.insert(0, str(Path(__file__).parent))

from made_events import an_event, messages  # noqa: E402

PERSON, CAR = (Box(0, 0, 1, 1, name, 0.9) for name in ("person", "car"))
SEEN = [(59.0, [CAR] * 9), (60.5, [PERSON, PERSON, CAR]), (61.0, [PERSON]), (65.0, [PERSON] * 9)]  # before, in it, in it, after


def test_a_composed_sentence_tells_the_clips_own_times_and_the_most_seen_at_once():
    text, how = composed(an_event(1), SEEN)
    assert text == "Yes, the video shows abnormal activity: road accidents from 00:05 to 00:09 with 2 persons and 1 car."
    assert "no language model" in how


def test_an_event_at_the_very_beginning_of_a_stream():
    assert "from 00:00 to 00:04" in composed(an_event(0))[0]


@pytest.fixture
def vocabulary():
    return Vocabulary(("road accidents", "fall"), ("person", "car"))


class Model:
    """Says what it is told to say, in turn."""

    source = "made up"

    def __init__(self, *answers):
        self.answers = list(answers)

    def __call__(self, requests):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [answer for _ in requests]


def test_a_models_words_are_kept_where_they_are_true(tmp_path, vocabulary):
    good = "The video shows road accidents from 00:05 to 00:09."
    lie = "The video shows a fall from 00:05 to 00:09."
    assert not faults(good, facts_of(an_event(1), SEEN), vocabulary) and faults(lie, facts_of(an_event(1), SEEN), vocabulary)
    told = []
    store = Store(tmp_path / "events.sqlite")
    words = EventWords(store, vocabulary, Model(good, lie, lie, OSError("away"), lie, good), told.append)
    for number in range(1, 5):
        for message in messages(number):
            also = [asking(an_event(number).id, facts_of(an_event(number)))] if message.kind is Kind.end else []
            store.put(message, *composed(an_event(number)), also).result()
        words.describe_one()
    words.close()
    store.close()
    reader = Reader(tmp_path / "events.sqlite")
    kept = [(one.description, one.how) for one in reversed(reader.events())]
    reader.close()
    assert kept[0] == (good, "model") and kept[3] == (good, "model, second try")
    assert kept[1] == composed(an_event(2)) and kept[2] == composed(an_event(3)) and len(told) == 1 and "away" in told[0]
