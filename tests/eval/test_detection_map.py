"""mAP@IoU: to the last digit what the published evaluation prints, and what it should have printed."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))
import published_map

from aadc.eval.detection_map import IOUS, NORMAL, detection_map, mean_average_precision, rank_proposals


def random_case(seed: int, classes: list[str]):
    """Random snippet-constant predictions that lean towards random true segments; some videos normal."""
    random = np.random.default_rng(seed)
    predictions, segments, labels = [], [], []
    for video in range(14):
        frames = 16 * int(random.integers(2, 14))
        values = random.normal(size=(frames // 16, len(classes)))
        spans, names = [], []
        if video % 3:
            for _ in range(int(random.integers(1, 4))):
                start = int(random.integers(0, frames - 20))
                spans.append((start, start + int(random.integers(10, 90))))
                names.append(classes[int(random.integers(1, len(classes)))])
                values[start // 16 : spans[-1][1] // 16 + 1, classes.index(names[-1])] += 2
        else:
            spans, names = [(0, frames)], ["A"]
        values = np.exp(values)
        predictions.append(np.repeat(values / values.sum(1, keepdims=True), 16, 0))
        segments.append(spans)
        labels.append(names)
    return predictions, segments, labels


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("first", ["Normal", "A"])
def test_published_is_the_plain_loop(seed, first):
    classes = [first, "B1", "B2", "G"]
    case = random_case(seed, classes)
    np.testing.assert_allclose(detection_map(*case, classes), published_map.plain_map(*case, classes, IOUS), atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_clean_is_the_plain_loop_over_abnormal_classes_with_truth(seed):
    classes = ["A", "B1", "B2", "G", "never"]
    predictions, segments, labels = random_case(seed, classes[:4])
    predictions = [np.column_stack([values, values[::-1, 1]]) for values in predictions]
    plain = published_map.plain_map([values[:, 1:4] for values in predictions], segments, labels, classes[1:4], IOUS)
    np.testing.assert_allclose(detection_map(predictions, segments, labels, classes, protocol="clean"), plain, atol=1e-9)


@pytest.mark.parametrize("protocol", ["published", "clean"])
def test_a_draw_of_videos_is_the_figure_of_those_videos(protocol):
    """The bootstrap's way of weighing videos, against the same videos repeated."""
    classes = ["A", "B1", "B2", "G"]
    case = random_case(2, classes)
    rankings = rank_proposals(*case, classes, IOUS, protocol, NORMAL)
    random = np.random.default_rng(0)
    draws = [random.integers(0, 14, 14) for _ in range(5)]
    weights = np.stack([np.bincount(draw, minlength=14) for draw in draws])
    found = mean_average_precision(rankings, weights, len(IOUS), protocol)
    for values, draw in zip(found, draws, strict=True):
        repeated = [[part[video] for video in sorted(draw)] for part in case]
        np.testing.assert_allclose(values, detection_map(*repeated, classes, IOUS, protocol), atol=1e-9)


@pytest.mark.parametrize("dataset", ["ucf", "xd"])
def test_real_segments(dataset):
    """To 1e-9 what the published evaluation prints for these predictions; and what a perfect oracle gets."""
    segments, labels, classes = published_map.real_truth(dataset)
    predictions = published_map.real_predictions(dataset, segments, labels, classes)
    golden = published_map.golden()
    found = detection_map(predictions, segments, labels, classes, golden["iou"])
    np.testing.assert_allclose(found, golden[dataset]["map_percent"], rtol=0, atol=1e-9)
    perfect = oracle(segments, labels, classes)
    published, clean, tolerance = {"ucf": (100 * 13 / 14, 100, 1e-9), "xd": (85.4, 99.7, 0.3)}[dataset]
    assert detection_map(perfect, segments, labels, classes) == pytest.approx([published] * 5, abs=tolerance)
    assert detection_map(perfect, segments, labels, classes, protocol="clean") == pytest.approx([clean] * 5, abs=tolerance)


def oracle(segments, labels, classes):
    """Probability one for what is true and for the first class elsewhere."""
    made = []
    for spans, names in zip(segments, labels, strict=True):
        frames = max(end for _, end in spans) + (0 if names[0] == "A" else 320)
        values = np.zeros((frames, len(classes)))
        values[:, 0] = 1
        for (start, end), name in zip(spans, names, strict=True):
            if name != "A":
                values[start:end, 0] = 0
                values[start:end, classes.index(name)] = 1
        made.append(values)
    return made


def thirteen_classes():
    classes = ["Normal", *(f"c{number}" for number in range(13))]
    segments = [[(40 + number, 200)] for number in range(13)] + [[(0, 500)]]
    return classes, segments, [[name] for name in classes[1:]] + [["A"]]


def test_a_perfect_oracle_scores_92_86_published_and_100_clean():
    """UCF-Crime's list says Normal, its truth says A: one class of fourteen can never score in the published way."""
    classes, segments, labels = thirteen_classes()
    perfect = oracle(segments, labels, classes)
    assert detection_map(perfect, segments, labels, classes) == pytest.approx([100 * 13 / 14] * 5)
    assert detection_map(perfect, segments, labels, classes, protocol="clean") == pytest.approx([100] * 5)


def test_a_class_without_proposals_is_zero_alone_in_clean_and_everything_in_published():
    classes = ["Normal", "c0", "c1"]
    segments, labels = [[(10, 60)], [(10, 60)]], [["c0"], ["c1"]]
    perfect = oracle(segments, labels, classes)
    perfect[1][:, 2] = 0.0  # c1 is flat: no proposal worth anything
    assert detection_map(perfect, segments, labels, classes, [0.5]) == [0.0]
    assert detection_map(perfect, segments, labels, classes, [0.5], "clean") == [50.0]


def test_a_class_without_truth_counts_in_published_alone():
    """c0 and c1 are found, A is the last of five proposals (the others are the normal parts of abnormal videos)."""
    classes = ["A", "c0", "c1", "never"]
    segments, labels = [[(10, 60)], [(10, 60)], [(0, 100)]], [["c0"], ["c1"], ["A"]]
    perfect = oracle(segments, labels, classes)
    for values in perfect:
        values[5:8] += [0, 0, 0, 0.01]
    perfect[2][50:, 0] = 0.9  # so that A, too, has a proposal
    assert detection_map(perfect, segments, labels, classes, [0.4]) == [pytest.approx(100 * (1 + 1 + 1 / 5 + 0) / 4)]
    assert detection_map(perfect, segments, labels, classes, [0.4], "clean") == [100.0]


def test_a_false_alarm_on_a_normal_video_costs_in_clean_too():
    classes = ["Normal", "c0"]
    segments, labels = [[(10, 60)], [(0, 100)]], [["c0"], ["Normal"]]
    perfect = oracle(segments, labels, classes)
    perfect[1] = np.zeros((100, 2))
    perfect[1][20:40, 1] = 2.0
    assert detection_map(perfect, segments, labels, classes, [0.5], "clean") == [50.0]


def test_a_video_shorter_than_a_snippet_counts_in_clean():
    classes = ["Normal", "c0"]
    segments, labels = [[(0, 9)], [(0, 5)]], [["c0"], ["Normal"]]
    short = [np.tile([0.2, 0.8], (9, 1)), np.tile([0.9, 0.1], (5, 1))]
    assert detection_map(short, segments, labels, classes, [0.5], "clean") == [100.0]


def test_nothing_abnormal_to_find_is_no_number():
    assert np.isnan(detection_map([np.ones((20, 1))], [[(0, 20)]], [["Normal"]], ["Normal"], [0.5], "clean")).all()


def test_a_flat_oracle_finds_whole_videos_in_clean_alone():
    classes = ["A", "B1", "B2"]
    segments, labels = [[(0, 64)], [(0, 96)], [(0, 48)]], [["B1"], ["B2"], ["A"]]
    flat = [np.tile(np.eye(3)[column], (frames, 1)) for column, frames in ((1, 64), (2, 96), (0, 48))]
    assert detection_map(flat, segments, labels, classes, [0.5]) == [0.0]
    assert detection_map(flat, segments, labels, classes, [0.5], "clean") == [100.0]


def test_random_scores_are_near_zero():
    classes, segments, labels = thirteen_classes()
    random = np.random.default_rng(0)
    predictions = [np.repeat(random.dirichlet(np.ones(14), 60), 16, 0) for _ in segments]
    assert max(detection_map(predictions, segments, labels, classes, [0.3, 0.5])) < 5


def test_wrong_shapes_are_told():
    with pytest.raises(ValueError, match="shape"):
        detection_map([np.zeros((32, 2))], [[(0, 3)]], [["a"]], ["a", "b", "c"])
    with pytest.raises(ValueError, match="0 predictions"):
        detection_map([], [], [], ["a"])
    with pytest.raises(ValueError, match="1 predictions, 0 segment lists"):
        detection_map([np.zeros((32, 1))], [], [], ["a"])
