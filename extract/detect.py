"""DETR: boxes, decoder (query) features and encoder features of frames in one pass (paper III-B).

Any detector of the DETR family that transformers' `AutoModelForObjectDetection` loads will do.
"""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from aadc.extract.devices import at_once, halving
from aadc.extract.frozen import frozen, moved, same_answer
from aadc.extract.hub import loading, weights_hash
from aadc.extract.model_names import named, place
from aadc.extract.settings import ENCODER
from aadc.manifests.errors import UserError
from aadc.manifests.files import reason
from aadc.manifests.shown import shown

if TYPE_CHECKING:  # it takes seconds to load
    from transformers import BaseImageProcessor, PreTrainedConfig, PreTrainedModel

# What changes the numbers; the rest of a processor's configuration does not belong into a fingerprint.
_PROCESSOR_KEYS = ("size", "do_resize", "resample", "do_rescale", "rescale_factor", "do_normalize", "image_mean",
                   "image_std", "do_pad", "pad_size")  # fmt: skip


@dataclass(frozen=True)
class Detections:
    """The best boxes of B frames, at most N each, best first; rows past `count` are zero.

    count int64 (B,), seen int64 (B,) all boxes above the threshold, kept or not,
    box float32 (B, N, 4) cx cy w h relative to the frame, score float32 (B, N), class_id int64 (B, N),
    query float32 (B, N, D) decoder embedding of the very same box, encoder float32 (B, D) mean over image tokens.
    """

    count: Tensor
    seen: Tensor
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
        UserError: the model is not there, cannot be reached, or cannot compute a picture (in this precision).
    """

    def __init__(self, source: str, boxes: int, threshold: float, device: str = "cpu", dtype: torch.dtype = torch.float32):
        # On a CPU torch's fused attention takes longer in bf16 than its parts one by one.
        attention = "eager" if device == "cpu" and dtype != torch.float32 else None
        self.source = named(source, "detr")
        self.processor, self.model = load_detector(self.source, attention)
        self.weights = weights_hash(self.model)
        self.preprocess = {key: _plain(getattr(self.processor, key, None)) for key in _PROCESSOR_KEYS}
        self.boxes, self.threshold, self.device, self.dtype = boxes, threshold, device, dtype
        try:
            self._freeze(attention)
        except UserError:
            raise
        except Exception as error:  # every family has its own
            what = f"{type(error).__name__}: {shown(reason(error))}"[:300]
            raise UserError(
                f"{self.source}: the detector cannot compute a picture ({what}); give another with --detector"
            ) from error

    @torch.inference_mode()
    def _freeze(self, attention: str | None) -> None:
        """Find out where the encoder feature is, and rearrange the model for speed, unless that changes its answer."""
        random = torch.Generator().manual_seed(0)
        picture = self.preprocess_frames(torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8, generator=random))
        on_cpu = {name: values.cpu() for name, values in picture.items()}
        self.options: dict[str, bool] = {}
        plain = self.model(**on_cpu)
        if plain.get("encoder_last_hidden_state") is None:  # DAB-DETR gives it only together with all hidden states
            asked = self.model(**on_cpu, output_hidden_states=True)
            if asked.get("encoder_last_hidden_state") is not None:
                self.options, plain = {"output_hidden_states": True}, asked
        self.feature = _picture_feature(plain)[0]
        frozen(self.model, self.device, self.dtype)
        pairs = zip(_telling(plain), _telling(self._answer(picture)), strict=True)
        if not all(same_answer(*pair, self.dtype) for pair in pairs):
            _, model = load_detector(self.source, attention)
            self.model = moved(model, self.device, self.dtype)
            if self.dtype != torch.float32 and not all(map(_finite, _telling(self._answer(picture)))):
                what = str(self.dtype).removeprefix("torch.")
                raise UserError(
                    f"{self.source}: in {what} the detector computes numbers that are not finite; take --precision fp32"
                )

    def _answer(self, inputs: dict[str, Tensor]) -> Any:  # each family has a class of its own
        pixels = inputs["pixel_values"].to(self.dtype, memory_format=torch.channels_last)
        return self.model(**inputs | {"pixel_values": pixels}, **self.options)

    @property
    def class_names(self) -> dict[int, str]:
        """Detector's class id -> name."""
        return {int(index): name for index, name in (self.model.config.id2label or {}).items()}

    def preprocess_frames(self, frames_BCHW: Tensor) -> dict[str, Tensor]:
        """`pixel_values` and, where the family has it, `pixel_mask` from RGB uint8 frames of one size, as the model's own
        processor makes them.

        A frame so narrow that nothing would be left of its short side at the processor's longest edge is stretched first:
        boxes are relative to the frame, and mean the same.
        """
        frames_BCHW = frames_BCHW.to(self.device)
        size, (height, width) = getattr(self.processor, "size", None), frames_BCHW.shape[-2:]
        edges = [getattr(size, name, None) for name in ("longest_edge", "max_height", "max_width")]
        least = max((-(-max(height, width) // edge) for edge in edges if edge), default=1)
        if min(height, width) < least:
            frames_BCHW = nn.functional.interpolate(frames_BCHW, (max(height, least), max(width, least)), mode="nearest")
        return dict(self.processor(images=list(frames_BCHW), return_tensors="pt"))

    @torch.inference_mode()
    def __call__(self, frames_BCHW: Tensor) -> Detections:
        """Detect on RGB uint8 frames (B, 3, H, W) of one size. Where memory is short, fewer at once."""
        parts = [part for some in halving(self._detect, frames_BCHW) for part in some]
        return Detections(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Detections)))

    def _detect(self, frames_BCHW: Tensor) -> list[Detections]:
        inputs = self.preprocess_frames(frames_BCHW)
        few = at_once(self.device, inputs["pixel_values"][0, 0].numel(), len(frames_BCHW))
        return [
            self._best(self._answer({name: values[start : start + few] for name, values in inputs.items()}))
            for start in range(0, len(frames_BCHW), few)
        ]

    def _best(self, outputs: Any) -> Detections:
        # The library's own post-processing loses the query index; box, query feature and crop must stay one row.
        logits_BQK = outputs.logits.float()
        if logits_BQK.shape[-1] == (self.model.config.num_labels or 0) + 1:
            confidence_BQK = logits_BQK.softmax(-1)[..., :-1]  # DETR's last class is "no object"
        else:
            confidence_BQK = logits_BQK.sigmoid()
        score_BQ, class_BQ = confidence_BQK.max(-1)
        box_BQ4 = outputs.pred_boxes.float()
        inside_BQ4 = _inside(box_BQ4)
        sound_BQ = box_BQ4.isfinite().all(-1) & (box_BQ4[..., 2:] > 0).all(-1) & (inside_BQ4[..., 2:] > 0).all(-1)
        usable_BQ = sound_BQ & (score_BQ >= self.threshold) & (score_BQ > 0)
        score_BQ = score_BQ.where(usable_BQ, -1.0)
        score_BN, query_BN = score_BQ.sort(dim=1, descending=True, stable=True)
        score_BN, query_BN = score_BN[:, : self.boxes], query_BN[:, : self.boxes]
        if missing := self.boxes - score_BN.shape[1]:
            score_BN = nn.functional.pad(score_BN, (0, missing), value=-1.0)
            query_BN = nn.functional.pad(query_BN, (0, missing))
        kept_BN = score_BN > 0

        def rows(values_BQX: Tensor) -> Tensor:
            index = query_BN[..., None].expand(-1, -1, values_BQX.shape[-1])
            return values_BQX.gather(1, index).where(kept_BN[..., None], 0)  # a product would keep NaN

        return Detections(
            count=kept_BN.sum(1),
            seen=usable_BQ.sum(1),
            box=rows(inside_BQ4),
            score=score_BN.where(kept_BN, 0),
            class_id=rows(class_BQ[..., None])[..., 0],
            query=rows(outputs.last_hidden_state.float()),
            encoder=_picture_feature(outputs)[1],
        )


def load_detector(source: str, attention: str | None = None) -> "tuple[BaseImageProcessor, PreTrainedModel]":
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
    source = place(source, "detr")
    with loading("detector", source, "--detector"):
        processor = AutoImageProcessor.from_pretrained(source, backend="torchvision")
        model, told = AutoModelForObjectDetection.from_pretrained(
            source,
            config=_modern_config(source),
            dtype=torch.float32,
            use_safetensors=True,
            attn_implementation=attention,
            output_loading_info=True,
        )
        # The library fills what the file lacks with random numbers.
        if lacking := sorted(set(told["missing_keys"]) & {name for name, _ in model.named_parameters()}):
            raise ValueError(f"its weights lack {len(lacking)} of the model's, {lacking[0]} among them")
    return processor, model.eval().requires_grad_(False)


def _inside(box_cxcywh: Tensor) -> Tensor:
    """The part of each box that lies inside the frame."""
    low = (box_cxcywh[..., :2] - box_cxcywh[..., 2:] / 2).clamp(0, 1)
    high = (box_cxcywh[..., :2] + box_cxcywh[..., 2:] / 2).clamp(0, 1)
    return torch.cat([(low + high) / 2, high - low], -1)


def _picture_feature(outputs: Any) -> tuple[str, Tensor]:
    """Where the feature of the whole picture comes from, and the feature (B, D). Frames of a batch share one size, so there
    is no padding to leave out.

    `encoder`: mean over image tokens, or over the last map's pixels where the encoder gives feature maps. A family
    without an encoder has `backbone map`, or at last `decoder queries` (LW-DETR, YOLOS), averaged in the same way.
    """
    sources = {
        ENCODER: outputs.get("encoder_last_hidden_state"),
        "backbone map": outputs.get("backbone_features"),
        "decoder queries": outputs.last_hidden_state,
    }
    name, found = next((name, found) for name, found in sources.items() if found is not None)
    if isinstance(found, list | tuple):
        found = found[-1]
    return name, (found.flatten(2).mean(2) if found.dim() == 4 else found.mean(1)).float()


def _telling(outputs: Any) -> list[Tensor]:
    return [_picture_feature(outputs)[1], outputs.last_hidden_state, outputs.logits, outputs.pred_boxes]


def _finite(values: Tensor) -> bool:
    return bool(values.isfinite().all())


def _modern_config(source: str) -> "PreTrainedConfig":
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
