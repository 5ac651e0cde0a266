"""Nothing false goes out, whatever the model says; what is finished is kept."""

import json
import os
import random
import resource
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from independent import as_told, contradictions

from aadc.eval.describe.compose import as_text, compose
from aadc.eval.describe.describer import Description, How, describe
from aadc.eval.describe.examples import Names, made_up
from aadc.eval.describe.facts import MOST_EVENTS, Count, Event, Facts, as_one, facts_of, most_at_once, plain
from aadc.eval.describe.projector import Projector
from aadc.eval.describe.reading import Vocabulary
from aadc.eval.describe.videos import Describer, describe_into, event_record, read_rows, summary
from aadc.eval.scores import Scored
from aadc.eval.spans import Span
from aadc.extract.video_features import VideoFeatures
from aadc.head.checkpoint import LoadedHead
from aadc.head.config import HeadConfig
from aadc.head.scoring import SnippetScores
from aadc.head.video_score import VideoScore
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.errors import UserError

NAMES = Names(("fall", "fight", "RoadAccidents"), ("squat", "walking"), ("person", "bag"))
WORDS = Vocabulary(tuple(map(plain, (*NAMES.abnormal, *NAMES.normal))), NAMES.objects)
CARD = Card(
    title="T",
    classes=[ClassEntry(name=name, kind="abnormal", prompt=name) for name in NAMES.abnormal]
    + [ClassEntry(name=name, kind="normal", prompt=name) for name in NAMES.normal],
)


class Scripted:
    """Stands in for a language model: says what it is told to."""

    source = "script"

    def __init__(self, say):
        self.say, self.asked = say, []

    def __call__(self, requests):
        self.asked.append(list(requests))
        return [self.say(request) for request in requests]


def detections(count: int) -> list[Facts]:
    chance = random.Random(5)
    return [made_up(NAMES, chance) for _ in range(count)]


def liar(chance: random.Random):
    """A fluent model that now and then gets a fact wrong."""

    def say(request) -> str:
        lies = detections(60)
        if chance.random() < 0.5:
            return compose(chance.choice(lies), chance)
        shown = next(line for line in request.facts.splitlines() if line.startswith("Shown: "))
        text = f"The camera saw {shown.removeprefix('Shown: ')}."
        return text.replace("00:0", "00:1", 1) if chance.random() < 0.3 else text

    return say


def test_whatever_the_model_says_nothing_false_goes_out():
    found = detections(200)
    made = list(describe(found, [None] * len(found), WORDS, Scripted(liar(random.Random(1)))))
    assert len(made) == 200 and {one.how for one in made} == set(How) - {How.unasked}
    for one, facts in zip(made, found, strict=True):
        events = [(plain(e.category), e.start_s, e.end_s, as_told(e.objects)) for e in facts.events]
        assert contradictions(one.text, facts.duration_s, events, facts.normal, list(WORDS.classes)) == [], one.text


def test_the_first_answer_the_second_then_the_facts_themselves():
    facts = [replace(one, normal=None) for one in detections(30) if len(one.events) == 1][:3]
    true = [compose(one, random.Random(4)) for one in facts]

    def say(request) -> str:
        place = [as_text(one, length=False) for one in facts].index(request.facts)
        if place == 0 or (place == 1 and request.wrong):
            return true[place]
        return "A dog ran by."

    model = Scripted(say)
    made = list(describe(facts, [None] * 3, WORDS, model))
    assert [one.how for one in made] == [How.first, How.retry, How.composed]
    assert [one.text for one in made] == [true[0], true[1], compose(facts[2])]
    assert [len(one.refused) for one in made] == [0, 1, 2]
    again = model.asked[1]
    assert len(again) == 2 and all(request.wrong[0] == "A dog ran by." for request in again)
    assert any("'dog'" in fault for fault in again[0].wrong[1]) and len(model.asked) == 2


def scored(video: str, spans: list[Span], snippets: int = 4, seen: list[int] | None = None) -> Scored:
    """`seen`: boxes in each frame, kept or not; as many as are kept if None."""
    random_ = np.random.default_rng(len(video))
    features = VideoFeatures(
        video, "test", (), 100, 100, fps=10.0, frame=np.arange(snippets) * 25, time=np.arange(snippets) * 2.5,
        count=np.array([2, 0, 1, 2][:snippets]), seen=np.array(seen or [2, 0, 1, 2][:snippets], np.uint16),
        class_id=np.array([[1, 1], [1, 1], [1, 7], [1, 7]][:snippets]),
    )  # fmt: skip
    classes = random_.dirichlet(np.ones(5), snippets).astype(np.float32)
    return Scored(
        features,
        SnippetScores(
            random_.random(snippets).astype(np.float32),
            classes,
            np.ones((snippets, 6), np.float32),
            VideoScore(0.5, classes.mean(0)),
        ),
        spans,
    )


def span(start: float, end: float, peak: float = 0.9, category: str = "fall") -> Span:
    return Span(int(start * 10), int(end * 10), start, end, category, 0.8, peak)


def describer(model, projector=None, **made_with) -> Describer:
    head = LoadedHead(None, HeadConfig(), CARD, "", "", "", {})
    return Describer(head, {"1": "person", "7": "bag"}, model, projector, {"llm": "script", **made_with})


def test_facts_are_what_was_found():
    """Objects are counted a frame, in each event and overall; rows past `count` do not exist."""
    found = describer(None).facts(scored("a.mp4", [span(0, 2.6), span(4.9, 9, category="fight")]))
    assert [(e.start_s, e.end_s, e.category, e.objects) for e in found.events] == [
        (0, 2.6, "fall", (Count("person", 2),)), (4.9, 9, "fight", (Count("bag", 1), Count("person", 1))),
    ]  # fmt: skip
    assert found.duration_s == 10 and found.objects == (Count("person", 2), Count("bag", 1)) and found.normal is None
    quiet = scored("a.mp4", [])
    best = np.sort(quiet.snippets.classes, 0)[::-1][:5].mean(0)
    assert describer(None).facts(quiet).normal == ("squat", "walking")[int(best[3:].argmax())]


ONE_BOX_CLASSES = {"0": "person", "1": "bag", "2": "dog"}


@given(st.lists(st.lists(st.integers(0, 2), max_size=7), min_size=1, max_size=5), st.integers(1, 4))
def test_a_number_is_told_as_exact_where_nothing_can_have_been_lost(frames, boxes):
    """Of made-up frames, whose boxes are all known here: what is told as exact is the truth, and what is told as `at least`
    would be more if the boxes that were not kept were of that class."""
    rows = [(frame + [0] * boxes)[:boxes] for frame in frames]
    features = VideoFeatures(
        "a.mp4", "test", (), 100, count=np.array([min(len(frame), boxes) for frame in frames]),
        seen=np.array([len(frame) for frame in frames], np.uint16), class_id=np.array(rows),
    )  # fmt: skip
    told = {one.name: one for one in most_at_once(features, slice(None), ONE_BOX_CLASSES)}
    for number, name in enumerate(ONE_BOX_CLASSES.values()):
        true = max(frame.count(number) for frame in frames)
        kept = max(frame[:boxes].count(number) for frame in frames)
        most = max(frame[:boxes].count(number) + len(frame[boxes:]) for frame in frames)
        if name not in told:
            assert kept == 0
            continue
        assert told[name].most == kept <= true <= most and told[name].cut == (most > kept)
    features.seen = None  # a shard of an earlier version: a full row may have been cut
    for one in most_at_once(features, slice(None), ONE_BOX_CLASSES):
        assert one.cut == any(len(frame) >= boxes for frame in frames)


def test_a_crowd_is_at_least_what_was_kept():
    """Two boxes are kept of seven in the fight, and of the bag's frame nothing is lost: so say words, facts and record."""
    found = describer(None).facts(scored("a.mp4", [span(0, 2.6), span(4.9, 9, category="fight")], seen=[7, 0, 1, 2]))
    assert [event.objects for event in found.events] == [(Count("person", 2, True),), (Count("bag", 1), Count("person", 1))]
    assert found.objects == (Count("person", 2, True), Count("bag", 1, True)) and found.cut
    assert "fall from 00:00 to 00:02 with at least 2 persons and fight from 00:04 to 00:09 with 1 bag" in compose(found)
    assert "at least 2 persons" in as_text(found)
    assert event_record(found.events[0])["objects"] == {"person": 2} and event_record(found.events[0])["at_least"] == ["person"]
    assert event_record(found.events[1])["at_least"] == []


def test_of_many_events_the_strongest_are_told_in_order_of_time():
    spans = [span(n, n + 0.5, peak=1 - n / 100, category=("fall", "fight")[n % 2]) for n in range(30)]
    events = facts_of(scored("a.mp4", spans[::-1]), scored("a.mp4", []).features, CARD, {}).events
    assert [event.start_s for event in events] == list(range(MOST_EVENTS))


def test_a_flickering_score_is_one_event():
    """Spans of one class within five seconds, with no other class between them."""
    spans = [span(20, 22), span(0, 2), span(3, 4), span(9, 10), span(10, 11, category="fight"), span(12, 13)]
    told = as_one(spans)
    assert [(one.start_s, one.end_s, one.category) for one in told] == [
        (0, 10, "fall"), (10, 11, "fight"), (12, 13, "fall"), (20, 22, "fall"),
    ]  # fmt: skip
    sure = [replace(span(0, 2), share=0.9, probability=0.6), replace(span(3, 4), share=0.3, probability=0.8)]
    assert as_one(sure)[0].share == pytest.approx(0.7) and as_one(sure)[0].probability == 0.8
    assert as_one([span(0, 2), span(3, 4)])[0].share is None and as_one(sure)[0].end_frame == 40


def test_video_tokens_come_from_the_head_s_features():
    torch.manual_seed(0)
    projector = Projector(6, 8)
    torch.nn.init.normal_(projector.map.weight)
    one = scored("a.mp4", [])
    tokens = describer(None, projector).tokens(one)
    logits = torch.from_numpy(one.snippets.anomaly).logit()
    assert torch.allclose(tokens, projector(torch.ones(4, 6), logits), atol=1e-5) and describer(None).tokens(one) is None


def test_rows_are_kept_as_they_come_and_only_the_rest_is_done_again(tmp_path):
    """A model that dies on the way loses nothing finished; other facts, another model or a torn line are described anew."""
    path = tmp_path / "descriptions.jsonl"
    videos = [scored(f"{n}.mp4", [span(1, 2 + n)]) for n in range(40)]

    def true(request) -> str:
        if sum(map(len, model.asked)) > 32:
            raise KeyboardInterrupt
        return "The video shows fall."

    model = Scripted(true)
    with pytest.raises(KeyboardInterrupt):
        describe_into(path, describer(model), videos)
    assert len(read_rows(path)) == 32
    with path.open("a") as file:
        file.write('{"video": "32.mp4", "te')
    videos[3] = scored("3.mp4", [span(1, 8)])
    model = Scripted(lambda request: "The video shows a fall.")
    told = []
    rows = describe_into(path, describer(model), videos, lambda: told.append(1))
    assert sum(map(len, model.asked)) == 9 and len(told) == 40
    assert [row["video"] for row in rows] == [f"{n}.mp4" for n in range(40)]
    assert {row["video"] for row in rows if row["text"] == "The video shows a fall."} == {
        "3.mp4",
        *(f"{n}.mp4" for n in range(32, 40)),
    }
    assert sorted(map(json.dumps, read_rows(path))) == sorted(map(json.dumps, rows))
    assert len(path.read_text().splitlines()) == 40
    assert rows[1]["spans"] == [
        {"start_s": 1, "end_s": 3, "start": "00:01", "end": "00:03", "category": "fall", "probability": 0.8, "share": None,
         "objects": {}, "at_least": []},
    ]  # fmt: skip
    describe_into(path, describer(model, temperature=1.0), videos)
    assert sum(map(len, model.asked)) == 49
    describe_into(path, describer(model, temperature=1.0), videos[:2])
    assert len(read_rows(path)) == 40 and sum(map(len, model.asked)) == 49
    assert "40 descriptions: 40 as the model wrote them" in summary(rows)


def test_a_model_that_is_not_there_costs_no_row(tmp_path):
    path, video = tmp_path / "d.jsonl", scored("a.mp4", [span(1, 2)])
    rows = describe_into(path, describer(Scripted(lambda request: "A fall.")), [video])

    def dead(request) -> str:
        raise UserError("nobody answers")

    with pytest.raises(UserError):
        describe_into(path, describer(Scripted(dead), llm="other"), [video])
    assert read_rows(path) == rows


def test_a_row_somebody_made_false_is_written_anew(tmp_path):
    path, video = tmp_path / "d.jsonl", scored("a.mp4", [span(1, 2)])
    (row,) = describe_into(path, describer(Scripted(lambda request: "A fall.")), [video])
    path.write_text(json.dumps({**row, "text": "A fall with 9 persons."}) + "\n" + "[" * 100_000 + "\n" + '{"video": ["x"]}\n')
    assert describe_into(path, describer(Scripted(lambda request: "A fall.")), [video]) == [row]


def test_an_answer_that_came_too_late_is_asked_for_again(tmp_path):
    path, video = tmp_path / "d.jsonl", scored("a\u2028b.mp4", [span(1, 2)])
    (row,) = describe_into(path, describer(Scripted(lambda request: "")), [video])
    assert row["how"] == "composed"
    (row,) = describe_into(path, describer(Scripted(lambda request: "A fall.")), [video])
    assert row["how"] == "model" and len(read_rows(path)) == 1


def test_a_refused_text_is_kept_with_its_faults(tmp_path):
    rows = describe_into(tmp_path / "d.jsonl", describer(Scripted(lambda request: "Rain.")), [scored("a.mp4", [span(0, 2)])])
    assert rows[0]["how"] == "composed" and [one["text"] for one in rows[0]["refused"]] == ["Rain.", "Rain."]
    assert rows[0]["text"] == "Yes, the video shows abnormal activity: fall from 00:00 to 00:02 with 2 persons."
    assert Description("x", How.first).refused == () and Event(1, 2, "a", 0.5).times == ("00:01", "00:02")


def test_somebody_else_s_file_by_that_name_is_not_written_over(tmp_path):
    path, video = tmp_path / "descriptions.jsonl", scored("a.mp4", [span(1, 2)])
    theirs = '{"id": 1, "caption": "a dog"}\n'
    path.write_text(theirs)
    with pytest.raises(UserError, match=r'holds no descriptions of aadc-describe \(\{"id": 1, .* …\); move it'):
        describe_into(path, describer(None), [video])
    assert path.read_text() == theirs
    for torn in ("", '\n{"video": "a.mp4", "te', "\0" * 4096, '{"video": "a.mp4", "text": "of an earlier version"}\n'):
        path.write_text(torn)
        (row,) = describe_into(path, describer(None), [video])
        assert read_rows(path) == [row]


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/full", path), os.mkdir])
def test_what_is_no_file_is_told_of_at_once(tmp_path, make):
    path = tmp_path / "descriptions.jsonl"
    make(path)
    with pytest.raises(UserError, match=r"descriptions\.jsonl: cannot be read \((it is a pipe or device|Is a directory)"):
        describe_into(path, describer(None), [])


def test_a_disk_that_fills_up_keeps_the_rows_that_were_written(tmp_path):
    path = tmp_path / "descriptions.jsonl"
    describe_into(path, describer(None), [scored("first.mp4", [span(1, 2)])])
    (first,) = read_rows(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 900, before[1]))
    try:
        with pytest.raises(UserError, match=r"descriptions\.jsonl: could not be written \(File too large\); free some space"):
            describe_into(path, describer(None), [scored(f"{n}.mp4", [span(1, 2)]) for n in range(9)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    rows = read_rows(path)
    assert rows[0] == first and 1 < len(rows) < 10
    assert len(describe_into(path, describer(None), [scored(f"{n}.mp4", [span(1, 2)]) for n in range(9)])) == 9
    assert read_rows(path)[0] == first and len(read_rows(path)) == 10
