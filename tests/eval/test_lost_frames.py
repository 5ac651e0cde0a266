"""What is lost of a damaged video is not lost from the truth: the rule of docs/metrics.md, by hand and as a property."""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parent))
from calls import call
from test_eval_command import CARD, ROWS, features, head_for

from aadc.eval.cli.evaluate import main
from aadc.eval.evaluate import evaluate
from aadc.eval.metrics import frame_figures
from aadc.eval.notes import notes_on
from aadc.eval.scored_split import ScoredSplit
from aadc.eval.scores import Scored
from aadc.eval.truth import counted_frames
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardHeader, write_shard
from aadc.extract.video_features import VideoFeatures
from aadc.head.scoring import SnippetScores
from aadc.head.video_score import VideoScore
from aadc.manifests.manifest import Row, write_manifest

STRIDE = 16


def split_of(rows: list[Row], anomaly: list[np.ndarray], decoded: list[int], expected: list[int] | None = None) -> ScoredSplit:
    """Videos with these snippet scores; every class is as likely as the others but for what the scores say."""
    scored = {}
    for row, values, frames, promised in zip(rows, anomaly, decoded, expected or [0] * len(rows), strict=True):
        values = np.asarray(values, np.float32)[: -(-frames // STRIDE)]
        fall = np.stack([1 - values, 0 * values, values, 0 * values], 1)
        record = VideoFeatures(row.video, "test", row.labels, frames, promised, fps=25.0)
        scored[row.key] = Scored(record, SnippetScores(values, fall, fall, VideoScore(values.max(), fall.mean(0))), [])
    return ScoredSplit(rows, scored, CARD, CARD, 5, STRIDE)


def test_a_cut_video_whose_event_was_missed_never_helps():
    """Three videos, one event found and one missed; cut before its event, the missed one still counts as missed."""
    rows = [
        Row(video="a.mp4", split="test", labels="fall", segments="32-64:fall"),
        Row(video="b.mp4", split="test", labels="fall", segments="96-160:fall"),
        Row(video="c.mp4", split="test", labels="walk"),
    ]
    anomaly = [[0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], [0.2] * 5 + [0.3] + [0.2] * 4, [0.25] * 10]
    whole = split_of(rows, anomaly, [160] * 3, [160] * 3)
    cut = split_of(rows, anomaly, [160, 90, 160], [160] * 3)
    before, after = (evaluate(one, True) for one in (whole, cut))
    for figures in (before, after):
        assert (figures["frame"]["frames"], figures["frame"]["anomalous_frames"]) == (480, 96)
    assert after["frame"]["auc"] < before["frame"]["auc"]
    assert after["map"]["clean"]["mean"] <= before["map"]["clean"]["mean"]
    truth, score = np.zeros((3, 160), bool), np.repeat(np.array(anomaly), STRIDE, 1)
    truth[0, 32:64] = truth[1, 96:160] = True
    score[1, 90:96], score[1, 96:] = score[1, 89], 0  # by hand: held where normal, missed where anomalous
    assert after["frame"]["auc"] == pytest.approx(roc_auc_score(truth.ravel(), score.ravel()))
    assert notes_on(whole, before) == []
    cut_note, lost_note = notes_on(cut, after)
    assert "1 videos are cut off (b.mp4: 90 of 160 frames decode)" in cut_note
    assert "b.mp4: 96-160:fall, 64 of 64 anomalous frames" in lost_note and "count as missed" in lost_note


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(1, 19 * STRIDE), st.booleans())
def test_cutting_within_or_before_a_last_event_never_raises_the_auc(seed, decoded, header_knows):
    """Any scores at all, any cut of a video that ends with its event: AUC can only fall."""
    random = np.random.default_rng(seed)
    start = int(random.integers(0, 19)) * STRIDE
    rows = [
        Row(video="cut.mp4", split="test", labels="fall", segments=f"{start}-{20 * STRIDE}:fall"),
        Row(video="n.mp4", split="test", labels="walk"),
        Row(video="p.mp4", split="test", labels="fall", segments="20-50:fall"),
    ]
    anomaly = [random.random(20), random.random(9), random.random(9)]
    anomaly[0][start // STRIDE :] *= random.random()  # the event missed, more or less
    lasts = [20 * STRIDE, 9 * STRIDE, 9 * STRIDE]
    promised = lasts if header_knows else [0, 0, 0]
    whole = split_of(rows, anomaly, lasts, promised)
    cut = split_of(rows, anomaly, [max(decoded, start), *lasts[1:]], promised)
    before, after = (frame_figures(one.videos)["auc"] for one in (whole, cut))
    if lasts[0] > max(decoded, start) + STRIDE:  # less than a snippet is a difference of counting, and the score is held
        assert after <= before + 1e-12


def test_how_many_frames_count():
    row = Row(video="a.mp4", split="test", labels="fall", segments="10-200:fall;300-:fall")
    record = VideoFeatures("a.mp4", "test", ("fall",), 100, 150)
    assert counted_frames(row, record) == 301  # the last segment begins there
    assert counted_frames(row.model_copy(update={"segments": row.segments[:1]}), record) == 200
    assert counted_frames(row.model_copy(update={"segments": ()}), record) == 150
    assert counted_frames(row.model_copy(update={"segments": (), "frames": 90}), record) == 90  # the data set's own word
    absurd = VideoFeatures("a.mp4", "test", ("fall",), 100, 2**40)  # what a header says is not always so
    assert counted_frames(row.model_copy(update={"segments": ()}), absurd) == 100


def test_a_segment_past_the_end_is_named_and_missed():
    rows = [
        Row(video="a.mp4", split="test", labels="fall", segments="500-600:fall"),
        Row(video="b.mp4", split="test", labels="fall", segments="0-32:fall"),
        Row(video="c.mp4", split="test", labels="walk"),
    ]
    split = split_of(rows, [[0.9] * 10, [0.9, 0.9] + [0.1] * 8, [0.1] * 10], [160] * 3)
    figures = evaluate(split, True)
    assert figures["frame"]["anomalous_frames"] == 132
    assert split.videos[0].truth.sum() == 100 and split.videos[0].score[500:].max() == 0
    (note,) = notes_on(split, figures)
    assert "a.mp4: 500-600:fall, 100 of 100 anomalous frames" in note


def test_a_few_frames_more_are_a_matter_of_counting():
    """An official list that counts one frame more than decodes: no note, and the last score goes on."""
    rows = [
        Row(video="a.mp4", split="test", labels="fall", segments="96-161:fall"),
        Row(video="b.mp4", split="test", labels="walk"),
    ]
    split = split_of(rows, [[0.1] * 6 + [0.8] * 4, [0.1] * 10], [160, 160])
    figures = evaluate(split, False)
    assert notes_on(split, figures) == [] and split.videos[0].score[160] == np.float32(0.8) and figures["frame"]["auc"] == 1


@pytest.fixture
def run(tmp_path) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    run.shards.mkdir(parents=True)
    run.write_record({"settings": {}})
    head_for(run, "f" * 16)
    return run


def fill(run: RunFolder, rows: list[Row], **attributes) -> None:
    write_manifest(rows, CARD, run.manifest_csv)
    made = [features(row.video, row.split, row.labels, 60 + 9 * seed, seed) for seed, row in enumerate(ROWS)]
    path = run.shards / "00000.h5"
    write_shard(path, ShardHeader("f" * 16, {}, {"stride": 16}), made)
    with h5py.File(path, "r+") as shard:  # by hand: the writer would refuse it
        group = shard["videos"][made[-1].key]
        group.attrs.pop("seal")
        for name, value in attributes.items():
            if name in group:
                group[name][:] = value
            else:
                group.attrs[name] = value


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"frames": 99_999_999}, "frames: 99999999 frames, but 105 decode"),
        ({"segments": "3-99999999:fall"}, "segment 3-99999999:fall: 99999999 frames, but 105 decode"),
        ({"segments": "90000000-:fall"}, "segment 90000000-:fall"),
    ],
)
def test_no_array_is_made_of_a_count_that_cannot_be(run, row, words):
    fill(run, [*ROWS[:-1], Row(**{"video": "p/3.mp4", "split": "test", "labels": "fall", **row})])
    status, _, err = call(main, "--run", str(run.path))
    assert status == 2 and "manifest.csv: " in err and f"p/3.mp4: {words}" in err and "correct the manifest" in err


@pytest.mark.parametrize("frames", [2**40, 0, -5])
def test_a_shard_that_states_more_frames_than_it_has_rows_for_is_refused(run, frames):
    fill(run, ROWS, frames=frames)
    status, _, err = call(main, "--run", str(run.path))
    assert status == 2 and "00000.h5" in err and "p%2F3.mp4" in err and len(err.strip().splitlines()) == 1


def test_a_header_that_lies_costs_nothing(run):
    fill(run, ROWS, frames_expected=2**50)
    status, _, _ = call(main, "--run", str(run.path), "--metric", "all")
    assert status == 0 and json.loads((run.eval / "metrics.json").read_text())["frame"]["frames"] < 1000


@pytest.mark.parametrize("fps", [float("nan"), float("inf"), 0.0, -25.0])
def test_no_time_base_no_alarm_figures(run, fps):
    fill(run, ROWS, fps=fps)
    status, _, err = call(main, "--run", str(run.path), "--report")
    if fps == 0:  # unknown; whatever else is no rate is refused where shards are read
        alarm = json.loads((run.eval / "metrics.json").read_text())["frame"]["at_80_percent_of_events"]
        assert status == 0 and {*alarm.pop("flat_floor").values(), *alarm.values()} == {None}
    else:
        assert status == 2 and "p%2F3.mp4" in err


@pytest.mark.parametrize("time", [np.nan, np.inf, [0.3, 0.9, 0.2, 0.8, 1.5, 2.1, 1.0]])
def test_times_that_are_no_numbers_or_go_back_are_refused(run, time):
    fill(run, ROWS, time=time)
    status, _, err = call(main, "--run", str(run.path))
    assert status == 2 and "p/3.mp4" in err and len(err.strip().splitlines()) == 1
