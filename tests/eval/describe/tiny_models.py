"""A tiny LLaMA with random weights and a tokenizer of its own, in the published layout."""

from pathlib import Path

import pytest

TEXTS = [
    "### Human: <Video></Video> Can you describe this video?\n### AADC-Net: Length: 00:31\n### Assistant: Yes, the video shows",
    "abnormal activity: fall from 00:05 to 00:12 with 2 persons, confidence 0.91",
    "normal activities (squat) from 00:00 to 01:59",
]


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory) -> Path:
    """`LlamaForCausalLM`, 32 wide, two layers, 300 byte-pair tokens; it knows nothing."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "llama"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, bos_token_id=0,
        eos_token_id=1, max_position_embeddings=512, tie_word_embeddings=False, initializer_range=0.4,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_chat_llama(tiny_llama, tmp_path_factory) -> Path:
    """The same with a chat template."""
    import shutil

    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("models") / "chat-llama"
    shutil.copytree(tiny_llama, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}assistant:"
    tokenizer.save_pretrained(folder)
    return folder
