"""What a run was asked to do: models, sampling, precision, and the fingerprint that tells two runs apart."""

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from aadc.extract.model_names import MINIATURE, named
from aadc.extract.sampling import READER_VERSION, Reader

PRESETS = {
    "paper": {"detector": "facebook/detr-resnet-50", "clip": "ViT-B-16/openai"},
    "miniature": {"detector": MINIATURE, "clip": MINIATURE},
}
ENCODER = "encoder"  # where the feature of the whole picture comes from in DETR
Precision = Literal["fp32", "bf16", "fp16"]


class ExtractSettings(BaseModel):
    """Everything that decides what the features of a video are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    detector: str = Field(PRESETS["paper"]["detector"], description="name or folder of a DETR-family detector")
    clip: str = Field(PRESETS["paper"]["clip"], description="NAME/TAG or folder of an open_clip model")
    stride: int = Field(16, ge=1, description="one frame in this many is looked at (frames)")
    boxes: int = Field(5, ge=1, le=100, description="most boxes kept a frame (N)")
    threshold: float = Field(0.5, ge=0, le=1, description="lowest confidence of a kept box")
    gate: float = Field(
        0.0, ge=0, description="levels (of 256) of change below which a frame is carried over; 0 computes every one"
    )
    precision: Precision = "fp32"
    reader: Reader = Field("pyav", description="what decodes: pyav, or decord where a file provably suits it")

    @field_validator("detector")
    @classmethod
    def _detector_by_name(cls, source: str) -> str:
        return named(source, "detr")

    @field_validator("clip")
    @classmethod
    def _clip_by_name(cls, source: str) -> str:
        return named(source, "clip")

    def sampling(self) -> dict:
        """The part that says which frames and boxes were taken."""
        return {
            "stride": self.stride,
            "boxes": self.boxes,
            "threshold": self.threshold,
            "crop": "square",
            "gate": self.gate,
            "reader": f"{self.reader}/{READER_VERSION}",
        }


def fingerprint(models: dict, settings: ExtractSettings) -> str:
    """Sixteen hex digits over the models' weights and preprocessing, sampling and precision.

    Names and places of the models do not count: the same weights from a folder and from the hub are the same. Where the
    detector's picture feature comes from counts unless it is the encoder, as it is for DETR itself.
    """
    detector = models["detector"]
    feature = {} if detector.get("feature", ENCODER) == ENCODER else {"feature": detector["feature"]}
    what = {
        "detector": {key: detector[key] for key in ("weights", "preprocess")} | feature,
        "clip": {key: models["clip"][key] for key in ("weights", "preprocess")},
        "sampling": settings.sampling(),
        "precision": settings.precision,
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
