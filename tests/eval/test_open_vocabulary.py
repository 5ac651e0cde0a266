"""Words in place of classes: scoring against a card never trained on, and looking for moments."""

import copy
import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from calls import call

from aadc.eval.cli.evaluate import main
from aadc.eval.cli.find import main as find_main
from aadc.eval.moments import _cut, best_moments, similarities
from aadc.eval.open_vocabulary import score_against
from aadc.extract.clip_model import load_clip
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardHeader, ShardSet, write_shard
from aadc.extract.video_features import VideoFeatures
from aadc.head.checkpoint import load_head, save_head
from aadc.head.config import HeadConfig
from aadc.head.model import AnomalyHead
from aadc.head.prompts import PromptEncoder
from aadc.head.scoring import score_video
from aadc.head.text_tower import load_tower
from aadc.manifests.card import Card, ClassEntry, write_card
from aadc.manifests.errors import UserError
from aadc.manifests.manifest import Row, write_manifest

CARD = Card(
    title="Known",
    classes=[
        ClassEntry(name="walk", kind="normal", prompt="a person walking"),
        ClassEntry(name="fall", kind="abnormal", prompt="a person falling"),
    ],
)
OTHER = Card(title="Other", classes=[*CARD.classes, ClassEntry(name="fire", kind="abnormal", prompt="a big fire")])
WORDS = "smoke over the roof"


def embed(clip, words: str) -> np.ndarray:
    with torch.no_grad():
        return clip.model.encode_text(clip.tokenizer([words]))[0].numpy()


def video(name: str, snippets: int, seed: int, width: int = 16) -> VideoFeatures:
    random = np.random.default_rng(seed)
    frame = np.arange(snippets) * 16 + 8
    boxes = random.uniform(0.2, 0.8, (snippets, 2, 4))
    return VideoFeatures(
        name, "test", ("walk",), snippets * 16, fps=16.0, frame=frame, time=frame / 16,
        scene=random.normal(size=(snippets, width)),
        detr=random.normal(size=(snippets, 4)), count=np.full(snippets, 1), box=boxes, score=np.ones((snippets, 2)),
        class_id=np.zeros((snippets, 2)), crop=random.normal(size=(snippets, 2, width)), query=np.zeros((snippets, 2, 4)),
    )  # fmt: skip


@pytest.fixture
def run(tmp_path, tiny_clip) -> RunFolder:
    """Two videos; the words' own embedding is planted as a box of one, as a whole frame of the other, and, fainter, near it."""
    clip = load_clip(str(tiny_clip))
    run = RunFolder(tmp_path / "run")
    run.shards.mkdir(parents=True)
    rows = [Row(video=name, split="test", labels="walk") for name in ("a.mp4", "b.mp4")]
    write_manifest(rows, CARD, run.manifest_csv)
    run.write_record({"settings": {}})
    features = [video("a.mp4", 30, 1), video("b.mp4", 40, 2)]
    planted = 7.0 * embed(clip, WORDS)  # length does not count
    features[0].crop[12, 0] = planted
    features[1].scene[20] = planted + 0.3 * np.linalg.norm(planted) * np.eye(16)[0]
    features[1].scene[22] = planted + 0.35 * np.linalg.norm(planted) * np.eye(16)[0]  # two seconds later: the same moment
    features[1].crop[33, 1] = planted  # no box: `count` says so
    header = ShardHeader("f" * 16, {"clip": {"source": str(tiny_clip), "weights": clip.weights}}, {"stride": 16})
    write_shard(run.shards / "00000.h5", header, features)
    return run


def test_the_planted_moments_come_first(run, tiny_clip):
    moments = best_moments(ShardSet(run.shards), load_clip(str(tiny_clip)), WORDS)
    first, second = moments[:2]
    assert (first.video, first.frame, first.time_s) == ("a.mp4", 12 * 16 + 8, 12.5)
    assert first.similarity == pytest.approx(1, abs=1e-3)
    assert first.box == pytest.approx(ShardSet(run.shards).read("a.mp4").box[12, 0].tolist())
    assert (second.video, second.frame, second.box) == ("b.mp4", 20 * 16 + 8, (0.5, 0.5, 1, 1))
    assert first.stands_out > second.stands_out > 2
    assert [m.similarity for m in moments] == sorted((m.similarity for m in moments), reverse=True)
    for one in moments:
        assert all(other is one or other.video != one.video or abs(other.time_s - one.time_s) >= 5 for other in moments)
    assert len(best_moments(ShardSet(run.shards), load_clip(str(tiny_clip)), WORDS, count=1)) == 1


def test_similarities_by_a_slow_loop(run):
    features, text = ShardSet(run.shards).read("b.mp4"), np.eye(16, dtype=np.float32)[3]
    similarity, thing = similarities(features, text)
    for row in range(len(similarity)):
        things = [features.scene[row], *features.crop[row, : features.count[row]]]
        cosines = [float(t[3]) / np.linalg.norm(t.astype(float)) for t in things]
        assert similarity[row] == pytest.approx(max(cosines), abs=1e-5) and thing[row] == int(np.argmax(cosines))


def test_find_prints_where_to_look_and_keeps_it(run, tiny_clip):
    status, out, _ = call(find_main, "--run", str(run.path), WORDS)
    assert status == 0 and out.index("a.mp4") < out.index("b.mp4") and "00:12" in out
    with (run.eval / "found.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["rank"], rows[0]["video"], rows[0]["frame"]) == ("1", "a.mp4", "200")
    for words, complaint in (
        ("  ", "no words"),
        ("smoke " * 100, "more words than CLIP reads"),
        ("x" * 2000, "more words than CLIP reads"),
    ):
        status, _, err = call(find_main, "--run", str(run.path), words)
        assert status == 2 and complaint in err
    fits = "smoke " * (load_clip(str(tiny_clip)).model.context_length - 2)
    assert call(find_main, "--run", str(run.path), fits)[0] == 0
    for others in (["--classes", "x.toml"], ["--head", "x"], ["--other", "x"]):
        status, _, err = call(find_main, "--run", str(run.path), WORDS, *others)
        assert status == 2 and others[0] in err


def canonical(texts, context_length: int = 8):
    """A tokenizer as SigLIP's: punctuation dropped, an end mark, cut in silence, padded with the end mark."""
    import re

    rows = []
    for text in texts:
        words = [2 + sum(map(ord, word)) for word in re.sub(r"[^\w\s]", "", text.lower()).split()][: context_length - 1]
        rows.append([*words, *[1] * (context_length - len(words))])
    return torch.tensor(rows)


@pytest.mark.parametrize(
    ("words", "cut"),
    [
        ("did someone fall?", False), ("a man on the floor...", False), ("one two three four five six seven", False),
        ("one two three four five six seven!", False), ("one two three four five six seven eight", True),
        ("same same same same same same same same", True),
    ],
)  # fmt: skip
def test_whole_sentences_fit_a_tokenizer_that_drops_their_end(words, cut):
    assert _cut(SimpleNamespace(tokenizer=canonical), words, canonical([words])) is cut


def test_find_refuses_features_that_are_no_numbers(run):
    broken = video("c.mp4", 5, 3)
    broken.scene[2, 4] = np.nan
    header = ShardHeader("f" * 16, ShardSet(run.shards).models, {"stride": 16})
    write_shard(run.shards / "00001.h5", header, [broken])
    status, _, err = call(find_main, "--run", str(run.path), WORDS)
    assert status == 2 and "c.mp4: its features are not all finite" in err


def test_another_clip_is_refused(run, tiny_clip, tmp_path):
    made_with = ShardSet(run.shards).models["clip"]
    with pytest.raises(UserError, match="its weights .* are not those the features were made with"):
        load_tower({**made_with, "weights": "0" * 64}, str(tiny_clip))
    with pytest.raises(UserError, match="words need the text tower"):
        load_tower({**made_with, "source": str(tmp_path / "gone")}, None)
    assert load_tower({**made_with, "source": "moved away"}, str(tiny_clip)).weights == made_with["weights"]


@pytest.fixture
def head(run, tiny_clip):
    clip = load_clip(str(tiny_clip))
    torch.manual_seed(0)
    model = AnomalyHead(HeadConfig(n_ctx=2), 16, 4, 16, CARD.names)
    torch.nn.init.normal_(model.contexts, std=0.1)
    model.set_classes(CARD.names, PromptEncoder(clip, CARD.prompts, 2)(model.contexts))
    save_head(
        run.head, model, HeadConfig(n_ctx=2), CARD, "f" * 16, {"source": str(tiny_clip), "weights": clip.weights}, {}, {}
    )  # fmt: skip
    return load_head(run.head)


def test_the_classes_of_the_training_are_the_same_in_words(head, tiny_clip):
    """A card with the trained classes gives the trained texts; a new class changes neither them nor the anomaly score."""
    before = head.model.text_features.clone()
    same = score_against(head, CARD, load_clip(str(tiny_clip)), "cpu")
    torch.testing.assert_close(same.model.text_features, before, atol=1e-5, rtol=1e-4)
    more = score_against(head, OTHER, load_clip(str(tiny_clip)), "cpu")
    torch.testing.assert_close(more.model.text_features[:2], before, atol=1e-5, rtol=1e-4)
    assert more.card is OTHER and more.model.classes == OTHER.names
    with pytest.raises(UserError, match="none of its classes is abnormal"):
        score_against(head, Card(title="Calm", classes=CARD.classes[:1]), load_clip(str(tiny_clip)), "cpu")


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_a_class_never_trained_on_is_judged_beside_clip(run, head, tiny_clip, pooling):
    """By hand: one softmax over the head's cosines / 0.07 and CLIP's, to the mean of a frame's things, over the same."""
    if pooling == "attention":
        config = HeadConfig(n_ctx=2, pooling=pooling)
        model = AnomalyHead(config, 16, 4, 16, CARD.names).eval()
        head = replace(head, model=model, config=config)
    clip, features = load_clip(str(tiny_clip)), ShardSet(run.shards).read("b.mp4")
    own, other = score_video(head, features), score_video(score_against(head, OTHER, clip, "cpu"), features)
    np.testing.assert_allclose(other.anomaly, own.anomaly, atol=1e-6)
    assert other.video.anomaly_logit == pytest.approx(own.video.anomaly_logit, abs=1e-5)
    head = replace(head, config=head.config.model_copy(update={"rule": "paper"}))  # each snippet by itself
    both = score_video(score_against(head, OTHER, clip, "cpu"), features)
    kernel = np.exp(-0.5 * np.arange(-2, 3) ** 2)  # and smoothed along time, by a slow loop
    with np.errstate(divide="ignore"):
        z = np.log(both.classes)
    for row in (0, 1, 20, 38, 39):
        near = [(weight, at) for weight, at in zip(kernel, range(row - 2, row + 3), strict=True) if 0 <= at < len(z)]
        mean = sum(weight * z[at] for weight, at in near) / sum(weight for weight, _ in near)
        np.testing.assert_allclose(other.classes[row], np.exp(mean) / np.exp(mean).sum(), rtol=1e-3)
    assert head.model.classes == CARD.names and score_video(head, features).classes.shape == (40, 2)  # as it was
    model = copy.deepcopy(head.model)
    model.set_classes(OTHER.names, PromptEncoder(clip, OTHER.prompts, 2)(model.contexts))
    alone = np.log(score_video(replace(head, model=model), features).classes)
    texts = np.stack([embed(clip, prompt) for prompt in OTHER.prompts])
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    for row in range(0, 40, 7):
        things = np.stack([features.scene[row], *features.crop[row, : features.count[row]]]).astype(float)
        mean = (things / np.linalg.norm(things, axis=1, keepdims=True)).mean(0)
        logits = alone[row] + texts @ mean / np.linalg.norm(mean) / 0.07
        expected = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(both.classes[row], expected, rtol=2e-3)
        assert not np.allclose(expected, np.exp(alone[row]), rtol=2e-2), "CLIP must make a difference"


def test_classes_command(run, head, tmp_path):
    """Other words have no say in anomaly scores: the videos' figures stay."""
    write_card(OTHER, tmp_path / "other.toml")
    assert call(main, "--run", str(run.path))[0] == 0
    plain = json.loads((run.eval / "metrics.json").read_text())
    status, _, _ = call(main, "--run", str(run.path), "--classes", str(tmp_path / "other.toml"))
    (folder,) = run.eval.glob("test-other-????????")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert status == 0 and metrics["classes"] == OTHER.names and plain["classes"] == CARD.names
    assert metrics["category"]["abnormal"]["classes"] == ["fall", "fire"] and metrics["video"] == plain["video"]
    status, _, err = call(main, "--run", str(run.path), "--classes", str(tmp_path / "gone.toml"))
    assert status == 2 and "there is no class card" in err
