"""What training draws from: pooled bags, padded batches, balanced draws, the validation split."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aadc.head.bags import Bag, make_batch, pool_snippets
from aadc.head.sampling import BalancedSampler, least_for_validation, split_validation
from aadc.manifests.card import Card, ClassEntry

CARD = Card(
    title="Test",
    classes=[
        ClassEntry(name="calm", kind="normal", prompt="calm"),
        ClassEntry(name="fall", kind="abnormal", prompt="a fall"),
        ClassEntry(name="fire", kind="abnormal", prompt="a fire"),
    ],
)


def make_bag(name: str, labels: tuple[str, ...], rows: int = 2) -> Bag:
    values = torch.arange(rows * 3, dtype=torch.float16).view(rows, 3) + 1
    return Bag(name, labels, CARD.is_abnormal(labels), values, 10 * values)


@given(rows=st.integers(1, 700), snippets=st.integers(1, 300))
@settings(deadline=None)
def test_pooling_averages_equal_bins(rows, snippets):
    """Against a loop; every row counts exactly once; short videos stay as they are."""
    x = torch.from_numpy(np.random.default_rng(rows).normal(size=(rows, 2)).astype(np.float32))
    pooled = pool_snippets(x, snippets)
    if rows <= snippets:
        assert torch.equal(pooled, x)
        return
    edges = [i * rows // snippets for i in range(snippets + 1)]
    expected = torch.stack([x[a:b].mean(0) for a, b in zip(edges, edges[1:], strict=False)])
    torch.testing.assert_close(pooled, expected, rtol=1e-4, atol=1e-5)
    sizes = {b - a for a, b in zip(edges, edges[1:], strict=False)}
    assert max(sizes) - min(sizes) <= 1 and edges[-1] == rows


def test_batches_are_padded_with_zeros_and_say_so():
    batch = make_batch([make_bag("a", ("calm",), 1), make_bag("b", ("fall", "fire"), 3)], CARD)
    assert batch.valid_BT.tolist() == [[True, False, False], [True, True, True]]
    assert batch.detr_BTD[0].tolist() == [[1, 2, 3], [0, 0, 0], [0, 0, 0]]
    assert batch.vis_BTC[1, 2].tolist() == [70, 80, 90]
    assert batch.abnormal_B.tolist() == [0, 1]
    assert batch.labels_BC.tolist() == [[1, 0, 0], [0, 1, 1]]


@given(normal=st.integers(1, 40), abnormal=st.integers(1, 40), batch=st.integers(2, 64), seed=st.integers(0, 9))
def test_batches_are_half_and_half_and_leave_nobody_out(normal, abnormal, batch, seed):
    kinds = [False] * normal + [True] * abnormal
    sampler = BalancedSampler(kinds, batch, seed, least_steps=1)
    seen: Counter = Counter()
    for step in range(sampler.steps_per_epoch):
        drawn = sampler.batch(step)
        assert sum(kinds[i] for i in drawn) * 2 == len(drawn) <= batch
        seen.update(drawn)
    for kind in (False, True):
        counts = [seen[i] for i in range(len(kinds)) if kinds[i] == kind]
        assert max(counts) - min(counts) <= 1  # nobody comes round again before all have been
    assert set(seen) == set(range(len(kinds)))


def test_draws_depend_on_seed_and_step_alone():
    kinds = [False, True] * 10
    one, other = BalancedSampler(kinds, 8, 3, 10), BalancedSampler(kinds, 8, 3, 10)
    later = [other.batch(step) for step in (5, 2, 5)]
    assert later == [one.batch(5), one.batch(2), one.batch(5)]
    assert one.batch(5) != BalancedSampler(kinds, 8, 4, 10).batch(5)


def test_an_epoch_of_few_videos_still_has_its_steps():
    assert BalancedSampler([False, True], 128, 0, least_steps=10).steps_per_epoch == 10
    assert BalancedSampler([False] * 800 + [True] * 810, 128, 0, least_steps=10).steps_per_epoch == 13


def test_validation_is_stratified():
    """Each class gives its share, no video is lost, and the seed decides which."""
    labels = ["calm"] * 80 + ["fall"] * 40 + ["fire"] * 40
    bags = [make_bag(str(i), (label,)) for i, label in enumerate(labels)]
    learn, validate = split_validation(bags, 0.15, 0)
    assert sorted(learn + validate) == list(range(160))
    assert Counter(labels[i] for i in validate) == {"calm": 12, "fall": 6, "fire": 6}
    assert split_validation(bags, 0.15, 0) == (learn, validate)
    assert split_validation(bags, 0.15, 1)[1] != validate


@given(st.lists(st.sampled_from(["calm", "fall", "fire", "both"]), min_size=1, max_size=60), st.integers(0, 5))
def test_validation_never_takes_the_last_of_a_class(names, seed):
    labels = [("fall", "fire") if name == "both" else (name,) for name in names]
    bags = [make_bag(str(i), label) for i, label in enumerate(labels)]
    learn, validate = split_validation(bags, 0.15, seed)
    assert sorted(learn + validate) == list(range(len(bags)))
    assert {labels[i] for i in learn} == set(labels)
    kinds = Counter(bags[i].abnormal for i in validate)
    assert not validate or min(kinds[False], kinds[True]) >= 2


@given(alone=st.integers(10, 60), spare=st.integers(0, 10), seed=st.integers(0, 5))
def test_no_video_is_validated_on_twice(alone, spare, seed):
    """Nearly every abnormal video has a combination of classes of its own: few can be spared, then those, each once."""
    labels = [("calm",)] * 20 + [("fall", f"{i}") for i in range(alone)] + [("fall", "0")] * spare
    bags = [SimpleNamespace(labels=own, abnormal="fall" in own) for own in labels]
    learn, validate = split_validation(bags, 0.15, seed)
    assert sorted(learn + validate) == list(range(len(bags)))
    taken = sum(bags[i].abnormal for i in validate)
    wanted = min(round(0.15 * (alone + spare)), spare)
    assert taken == (wanted if wanted >= 2 else 0)


@pytest.mark.parametrize("count", [3, 9])
def test_too_few_videos_give_no_validation(count):
    bags = [make_bag(str(i), ("calm",)) for i in range(count)] + [make_bag(f"x{i}", ("fall",)) for i in range(40)]
    assert split_validation(bags, 0.15, 0)[1] == []


@given(
    st.lists(st.sampled_from(["calm", "walk", "sit"]), min_size=1, max_size=24),
    st.lists(st.sampled_from(["fall", "fire", "both"]), min_size=1, max_size=24),
    st.sampled_from([0.05, 0.1, 0.15, 0.3, 0.45]),
)
def test_the_rule_that_is_told_is_the_one_that_holds(calm, wild, share):
    """So many of each kind, and of each two more than it has classes (a combination is one of its own): then, and only then."""
    kinds = [[(name,) for name in calm], [("fall", "fire") if name == "both" else (name,) for name in wild]]
    bags = [SimpleNamespace(labels=labels, abnormal=bool(kind)) for kind, own in enumerate(kinds) for labels in own]
    least = least_for_validation(share)
    told = all(len(own) >= least and len(own) >= len(set(own)) + 2 for own in kinds)
    assert bool(split_validation(bags, share, 0)[1]) == told
