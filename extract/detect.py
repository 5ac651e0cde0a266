"""DETR: boxes, decoder (query) features and encoder features of frames in one pass (paper III-B).

Any detector of the DETR family that transformers' `AutoModelForObjectDetection` loads will do.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from aadc.extract.devices import at_once
from aadc.extract.frozen import frozen
from aadc.extract.hub import loading, weights_hash

# What changes the numbers; the rest of a processor's configuration does not belong into a fingerprint.
_PROCESSOR_KEYS = ("size", "do_resize", "resample", "do_rescale", "rescale_factor", "do_normalize", "image_mean",
                   "image_std", "do_pad", "pad_size")  # fmt: skip


@dataclass(frozen=True)
class Detections:
    """The best boxes of B frames, at most N each, best first; rows past `count` are zero.

    count int64 (B,), box float32 (B, N, 4) cx cy w h relative to the frame, score float32 (B, N), class_id int64 (B, N),
    query float32 (B, N, D) decoder embedding of the very same box, encoder float32 (B, D) mean over image tokens.
    """

    count: Tensor
    box: Tensor
    score: Tensor
    class_id: Tensor
    query: Tensor
    encoder: Tensor


class Detector:
    """A frozen detector with its own image processor.

    Args:
        source: published name (`facebook/detr-resnet-50`) or folder.
        boxes: how many boxes to keep a frame (N).
        threshold: lowest confidence to keep.
    Raises:
        UserError: the model is not there or cannot be reached.
    """

    def __init__(self, source: str, boxes: int, threshold: float, device: str = "cpu", dtype: torch.dtype = torch.float32):
        # On a CPU torch's fused attention takes longer in bf16 than its parts one by one.
        attention = "eager" if device == "cpu" and dtype != torch.float32 else None
        self.processor, self.model = load_detector(source, attention)
        self.weights = weights_hash(self.model)
        self.preprocess = {key: _plain(getattr(self.processor, key, None)) for key in _PROCESSOR_KEYS}
        self.boxes, self.threshold, self.device, self.dtype = boxes, threshold, device, dtype
        frozen(self.model, device, dtype)

    @property
    def class_names(self) -> dict[int, str]:
        """Detector's class id -> name."""
        return self.model.config.id2label

    def preprocess_frames(self, frames_BCHW: Tensor) -> dict[str, Tensor]:
        """`pixel_values` and, where the family has it, `pixel_mask` from RGB uint8 frames of one size, as the model's own
        processor makes them."""
        return dict(self.processor(images=list(frames_BCHW.to(self.device)), return_tensors="pt"))

    @torch.inference_mode()
    def __call__(self, frames_BCHW: Tensor) -> Detections:
        """Detect on RGB uint8 frames (B, 3, H, W) of one size."""
        inputs = self.preprocess_frames(frames_BCHW)
        inputs["pixel_values"] = inputs["pixel_values"].to(self.dtype, memory_format=torch.channels_last)
        few = at_once(self.device, inputs["pixel_values"][0, 0].numel(), len(frames_BCHW))
        parts = [
            self._best(self.model(**{name: values[start : start + few] for name, values in inputs.items()}))
            for start in range(0, len(frames_BCHW), few)
        ]
        return Detections(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Detections)))

    def _best(self, outputs) -> Detections:
        # The library's own post-processing loses the query index; box, query feature and crop must stay one row.
        logits_BQK = outputs.logits.float()
        if logits_BQK.shape[-1] == self.model.config.num_labels + 1:
            confidence_BQK = logits_BQK.softmax(-1)[..., :-1]  # DETR's last class is "no object"
        else:
            confidence_BQK = logits_BQK.sigmoid()
        score_BQ, class_BQ = confidence_BQK.max(-1)
        box_BQ4 = outputs.pred_boxes.float()
        usable_BQ = (score_BQ >= self.threshold) & box_BQ4.isfinite().all(-1) & (box_BQ4[..., 2:] > 0).all(-1)
        score_BQ = score_BQ.where(usable_BQ, -1.0)
        score_BN, query_BN = score_BQ.sort(dim=1, descending=True, stable=True)
        score_BN, query_BN = score_BN[:, : self.boxes], query_BN[:, : self.boxes]
        if missing := self.boxes - score_BN.shape[1]:
            score_BN = nn.functional.pad(score_BN, (0, missing), value=-1.0)
            query_BN = nn.functional.pad(query_BN, (0, missing))
        kept_BN = score_BN > 0

        def rows(values_BQX: Tensor) -> Tensor:
            index = query_BN[..., None].expand(-1, -1, values_BQX.shape[-1])
            return values_BQX.gather(1, index) * kept_BN[..., None]

        return Detections(
            count=kept_BN.sum(1),
            box=_inside(rows(box_BQ4)),
            score=score_BN * kept_BN,
            class_id=rows(class_BQ[..., None])[..., 0],
            query=rows(outputs.last_hidden_state.float()),
            encoder=_encoder_mean(outputs),
        )


def load_detector(source: str, attention: str | None = None) -> tuple[object, nn.Module]:
    """A detector's image processor and the model itself: frozen, fp32, on the CPU, as transformers builds it.

    Args:
        attention: transformers' name for how attention is computed, else its own choice.
    Raises:
        UserError: the model is not there or cannot be reached.
    """
    from transformers import AutoImageProcessor, AutoModelForObjectDetection
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with loading("detector", source, "--detector"):
        processor = AutoImageProcessor.from_pretrained(source, backend="torchvision")
        model = AutoModelForObjectDetection.from_pretrained(
            source, config=_modern_config(source), dtype=torch.float32, use_safetensors=True, attn_implementation=attention
        )
    return processor, model.eval().requires_grad_(False)


def _inside(box_cxcywh: Tensor) -> Tensor:
    """The part of each box that lies inside the frame."""
    low = (box_cxcywh[..., :2] - box_cxcywh[..., 2:] / 2).clamp(0, 1)
    high = (box_cxcywh[..., :2] + box_cxcywh[..., 2:] / 2).clamp(0, 1)
    return torch.cat([(low + high) / 2, high - low], -1)


def _encoder_mean(outputs) -> Tensor:
    """Mean encoder feature (B, D). Frames of a batch share one size, so there is no padding to leave out.

    DETR: mean over image tokens. Families whose encoder gives feature maps: over the last map's pixels. A family
    without an encoder (LW-DETR, YOLOS): over the decoder's queries.
    """
    found = outputs.get("encoder_last_hidden_state")
    if found is None:
        found = outputs.get("backbone_features")
    if found is None:
        found = outputs.last_hidden_state
    if isinstance(found, list | tuple):
        found = found[-1]
    return (found.flatten(2).mean(2) if found.dim() == 4 else found.mean(1)).float()


def _modern_config(source: str):
    """The model's configuration, with a backbone named the old way brought into the new form.

    Published DETR configs say `"backbone": "resnet50"`; with `backbone_kwargs` beside it, the library asks the hub for a
    repository of that name, even for a local folder.
    """
    from transformers import AutoConfig, PreTrainedConfig

    config, _ = PreTrainedConfig.get_config_dict(source)
    backbone = config.get("backbone")
    if backbone is None or config.get("backbone_config") or not config.get("use_timm_backbone", True):
        return AutoConfig.from_pretrained(source)
    extra = config.pop("backbone_kwargs", None) or {}
    for key in ("backbone", "use_timm_backbone", "use_pretrained_backbone"):
        config.pop(key, None)
    config["backbone_config"] = {
        "model_type": "timm_backbone",
        "backbone": backbone,
        "features_only": True,
        "use_pretrained_backbone": False,
        "num_channels": config.get("num_channels", 3),
        "out_indices": [1, 2, 3, 4],
        **({"output_stride": 16} if config.get("dilation") else {}),
        **extra,
    }
    return AutoConfig.for_model(**config)


def _plain(value: object) -> object:
    """A processor setting as JSON knows it."""
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
