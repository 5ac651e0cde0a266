"""Learnable prompts (paper III-D): c_1 ... c_N [class words] c_(N+1) ... c_2N through CLIP's frozen text tower.

The first contexts stand between the start token and the class words, the others between those and the end token, which
moves back by as many places and is read there. Shapes: C classes, L tokens, N contexts a side, W token width, D CLIP width.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from aadc.extract.clip_model import Clip
from aadc.extract.text_side import text_side
from aadc.manifests.errors import UserError

if TYPE_CHECKING:
    import open_clip

# The contexts start as these words, so that an untrained prompt is a sentence already.
BEFORE = "this is a still picture from a surveillance video of"
AFTER = "as a fixed camera high on the wall sees it"


class PromptEncoder:
    """The text tower of a CLIP, ready for one list of class prompts.

    Towers differ in four ways, all met here: they sit on the model or on its `text`; they look back only, or both ways
    (then padding counts, and the text keeps its full length instead of being cut to what is used); the feature is read at
    the end token or at the last place; the projection is a matrix or a layer. Nothing else of the CLIP is held on to.

    Args:
        clip: frozen, fp32.
        prompts: the words of each class.
        n_ctx: context vectors a side (N).
        device: where the tower computes; it is moved there.
    Raises:
        UserError: the tower is of another kind, or a prompt is empty or too long.
    """

    def __init__(self, clip: Clip, prompts: Sequence[str], n_ctx: int, device: str = "cpu"):
        tower, pool = text_side(clip.model, clip.source)
        sentences = [_words(clip, prompt) for prompt in prompts]
        before, end_and_padding = _around(clip)
        fixed = len(before) + 1 + 2 * n_ctx
        full = len(before) + len(end_and_padding)
        if fixed >= full:
            fitting = (full - len(before) - 1) // 4
            raise UserError(
                f"{clip.source}: its text tower has {full} places of which {n_ctx} + {n_ctx} contexts leave none for words; "
                f"take fewer: --set n_ctx={fitting}"
            )
        for prompt, words in zip(prompts, sentences, strict=True):
            if fixed + len(words) > full:
                raise UserError(
                    f"the prompt {prompt!r} has {len(words)} tokens, {clip.source} takes {full - fixed} beside {n_ctx} + "
                    f"{n_ctx} contexts; shorten it in the class card"
                )
        mask = getattr(tower, "attn_mask", None)
        length = full if mask is None or pool == "last" else fixed + max(map(len, sentences))

        gap = [0] * n_ctx
        ids_CL = torch.tensor([[*before, *gap, *words, *gap, *end_and_padding][:length] for words in sentences])
        first_N = len(before) + torch.arange(n_ctx)
        places_CS = torch.stack([torch.cat([first_N, first_N + n_ctx + len(words)]) for words in sentences])
        slots_CLS = nn.functional.one_hot(places_CS, length).transpose(1, 2).float()
        with torch.no_grad():
            base_CLW = tower.token_embedding(ids_CL) * (1 - slots_CLS.sum(-1, keepdim=True))
            self.base_CLW = (base_CLW + tower.positional_embedding[:length]).to(device)
            self.initial_contexts = torch.stack([
                tower.token_embedding(_exactly(_words(clip, BEFORE), n_ctx, last=True)),
                tower.token_embedding(_exactly(_words(clip, AFTER), n_ctx, last=False)),
            ]).to(device)  # fmt: skip
        self.slots_CLS = slots_CLS.to(device)
        self.read_C = torch.tensor([length - 1 if pool == "last" else fixed + len(words) - 1 for words in sentences])
        self.mask = None if mask is None else mask[:length, :length].to(device)
        self.transformer, self.ln_final = _time_first(tower.transformer).to(device), tower.ln_final.to(device)
        self.projection = None if tower.text_projection is None else tower.text_projection.to(device)

    def __call__(self, contexts_2NW: Tensor) -> Tensor:
        """Text features (C, D) of all classes in one pass, with gradient into the contexts alone; not normalised."""
        x_CLW = self.base_CLW + self.slots_CLS @ contexts_2NW.flatten(0, 1)
        x_CLW = self.ln_final(self.transformer(x_CLW, attn_mask=self.mask))
        text_CW = x_CLW[torch.arange(len(x_CLW)), self.read_C]
        if self.projection is None:
            return text_CW
        return self.projection(text_CW) if isinstance(self.projection, nn.Linear) else text_CW @ self.projection


def _time_first(transformer: "open_clip.transformer.Transformer") -> "open_clip.transformer.Transformer":
    """The same transformer with tokens before texts in memory, as the attention of torch works inside.

    The other way round its frozen projections become a small product for every token: half of the tower's time on a CPU.
    """
    blocks = transformer.resblocks
    if all(isinstance(block.attn, nn.MultiheadAttention) for block in blocks):
        transformer.batch_first = False
        for block in blocks:
            block.attn.batch_first = False
    return transformer


def _start(clip: Clip) -> int:
    """How many tokens stand before the words."""
    return int((clip.tokenizer([BEFORE])[0] != clip.tokenizer([""])[0]).nonzero()[0])


def _around(clip: Clip) -> tuple[list[int], list[int]]:
    """Tokens before the words, and the end token with all padding behind them."""
    empty = clip.tokenizer([""])[0].tolist()
    return empty[: _start(clip)], empty[_start(clip) :]


def _words(clip: Clip, text: str) -> list[int]:
    """Tokens of the words alone, without start, end and padding."""
    start = _start(clip)
    row = clip.tokenizer([text])[0].tolist()[start:]
    end = _around(clip)[1][0]
    words = row[: row.index(end)] if end in row else row
    if not words:
        raise UserError(f"the prompt {text!r} has no word that CLIP reads; write one in the class card")
    return words


def _exactly(words: list[int], n: int, last: bool) -> Tensor:
    """The first or last n tokens, repeated where there are fewer."""
    words = words * -(-n // len(words))
    return torch.tensor(words[len(words) - n :] if last else words[:n], dtype=torch.long)
