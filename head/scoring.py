"""From features to scores, for one video at its full length; free of files."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aadc.extract.video_features import VideoFeatures
from aadc.head.bags import check_widths, snippet_features
from aadc.head.beside_clip import BesideClip
from aadc.head.checkpoint import LoadedHead
from aadc.head.model import AnomalyHead, HeadOutput
from aadc.head.rule import by_rule
from aadc.head.stream import WindowedScores, pieces
from aadc.head.video_score import VideoScore, video_score
from aadc.head.window import Window
from aadc.manifests.errors import UserError


class SnippetScores(NamedTuple):
    """`anomaly` (T,) in [0, 1], eq. 4; `classes` (T, C), each row a distribution over the head's classes, in their order
    (eq. 10 for one snippet); `features` (T, D), what both come from (F of eq. 3); `video`: what is said of all of
    it."""

    anomaly: np.ndarray
    classes: np.ndarray
    features: np.ndarray
    video: VideoScore


@torch.inference_mode()
def whole_output(model: AnomalyHead | BesideClip, detr_TD: Tensor, vis_TC: Tensor, window: Window | None) -> HeadOutput:
    """What a head answers of one video, B = 1, on the head's device; a long one goes through it in pieces where there is a
    window."""
    if window is None:
        device = model.text_features.device
        valid_BT = torch.ones(1, len(detr_TD), dtype=torch.bool, device=device)
        return model(detr_TD[None].to(device), vis_TC[None].to(device), valid_BT)
    windowed, answers = WindowedScores(model, window), []
    for piece in pieces(len(detr_TD)):
        windowed.add(detr_TD[piece], vis_TC[piece])
        answers.append(windowed.final())
    answers.append(windowed.final(end=True))
    there = [answer for answer in answers if answer is not None]
    return HeadOutput(*(torch.cat(parts, dim=1) for parts in zip(*there, strict=True)))


@torch.inference_mode()
def score_video(head: LoadedHead, features: VideoFeatures) -> SnippetScores:
    """Score every snippet of a video, by the head's window.

    Args:
        head: in `eval` mode, on any device.
        features: with `scene`, `detr`, `count` and `crop` read.
    Returns:
        float32 arrays with a row for each row of the features.
    Raises:
        UserError: the video has no snippet, features that are not finite or of other widths than the head's, or such that the
            head's answer is not finite.
    """
    model = head.model
    detr_TD, vis_TC = snippet_features(features, model.pooling)
    detr = model.fusion.detr
    check_widths(features.video, detr_TD, vis_TC, None if detr is None else len(detr.mean), len(model.fusion.vis.mean))
    output = by_rule(whole_output(model, detr_TD, vis_TC, head.window), head.config, head.card, level=head.level)
    if head.trained is not None:
        own = head.trained
        judged = by_rule(whole_output(own.model, detr_TD, vis_TC, head.window), own.config, own.card, level=own.level)
        output = output._replace(logits_BT=judged.logits_BT)
    scores = SnippetScores(
        output.logits_BT[0].sigmoid().cpu().numpy(),
        (head.config.gamma * output.class_logits_BTC[0]).softmax(-1).cpu().numpy(),
        output.f_BTD[0].cpu().numpy(),
        video_score(output, head.config),
    )
    if not all(np.isfinite(values).all() for values in scores[:3]):
        raise UserError(
            f"{features.video}: the head answers with what is no finite number; its weights are damaged (train it again with "
            "aadc-train-head --restart), or the video's features are (extract it anew with aadc-extract --again)"
        )
    return scores
