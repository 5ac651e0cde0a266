"""CLIPs with other towers than OpenAI's, in open_clip's folders: SigLIP's kind, CoCa, a Hugging Face text model."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from aadc.extract.clip_model import Clip, load_clip
from aadc.extract.encode import ClipEncoder
from aadc.head.class_vectors import FixedTexts, settle
from aadc.head.config import HeadConfig
from aadc.head.prompts import PromptEncoder
from aadc.manifests.errors import UserError

SENTENCES = ["a person falling", "fire in the hall"]
VISION = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
TIMM = {
    "image_size": 160, "timm_model_name": "test_vit", "timm_model_pretrained": False, "timm_pool": "avg",
    "timm_proj": "linear",
}  # fmt: skip


def write_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer.train_from_iterator(SENTENCES, trainers.WordLevelTrainer(special_tokens=list(special.values())))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=16, **special).save_pretrained(folder)


def siglip(folder: Path) -> dict:
    """A sigmoid's bias, no causal mask, the last token's answer, a tokenizer of its own, an image tower of timm's."""
    write_tokenizer(folder)
    text = {"context_length": 16, "vocab_size": 40, "hf_tokenizer_name": "its own", "width": 32, "heads": 2, "layers": 1}
    text |= {"tokenizer_kwargs": {"clean": "canonicalize"}, "no_causal_mask": True, "proj_bias": True, "pool_type": "last"}
    return {"embed_dim": 32, "init_logit_bias": -10, "custom_text": True, "vision_cfg": TIMM, "text_cfg": text}


def coca(folder: Path) -> dict:
    """An image tower that gives tokens beside its vector, and a text tower with a class token."""
    text = {"context_length": 15, "vocab_size": 49408, "layers": 1, "heads": 2, "width": 32}
    more = {"dim_head": 16, "mlp_ratio": 4, "n_queries": 4, "attn_pooler_heads": 2}
    vision = VISION | {"output_tokens": True, "attentional_pool": True, "attn_pooler_heads": 2}
    own = text | {"embed_cls": True, "output_tokens": True}
    return {"embed_dim": 32, "multimodal_cfg": text | more, "vision_cfg": vision, "text_cfg": own, "custom_text": True}


def roberta(folder: Path) -> dict:
    """The text side is a whole model of transformers."""
    where = folder / "text"
    write_tokenizer(folder)
    write_tokenizer(where)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    RobertaModel(RobertaConfig(vocab_size=40, max_position_embeddings=40, **sizes)).save_pretrained(where)
    text = {"hf_model_name": str(where), "hf_tokenizer_name": str(where), "hf_pooler_type": "mean_pooler"}
    text |= {"hf_model_pretrained": False, "context_length": 16}
    return {"embed_dim": 32, "vision_cfg": VISION, "text_cfg": text, "custom_text": True}


def write_clip(folder: Path, model_cfg: dict) -> Clip:
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_cfg, "preprocess_cfg": preprocess}))
    torch.manual_seed(0)
    weights = open_clip.create_model(f"local-dir:{folder}", load_weights=False).state_dict()
    save_file({name: value.clone().contiguous() for name, value in weights.items()}, folder / "open_clip_model.safetensors")
    return load_clip(str(folder))


@pytest.mark.parametrize(("kind", "learns"), [(siglip, "prompts"), (coca, "texts"), (roberta, "texts")])
@torch.no_grad()
def test_pictures_and_sentences_are_the_librarys_own(tmp_path, kind, learns):
    clip = write_clip(tmp_path, kind(tmp_path))
    images = [np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8) for seed in range(3)]
    ours = ClipEncoder(clip)([torch.from_numpy(image).permute(2, 0, 1) for image in images])
    transform = image_transform_v2(PreprocessCfg(**clip.preprocess_cfg), is_train=False)
    pictures = torch.stack([transform(Image.fromarray(image)) for image in images])
    theirs = clip.model.encode_image(pictures, normalize=True)
    assert torch.nn.functional.cosine_similarity(ours, theirs).min() > 0.9999
    assert settle(HeadConfig(), clip).class_vectors == learns
    texts = clip.model.encode_text(clip.tokenizer(SENTENCES))
    torch.testing.assert_close(FixedTexts(clip, SENTENCES)(torch.zeros(0)), texts)
    assert not torch.allclose(texts[0], texts[1], atol=1e-3), "two sentences, two vectors"
    if learns == "prompts":
        contexts = PromptEncoder(clip, SENTENCES, 2)
        assert contexts(contexts.initial_contexts).shape == texts.shape
        none = PromptEncoder(clip, SENTENCES, 0)
        torch.testing.assert_close(none(none.initial_contexts), texts, rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_a_tower_is_a_sentence(tmp_path):
    """More contexts than it has places; pictures of another size than its configuration says."""
    clip = write_clip(tmp_path, siglip(tmp_path))
    with pytest.raises(UserError, match="16 places of which 10 \\+ 10 contexts leave none for words; .*n_ctx=3"):
        PromptEncoder(clip, SENTENCES, 10)
    other = tmp_path / "other"
    other.mkdir()
    clip = write_clip(other, coca(other))
    clip.preprocess_cfg["size"] = (64, 48)
    with pytest.raises(UserError, match="cannot look at a picture of 48 x 64, .*configuration fits another model"):
        ClipEncoder(clip)
