"""Questions about a video: what they are about, answers that are true, and the moments they rest on."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest

from aadc.eval.describe.facts import Count, Event, Facts
from aadc.eval.describe.question import Subject, answer_faults, composed_answer, facts_for, moments, subjects
from aadc.eval.describe.reading import vocabulary
from aadc.eval.scores import Scored
from aadc.extract.video_features import VideoFeatures
from aadc.head.scoring import SnippetScores
from aadc.head.video_score import VideoScore
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.scenes.demo import demo_card

CARD = demo_card()
NAMES = {"0": "person", "1": "bag", "2": "cell phone"}
WORDS = vocabulary(CARD, NAMES.values())
FACTS = Facts(
    60.0, (Event(5, 12, "fight", 0.9, (Count("person", 2),)), Event(20, 26, "phone", 0.7, (Count("person", 1),))), None,
    (Count("person", 3), Count("bag", 1)),
)  # fmt: skip
QUIET = Facts(60.0, (), "squat", (Count("person", 1),))


def ask(question: str, facts: Facts = FACTS) -> list[Subject]:
    return subjects(question, CARD, list(NAMES.values()), facts)


@pytest.mark.parametrize(
    ("question", "about"),
    [
        ("was anybody on the phone?", ["class phone"]),
        ("Did somebody FIGHT?", ["class fight"]),
        ("were there people fighting, or falling?", ["class fight", "class fall"]),
        ("did anyone talk on the phone", ["class phone"]),
        ("was there an abandoned bag?", ["class abandoned bag", "object bag"]),
        ("were there cell phones?", ["unknown cell", "class phone"]),
        ("were there 5 people?", ["unknown 5", "object person"]),
        ("was there a fight at 00:30?", ["class fight", "unknown 00:30"]),
        ("were there two fights?", ["unknown two", "class fight"]),
        ("was somebody lifting dumbbells?", ["unknown lifting", "unknown dumbbells"]),
        ("how many people were there?", ["object person"]),
        ("is there a bag?", ["object bag"]),
        ("was a dog there?", ["unknown dog"]),
        ("did the fight involve a knife?", ["class fight", "unknown involve", "unknown knife"]),
        ("What happened in this video?", []),
        ("can you describe this video?", []),
        ("was there anything unusual?", []),
    ],
)
def test_what_a_question_is_about(question, about):
    assert [f"{one.kind} {one.name}" for one in ask(question)] == about


@pytest.mark.parametrize(
    ("question", "facts", "answer"),
    [
        ("was anybody on the phone?", FACTS, "Yes, phone was detected from 00:20 to 00:26."),
        ("was anybody on the phone?", QUIET, "No, no phone was detected."),
        ("did anybody fall, or fight?", FACTS, "Yes, fight was detected from 00:05 to 00:12. No fall was detected."),
        ("how many people?", FACTS, "Yes, 3 persons were seen."),
        ("were there people, and a phone?", FACTS, "Yes, phone was detected from 00:20 to 00:26."),
        ("was there a bag or a phone?", FACTS, "Yes, 1 bag was seen. Phone was detected from 00:20 to 00:26."),
        ("was a bag there?", QUIET, "No, no bag was detected."),
        ("any squats?", QUIET, "Yes, squat was detected from 00:00 to 01:00."),
        ("what happened?", QUIET, "The video shows normal activities (squat) from 00:00 to 01:00 with 1 person."),
    ],
)
def test_the_answer_that_follows_from_the_facts(question, facts, answer):
    asked = ask(question, facts)
    assert composed_answer(asked, facts) == answer
    assert not asked or answer_faults(answer, asked, facts, WORDS) == []


def test_what_nobody_looked_for_is_said_to_be_unknown():
    """Nor is such a question answered with yes or no: how many there were, or when, is part of it."""
    for question, name in (("was a dog there?", "dog"), ("were there 5 people?", "5"), ("did anybody squat?", "squat")):
        answer = composed_answer(ask(question), FACTS)
        assert f"says nothing of {name!r}" in answer and "Yes" not in answer and "No" not in answer
    mixed = composed_answer(ask("did the fight have a knife?"), FACTS)
    assert mixed == "Fight was detected from 00:05 to 00:12. What was detected says nothing of 'knife'."


CROWD = Facts(
    60.0, (Event(5, 12, "fight", 0.9, (Count("person", 5, cut=True),)),), None, (Count("person", 5, cut=True),), cut=True
)  # fmt: skip


def test_a_crowd_is_answered_with_at_least_and_what_may_have_been_cut_with_neither_yes_nor_no():
    assert composed_answer(ask("how many people?", CROWD), CROWD) == "Yes, at least 5 persons were seen."
    for text, true in (
        ("Yes, at least 5 persons were seen.", True), ("At least 5 people were seen.", True),
        ("Yes, 5 persons were seen.", False), ("Yes, at least 4 persons were seen.", False),
        ("Yes, at least 6 persons were seen.", False),
    ):  # fmt: skip
        assert (answer_faults(text, ask("how many people?", CROWD), CROWD, WORDS) == []) == true, text
    assert answer_faults("Yes, at least 3 persons were seen.", ask("how many people?"), FACTS, WORDS), "3 is known"
    asked = ask("was there a bag?", CROWD)
    assert asked == [Subject("cut", "bag")] and facts_for(asked, CROWD).endswith("bag: not known")
    answer = composed_answer(asked, CROWD)
    assert answer.startswith("More was seen at once than is kept, so whether there was 'bag' is not known. The video shows")
    assert "Yes" not in answer and "No " not in answer
    mixed = composed_answer(ask("was there a fight, and a bag?", CROWD), CROWD)
    assert mixed.startswith("Fight was detected from 00:05 to 00:12. More was seen") and "dog" not in mixed
    assert ask("did a person fight?", replace(CROWD, objects=())) == [Subject("class", "fight")]


def test_whether_it_was_normal_is_answered_by_what_was_seen():
    """Neither `yes` nor `no` opens the description that answers a question nobody can parse."""
    for question in ("was anything abnormal?", "is the video normal?", "did anything happen?"):
        assert ask(question, QUIET) == [] and composed_answer([], QUIET).startswith("The video shows normal activities")
        assert composed_answer([], FACTS).startswith("The video shows abnormal activity: fight")


def test_the_only_normal_class_is_never_denied():
    card = Card(
        title="Two", classes=[ClassEntry(name="walking", kind="normal", prompt="walking"),
                              ClassEntry(name="Normal", kind="normal", prompt="normal"),
                              ClassEntry(name="RoadAccidents", kind="abnormal", prompt="a road accident")],
    )  # fmt: skip
    quiet = Facts(60.0, (), None)
    assert subjects("was anybody walking?", card, [], quiet) == [Subject("unknown", "walking")]
    assert subjects("is it normal?", card, [], quiet) == []
    assert subjects("was there an accident?", card, [], quiet) == [Subject("class", "road accidents")]
    assert subjects("was there a road?", card, [], quiet) == [Subject("unknown", "road")]


def test_objects_go_by_their_last_word():
    objects = ["fire hydrant", "stop sign", "hot dog", "dog", "bottle", "horse", "wine glass"]
    found = {word: subjects(f"was there a {word}?", CARD, objects, FACTS) for word in
             ("fire", "stop", "dog", "bottles", "horses", "hydrant", "glass")}  # fmt: skip
    assert found["fire"] == [Subject("unknown", "fire")] and found["stop"] == [Subject("unknown", "stop")]
    assert found["dog"] == [Subject("object", "dog")] and found["glass"] == [Subject("object", "wine glass")]
    assert found["bottles"] == [Subject("object", "bottle")] and found["horses"] == [Subject("object", "horse")]
    assert found["hydrant"] == [Subject("object", "fire hydrant")]


@pytest.mark.parametrize(
    ("question", "text", "why"),
    [
        ("was anybody on the phone?", "No, no phone was detected.", "the answer is yes"),
        ("was anybody on the phone?", "Yes.", "say that there was 'phone'"),
        ("was anybody on the phone?", "Yes, phone from 00:05 to 00:12.", "lasted from 00:05"),
        ("was anybody on the phone?", "Yes, phone and fall were detected.", "'fall' was not detected"),
        ("did anybody fall?", "Yes, a fall was detected.", "the answer is no"),
        ("did anybody fall?", "Fight was detected.", "say that there was no 'fall'"),
        ("did anybody fall?", "No, no fall and no fight was detected.", "'no' was not detected"),
        ("how many people?", "Yes, 5 persons were detected.", "that number of 'person'"),
        ("how many people?", "Yes, 1 person was detected.", "that number of 'person'"),
        ("how many people?", "A fight from 00:05 to 00:12 with 2 persons.", "say that there was 'person'"),
        ("how many people?", "There were people.", "say that there was 'person'"),
        ("did anybody fight?", "Yes, two fights were detected.", "leave out 'two'"),
    ],
)
def test_untrue_answers(question, text, why):
    assert any(why in fault for fault in answer_faults(text, ask(question), FACTS, WORDS)), answer_faults(
        text, ask(question), FACTS, WORDS
    )


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("was anybody on the phone?", "Yes, the video shows phone from 00:20 to 00:26 with 1 person."),
        ("was anybody on the phone?", "Yes, there was a phone; a fight from 00:05 to 00:12."),
        ("did anybody fall?", "No, no fall was detected. The video shows a fight from 00:05 to 00:12."),
        ("how many people?", "3 people were seen."),
    ],
)
def test_true_answers_in_other_words(question, text):
    assert answer_faults(text, ask(question), FACTS, WORDS) == []


def test_the_model_hears_what_was_asked_and_whether_it_was_found():
    lines = facts_for(ask("did anybody fall or fight with a knife?"), FACTS).splitlines()
    assert lines[-3:] == ["Asked: fall: not detected", "Asked: fight: detected", "Asked: knife: not known"]


def test_moments_an_answer_rests_on():
    classes = np.full((5, len(CARD.names)), 0.05, np.float32)
    classes[3, CARD.names.index("fall")] = 0.4
    features = VideoFeatures(
        "a.mp4", "test", (), 600, 600, fps=10.0, frame=np.arange(5) * 120, time=np.arange(5) * 12.0,
        count=np.array([1, 3, 2, 0, 1]), class_id=np.array([[0, 0, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0], [0, 0, 0]]),
    )  # fmt: skip
    crowded = copy(features)
    crowded.seen = np.array([1, 3, 9, 0, 1], np.uint16)
    (moment,) = moments(ask("how many people?"), Scored(crowded, None, []), FACTS, CARD, NAMES)
    assert str(moment) == "00:24 at least 2 persons"
    features.seen = features.count
    scored = Scored(
        features, SnippetScores(np.zeros(5, np.float32), classes, np.zeros((5, 2), np.float32), VideoScore(0, classes[0])), []
    )

    def rests(question: str) -> list[str]:
        return [str(one) for one in moments(ask(question), scored, FACTS, CARD, NAMES)]

    assert rests("did anybody fall?") == ["00:36 comes nearest to fall (share 0.40)"]
    assert rests("was anybody on the phone?") == ["00:20-00:26 phone, confidence 0.70"]
    assert rests("how many people?") == ["00:24 2 persons"] and rests("is there a bag?") == ["00:12 2 bags"]
    assert rests("what happened?") == ["00:05-00:12 fight, confidence 0.90", "00:20-00:26 phone, confidence 0.70"]
    assert rests("was a dog there?") == rests("what happened?")
    assert [str(one) for one in moments(ask("any squats?", QUIET), scored, QUIET, CARD, NAMES)] == ["00:00-01:00 squat"]
