"""Figures of a whole split from made-up scores: what is left out, what is undefined, both protocols of mAP@IoU."""

import json

import numpy as np
import pytest

from aadc.eval.evaluate import evaluate
from aadc.eval.notes import notes_on
from aadc.eval.scored_split import ScoredSplit
from aadc.eval.scores import Scored
from aadc.extract.video_features import VideoFeatures
from aadc.head.scoring import SnippetScores
from aadc.head.video_score import VideoScore
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.manifest import Row


def card(*names: str, normal: int = 1) -> Card:
    kinds = ["normal"] * normal + ["abnormal"] * (len(names) - normal)
    return Card(title="t", classes=[ClassEntry(name=n, kind=k, prompt=n) for n, k in zip(names, kinds, strict=True)])


def perfect(rows: list[Row], classes: Card, frames: int = 160, stride: int = 16, flat: bool = False) -> ScoredSplit:
    """Scores that know the truth, snippet by snippet; with `flat`, the whole of an abnormal video is its first label."""
    scored = {}
    for row in rows:
        own = np.zeros((frames, len(classes.names)), np.float32)
        spans = [(s.start_frame, s.end_frame or frames, s.label) for s in row.segments] or [(0, frames, row.labels[0])]
        spans = [(0, frames, row.labels[-1])] if flat else spans
        for start, end, label in spans:
            if label in classes.names:
                own[start:end, classes.names.index(label)] = 1
        own[own.sum(1) == 0, 0] = 1
        own /= own.sum(1, keepdims=True)
        snippets = own[::stride]
        scores = SnippetScores(1 - snippets[:, 0], snippets, snippets, said_of(1 - snippets[:, 0], snippets))
        scored[row.key] = Scored(VideoFeatures(row.video, row.split, row.labels, frames, fps=25.0), scores, [])
    return ScoredSplit(rows, scored, classes, classes, 5, stride)


def said_of(anomaly: np.ndarray, classes: np.ndarray) -> VideoScore:
    """Of a whole video, from what its snippets say: means over the five highest."""
    return VideoScore(float(np.sort(anomaly)[-5:].mean()), np.sort(classes, axis=0)[-5:].mean(0))


def say_again(split: ScoredSplit, key: str) -> None:
    """After its snippets were changed."""
    one = split.scored[key]
    said = said_of(one.snippets.anomaly, one.snippets.classes)
    split.scored[key] = Scored(one.features, one.snippets._replace(video=said), [])


def rows_of(classes: Card, normal: int = 3) -> list[Row]:
    abnormal = [name for name in classes.names if classes.kind(name) == "abnormal"]
    rows = [Row(video=f"{name}.mp4", split="test", labels=name, segments=f"32-96:{name}") for name in abnormal]
    return rows + [Row(video=f"n{i}.mp4", split="test", labels=classes.names[0]) for i in range(normal)]


def test_ucf_crimes_normal_class_never_scores_as_published():
    """`Normal` in the list, `A` in the truth: 13 of 14 classes at best. Elsewhere the normal class can score."""
    abnormal = [f"c{number}" for number in range(13)]
    ucf = card("Normal", *abnormal)
    found = evaluate(perfect(rows_of(ucf), ucf), with_map=True)["map"]
    assert found["published"]["map"] == pytest.approx([13 / 14] * 5) and found["clean"]["mean"] == pytest.approx(1)
    other = card("normal", *abnormal)
    split = perfect(rows_of(other), other)
    split.scored["n0.mp4"].snippets.classes[3:5, 0] = 0.5  # no longer flat: the rest of it is two proposals
    assert found["published"]["mean"] < evaluate(split, with_map=True)["map"]["published"]["mean"] < 1


def test_published_knows_whole_snippets_only():
    """Of 47 frames published code sees 32. Snippet 1 is then half of what is left of the event, else a quarter of it."""
    classes = card("normal", "fall")
    rows = [Row(video="a.mp4", split="test", labels="fall", segments="24-47:fall"), *rows_of(classes)[1:]]
    split = perfect(rows, classes, frames=47)
    split.scored["a.mp4"].snippets.classes[:] = [[1, 0], [0, 1], [1, 0]]
    found = evaluate(split, with_map=True)["map"]
    assert found["published"]["map"] == pytest.approx([0.5] * 5)  # of two classes, normal is flat wherever it is true
    assert found["clean"]["map"] == pytest.approx([1, 1, 0, 0, 0])


def test_a_perfect_head_and_the_flat_floor():
    classes = card("walk", "sit", "fall", "fight", normal=2)
    rows = rows_of(classes)
    figures = evaluate(perfect(rows, classes), with_map=False)
    assert figures["frame"]["auc"] == figures["frame"]["ap"] == figures["video"]["auc"] == 1
    assert figures["interval"]["auc"] is None and figures["category"]["accuracy"] == 1 and figures["map"] is None
    flat = evaluate(perfect(rows, classes, flat=True), with_map=False)
    floor = {name: value for name, value in flat["frame"]["flat_floor"].items() if name != "base_rate"}
    assert {name: flat["frame"][name] for name in floor} == pytest.approx(floor)
    assert {**flat["frame"]["at_80_percent_of_events"], "flat_floor": 0} == {
        **flat["frame"]["at_80_percent_of_events"]["flat_floor"],
        "flat_floor": 0,
    }
    assert flat["frame"]["auc_abnormal_videos"] == 0.5


@pytest.mark.parametrize(("each", "given"), [(9, False), (10, True)])
def test_few_videos_give_no_interval_and_perfect_ones_an_exact_one(each, given):
    """Fewer than ten of a kind: no percentiles. Where nothing went wrong, draws are all alike: exact bounds or none."""
    classes = card("walk", "sit", "fall", "fight", normal=2)
    rows = [Row(video=f"n{i}.mp4", split="test", labels="walk") for i in range(each)]
    rows += [
        Row(video=f"a{i}.mp4", split="test", labels=["fall", "fight"][i % 2], segments=f"32-96:{['fall', 'fight'][i % 2]}")
        for i in range(each)
    ]
    split = perfect(rows, classes)
    found = evaluate(split, with_map=True)
    assert {name for name, bounds in found["interval"].items() if bounds} == {
        "video_auc",
        "category_accuracy",
        "joint_accuracy",
    }
    assert found["interval"]["video_auc"] == pytest.approx([0.025 ** (1 / each), 1])
    assert found["interval"]["category_accuracy"] == pytest.approx([0.025 ** (1 / (2 * each)), 1])
    split = perfect(rows, classes)
    split.scored["a0.mp4"].snippets.anomaly[:] = 0.0
    split.scored["a1.mp4"].snippets.classes[2:6] = [0.0, 0.0, 1.0, 0.0]  # a fight, and taken for a fall
    for key in ("a0.mp4", "a1.mp4"):
        say_again(split, key)
    odd = evaluate(split, with_map=True)["interval"]
    for name in ("auc", "ap", "video_auc", "auc_abnormal_videos", "map_clean"):
        assert (odd[name] is not None) == given, name
    assert odd["category_accuracy"][1] < 1


def test_abnormal_videos_without_segments_are_left_out_and_named():
    classes = card("walk", "fall", "fight")
    rows = rows_of(classes)
    rows[1] = Row(video="fight.mp4", split="test", labels="fight")
    split = perfect(rows, classes)
    figures = evaluate(split, with_map=True)
    assert (figures["videos"], figures["frame"]["videos"], figures["frame"]["anomalous_frames"]) == (5, 4, 64)
    assert list(figures["class"]) == ["fall"] and figures["map"]["clean"]["mean"] == 1
    (note,) = notes_on(split, figures)
    assert "over the other 4 videos: 1 abnormal videos have no segments" in note and "fight.mp4" in note
    assert "aadc-manifest folder --whole-clips" in note
    rows[0] = Row(video="fall.mp4", split="test", labels="fall")
    split = perfect(rows, classes)
    figures = evaluate(split, with_map=True)
    assert figures["frame"] is figures["class"] is figures["map"] is None and "auc" not in figures["interval"]
    assert figures["interval"]["video_auc"] == pytest.approx([0.025 ** (1 / 2), 1])  # 2 abnormal and 3 normal videos
    assert notes_on(split, figures)[0].startswith("no frame-level figures: 2 abnormal")


@pytest.mark.parametrize("kind", ["normal", "abnormal"])
def test_one_kind_alone_is_undefined_and_can_be_written(kind):
    classes = card("walk", "fall")
    rows = [row for row in rows_of(classes) if classes.is_abnormal(row.labels) == (kind == "abnormal")]
    rows = [
        row.model_copy(update={"segments": tuple(s._replace(start_frame=0, end_frame=None) for s in row.segments)})
        for row in rows
    ]
    split = perfect(rows, classes)
    figures = evaluate(split, with_map=True)
    assert figures["frame"]["auc"] is None and figures["video"]["auc"] is None and figures["interval"]["auc"] is None
    assert json.loads(json.dumps(figures, allow_nan=False)) is not None
    assert ["undefined" in note for note in notes_on(split, figures)] == [True, True]
    assert (figures["map"]["clean"]["mean"] is None) == (kind == "normal")


def test_labels_that_the_head_does_not_know_are_named_and_count_as_anomalies():
    classes, known = card("walk", "fall", "fight"), card("walk", "fall", "drown")
    rows = rows_of(classes)
    split = perfect(rows, classes)
    split = ScoredSplit(rows, split.scored, classes, known, 5, 16)
    figures = evaluate(split, with_map=True)
    assert figures["frame"]["auc"] == 1 and figures["category"]["abnormal"]["confusion"] == [[1, 0], [0, 0]]
    assert figures["map"]["clean"]["mean"] == 1
    assert "1 of the labels are none of the classes" in notes_on(split, figures)[0]
