"""Scores by windows, whole and as a stream, against the head itself on each snippet's own window."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from loaded import as_loaded
from test_model import CLASSES, DETR, WIDTH, features_of, make_head

from aadc.head import mtn, stream
from aadc.head.beside_clip import BesideClip
from aadc.head.config import HeadConfig
from aadc.head.fusion import visual_features
from aadc.head.mtn import DILATIONS
from aadc.head.scoring import score_video
from aadc.head.stream import MOST_CARRIED, StreamScorer, as_stored
from aadc.head.window import AHEAD, Window, check_window
from aadc.manifests.errors import UserError

VARIANTS = {
    "plain": lambda: make_head(),
    "no mtn": lambda: make_head(use_mtn=False),
    "no detr": lambda: make_head(use_detr=False),
    "attention": lambda: make_head(pooling="attention"),
    "beside clip": lambda: BesideClip(make_head(), torch.randn(3, WIDTH)).eval(),
}
HEADS = {name: make() for name, make in VARIANTS.items()}


@pytest.fixture(autouse=True)
def one_thread():
    """Products this small take longer when threads wake each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def rows_of(count: int, seed: int = 0, pooling: str = "mean") -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    shape = (count, 3, WIDTH) if pooling == "attention" else (count, WIDTH)
    return torch.randn(count, DETR, generator=random), torch.randn(*shape, generator=random)


@torch.no_grad()
def by_hand(model, detr, vis, rows: int, ahead: int, gamma: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """The rule letter by letter: for each snippet the head on its own window, as if that were a whole video."""
    anomaly, classes = [], []
    for s in range(len(detr)):
        low, high = max(0, s - rows + 1 + ahead), min(len(detr), s + ahead + 1)
        output = model(detr[None, low:high], vis[None, low:high], torch.ones(1, high - low, dtype=torch.bool))
        anomaly.append(output.logits_BT[0, s - low].sigmoid())
        classes.append((gamma * output.class_logits_BTC[0, s - low]).softmax(-1))
    return torch.stack(anomaly).numpy(), torch.stack(classes).numpy()


@torch.no_grad()
def smooth_by_hand(
    model, detr, vis, rows: int, ahead: int, heard: int, normal: int = 1, level: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """The rule `smooth` letter by letter, on raw answers of each snippet's own window; `heard`: snippets after it. The odds at
    the head's level are even."""
    a, z = [], []
    for s in range(len(detr)):
        low, high = max(0, s - rows + 1 + ahead), min(len(detr), s + ahead + 1)
        output = model(detr[None, low:high], vis[None, low:high], torch.ones(1, high - low, dtype=torch.bool))
        a.append(float(output.logits_BT[0, s - low]))
        z.append(output.class_logits_BTC[0, s - low].double().numpy())
    anomaly, classes = [], []
    for s in range(len(detr)):
        near = [n for n in range(s - 2, s + heard + 1) if 0 <= n < len(detr)]
        weights = [np.exp(-((n - s) ** 2) / 2) for n in near]
        own, likely = np.average([a[n] for n in near], weights=weights), np.exp(np.average([z[n] for n in near], 0, weights))
        likely /= likely.sum()
        odds = likely[normal:].sum() / likely[:normal].sum()
        both = (np.exp(own) if normal < 2 else np.sqrt(np.exp(own) * odds)) / np.exp(level)
        anomaly.append(both / (1 + both))
        classes.append(likely)
    return np.array(anomaly), np.array(classes)


def streamed(scorer: StreamScorer, detr, vis, sizes) -> list:
    found, start = [], 0
    while start < len(detr):
        size = next(sizes)
        found += scorer.push(detr[start : start + size], vis[start : start + size])
        start += size
    return found + scorer.flush()


def check(found, expected, final: bool, exact: float = 1e-4) -> None:
    scores = [one for one in found if one.final == final]
    assert [one.index for one in scores] == list(range(len(expected[0])))
    np.testing.assert_allclose([one.anomaly for one in scores], expected[0], atol=exact)
    np.testing.assert_allclose([one.classes for one in scores], expected[1], atol=exact)


@given(
    name=st.sampled_from(list(HEADS)),
    count=st.integers(1, 24),
    rows=st.sampled_from([1, 2, 5, 6, 9, 10, 16, 64, 256]),
    ahead=st.integers(0, 6),
    size=st.integers(1, 25),
    seed=st.integers(0, 20),
)
@settings(deadline=None, max_examples=150)
def test_a_stream_gives_what_each_window_gives(name, count, rows, ahead, size, seed):
    """Any head, window, look-ahead, length and size of the pieces: provisional scores by the window that ends with the snippet,
    final ones by that which ends `ahead` later."""
    model, ahead = HEADS[name], min(ahead, rows - 1)
    detr, vis = rows_of(count, seed, model.pooling)
    scorer = StreamScorer(as_loaded(model, gamma=0.5), rows, ahead)
    found = streamed(scorer, detr, vis, iter([size] * count))
    check(found, by_hand(model, detr, vis, rows, ahead, 0.5), final=True)
    check(found, by_hand(model, detr, vis, rows, 0, 0.5), final=False)


@given(
    name=st.sampled_from(list(HEADS)),
    count=st.integers(1, 24),
    rows=st.sampled_from([1, 2, 6, 16, 64]),
    ahead=st.integers(0, 4),
    size=st.integers(1, 25),
    normal=st.integers(1, 2),
    level=st.sampled_from([0.0, -1.5, 4.0]),
)
@settings(deadline=None, max_examples=60)
def test_a_stream_by_the_smooth_rule(name, count, rows, ahead, size, normal, level):
    """Final scores hear two snippets after theirs, provisional ones none, however the stream is cut; with two normal classes
    both branches are read."""
    model, ahead = HEADS[name], min(ahead, rows - 1)
    detr, vis = rows_of(count, 3, model.pooling)
    head = replace(as_loaded(model, rule="smooth", normal=normal), level=level)
    found = streamed(StreamScorer(head, rows, ahead), detr, vis, iter([size] * count))
    check(found, smooth_by_hand(model, detr, vis, rows, ahead, 2, normal, level), final=True)
    check(found, smooth_by_hand(model, detr, vis, rows, 0, 0, normal, level), final=False)


def test_a_smooth_score_is_final_two_snippets_later():
    head = as_loaded(HEADS["plain"], rule="smooth")
    detr, vis = rows_of(20)
    scorer = StreamScorer(head, 16, provisional=False)
    due = [[one.index for one in scorer.push(detr[at : at + 1], vis[at : at + 1])] for at in range(20)]
    assert due == [[]] * (AHEAD + 2) + [[index] for index in range(20 - AHEAD - 2)]
    assert [one.index for one in scorer.flush()] == list(range(20 - AHEAD - 2, 20))


@pytest.mark.parametrize("normal", [1, 2, 3])
@pytest.mark.parametrize("window", [None, Window(8)])
def test_a_recording_by_the_smooth_rule(window, normal):
    """As its stream is; without an abnormal class there are no odds to read."""
    features = stored(30)
    detr, vis = torch.from_numpy(features.detr).float(), visual_features(features, "mean")
    found = score_video(replace(as_loaded(HEADS["plain"], window, "smooth", normal), level=-1.5), features)
    rows, ahead = window or (59, 29)  # every snippet's window holds all
    expected = smooth_by_hand(HEADS["plain"], detr, vis, rows, ahead, 2, normal if normal < 3 else 1, -1.5)
    np.testing.assert_allclose(found.anomaly, expected[0], atol=1e-4)
    np.testing.assert_allclose(found.classes, expected[1], atol=1e-4)


def stored(count: int, seed: int = 0):
    random = np.random.default_rng(seed)
    detr = random.normal(size=(count, DETR)).astype(np.float16)
    return features_of(
        random.normal(size=(count, WIDTH)), random.normal(size=(count, 2, WIDTH)), random.integers(0, 3, count), detr
    )


@pytest.mark.parametrize("rows", [8, 64])
def test_every_prefix_of_a_recording_scores_as_its_stream_does(rows):
    """Lengths 1 to 20 and around the window's own, pieces of random sizes."""
    head = as_loaded(HEADS["plain"], Window(rows))
    random = np.random.default_rng(0)
    for count in [*range(1, 21), rows + 1]:
        features = stored(count)
        whole = score_video(head, features)
        detr, vis = torch.from_numpy(features.detr).float(), visual_features(features, "mean")
        found = streamed(StreamScorer(head, rows), detr, vis, iter(random.integers(1, 9, 500).tolist()))
        check(found, (whole.anomaly, whole.classes), final=True)
        check(found, by_hand(head.model, detr, vis, rows, 0), final=False)


def test_a_long_recording_in_pieces_is_that_of_one_piece(monkeypatch):
    """More snippets than go through the head at once, against each window by itself."""
    monkeypatch.setattr(stream, "_AT_ONCE", 32)
    monkeypatch.setattr(mtn, "_BLOCK", 8)
    head, features = as_loaded(HEADS["plain"], Window(16)), stored(100)
    whole = score_video(head, features)
    detr, vis = torch.from_numpy(features.detr).float(), visual_features(features, "mean")
    expected = by_hand(head.model, detr, vis, 16, AHEAD)
    np.testing.assert_allclose(whole.anomaly, expected[0], atol=1e-4)
    np.testing.assert_allclose(whole.classes, expected[1], atol=1e-4)
    assert whole.features.shape == (100, WIDTH)


def test_a_window_over_a_whole_video_still_is_not_the_whole_video():
    """Without a window every snippet sees all of the video; with one, none sees further ahead than it says."""
    features = stored(40)
    whole = score_video(as_loaded(HEADS["plain"]), features).anomaly
    windowed = score_video(as_loaded(HEADS["plain"], Window(256)), features).anomaly
    assert abs(whole[-1] - windowed[-1]) < 1e-5 and abs(whole[:20] - windowed[:20]).max() > 1e-3


def test_what_lies_outside_the_window_changes_nothing():
    head, rows, ahead = as_loaded(HEADS["plain"]), 12, 4
    detr, vis = rows_of(60)
    one = streamed(StreamScorer(head, rows, ahead, provisional=False), detr, vis, iter([7] * 60))
    s = 30
    for outside in (s + ahead + 1, s - rows + ahead):
        other = detr.clone(), vis.clone()
        other[0][outside] += 5
        other[1][outside] -= 3
        two = streamed(StreamScorer(head, rows, ahead, provisional=False), *other, iter([7] * 60))
        assert two[s].anomaly == pytest.approx(one[s].anomaly, abs=1e-6)
        assert abs(two[outside].anomaly - one[outside].anomaly) > 1e-4
    for inside in (s + ahead, s - rows + 1 + ahead):
        other = detr.clone(), vis.clone()
        other[0][inside] += 500
        two = streamed(StreamScorer(head, rows, ahead, provisional=False), *other, iter([7] * 60))
        assert abs(two[s].anomaly - one[s].anomaly) > 1e-6


@torch.no_grad()
def test_a_batch_of_windows_is_each_alone():
    """As training has them: padded bags by the windowed rule, against the stream."""
    model, window = HEADS["plain"], Window(10)
    lengths, (detr, vis) = [3, 17, 40], rows_of(120)
    detr, vis = detr.view(3, 40, DETR), vis.view(3, 40, WIDTH)
    valid = torch.arange(40) < torch.tensor(lengths)[:, None]
    together = model(detr, vis, valid, window=window).logits_BT.sigmoid()
    for bag, length in enumerate(lengths):
        expected, _ = by_hand(model, detr[bag, :length], vis[bag, :length], *window)
        np.testing.assert_allclose(together[bag, :length], expected, atol=1e-5)


def test_a_short_gap_is_carried_over_and_marked():
    head = as_loaded(HEADS["plain"])
    detr, vis = rows_of(20)
    filled = [torch.cat([part[:8], part[7:8].expand(3, -1), part[8:]]) for part in (detr, vis)]
    expected = streamed(StreamScorer(head, 16), *filled, iter([1] * 30))
    scorer = StreamScorer(head, 16)
    found = scorer.push(detr[:8], vis[:8]) + scorer.missing(3) + scorer.push(detr[8:], vis[8:]) + scorer.flush()
    finals = {one.index: one for one in found if one.final}
    for one in expected:
        if one.final:
            assert finals[one.index].anomaly == pytest.approx(one.anomaly, abs=1e-5)
    assert [index for index in sorted(finals) if finals[index].carried] == [8, 9, 10]
    assert {one.index for one in found if one.carried and not one.final} == {8, 9, 10}
    assert {one.epoch for one in found} == {0}


def test_a_long_gap_begins_anew():
    """What was due comes with the gap; what follows is scored as the start of a stream."""
    head = as_loaded(HEADS["plain"])
    detr, vis = rows_of(20)
    scorer = StreamScorer(head, 16, provisional=False)
    before = scorer.push(detr[:9], vis[:9]) + scorer.missing(MOST_CARRIED + 1)
    after = scorer.push(detr[9:], vis[9:]) + scorer.flush()
    check(before, by_hand(head.model, detr[:9], vis[:9], 16, AHEAD), final=True)
    check(after, by_hand(head.model, detr[9:], vis[9:], 16, AHEAD), final=True)
    assert {one.epoch for one in before} == {0} and {one.epoch for one in after} == {1}


def test_epochs_count_what_was_begun():
    head = as_loaded(HEADS["plain"])
    detr, vis = rows_of(6)
    scorer = StreamScorer(head, 16)
    assert scorer.missing(2) == scorer.missing(9) == scorer.flush() == [] and scorer.epoch == 0
    scorer.push(detr, vis)
    scorer.reset()
    assert (scorer.epoch, scorer.count) == (1, 0) and scorer.flush() == [] and scorer.epoch == 1
    assert [(one.index, one.epoch) for one in scorer.push(detr[:1], vis[:1])] == [(0, 1)]


def test_what_cannot_be_scored_changes_nothing():
    head = as_loaded(HEADS["plain"])
    detr, vis = rows_of(20)
    expected = streamed(StreamScorer(head, 16), detr, vis, iter([5] * 30))
    scorer = StreamScorer(head, 16)
    found = scorer.push(detr[:5], vis[:5])
    bad = vis[5:7].clone()
    bad[1, 3] = torch.nan
    for wrong in (
        (detr[5:7], bad),
        (detr[5:7] / 0, vis[5:7]),
        (detr[5:7], vis[5:6]),
        (detr[5:7, :3], vis[5:7]),
        (detr[5:7], vis[5:7, :4]),
    ):
        with pytest.raises(UserError):
            scorer.push(*wrong)
    assert scorer.push(detr[:0], vis[:0]) == []
    found += streamed(scorer, detr[5:], vis[5:], iter([5] * 30))
    assert [one.anomaly for one in found] == [one.anomaly for one in expected]


def test_fresh_features_are_rounded_as_shards_round_them():
    """An embedder's float32 answer becomes what a shard of it would have been read as."""
    random = np.random.default_rng(0)
    fresh = {
        "scene": random.normal(size=(4, WIDTH)),
        "crop": random.normal(size=(4, 2, WIDTH)),
        "detr": 40 * random.normal(size=(4, DETR)),
    }
    fresh = {name: array.astype(np.float32) for name, array in fresh.items()} | {"count": np.array([0, 1, 2, 2])}
    kept = SimpleNamespace(
        **{name: array.astype(np.float16) for name, array in fresh.items() if name != "count"}, count=fresh["count"]
    )
    for pooling in ("mean", "attention"):
        detr, vis = as_stored(fresh, pooling)
        assert torch.equal(detr, torch.from_numpy(kept.detr).float()) and detr.dtype == torch.float32
        assert torch.equal(vis, visual_features(kept, pooling))
    assert not torch.equal(detr, torch.from_numpy(fresh["detr"]))


def test_memory_of_a_stream_does_not_grow():
    scorer = StreamScorer(as_loaded(HEADS["plain"]), 16)
    sizes = []
    for number in range(60):
        scorer.push(*rows_of(1, number))
        sizes.append(scorer._scores._rows.x_BTD.shape[1])
    assert max(sizes) == 15 and scorer.count == 60 and len(scorer._carried) == 0


def test_windows_that_cannot_be():
    assert max(DILATIONS) == AHEAD
    for rows, ahead in ((4, 4), (0, 0), (5, -1), (-3, 0)):
        with pytest.raises(ValueError):
            check_window(rows, ahead)
    with pytest.raises(UserError, match="does not hold"):
        StreamScorer(as_loaded(HEADS["plain"]), 3)
    with pytest.raises(UserError, match="whole videos"):
        StreamScorer(replace(as_loaded(HEADS["plain"]), config=HeadConfig(window=0)))
    assert StreamScorer(as_loaded(HEADS["plain"])).window == Window(HeadConfig().window, AHEAD)
    with pytest.raises(ValueError):
        HeadConfig(window=AHEAD)
    assert HeadConfig(window=0).sees is None and HeadConfig(window=AHEAD + 1).sees == Window(AHEAD + 1)


def test_class_names_are_those_of_the_head():
    detr, vis = rows_of(2)
    assert len(StreamScorer(as_loaded(HEADS["plain"]), 16).push(detr, vis)[0].classes) == len(CLASSES)
