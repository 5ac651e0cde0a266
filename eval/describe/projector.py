"""From the head's frame features to a few soft tokens that LLaMA reads like words (paper III-F: features joined to its input).

Shapes: T snippets, D width of the head's features, E width of LLaMA's embeddings, J tokens.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

VIDEO_TOKENS, LEARNED_TOKENS = 4, 8


class Projector(nn.Module):
    """Pools a video's frames, most of all the anomalous ones, and maps them into LLaMA's embedding space.

    Two pools: over the most anomalous snippets, and over all. Each of the video tokens is a linear map of both. Learned tokens,
    the same for every video, follow: they say how to answer. `null` stands for a video that is not shown.
    """

    def __init__(self, width: int, llm_width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.sharpness = nn.Parameter(torch.tensor([1.0, 0.0]))
        self.map = nn.Linear(2 * width, VIDEO_TOKENS * llm_width)
        self.learned = nn.Parameter(torch.zeros(LEARNED_TOKENS, llm_width))
        self.null = nn.Parameter(torch.zeros(VIDEO_TOKENS, llm_width))

    def pool(self, features_TD: Tensor, logits_T: Tensor) -> Tensor:
        """What a video is (2 D,): its frames weighed by softmax of sharpness * anomaly logit, for both pools."""
        weights_2T = (self.sharpness[:, None] * logits_T).softmax(-1)
        return (weights_2T @ self.norm(features_TD)).flatten()

    def forward(self, features_TD: Tensor | None, logits_T: Tensor | None = None) -> Tensor:
        """Video tokens, then learned tokens: float32 (J, E).

        Args:
            features_TD: F of eq. 3 as the head gives it; None for no video.
            logits_T: anomaly, before the sigmoid (eq. 4).
        """
        if features_TD is None:
            return torch.cat([self.null, self.learned])
        assert logits_T is not None  # a video has both
        return torch.cat([self.map(self.pool(features_TD, logits_T)).view_as(self.null), self.learned])

    @torch.no_grad()
    def start_from(self, pooled_V2D: Tensor, words_VJE: Tensor, learned_JE: Tensor, mean_E: Tensor) -> None:
        """Begin as the ridge regression from videos to the words that name their classes, so that LLaMA reads words at once.

        Args:
            pooled_V2D: training videos as `pool` gives them.
            words_VJE: embeddings of their classes' tokens, as many as there are video tokens.
            learned_JE: what the learned tokens begin with.
            mean_E: of LLaMA's embeddings; the token of a video that is not shown.
        """
        videos, width = pooled_V2D.shape
        x = torch.cat([pooled_V2D, torch.ones(videos, 1)], 1).double()
        penalty = torch.eye(width + 1, dtype=torch.double) * videos * 0.1
        penalty[-1, -1] = 1e-6
        solved = torch.linalg.solve(x.T @ x + penalty, x.T @ words_VJE.flatten(1).double())
        self.map.weight.copy_(solved[:-1].T)
        self.map.bias.copy_(solved[-1])
        self.learned.copy_(learned_JE)
        self.null.copy_(mean_E.expand_as(self.null))


def word_tokens(embeddings: Sequence[Tensor]) -> Tensor:
    """Class names' embeddings, each (n, E), as (VIDEO_TOKENS, E): cut or followed by zeros, averaged over the names."""
    cut = [functional.pad(e[:VIDEO_TOKENS], (0, 0, 0, max(0, VIDEO_TOKENS - len(e)))) for e in embeddings]
    return torch.stack(cut).mean(0)
