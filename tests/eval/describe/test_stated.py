"""What descriptions state: times beside true spans and facts beside detections, each against hand-made answers."""

import json
import random
from pathlib import Path

import pytest

from aadc.eval.describe.compose import compose
from aadc.eval.describe.examples import Names, made_up
from aadc.eval.describe.facts import Count, Event, Facts
from aadc.eval.describe.reading import Vocabulary
from aadc.eval.describe.stated import fact_figures, stated_periods, time_figures
from aadc.eval.describe.text_metrics import read_references, text_figures
from aadc.manifests.errors import UserError

DATA = Path(__file__).parents[3].parent / "shared" / "data"
UCA, HIVAU = DATA / "uca" / "UCFCrime_Test.json", DATA / "hivau"
needs_texts = pytest.mark.skipif(not UCA.is_file() or not HIVAU.is_dir(), reason="texts of people are not here")
WORDS = Vocabulary(("fall", "fight"), ("person", "dog"))
FELL = Facts(60.0, (Event(10.0, 20.0, "fall", 0.8, (Count("person", 2),)),), None, (Count("person", 2),))


@pytest.mark.parametrize(
    ("text", "periods"),
    [
        ("A fall from 00:10 to 00:20 with 2 persons.", [(10, 20)]),
        ("Fall between 00:10 and 00:20, then a fight 1:00:05 - 1:00:07", [(10, 20), (3605, 3607)]),
        ("Normal activities from 00:00 to 01:00.", []),
        ("Normal activities from 00:00 to 01:00. A fall from 00:10 to 00:20.", [(10, 20)]),
        ("A fall at 00:10.", []),
        ("A fall from 00:20 to 00:10.", []),
        ("", []),
    ],
)
def test_times_that_a_text_states(text, periods):
    assert stated_periods(text) == periods


def test_times_beside_the_true_ones():
    """Half a second a step, counted one by one."""
    texts = {
        "a": "Fall from 00:10 to 00:20 and from 00:40 to 00:50.",
        "b": "A fall was seen.",
        "c": "Fall from 00:00 to 00:09.",
    }
    truth = {"a": [(15.0, 22.0), (40.0, 52.0)], "b": [(1.0, 2.0)], "c": [], "elsewhere": [(0.0, 1.0)]}
    said, true = ({n for a, b in spans for n in range(2 * a, 2 * b)} for spans in ([(10, 20), (40, 50)], [(15, 22), (40, 52)]))
    figures = time_figures(texts, truth)
    assert figures["times_tiou"] == pytest.approx(len(said & true) / len(said | true) / 2)
    assert figures["times_recall_30"] == pytest.approx(2 / 3)  # 5 of 12 seconds, 10 of 12, none
    assert figures["times_recall_50"] == pytest.approx(1 / 3)
    assert time_figures(texts, {"c": []}) == {}


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("A fall from 00:10 to 00:20 with 2 persons.", 1),
        ("A fall from 00:10 to 00:25 with 2 persons.", 2 / 3),
        ("A fight.", 0),
        ("A fall and a fight.", 1 / 2),
        ("The video is normal.", 0),
        ("The video is abnormal. A fall with 3 persons.", 2 / 3),
        ("A fall. A fall.", 1),  # said twice, and true both times
        ("A fall with purple elephants.", 1),  # what is not understood states nothing
    ],
)
def test_stated_facts_that_hold(text, share):
    assert fact_figures([text], [FELL], WORDS, "true") == {"true": pytest.approx(share)}


def test_composed_texts_state_nothing_false_and_times_of_others_are_false():
    """200 made-up videos: each text holds beside its own detections, and not every one beside the next video's."""
    chance = random.Random(3)
    names = Names(WORDS.classes, ("walking", "sitting"), WORDS.objects)
    words = Vocabulary((*WORDS.classes, "walking", "sitting"), WORDS.objects)
    facts = [made_up(names, chance) for _ in range(200)]
    texts = [compose(one) for one in facts]
    assert fact_figures(texts, facts, words, "own") == {"own": 1.0}
    assert fact_figures(texts, [*facts[1:], facts[0]], words, "others")["others"] < 0.6
    periods = [[(int(one.start_s), int(one.end_s)) for one in own.events if int(one.end_s) > int(one.start_s)] for own in facts]
    assert [stated_periods(text) for text in texts] == periods


def test_nothing_stated_has_no_share():
    assert fact_figures(["Oh."], [FELL], WORDS, "true") == {}


def test_hivau_s_layouts(tmp_path):
    summary = {
        "n_frames": 9,
        "fps": 30.0,
        "label": [],
        "events": [],
        "clips_caption": [["x"]],
        "video_summary": "A dog sleeps.",
    }
    database, questions = tmp_path / "database.json", tmp_path / "questions.jsonl"
    database.write_text(json.dumps({"a_x264": summary, "b": {**summary, "video_summary": " "}}))
    same = {"id": 1, "video": "ucf-crime/videos/test/a_x264.mp4", "prompt": "?"}
    lines = [
        {**same, "type": "video", "task": "description", "anwser": "He falls."},
        {**same, "type": "video", "task": "judgement", "anwser": "Yes."},
        {**same, "type": "event", "task": "description", "anwser": "No."},
        {**same, "type": "video", "task": "description", "anwser": ""},
    ]
    questions.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert read_references(database) == {"a_x264": ["A dog sleeps."]}
    assert read_references(questions) == {"a_x264": ["He falls."]}
    questions.write_text('{"type": "video", "task": "description", "video": "a"}\n')
    with pytest.raises(UserError, match=r"questions.jsonl, line 1: anwser: Field required"):
        read_references(questions)
    questions.write_text("\n[\n")
    with pytest.raises(UserError, match=r"line 2: not JSON"):
        read_references(questions)


@needs_texts
def test_texts_of_people_as_they_are_published():
    """UCA's test part and both of HIVAU-70k's files; texts of two hands of one video are nearer than of two videos."""
    uca, database = read_references(UCA), read_references(HIVAU / "ucf_database_test.json")
    questions = read_references(HIVAU / "merge_instruction_test_final.jsonl")
    raw = json.loads(UCA.read_text())
    assert (len(uca), len(database), len(questions)) == (310, 251, 150)
    assert uca["Abuse037_x264"][0].startswith("A white car with double flashes") and len(raw["Abuse037_x264"]["sentences"]) == 5
    assert all(uca[name][0].count(sentence) for name, entry in raw.items() for sentence in entry["sentences"])
    both = sorted(database.keys() & uca.keys())
    assert len(both) >= 40
    own = {f"test/{name}.mp4": database[name][0] for name in both[:20]}
    turned = {f"test/{name}.mp4": database[other][0] for name, other in zip(both[:20], both[-20:], strict=True)}
    itself, other, wrong = (text_figures(texts, refs) for texts, refs in ((own, database), (own, uca), (turned, uca)))
    assert itself["videos"] == 20 and itself["bleu_4"] == pytest.approx(1, abs=1e-6)
    assert other["cider"] > wrong["cider"] and other["rouge_l"] > wrong["rouge_l"]
