"""What a snippet is compared with to tell classes apart: one vector a class, of three kinds, chosen by what the features have.

`prompts`: learnable contexts around the words of the class, through the frozen text tower (paper III-D; see `prompts`).
`texts`: the text tower's embedding of the class card's sentence, as it is: for every model that open_clip has, those with a
Hugging Face text tower, SigLIP and CoCa among them, whose towers take no contexts.
`free`: learned vectors, for features of no CLIP (I3D, C3D, VideoMAE). There are no words then, neither for other classes
(`--classes`) nor to look for (`aadc-find`).

Each is called with what is learned of it and gives (C, D), as `PromptEncoder` does. C classes, D width of the features.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from aadc.extract.clip_model import Clip
from aadc.extract.text_side import takes_prompts
from aadc.head.bags import Bag
from aadc.head.config import HeadConfig
from aadc.head.prompts import PromptEncoder
from aadc.manifests.card import Card
from aadc.manifests.errors import UserError


class ClassVectors(Protocol):
    """`initial_contexts`: what is learned, as it begins; called with it, the vectors (C, D), not normalised."""

    initial_contexts: Tensor

    def __call__(self, contexts: Tensor, /) -> Tensor: ...


class FixedTexts:
    """The embeddings of some sentences; nothing of them is learned."""

    def __init__(self, clip: Clip, prompts: Sequence[str], device: str = "cpu"):
        with torch.no_grad():
            self.text_CD = clip.model.encode_text(clip.tokenizer(list(prompts))).float().to(device)
        self.initial_contexts = torch.zeros(2, 0, 1, device=device)

    def __call__(self, contexts: Tensor) -> Tensor:
        return self.text_CD


class FreeVectors:
    """Learned vectors. Each begins as the mean direction of the videos of its class; where a class has no video, as that of
    all. Snippets are compared with them by what both have more of than all (`AnomalyHead.answer`), and the score head starts
    from that comparison, as it does from words."""

    def __init__(self, bags: Sequence[Bag], classes: Sequence[str], device: str = "cpu"):
        means_VD = torch.stack([bag_mean(bag) for bag in bags])
        member_CV = torch.tensor([[float(name in bag.labels) for bag in bags] for name in classes])
        member_CV[member_CV.sum(1) == 0] = 1.0
        self.initial_contexts = (member_CV @ means_VD / member_CV.sum(1, keepdim=True))[None].to(device)

    def __call__(self, contexts: Tensor) -> Tensor:
        return contexts[0]


def bag_mean(bag: Bag) -> Tensor:
    """Mean direction (D,) of a video's snippets."""
    vis = bag.vis.float().sum(1) if bag.vis.dim() == 3 else bag.vis.float()
    return functional.normalize(vis, dim=-1).mean(0)


def settle(config: HeadConfig, clip: Clip | None) -> HeadConfig:
    """The configuration with the kind of class vectors that the features allow, where none was asked for.

    Raises:
        UserError: what was asked for needs words, and the features have none; or contexts, and the tower takes none.
    """
    kind = config.class_vectors
    if clip is None:
        if kind not in ("auto", "free"):
            raise UserError(
                f"class_vectors={kind} needs the text side of a CLIP, and these features are from none that is known: leave "
                "the setting out, or name their CLIP with aadc-import --clip"
            )
        kind = "free"
    elif kind == "auto":
        kind = "prompts" if takes_prompts(clip.model) else "texts"
    elif kind == "prompts" and not takes_prompts(clip.model):
        raise UserError(f"{clip.source}: its text tower takes no learnable prompts; use --set class_vectors=texts")
    return config.model_copy(update={"class_vectors": kind} | ({} if kind == "prompts" else {"n_ctx": 0}))


def class_vectors(config: HeadConfig, clip: Clip | None, card: Card, bags: Sequence[Bag], device: str) -> ClassVectors:
    """Those of a settled configuration, for the classes of a card."""
    if config.class_vectors == "free":
        return FreeVectors(bags, card.names, device)
    assert clip is not None  # settled: words come from one
    if config.class_vectors == "texts":
        return FixedTexts(clip, card.prompts, device)
    return PromptEncoder(clip, card.prompts, config.n_ctx, device)


def texts_of(config: HeadConfig, clip: Clip, prompts: Sequence[str], device: str) -> ClassVectors:
    """For other words than a head was trained on.

    Raises:
        UserError: the head has no words.
    """
    refuse_without_words(config)
    if config.class_vectors == "texts":
        return FixedTexts(clip, prompts, device)
    return PromptEncoder(clip, prompts, config.n_ctx, device)


def refuse_without_words(config: HeadConfig) -> None:
    """`UserError` for a head that has no words, before anything is loaded to read some."""
    if config.class_vectors == "free":
        raise UserError(
            "this head's class vectors are learned ones (class_vectors=free) and know no words, so it can only be scored "
            "against the classes it was trained on: leave --classes out"
        )
