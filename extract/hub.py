"""Where models come from: a folder, the local cache, or the model hub, and a clear word when none of them has it."""

import hashlib
import logging
import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from safetensors import SafetensorError
from torch import nn

from aadc.manifests.errors import UserError
from aadc.manifests.files import reason
from aadc.manifests.shown import shown


def is_folder(source: str) -> bool:
    """Whether `source` names a local folder rather than a published model."""
    return os.path.isdir(source) or source.startswith((".", "/", "~"))


@contextmanager
def loading(
    what: str, source: str, option: str, hint: str = "to try the program without downloads: --models miniature"
) -> Iterator[None]:
    """Turn whatever a library raises while it loads a model into one sentence with the two ways out.

    A folder is read without any network. For a published name the hub is asked once whether it answers; if not, only the
    local cache is looked at, instead of a minute of retries.
    """
    if is_folder(source) and not os.path.isdir(os.path.expanduser(source)):
        raise UserError(f"{source}: no such folder with a {what}; give the right one with {option}")
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)  # what goes wrong is raised, and told below
    try:
        with _offline(is_folder(source) or not _hub_answers()):
            yield
    except UserError:
        raise
    except Exception as error:  # every library has its own, and a damaged file can break each of them anywhere
        why = textwrap.shorten(shown(reason(error)), 300, placeholder=" …")
        if not isinstance(error, OSError | ValueError | RuntimeError):
            why = f"{type(error).__name__}: {why}"
        if is_folder(source):
            raise UserError(
                f"{shown(source)}: cannot be loaded as a {what} ({why}); give another folder with {option}, or copy this one "
                "again: a file of it may be cut short or belong to something else"
            ) from error
        if isinstance(error, SafetensorError):
            raise UserError(
                f"the {what} {source} is damaged in the local cache ({why}); delete it there so that it is downloaded again, "
                f"or give a folder with {option}"
            ) from error
        raise UserError(
            f"the {what} {source} is neither in the local cache nor within reach ({why}); either connect to the network "
            f"once so that it can be downloaded, or copy its folder here and give it with {option} FOLDER ({hint})"
        ) from error
    finally:
        logging.disable(disabled)


def _hub_answers() -> bool:
    if os.environ.get("HF_HUB_OFFLINE"):
        return False
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=5)
    except Exception:  # whatever the network stack of the day raises: no answer is no answer
        return False
    return True


@contextmanager
def _offline(offline: bool) -> Iterator[None]:
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or offline
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over every tensor of a model, by name: the same weights have the same hash from whatever file they came."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} ".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
