"""What a training can be asked for, with a default for everything."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from aadc.head.window import AHEAD, Window, check_window
from aadc.manifests.errors import UserError

MOST = 1_000_000  # of anything counted: what is more was a slip of the hand


class HeadConfig(BaseModel):
    """Settings of head and training, saved with the head in `config.json`. The paper's own values where it states them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    k: int = Field(5, ge=1, le=MOST, description="snippets whose mean stands for the video (eq. 7, 9); capped by its length")
    gamma: float = Field(1.0, ge=0.01, le=100, description="sharpness of the class softmax (eq. 10): 0.5 smooths, 2 sharpens")
    lambda_: float = Field(1.0, ge=0, le=1000, description="weight of the alignment loss (eq. 11)")
    n_ctx: int = Field(10, ge=0, le=1000, description="learnable context vectors on each side of the class words (III-D)")
    class_vectors: Literal["auto", "prompts", "texts", "free"] = Field(
        "auto",
        description="what classes are told by: prompts (III-D), the texts of the class card as they are, or free vectors "
        "without words; auto: the first of these that the features allow",
    )
    pooling: Literal["mean", "attention"] = Field("mean", description="how a frame's crops become one vector (eq. 5)")
    fuse_confidence: bool = Field(
        False, description="a video's class also by its features weighed with their anomaly scores, half and half (III-B)"
    )
    use_detr: bool = Field(True, description="add the detector's features (eq. 6); off is the paper's ablation")
    use_mtn: bool = Field(True, description="temporal network (eq. 1-3); off is the paper's ablation")
    snippets: int = Field(
        1024, ge=1, le=MOST, description="a step sees so many in a row of a longer video, drawn anew each time"
    )
    window: int = Field(
        256, ge=0, le=MOST, description="snippets that a score is made from, the last 4 after it; 0: the whole video"
    )
    rule: Literal["smooth", "paper"] = Field(
        "smooth", description="how answers become scores: smoothed and by both branches, or by eq. 4 and 10 alone"
    )
    background: float = Field(
        1.0, ge=0, le=1000, description="weight of what makes quiet parts like the one normal class (0, or rule=paper: none)"
    )
    batch: int = Field(128, ge=2, le=MOST, description="videos a step, half of them abnormal")
    epochs: int = Field(
        40, ge=1, le=MOST, description="at most; an epoch shows every video of the larger kind, in 10 steps or more"
    )
    patience: int = Field(12, ge=1, le=MOST, description="epochs without a better validation before training stops")
    validation: float = Field(0.15, gt=0, lt=0.5, description="share of the training videos that choose the checkpoint")
    lr: float = Field(2e-4, gt=0, le=1, description="peak learning rate of AdamW")
    weight_decay: float = Field(0.01, ge=0, le=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    seed: int = Field(0, ge=0, lt=2**32)

    @field_validator("window")
    @classmethod
    def _holds_its_snippet(cls, window: int) -> int:
        if window:
            check_window(window, AHEAD)
        return window

    @property
    def sees(self) -> Window | None:
        """What a snippet sees of its video, in training and after; None: all of it."""
        return Window(self.window) if self.window else None


def settings_of(assignments: Sequence[str]) -> dict[str, str]:
    """`key=value` words as settings, the values as they were typed (`HeadConfig` reads numbers and yes or no out of them).

    Raises:
        UserError: no `=` in one, a key that `HeadConfig` does not have, or one that is there twice.
    """
    found: dict[str, str] = {}
    for word in assignments:
        key, equals, value = word.partition("=")
        key = {"lambda": "lambda_"}.get(key.strip(), key.strip())
        if not equals:
            raise UserError(f"--set {word}: write it as KEY=VALUE, for example --set lr=1e-4")
        if key not in HeadConfig.model_fields:
            raise UserError(f"--set {word}: there is no setting {key}; there are {', '.join(HeadConfig.model_fields)}")
        if key in found:
            raise UserError(f"--set {word}: {key} is set twice")
        found[key] = value.strip()
    return found
