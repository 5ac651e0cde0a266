"""CLIP, loaded through open_clip by name or from a folder. Needs no video decoder.

open_clip brings torchvision and transformers along, seconds of start: it is imported when a CLIP is loaded, since whoever only
passes one on, or finds it need not be loaded, has no use for them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aadc.extract.hub import is_folder, loading, weights_hash
from aadc.extract.model_names import named, place
from aadc.manifests.errors import UserError

if TYPE_CHECKING:
    import open_clip

_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")


@dataclass(frozen=True)
class Clip:
    """A frozen CLIP in fp32: `model`, its `tokenizer` (list[str] -> int64 (B, L)),
    `preprocess_cfg` (size, mean, std, interpolation, resize_mode), embedding `width` C and SHA-256 of its weights."""

    source: str
    model: "open_clip.CLIP | open_clip.CustomTextCLIP"
    tokenizer: Callable[..., Tensor]
    preprocess_cfg: dict
    width: int
    weights: str


def load_clip(source: str) -> Clip:
    """Load a CLIP on the CPU in fp32.

    Args:
        source: `NAME/TAG` as open_clip lists them (`ViT-B-16/openai`; OpenAI's weights get their quick-GELU config), or a
            `miniature`, or `hf-hub:…`, or a folder in open_clip's local-dir layout (open_clip_config.json +
            open_clip_model.safetensors).
    Raises:
        UserError: not there, not reachable, damaged, no weights (never a random model in silence), or only a pickle.
    """
    import open_clip

    source, found_at = named(source, "clip"), place(source, "clip")
    with loading("CLIP model", found_at, "--clip"), torch.no_grad():
        name, tag = _name_and_tag(found_at)
        if is_folder(found_at):
            model = open_clip.create_model(name, load_weights=False)
            open_clip.load_checkpoint(model, str(_weights_file(Path(found_at).expanduser())))
        else:
            model = open_clip.create_model(name, pretrained=tag, require_pretrained=True)
        model.eval().requires_grad_(False)
        tokenizer = open_clip.get_tokenizer(name)
        config = open_clip.get_model_preprocess_cfg(model)
        width = model.encode_text(tokenizer(["a"])).shape[-1]
    return Clip(source, model, tokenizer, config, width, weights_hash(model))


def _weights_file(folder: Path) -> Path:
    """The weights of a folder. open_clip itself would take a pickled file beside them."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(
            f"{folder}: no *.safetensors in it; a CLIP folder holds open_clip_config.json and "
            "open_clip_model.safetensors (pickled checkpoints are not read)"
        )
    known = [file for name in _WEIGHTS for file in files if file.name == name]
    if not known and len(files) > 1:
        raise UserError(f"{folder}: several *.safetensors; name the one with the CLIP's weights {_WEIGHTS[0]}")
    return (known or files)[0]


def _name_and_tag(source: str) -> tuple[str, str | None]:
    """What open_clip calls the model that `source` names."""
    import open_clip

    if source.startswith("hf-hub:"):
        return source, None
    if is_folder(source):
        return f"local-dir:{Path(source).expanduser()}", None
    name, slash, tag = source.partition("/")
    if not slash:
        raise UserError(f"{source}: a CLIP model is named NAME/TAG, for example ViT-B-16/openai, or is a folder")
    if name not in open_clip.list_models():
        raise UserError(f"{name}: open_clip knows no such model; open_clip.list_models() lists them")
    if tag not in open_clip.list_pretrained_tags_by_model(name):
        raise UserError(f"{source}: {name} has no weights called {tag}; open_clip.list_pretrained() lists them")
    quick = f"{name}-quickgelu"
    return (quick if tag == "openai" and quick in open_clip.list_models() else name), tag
