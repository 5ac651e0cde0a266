"""Every figure against scikit-learn, a slow clear loop, or a case small enough for paper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from aadc.eval.metrics import (
    ScoredVideo,
    categories,
    category_figures,
    class_figures,
    frame_figures,
    joint_categories,
    video_figures,
    video_scores,
)
from aadc.eval.spans import clock, find_spans
from aadc.eval.tables import alarm_text
from aadc.eval.truth import expand, frame_truth, has_frame_truth, label_spans
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.manifest import Row

CARD = Card(
    title="Test",
    classes=[
        ClassEntry(name="walk", kind="normal", prompt="walking"),
        ClassEntry(name="sit", kind="normal", prompt="sitting"),
        ClassEntry(name="fall", kind="abnormal", prompt="falling"),
        ClassEntry(name="fight", kind="abnormal", prompt="fighting"),
    ],
)


def video(score, truth, labels=("fall",), fps=10.0, classes=None, name="v") -> ScoredVideo:
    score, truth = np.asarray(score, float), np.asarray(truth, bool)
    classes = np.full((len(score), 4), 0.25) if classes is None else np.asarray(classes, float)
    return ScoredVideo(name, labels, CARD.is_abnormal(labels), fps, score, truth, classes)


def some_videos(seed: int, count: int = 12) -> list[ScoredVideo]:
    """Snippet-constant scores with ties, anomalous spans in two thirds of the videos."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        frames = int(random.integers(20, 200))
        truth = np.zeros(frames, bool)
        if number % 3:
            start = random.integers(0, frames - 10)
            truth[start : start + random.integers(5, 60)] = True
        score = expand(random.normal(size=(-(-frames // 16),)).round(1), frames, 16) + truth * 0.5
        made.append(video(score.round(1), truth, ("fall" if number % 2 else "fight",) if number % 3 else ("walk",)))
    return made


@given(frames=st.integers(1, 3000), stride=st.integers(1, 40))
def test_every_frame_has_the_score_of_its_own_snippet(frames, stride):
    snippets = np.arange(-(-frames // stride))
    expanded = expand(snippets, frames, stride)
    assert expanded.tolist() == [frame // stride for frame in range(frames)]


def test_an_official_count_beyond_or_below_what_decodes():
    assert expand(np.array([1.0, 2.0]), 40, 16).tolist() == [1.0] * 16 + [2.0] * 24
    assert expand(np.array([1.0, 2.0]), 10, 16).tolist() == [1.0] * 10


def test_truth_is_half_open_cut_at_the_end_and_abnormal_only():
    row = Row(video="a", split="test", labels="walk|fall", segments="0-3:walk;4-6:fall;8-:fall;20-30:fight")
    assert frame_truth(row, 10, CARD).tolist() == [False] * 4 + [True] * 2 + [False] * 2 + [True] * 2
    assert label_spans(row, 10, CARD) == [(4, 6, "fall"), (8, 10, "fall")]
    assert has_frame_truth(row, CARD)
    assert has_frame_truth(Row(video="b", split="test", labels="walk"), CARD)
    assert not has_frame_truth(Row(video="c", split="test", labels="fall"), CARD)


@pytest.mark.parametrize("seed", range(5))
def test_frame_figures_are_scikit_learns_over_all_frames(seed):
    videos = some_videos(seed)
    found = frame_figures(videos)
    truth, score = np.concatenate([v.truth for v in videos]), np.concatenate([v.score for v in videos])
    assert found["auc"] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    assert found["ap"] == pytest.approx(average_precision_score(truth, score), abs=1e-12)
    assert (found["frames"], found["anomalous_frames"]) == (len(truth), truth.sum())
    abnormal = [v for v in videos if v.abnormal]
    truth, score = np.concatenate([v.truth for v in abnormal]), np.concatenate([v.score for v in abnormal])
    assert found["auc_abnormal_videos"] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    for label in ("fall", "fight"):
        chosen = [v for v in videos if not v.abnormal or label in v.labels]
        truth, score = np.concatenate([v.truth for v in chosen]), np.concatenate([v.score for v in chosen])
        assert class_figures(videos, ["fall", "fight", "never seen"])[label]["auc"] == pytest.approx(
            roc_auc_score(truth, score), abs=1e-12
        )


def test_the_two_precisions_differ_on_ties():
    """Published code computes XD-Violence's AP in both ways; on repeated scores they are not the same number."""
    found = frame_figures(some_videos(0))
    assert abs(found["ap"] - found["ap_trapezoid"]) > 1e-4


def test_undefined_is_none():
    found = frame_figures([video([0.1, 0.2], [0, 0], ("walk",))])
    assert found["auc"] is None and found["recall_at_2_percent_fpr"] is None and found["ap_early"] is None
    assert found["at_80_percent_of_events"]["threshold"] is None and found["event_f1_at_20_percent_iou"] is None
    assert found["false_alarm_rate"] == 0
    assert frame_figures([video([0.1, 0.2], [0, 1])])["false_alarm_rate"] is None


def test_false_alarm_rate_by_hand():
    """Frames of normal videos alone, at 0.5 or above."""
    videos = [video([0.5, 0.4, 0.9, 0], [0] * 4, ("walk",)), video([0.9] * 4, [0, 0, 0, 1]), video([0] * 4, [0] * 4, ("sit",))]
    assert frame_figures(videos)["false_alarm_rate"] == pytest.approx(2 / 8)


def test_flat_floor_by_hand():
    """Two of four frames of the abnormal video and six normal frames: AUC (1 + 6/8) / 2, precision 1/2."""
    videos = [video([0] * 4, [0, 1, 1, 0]), video([0] * 6, [0] * 6, ("walk",))]
    floor = frame_figures(videos)["flat_floor"]
    assert (floor["auc"], floor["ap"], floor["base_rate"]) == (pytest.approx(0.875), pytest.approx(0.5), pytest.approx(0.2))
    assert floor["event_f1_at_50_percent_iou"] == 1 and floor["false_alarm_rate"] == 0


def test_alarms_in_words():
    floor = {"events_found": 0.5, "false_alarms_per_hour": 90.0, "detection_delay_s": 4.0}
    found = {"threshold": 0.8, "events_found": 0.8, "false_alarms": 1, "hours": 20 / 3600, "false_alarms_per_hour": 180.0}
    found |= {"detection_delay_s": 0.1, "flat_floor": floor}
    assert alarm_text(found) == (
        "finding 80 % of the events costs 1 false alarm in 20.0 seconds of video (180.0 an hour) and 0.1 s of delay "
        "(threshold 0.800); a perfect flat video classifier finds no more than 50 % with 90.0 an hour and 4.0 s of delay"
    )
    calm = {**found, "false_alarms": 0, "false_alarms_per_hour": 0.0}
    assert "costs no false alarm in 2.5 hours of video and" in alarm_text({**calm, "hours": 2.5})
    assert "in 3.0 minutes" in alarm_text({**calm, "hours": 0.05})
    assert alarm_text(dict.fromkeys(found)) is None


def test_video_level():
    videos = [video([0.9, 0.1, 0.1], [1, 0, 0]), video([0.4, 0.4, 0.4], [0, 0, 0], ("walk",))]
    assert video_figures(videos, k=1, stride=1)["auc"] == 1
    assert video_figures(videos, k=3, stride=1)["auc"] == 0
    assert video_figures(videos, k=99, stride=1)["auc"] == 0  # K is capped by the length


@pytest.mark.parametrize("stride", [1, 16])
def test_video_scores_by_a_slow_loop(stride):
    """The mean of the k highest snippet scores, not of their logits, and of snippets that are there: a long tail of frames
    beyond the last one, which keep its score, does not count again."""
    logits = [np.array([9, 9, 9, 9, -9.0]), np.array([3, 3, 3, 3, 3.0]), np.array([-1, 2.0])]
    snippets = [1 / (1 + np.exp(-values)) for values in logits]
    for tail in (0, 1, 500):
        videos = [
            video(
                expand(values, stride * len(values) + tail, stride),
                [0] * (stride * len(values) + tail),
                classes=np.ones((len(values), 4)),
            )
            for values in snippets
        ]
        for k in (1, 3, 5, 99):
            expected = [sum(sorted(values)[-k:]) / min(k, len(values)) for values in snippets]
            np.testing.assert_allclose(video_scores(videos, k, stride), expected)
    assert expected[0] < expected[1]  # means of logits would have it the other way round


def test_categories_by_hand():
    """Prediction among classes of the video's own kind; two normal kinds and two abnormal ones, one mistake each."""
    column = {name: np.eye(4)[index] for index, name in enumerate(CARD.names)}
    videos = [
        video([0], [0], ("walk",), classes=[column["walk"]]),
        video([0], [0], ("sit",), classes=[column["walk"]]),
        video([0], [1], ("walk", "fall"), classes=[0.6 * column["walk"] + 0.4 * column["fall"]]),
        video([0], [1], ("fight",), classes=[column["fall"]]),
        video([0], [1], ("fall", "fight"), classes=[column["fight"]]),
    ]
    kinds = [CARD.kind(name) for name in CARD.names]
    pairs = categories(videos, CARD.names, kinds, k=5)
    assert pairs[2] == ("fall", "fall") and pairs[3] == ("fight", "fall") and pairs[4] == ("fight", "fight")
    found = category_figures(pairs, CARD.names, kinds)
    assert found["normal"] == {"accuracy": 0.5, "classes": ["walk", "sit"], "confusion": [[1, 0], [1, 0]]}
    assert found["abnormal"] == {"accuracy": pytest.approx(2 / 3), "classes": ["fall", "fight"], "confusion": [[1, 0], [1, 1]]}
    assert found["accuracy"] == pytest.approx(3 / 5)
    joint = joint_categories(videos, CARD.names, k=5)  # of the third video the likeliest class of all is right, too
    assert joint[1] == ("sit", "walk") and joint[2] == ("walk", "walk")
    assert [true == predicted for true, predicted in joint] == [True, False, True, False, True]


def test_a_head_that_calls_everything_normal_is_right_of_normal_videos_alone():
    """The kind being given, one abnormal class cannot be missed; among all classes it is."""
    videos = [video([0], [0], ("walk",), classes=[[0.9, 0.1]]), video([0], [1], ("fall",), classes=[[0.6, 0.4]])]
    assert categories(videos, ["walk", "fall"], ["normal", "abnormal"], k=1)[1] == ("fall", "fall")
    assert joint_categories(videos, ["walk", "fall"], k=1) == [("walk", "walk"), ("fall", "walk")]


def test_categories_that_the_classes_do_not_have():
    """A head that never heard of a label says nothing of it; one class of a kind alone cannot be wrong."""
    videos = [video([0], [0], ("walk",), classes=[[1, 0]]), video([0], [1], ("fight",), classes=[[0, 1]])]
    pairs = categories(videos, ["walk", "fall"], ["normal", "abnormal"], k=5)
    assert pairs == [("walk", "walk"), (None, "fall")]
    found = category_figures(pairs, ["walk", "fall"], ["normal", "abnormal"])
    assert found["accuracy"] is None and found["normal"]["confusion"] == [[1]] and found["abnormal"]["confusion"] == [[0]]
    assert categories(videos[1:], ["walk", "sit"], ["normal", "normal"], k=5) == [(None, None)]


@pytest.mark.parametrize(
    ("positives", "abnormal_frames", "normal_frames", "auc", "ap"),
    [(84_189, 461_776, 647_904, 0.816, 0.182), (538_324, 1_078_576, 1_252_720, 0.849, 0.499)],
    ids=["ucf", "xd"],
)
def test_flat_floor_over_the_real_totals(positives, abnormal_frames, normal_frames, auc, ap):
    """The numbers of frames of the two official test sets."""
    truth = np.arange(abnormal_frames) < positives
    videos = [video(truth, truth), video(np.zeros(normal_frames), np.zeros(normal_frames), ("walk",))]
    floor = frame_figures(videos)["flat_floor"]
    assert (floor["auc"], floor["ap"]) == (pytest.approx(auc, abs=5e-4), pytest.approx(ap, abs=5e-4))


def test_spans_by_hand():
    anomaly = np.array([0.1, 0.9, 0.4, 0.8, 0.1, 0.1, 0.7])
    classes = np.tile([0.5, 0.1, 0.3, 0.1], (7, 1))
    classes[6] = [0.5, 0.1, 0.1, 0.3]
    frame = np.array([8, 24, 40, 56, 72, 88, 99])
    spans = find_spans(
        anomaly, classes, CARD.names, [CARD.kind(name) for name in CARD.names], frame, frame / 10, frames=100, stride=16
    )
    assert [(s.start_frame, s.end_frame, s.category) for s in spans] == [(16, 64, "fall"), (96, 100, "fight")]
    assert [(s.start_s, s.end_s) for s in spans] == [
        (pytest.approx(1.6), pytest.approx(6.4)),
        (pytest.approx(9.6), pytest.approx(10.0)),
    ]
    assert spans[0].share == pytest.approx(0.75) and spans[0].probability == spans[0].peak == 0.9
    assert str(spans[0]) == "00:01-00:06 fall" and clock(3725) == "1:02:05"


def test_a_video_of_one_snippet_has_a_span_too():
    kinds = [CARD.kind(name) for name in CARD.names]
    spans = find_spans(np.array([0.9]), np.full((1, 4), 0.25), CARD.names, kinds, np.array([4]), np.array([0.4]), 5, 16)
    assert [(s.start_frame, s.end_frame) for s in spans] == [(0, 5)]
