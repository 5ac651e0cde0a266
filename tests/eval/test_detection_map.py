"""mAP@IoU: to the last digit what the published evaluation prints, and what it should have printed."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from aadc.eval.detection_map import IOUS, detection_map

SHARED = Path(__file__).resolve().parents[3] / "shared" / "golden"


def slow(predictions, segments, labels, classes, iou):
    """The published rules as a plain loop over frames and sets, from their description in docs/metrics.md."""
    result = []
    for bar in iou:
        precisions = []
        for c, name in enumerate(classes):
            proposals = []
            for video, values in enumerate(predictions):
                curve = values[:, c]
                count = len(curve) // 16
                strength = np.sort(curve)[::-1][:count].mean()
                if strength <= 0:
                    curve = np.zeros_like(curve)
                threshold = curve.max() - 0.6 * (curve.max() - curve.min())
                start = None
                for frame in range(len(curve) + 1):
                    above = frame < len(curve) and curve[frame] > threshold
                    if above and start is None:
                        start = frame
                    if not above and start is not None:
                        if frame - start >= 2:
                            proposals.append((curve[start:frame].max() + 0.7 * strength, video, start, frame))
                        start = None
            if not proposals:
                return [0.0] * len(iou)
            truth = [(video, set(range(*span))) for video, spans in enumerate(segments)
                     for span, label in zip(spans, labels[video], strict=True) if label == name]  # fmt: skip
            total, hits, left = 0.0, 0, list(truth)
            for rank, (_, video, start, end) in enumerate(sorted(proposals, key=lambda p: -p[0]), 1):
                frames = set(range(start, end))
                best = max(
                    (t for t in left if t[0] == video), key=lambda t: len(t[1] & frames) / len(t[1] | frames), default=None
                )
                if best is not None and len(best[1] & frames) / len(best[1] | frames) >= bar:
                    left.remove(best)
                    hits += 1
                    total += hits / rank
            precisions.append(total / len(truth) if truth else 0.0)
        result.append(100 * np.mean(precisions))
    return result


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
def test_published_is_the_slow_loop(seed, first):
    classes = [first, "B1", "B2", "G"]
    case = random_case(seed, classes)
    np.testing.assert_allclose(detection_map(*case, classes), slow(*case, classes, IOUS), atol=1e-9)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the golden figures lie beside the project only where it is developed")
@pytest.mark.parametrize("dataset", ["ucf", "xd"])
def test_golden_figures_of_the_published_evaluation(dataset, monkeypatch):
    monkeypatch.syspath_prepend(str(SHARED))
    sys.modules.pop("predictions", None)
    import predictions

    truth = json.loads((SHARED / "test_segments.json").read_text())[dataset]
    golden = json.loads((SHARED / "map_iou.json").read_text())
    found = detection_map(
        predictions.predictions(1, dataset),
        [video["segments"] for video in truth],
        [video["labels"] for video in truth],
        predictions.CLASSES[dataset],
        golden["iou"],
    )
    np.testing.assert_allclose(found, golden[dataset]["map_percent"], atol=1e-9)


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


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real segments lie beside the project only where it is developed")
def test_oracles_over_the_real_segments(monkeypatch):
    monkeypatch.syspath_prepend(str(SHARED))
    sys.modules.pop("predictions", None)
    import predictions

    truth = json.loads((SHARED / "test_segments.json").read_text())
    for dataset, published, clean in (("ucf", 100 * 13 / 14, 100.0), ("xd", 85.4, 99.5)):
        segments = [video["segments"] for video in truth[dataset]]
        labels = [video["labels"] for video in truth[dataset]]
        perfect = oracle(segments, labels, predictions.CLASSES[dataset])
        ours = detection_map(perfect, segments, labels, predictions.CLASSES[dataset])
        assert ours == pytest.approx([published] * 5, abs=1e-9 if dataset == "ucf" else 0.5)
        mended = detection_map(perfect, segments, labels, predictions.CLASSES[dataset], protocol="clean")
        assert mended == pytest.approx([clean] * 5, abs=1e-9 if dataset == "ucf" else 0.5)


def test_a_class_without_proposals_is_zero_alone_in_clean_and_everything_in_published():
    classes = ["Normal", "c0", "c1"]
    segments, labels = [[(10, 60)], [(10, 60)]], [["c0"], ["c1"]]
    perfect = oracle(segments, labels, classes)
    perfect[1][:, 2] = 0.0  # c1 is flat: no proposal worth anything
    assert detection_map(perfect, segments, labels, classes, [0.5]) == [0.0]
    assert detection_map(perfect, segments, labels, classes, [0.5], "clean") == [50.0]


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
    with pytest.raises(ValueError, match="1 predictions, 0 segment lists"):
        detection_map([np.zeros((32, 1))], [], [], ["a"])
