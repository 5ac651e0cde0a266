"""How a head's answers become the scores of a video's snippets: by the paper's own rule, or smoothed and by both branches."""

import torch
from torch import Tensor
from torch.nn import functional

from aadc.head.config import HeadConfig
from aadc.head.model import HeadOutput
from aadc.manifests.card import Card

REACH = 2  # snippets on either side that smoothing looks at: a live score waits for so many more
SIGMA = 1.0  # snippets, of the Gaussian


def reach(config: HeadConfig) -> int:
    """How many snippets on either side have a part in a score, beside what the head itself sees."""
    return REACH if config.rule == "smooth" else 0


def by_rule(output: HeadOutput, config: HeadConfig, card: Card, ahead: int = REACH, level: float = 0.0) -> HeadOutput:
    """Logits as scores are made from them (the sigmoid and the softmax of eq. 4, 7 and 10 come after), of one video, B = 1.

    `paper`: the head's own.

    `smooth`: the neighbours are heard, both branches' logits are smoothed along time, as PEL4VAD (TIP 2024) does with scores.
    And where there are several normal classes, both branches judge whether something is wrong: the anomaly logit is
    (a + b) / 2, where a is the score branch's and b = log sum exp(gamma z of abnormal classes) - log sum exp(gamma z of normal
    ones) the class branch's, the logit of 1 - p(normal). One normal class alone is learned from normal videos only; nothing
    ever tells it from the uneventful parts of abnormal ones, so of snippets it is not asked (measured: `docs/head.md`).
    Last, the head's level is taken off, so that a score of 0.5 lies between normal and abnormal videos
    (`calibration.level_between`).

    Args:
        ahead: how many snippets after each are heard; 0 for a score that is needed at once.
        level: anomaly logit that becomes 0; heads by the paper's rule have none.
    """
    if config.rule == "paper":
        return output
    a_BT, z_BTC = smooth(output.logits_BT[..., None], ahead)[..., 0], smooth(output.class_logits_BTC, ahead)
    abnormal = torch.tensor([entry.kind == "abnormal" for entry in card.classes], device=z_BTC.device)
    if abnormal.any() and (~abnormal).sum() > 1:
        sharp_BTC = config.gamma * z_BTC
        a_BT = (a_BT + sharp_BTC[..., abnormal].logsumexp(-1) - sharp_BTC[..., ~abnormal].logsumexp(-1)) / 2
    return output._replace(logits_BT=a_BT - level, class_logits_BTC=z_BTC)


def smooth(values_BTC: Tensor, ahead: int = REACH) -> Tensor:
    """Gaussian mean over `REACH` snippets before and `ahead` after, of those that are there; B = 1."""
    kernel = torch.exp(-0.5 * (torch.arange(-REACH, ahead + 1, device=values_BTC.device) / SIGMA) ** 2)[None, None]
    padded_CT = functional.pad(values_BTC[0].T, (REACH, ahead))
    there_T = functional.pad(torch.ones_like(values_BTC[0, :, 0]), (REACH, ahead))
    sums_CT = functional.conv1d(padded_CT[:, None], kernel)[:, 0]
    return (sums_CT / functional.conv1d(there_T[None, None], kernel)[0]).T[None]
