"""What training draws from: pooled bags, padded batches, balanced draws, the validation split."""

import errno
import os
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import synthetic

from aadc.extract.shards import ShardHeader, ShardSet, write_shard
from aadc.extract.video_features import VideoFeatures
from aadc.head.bags import Bag, load_bags, make_batch
from aadc.head.config import HeadConfig
from aadc.head.fusion import AttentionPool, visual_features
from aadc.head.row_store import RowStore
from aadc.head.sampling import BalancedSampler, least_for_validation, split_validation
from aadc.head.trainer import Trainer
from aadc.manifests.card import Card, ClassEntry
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Row

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


@pytest.mark.parametrize("size", [0, 10**12], ids=["memory", "disk"])
def test_rows_come_back_as_they_were(tmp_path, size):
    """Bit by bit, in any shape, also where a folder is yet to be made, and nothing is left of the file."""
    store = RowStore(tmp_path / "not" / "there", size)
    rows = [torch.randn(3, 4), torch.randn(0, 4), torch.randn(2, 3, 4), 60_000 * torch.rand(5, 1)]
    places = store.add(rows[:2]) + store.add(rows[2:])
    values = store.map()
    for row, (start, shape) in zip(rows, places, strict=True):
        assert torch.equal(values[start : start + row.numel()].view(shape), row.half())
    assert list(tmp_path.iterdir()) == [] and len(RowStore(tmp_path).map()) == 0


def test_a_full_disk_is_a_sentence(tmp_path, monkeypatch):
    store = RowStore(tmp_path)
    full = SimpleNamespace(write=lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    monkeypatch.setattr(store, "_file", full)
    with pytest.raises(UserError, match="features.*could not be written.*another disk"):
        store.add([torch.ones(3)])


def test_attention_pools_the_objects_of_one_frame_in_long_videos_too(tiny_clip, tmp_path):
    """What a step draws of 600 snippets are frames: before a question is learned, their pooled objects are their mean."""
    video = synthetic.make_video(np.random.default_rng(0), "long.mp4", "train", ("walk",), 600, slice(0))
    row = Row(video="long.mp4", split="train", labels="walk")
    run = synthetic.write_run(tmp_path / "run", tiny_clip, [row], [video])
    shards, config = ShardSet(run.shards), HeadConfig(pooling="attention", snippets=256)
    (bag,) = load_bags(shards, [row], synthetic.CARD, config)
    (part,) = Trainer.drawn(SimpleNamespace(config=config), 5, [bag])
    start = int((bag.detr == part.detr[0]).all(1).nonzero())
    mean = visual_features(shards.read(row.key), "mean")[start : start + 256]
    assert len(bag) == 600 and len(part) == 256
    torch.testing.assert_close(AttentionPool(16)(part.vis.float()[None])[0], mean, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_each_draw_sees_one_of_the_published_crops(tmp_path, pooling):
    """Frames by three crops, no boxes: a step has all snippets of one crop, each crop's turn comes, scores are of the first."""
    values = np.random.default_rng(1).normal(size=(30, 3, 4)).astype(np.float16)
    arrays = {name: np.zeros((30, 2)) for name in ("score", "class_id")}
    video = VideoFeatures(
        "a.mp4", "train", ("calm",), frames=480, fps=30.0, frame=np.arange(30) * 16, time=np.arange(30) / 2.0,
        scene=values[:, 0], detr=np.zeros((30, 0)), count=np.zeros(30), box=np.zeros((30, 2, 4)), crop=values[:, 1:],
        query=np.zeros((30, 2, 0)), **arrays,
    )  # fmt: skip
    write_shard(tmp_path / "00000.h5", ShardHeader("f" * 16, {}, {"stride": 16, "crops": "all"}), [video])
    config = HeadConfig(pooling=pooling, snippets=8, window=0)
    (bag,) = load_bags(ShardSet(tmp_path), [Row(video="a.mp4", split="train", labels="calm")], CARD, config)
    unit = values.astype(np.float32) / np.linalg.norm(values.astype(np.float32), axis=-1, keepdims=True)
    seen = Counter()
    for step in range(60):
        (part,) = Trainer.drawn(SimpleNamespace(config=config), step, [bag])
        vis = part.vis.float().reshape(8, 4)
        (match,) = [
            (start, view)
            for view in range(3)
            for start in range(23)
            if np.allclose(vis, unit[start : start + 8, view], atol=2e-3)
        ]
        seen[match[1]] += 1
    assert min(seen[view] for view in range(3)) > 8
    np.testing.assert_allclose(bag.vis.float().reshape(30, 4), unit[:, 0], atol=2e-3)


def drawn(lengths: list[int], step: int, seed: int = 0, most: int = 8) -> list[Bag]:
    trainer = SimpleNamespace(config=HeadConfig(seed=seed, snippets=most, window=0))
    return Trainer.drawn(trainer, step, [make_bag(str(i), ("calm",), rows) for i, rows in enumerate(lengths)])


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6), step=st.integers(0, 1000))
def test_a_step_sees_snippets_in_a_row(lengths, step):
    """Of a longer video some that follow each other, of detector and CLIP the same ones; of a shorter one all."""
    for bag, whole in zip(
        drawn(lengths, step), [make_bag(str(i), ("calm",), rows) for i, rows in enumerate(lengths)], strict=True
    ):
        assert len(bag) == min(len(whole), 8)
        start = int((whole.detr[:, 0] == bag.detr[0, 0]).nonzero())
        assert torch.equal(bag.detr, whole.detr[start : start + len(bag)])
        assert torch.equal(bag.vis, whole.vis[start : start + len(bag)])


def test_every_part_of_a_long_video_comes_up_and_a_stopped_training_draws_the_same():
    firsts = [float(drawn([20], step)[0].detr[0, 0]) for step in range(300)]
    assert set(firsts) == {1 + 3 * start for start in range(13)}
    assert firsts == [float(drawn([20], step)[0].detr[0, 0]) for step in range(300)]
    assert firsts != [float(drawn([20], step, seed=1)[0].detr[0, 0]) for step in range(300)]
    twice = drawn([20] * 40, 0)  # a video that comes round twice in a step
    assert len({float(bag.detr[0, 0]) for bag in twice}) > 5


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
