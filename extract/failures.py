"""When models or memory fail over a video: what is told of it, and whether the next video can do any better."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from aadc.extract.decode import VideoError
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason

if TYPE_CHECKING:  # it brings torchvision along, which planning has no use for
    from aadc.extract.features import FrameEmbedder

MOST_IN_A_ROW = 3
_WORDS = (
    "out of memory",
    "not enough memory",
    "can't allocate",
    "cannot allocate",
    "not create a primitive",
    "bad_alloc",
)

Item = TypeVar("Item")


class FailureError(VideoError):
    """A video over which models, memory or the machine failed, reason `out_of_memory` or `model_failed`."""


def told(items: Iterator[Item]) -> Iterator[Item]:
    """The items; whatever the models raise while they are made becomes a `FailureError`."""
    try:
        yield from items
    except (VideoError, UserError):
        raise
    except Exception as error:  # every library has its own
        raise _failure(error) from error


def _failure(error: Exception) -> FailureError:
    what = f"{type(error).__name__}: {reason(error)}"[:300]
    out = isinstance(error, MemoryError | torch.OutOfMemoryError) or any(word in str(error).lower() for word in _WORDS)
    if out:
        return FailureError("out_of_memory", f"too little memory for it ({what}); free some and start the command again")
    return FailureError("model_failed", f"it could not be computed ({what})")


class Failures:
    """Counts videos that failed one after the other, and looks, after a few, whether it is the models that fail.

    A device that is lost, or memory that is gone for good, would else have every video that is left rejected.
    """

    def __init__(self) -> None:
        self.in_a_row = 0

    def succeeded(self) -> None:
        """A video went through."""
        self.in_a_row = 0

    def failed(self, embedder: "FrameEmbedder", why: str) -> None:
        """One did not. To be called when nothing holds what it left in memory any more.

        Raises:
            UserError: nor does an empty picture.
        """
        self.in_a_row += 1
        if torch.cuda.is_initialized():
            try:
                torch.cuda.empty_cache()  # what the failed video held
            except RuntimeError:  # the device is lost: told below
                self.in_a_row = MOST_IN_A_ROW
        if self.in_a_row < MOST_IN_A_ROW:
            return
        try:
            embedder(np.zeros((1, 64, 64, 3), np.uint8))
        except Exception as error:
            raise UserError(
                f"the models fail on an empty picture too ({type(error).__name__}: {reason(error)}), after {self.in_a_row} "
                f"videos in a row ({why}): the device {embedder.device} is lost or its memory is full; what is "
                "finished counts, start the same command again"
            ) from error
