"""From features to scores, for one video at its full length; free of files, so that the live part can call it too."""

from typing import NamedTuple

import numpy as np
import torch

from aadc.extract.video_features import VideoFeatures
from aadc.head.bags import check_widths, snippet_features
from aadc.head.beside_clip import BesideClip
from aadc.head.model import AnomalyHead
from aadc.manifests.errors import UserError


class SnippetScores(NamedTuple):
    """`anomaly` (T,) in [0, 1], eq. 4; `classes` (T, C), each row a distribution over the head's classes, in their order;
    `features` (T, D), what both come from (F of eq. 3)."""

    anomaly: np.ndarray
    classes: np.ndarray
    features: np.ndarray


@torch.inference_mode()
def score_video(model: AnomalyHead | BesideClip, features: VideoFeatures) -> SnippetScores:
    """Score every snippet of a video.

    Args:
        model: in `eval` mode, on any device.
        features: with `scene`, `detr`, `count` and `crop` read.
    Returns:
        float32 arrays with a row for each row of the features.
    Raises:
        UserError: the video has no snippet, features that are not finite or of other widths than the head's, or such that the
            head's answer is not finite.
    """
    device = model.text_features.device
    detr_TD, vis_TC = snippet_features(features, model.pooling)
    detr = model.fusion.detr
    check_widths(features.video, detr_TD, vis_TC, None if detr is None else len(detr.mean), len(model.fusion.vis.mean))
    valid_BT = torch.ones(1, len(detr_TD), dtype=torch.bool, device=device)
    output = model(detr_TD[None].to(device), vis_TC[None].to(device), valid_BT)
    scores = SnippetScores(
        output.logits_BT[0].sigmoid().cpu().numpy(),
        output.class_logits_BTC[0].softmax(-1).cpu().numpy(),
        output.f_BTD[0].cpu().numpy(),
    )
    if not all(np.isfinite(values).all() for values in scores):
        raise UserError(
            f"{features.video}: the head answers with what is no finite number; its weights are damaged (train it again with "
            "aadc-train-head --restart), or the video's features are (extract it anew with aadc-extract --again)"
        )
    return scores
