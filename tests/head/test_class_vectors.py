"""Three kinds of class vectors: which one is taken, what each learns and refuses, and that heads remember theirs."""

import json
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from sklearn.metrics import roc_auc_score

from aadc.eval.open_vocabulary import score_against
from aadc.extract.clip_model import Clip, load_clip
from aadc.extract.shards import ShardSet
from aadc.head.bags import FIELDS, Bag
from aadc.head.checkpoint import load_head
from aadc.head.class_vectors import FixedTexts, FreeVectors, settle
from aadc.head.config import HeadConfig
from aadc.head.model import AnomalyHead
from aadc.head.scoring import score_video
from aadc.head.train import train_head
from aadc.manifests.errors import UserError

sys.path.insert(0, str(Path(__file__).parent))
import synthetic  # noqa: E402

SHORT = HeadConfig(epochs=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_clip):
    return synthetic.make_run(tmp_path_factory.mktemp("run"), tiny_clip)


@pytest.fixture(scope="module")
def bare(tmp_path_factory, run):
    """The same videos as imported features have them: no detector, no CLIP that is known."""
    from dataclasses import replace

    from aadc.extract.shards import ShardHeader, write_shard

    shards, folder = ShardSet(run.shards), tmp_path_factory.mktemp("bare")
    header = ShardHeader("b" * 16, {"imported": {"source": "i3d"}}, {"stride": synthetic.STRIDE})
    (folder / "shards").mkdir()
    videos = []
    for key in shards.keys:
        video = replace(shards.read(key))
        rows = len(video.scene)
        video.detr, video.query = np.zeros((rows, 0)), np.zeros((rows, 0, 0))
        video.count, video.crop, video.box = np.zeros(rows), np.zeros((rows, 0, 16)), np.zeros((rows, 0, 4))
        video.score = video.class_id = np.zeros((rows, 0))
        videos.append(video)
    write_shard(folder / "shards" / "00000.h5", header, videos)
    for name in ("manifest.csv", "manifest.toml", "run.json"):
        (folder / name).write_bytes((run.path / name).read_bytes())
    return type(run)(folder)


def settings(folder) -> dict:
    return json.loads((folder / "config.json").read_text())["config"]


def test_prompts_are_the_default_and_recorded(run, tmp_path):
    out = train_head(run, SHORT, tmp_path / "head").folder
    assert settings(out)["class_vectors"] == "prompts" and settings(out)["n_ctx"] == 10
    assert train_head(run, SHORT, out).already
    with pytest.raises(UserError, match="holds a finished head of other settings.*class_vectors"):
        train_head(run, HeadConfig(epochs=2, class_vectors="texts"), out)


def test_a_head_of_before_is_one_with_prompts(run, tmp_path):
    """Its record has no such setting; asked for again, it is done already."""
    out = train_head(run, SHORT, tmp_path / "head").folder
    record = json.loads((out / "config.json").read_text())
    del record["config"]["class_vectors"], record["seal"]
    (out / "config.json").write_text(json.dumps(record))
    assert train_head(run, SHORT, out).already


def test_texts_are_the_sentences_as_clip_says_them(run, tiny_clip, tmp_path):
    out = train_head(run, HeadConfig(epochs=2, class_vectors="texts"), tmp_path / "head").folder
    clip = load_clip(str(tiny_clip))
    expected = clip.model.encode_text(clip.tokenizer(synthetic.CARD.prompts))
    head = load_head(out)
    torch.testing.assert_close(head.model.text_features, expected)
    other = synthetic.CARD.model_copy(update={"classes": synthetic.CARD.classes[1:]})
    against = score_against(head, other, clip, "cpu")
    torch.testing.assert_close(against.model.text_features, expected[1:])


def test_towers_without_contexts_get_texts():
    """CoCa's and one of another library: nothing else of the head asks for contexts."""
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1, "embed_cls": True}
    torch.manual_seed(0)
    coca = open_clip.CustomTextCLIP(16, vision, text | {"output_tokens": False}).eval()
    tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=76)
    clip = Clip("coca", coca, tokenizer, {}, 16, "0")
    assert settle(HeadConfig(), clip).class_vectors == "texts"
    with pytest.raises(UserError, match="coca: its text tower takes no learnable prompts; use --set class_vectors=texts"):
        settle(HeadConfig(class_vectors="prompts"), clip)
    assert FixedTexts(clip, ["a fire", "a fall"])(torch.zeros(0)).shape == (2, 16)


def test_features_without_clip_or_detector_get_free_vectors(bare, tmp_path):
    out = train_head(bare, HeadConfig(epochs=30), tmp_path / "head").folder
    found = settings(out)
    assert (found["class_vectors"], found["use_detr"], found["n_ctx"]) == ("free", False, 0)
    assert train_head(bare, HeadConfig(epochs=30), out).already
    head, shards = load_head(out), ShardSet(bare.shards)
    names = head.card.names
    hits = []
    for row in bare.manifest().split("test"):
        classes = score_video(head, shards.read(row.key, FIELDS)).classes
        hits.append(names[int(np.sort(classes, axis=0)[-3:].mean(0).argmax())] == row.labels[0])
    assert np.mean(hits) > 0.6  # one in four by chance
    with pytest.raises(UserError, match="class_vectors=free.*know no words"):
        score_against(head, head.card, None, "cpu")


def test_vectors_without_words_are_compared_by_what_is_not_common_to_all():
    """Untrained: the angle between a snippet and a vector as both depart from the mean, by numpy; words are not moved."""
    rng = np.random.default_rng(0)
    x, vectors, mean = rng.normal(size=(5, 16)) + 9, rng.normal(size=(2, 16)) + 9, np.full(16, 9.0)
    for kind, origin in (("free", mean), ("texts", 0 * mean)):
        model = AnomalyHead(HeadConfig(class_vectors=kind, n_ctx=0, use_detr=False), 16, 0, 1, ["a", "b"]).eval()
        model.fusion.vis.set(torch.tensor(mean), torch.full((16,), 2.0))
        model.set_classes(["a", "b"], torch.tensor(vectors))
        with torch.no_grad():
            found = model(torch.zeros(1, 5, 0), torch.tensor(x[None]).float(), torch.ones(1, 5, dtype=torch.bool))
        one, other = x - origin, vectors - origin
        cosine = one @ other.T / np.outer(np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1))
        np.testing.assert_allclose(found.class_logits_BTC[0], cosine / 0.07, rtol=1e-4, atol=1e-3)


def test_scores_without_words_start_from_the_means_of_the_classes(bare, tmp_path):
    """Before anything is learned (a step of next to nothing) the planted snippets already score higher than others."""
    head = load_head(train_head(bare, HeadConfig(epochs=1, lr=1e-9, rule="paper"), tmp_path / "head").folder)
    shards, planted, others = ShardSet(bare.shards), [], []
    for row in bare.manifest().split("test"):
        scores = score_video(head, shards.read(row.key, FIELDS)).anomaly
        inside = np.zeros(len(scores), bool)
        for segment in row.segments:
            inside[segment.start_frame // synthetic.STRIDE : segment.end_frame // synthetic.STRIDE] = True
        planted += scores[inside].tolist()
        others += scores[~inside].tolist()
    assert len(planted) == 12
    assert roc_auc_score([1] * len(planted) + [0] * len(others), planted + others) > 0.8


@pytest.mark.parametrize("kind", ["prompts", "texts"])
def test_words_are_not_to_be_had_without_clip(bare, tmp_path, kind):
    with pytest.raises(UserError, match=f"class_vectors={kind} needs the text side of a CLIP"):
        train_head(bare, HeadConfig(class_vectors=kind), tmp_path / "head")
    with pytest.raises(UserError, match="imported .i3d. without a CLIP; name the one that made them with aadc-import"):
        ShardSet(bare.shards).models["clip"]


def test_free_vectors_begin_as_the_means_of_their_videos():
    def bag(label, *rows):
        return Bag("v", (label,), False, torch.zeros(len(rows), 0), torch.tensor(rows, dtype=torch.float16))

    bags = [bag("a", [2.0, 0.0], [0.0, 4.0]), bag("a", [1.0, 0.0]), bag("b", [0.0, 3.0])]
    vectors = FreeVectors(bags, ["a", "b", "c"])
    expected = torch.tensor([[0.75, 0.25], [0.0, 1.0], [0.5, 0.5]])
    torch.testing.assert_close(vectors(vectors.initial_contexts), expected)
