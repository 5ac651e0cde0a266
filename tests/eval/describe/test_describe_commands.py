"""From a trained head to words, with real commands: training the describer, --describe, --ask, --metric text, the report."""

import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "head"))
from calls import call
from independent import contradictions
from synthetic import CARD, make_run

from aadc.eval.cli.ask import main as ask_main
from aadc.eval.cli.describe import main as describe_main
from aadc.eval.cli.evaluate import main
from aadc.eval.describe.cli import main as train_main
from aadc.eval.describe.videos import read_rows
from aadc.extract.run_folder import RunFolder
from aadc.head.cli import main as head_main

STEPS = ["--steps", "60"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_clip) -> RunFolder:
    """A run of made-up features with a trained head."""
    run = make_run(tmp_path_factory.mktemp("described") / "run", tiny_clip, train=32, test=8)
    assert call(head_main, "--run", str(run.path), "--epochs", "12")[0] == 0
    return run


@pytest.fixture(scope="module")
def described(run, tiny_llama) -> RunFolder:
    """The same with a describer."""
    status, out, _ = call(train_main, "--run", str(run.path), "--llm", str(tiny_llama), *STEPS)
    assert status == 0 and "next: aadc-describe" in out
    return run


def describer(run: RunFolder) -> Path:
    return run.head / "describer"


def test_training_learns_and_keeps_a_record(described):
    record = json.loads((describer(described) / "config.json").read_text())
    assert record["format"] == "aadc-describer" and record["config"]["steps"] == 60
    assert record["metrics"]["videos"] + record["metrics"]["validation_videos"] == 32
    assert not (describer(described) / "state.safetensors").exists()


def test_a_finished_training_is_left_alone_and_other_settings_are_not(described, tiny_llama):
    before = (describer(described) / "model.safetensors").read_bytes()
    status, out, _ = call(train_main, "--run", str(described.path), "--llm", str(tiny_llama), *STEPS)
    assert status == 0 and "trained before" in out and (describer(described) / "model.safetensors").read_bytes() == before


def test_a_killed_training_ends_with_the_same_weights(described, tiny_llama, tmp_path):
    """kill -9 in the middle of a real process, then the same command again."""
    other = RunFolder(tmp_path / "run")
    shutil.copytree(described.path, other.path)
    shutil.rmtree(describer(other))
    program = Path(sys.executable).with_name("aadc-train-describer")
    command = [str(program), "--run", str(other.path), "--llm", str(tiny_llama), *STEPS]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    state = describer(other) / "state.safetensors"
    while not state.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (describer(other) / "config.json").exists()
    status, _, err = call(train_main, "--run", str(other.path), "--llm", str(tiny_llama), "--steps", "80")
    assert status == 2 and "begun with other settings" in err
    assert call(train_main, "--run", str(other.path), "--llm", str(tiny_llama), *STEPS)[0] == 0
    one, same = (load_file(describer(each) / "model.safetensors") for each in (described, other))
    assert one.keys() == same.keys()
    for name in one:
        np.testing.assert_array_equal(one[name].numpy(), same[name].numpy())


def test_descriptions_are_true_and_go_to_file_terminal_and_report(described):
    status, out, _ = call(describe_main, "--run", str(described.path), "--report")
    rows = read_rows(described.eval / "descriptions.jsonl")
    assert status == 0 and len(rows) == 8 and "8 descriptions:" in out
    with (described.eval / "spans.csv").open() as file:
        spans = list(csv.DictReader(file))
    page = (described.eval / "report.html").read_text()
    for row in rows:
        own: list[dict] = []
        for span in (span for span in spans if span["video"] == row["video"]):
            near = own and float(span["start_s"]) - float(own[-1]["end_s"]) <= 5 and span["category"] == own[-1]["category"]
            own[-1:] = [{**own[-1], "end_s": span["end_s"]}] if near else [*own[-1:], span]
        assert [span["category"] for span in row["spans"]] == [span["category"] for span in own]
        for told, span in zip(row["spans"], own, strict=True):
            assert told["start_s"] == pytest.approx(float(span["start_s"]), abs=1e-3)
            minutes, seconds = divmod(int(float(span["end_s"])), 60)
            assert told["end"] == f"{minutes:02d}:{seconds:02d}"
        events = [(span["category"], float(span["start_s"]), float(span["end_s"]), {}) for span in own]
        duration = max([float(row["facts"].splitlines()[0][-2:]), *(event[2] for event in events)])
        normal = None if own else next((name for name in ("walk", "sit") if f"({name})" in row["facts"]), None)
        assert contradictions(row["text"], duration, events, normal, CARD.names) == [], row
        assert row["video"] in out and row["text"] in " ".join(out.split()) and row["text"] in page
    assert any(row["spans"] for row in rows) and not all(row["spans"] for row in rows)


def test_a_report_later_shows_what_was_said_of_the_same_spans_alone(described):
    call(describe_main, "--run", str(described.path))
    texts = [row["text"] for row in read_rows(described.eval / "descriptions.jsonl") if row["spans"]]
    call(main, "--run", str(described.path), "--report")
    assert all(text in (described.eval / "report.html").read_text() for text in texts)
    call(main, "--run", str(described.path), "--report", "--threshold", "0.999999", "--out", str(described.eval))
    assert not any(text in (described.eval / "report.html").read_text() for text in texts)


def test_a_text_that_somebody_edited_is_not_shown_as_checked(described):
    """Whatever is false beside the detections, in a text the model wrote or a composed one: left out, and said so."""
    for options in ([], ["--llm", "none"]):
        call(main, "--run", str(described.path), "--describe", *options)
        path = described.eval / "descriptions.jsonl"
        rows = read_rows(path)
        place = next(place for place, row in enumerate(rows) if row["spans"])
        rows[place]["text"] = "The video shows a fire, a fall and 17 persons."
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        status, out, _ = call(main, "--run", str(described.path), "--report")
        page = (described.eval / "report.html").read_text()
        assert status == 0 and "17 persons" not in page and rows[place - 1]["text"] in page
        for told in (" ".join(out.split()), page):
            assert f"1 descriptions say something else than was found and are left out ({rows[place]['video']})" in told


def test_numbers_that_boxes_cut_are_told_as_at_least(untrained):
    """From the shards to the words: two boxes a frame are kept, and frames held three more."""
    for path in untrained.shards.glob("*.h5"):
        with h5py.File(path, "r+") as file:
            models = json.loads(file.attrs["models"])
            file.attrs.pop("seal")
            file.attrs["models"] = json.dumps({**models, "detector": {**models["detector"], "class_names": {"0": "person"}}})
            for group in file["videos"].values():
                group["seen"] = (group["count"][:] + 3).astype(np.uint16)
    status, out, _ = call(main, "--run", str(untrained.path), "--describe")
    rows = read_rows(untrained.eval / "descriptions.jsonl")
    spans = [span for row in rows for span in row["spans"] if span["objects"]]
    assert status == 0 and spans and all(span["at_least"] == ["person"] for span in spans)
    assert all("with at least" in row["text"] for row in rows if "person" in row["facts"])
    status, out, _ = call(main, "--run", str(untrained.path), "--ask", "how many people?", rows[0]["video"])
    assert status == 0 and "Yes, at least 2 persons were seen." in out and "at least 2 persons" in out.splitlines()[-1]


def test_the_next_command_is_whole(described):
    """It names the run where another one would be taken, and quotes the question as a shell needs it."""
    video = read_rows(described.eval / "descriptions.jsonl")[0]["video"]
    question = 'is `it` a $HOME, or a "giraffe\'s"?'
    _, out, _ = call(main, "--run", str(described.path), "--ask", question, video)
    (line,) = (line for line in out.splitlines() if line.startswith("next: "))
    words = shlex.split(line.removeprefix("next: ").removesuffix(" shows the frames of this run that look most like it"))
    assert words == ["aadc-find", question, "--run", str(described.path)]


def test_questions_about_a_video_of_the_run(described):
    call(describe_main, "--run", str(described.path))
    rows = {row["video"]: row for row in read_rows(described.eval / "descriptions.jsonl")}
    fallen = next(row for row in rows.values() if {span["category"] for span in row["spans"]} == {"fall"})
    span = fallen["spans"][0]
    status, out, _ = call(ask_main, "--run", str(described.path), "did anybody fall?", fallen["video"])
    assert status == 0 and "Yes" in out and f"rests on {span['start']}" in out and span["end"] in out
    status, out, _ = call(ask_main, "--run", str(described.path), "was there a fire?", fallen["video"])
    assert status == 0 and "No, no fire was detected." in out and "comes nearest to fire" in out
    status, out, _ = call(ask_main, "--run", str(described.path), "was there a giraffe?", fallen["video"])
    assert status == 0 and "says nothing of 'giraffe'" in out and "Yes" not in out


def test_texts_beside_references(described, tmp_path):
    pytest.importorskip("pycocoevalcap")
    call(describe_main, "--run", str(described.path))
    texts = {row["video"]: row["text"] for row in read_rows(described.eval / "descriptions.jsonl")}
    path = tmp_path / "uca.json"
    path.write_text(json.dumps({Path(video).stem: text for video, text in texts.items()}))
    status, out, _ = call(describe_main, "--run", str(described.path), "--references", str(path))
    figures = json.loads((described.eval / "metrics.json").read_text())["text"]
    assert status == 0 and "CIDEr" in out and figures["videos"] == 8 and figures["bleu_4"] == pytest.approx(1, abs=1e-6)
    assert figures["facts_true"] == 1  # the model of this test says nothing that goes out
    assert call(describe_main, "--run", str(described.path), "--llm", "none", "--references", str(path))[0] == 0
    composed = json.loads((described.eval / "metrics.json").read_text())["text"]
    assert composed["facts_true"] == composed["facts_true_at_first"] == 1  # from the facts, so nothing else can be
    assert "TIMES-TIOU" in out and 0 <= figures["times_recall_50"] <= figures["times_recall_30"] <= 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["what?", "nowhere.mp4"], "neither a video of"),
        (["   ", "test/000.mp4"], "there is no question"),
        (["--references", "nowhere.json"], "no such file"),
        (["--llm", "./nowhere"], "no such folder with a language model"),
        (["--llm", "none", "--llm-url", "http://127.0.0.1:9/v1"], "exclude each other"),
        (["--llm-url", "http://127.0.0.1:9/v1"], "nobody answers there"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(described, options, words):
    program = describe_main if options[0].startswith("--") else ask_main
    status, _, err = call(program, "--run", str(described.path), *options)
    assert status == 2 and words in err and len(err.strip().splitlines()) == 1


def test_another_model_another_head_and_torn_weights_are_refused(described, tiny_chat_llama, tiny_llama, tmp_path):
    from transformers import AutoModelForCausalLM

    copy = tmp_path / "run"
    shutil.copytree(described.path, copy)
    model = AutoModelForCausalLM.from_pretrained(tiny_chat_llama)
    model.model.norm.weight.data += 1
    shutil.copytree(tiny_chat_llama, tmp_path / "llama")
    model.save_pretrained(tmp_path / "llama")
    status, _, err = call(describe_main, "--run", str(copy), "--llm", str(tmp_path / "llama"))
    assert status == 2 and "not the language model that the describer was trained with" in err
    path = copy / "head" / "describer" / "model.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "null": tensors["null"] + 1}, path)
    status, _, err = call(describe_main, "--run", str(copy))
    assert status == 2 and "not the weights that config.json was written with" in err
    assert call(head_main, "--run", str(copy), "--epochs", "1", "--restart")[0] == 0
    status, _, err = call(describe_main, "--run", str(copy))
    assert status == 2 and "trained beside another head" in err


@pytest.fixture
def untrained(run, tmp_path) -> RunFolder:
    """A run with a head and no describer."""
    shutil.copytree(run.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "head" / "describer", ignore_errors=True)
    shutil.rmtree(tmp_path / "run" / "eval", ignore_errors=True)
    return RunFolder(tmp_path / "run")


WITHOUT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('transformers', 'tokenizers', 'httpx2'):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
import socket
def refuse(*_):
    raise AssertionError("the network was asked")
socket.socket.connect = socket.getaddrinfo = refuse
import importlib
importlib.import_module("aadc.eval.cli." + sys.argv.pop(1)).main()
"""


@pytest.mark.parametrize("options", [[], ["--llm", "none"]])
def test_composed_words_need_no_language_model(untrained, options):
    """Where transformers cannot be imported and no network is there: all files, all marked, and true by both judges."""
    program, common = [sys.executable, "-c", WITHOUT], ["--run", str(untrained.path), "--device", "cpu", *options]
    done = subprocess.run([*program, "describe", "--report", *common], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = read_rows(untrained.eval / "descriptions.jsonl")
    page = (untrained.eval / "report.html").read_text()
    assert len(rows) == 8 and "composed from the facts (no language model)" in done.stdout
    assert ("no describer was trained" in done.stdout) == (not options)
    assert any(row["spans"] for row in rows) and not all(row["spans"] for row in rows)
    for row in rows:
        assert row["how"] == "composed from the facts (no language model)" and row["made_with"]["llm"] is None
        assert row["text"] in page and row["text"] in done.stdout
        events = [(span["category"], span["start_s"], span["end_s"], span["objects"]) for span in row["spans"]]
        duration = max([float(row["facts"].splitlines()[0][-2:]), *(event[2] for event in events)])
        normal = None if events else next((name for name in ("walk", "sit") if f"({name})" in row["facts"]), None)
        assert contradictions(row["text"], duration, events, normal, CARD.names) == [], row
    fallen = next(row for row in rows if {span["category"] for span in row["spans"]} == {"fall"})
    done = subprocess.run([*program, "ask", *common, "did anybody fall?", fallen["video"]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    span = fallen["spans"][0]
    assert f"Yes, fall was detected from {span['start']} to {span['end']}" in done.stdout
    assert "(no language model)" in done.stdout and f"rests on {span['start']}" in done.stdout


def test_a_describer_that_is_there_is_used_unless_none_is_asked_for(described):
    call(describe_main, "--run", str(described.path))
    rows = read_rows(described.eval / "descriptions.jsonl")
    assert all(row["made_with"]["projector"] and "(no language model)" not in row["how"] for row in rows)
    call(describe_main, "--run", str(described.path), "--llm", "none")
    composed = read_rows(described.eval / "descriptions.jsonl")
    assert {row["how"] for row in composed} == {"composed from the facts (no language model)"}
    assert [row["facts"] for row in composed] == [row["facts"] for row in rows]


def test_a_describer_is_not_trained_for_no_language_model(described):
    status, _, err = call(train_main, "--run", str(described.path), "--llm", "none", *STEPS)
    assert status == 2 and "a language model is needed here" in err


def test_without_a_describer_the_facts_alone_are_given(untrained, tiny_chat_llama):
    copy = untrained.path
    status, out, _ = call(describe_main, "--run", str(copy), "--llm", str(tiny_chat_llama))
    assert status == 0 and "8 descriptions" in out
    assert {row["made_with"]["projector"] for row in read_rows(copy / "eval" / "descriptions.jsonl")} == {None}


def test_a_file_that_cannot_be_written_into_is_told_before_any_work(untrained):
    """Scoring, and a language model, may take hours."""
    untrained.eval.mkdir(exist_ok=True)
    path = untrained.eval / "descriptions.jsonl"
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    (untrained.eval / "metrics.json").unlink(missing_ok=True)
    status, _, told = call(describe_main, "--run", str(untrained.path))
    assert status == 2 and "descriptions.jsonl: cannot be read (it is a pipe or device, no file); remove it" in told
    assert not (untrained.eval / "metrics.json").exists()
    path.unlink()
    os.mkfifo(untrained.eval / "metrics.json")  # this one is replaced whatever it was
    assert call(describe_main, "--run", str(untrained.path))[0] == 0
    assert (untrained.eval / "metrics.json").is_file()
