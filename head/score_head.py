"""Frame scores (paper III-C, eq. 4): S_a = sigmoid(FC(FFN(F)))."""

from torch import Tensor, nn


class ScoreHead(nn.Module):
    """FFN is the block of a transformer, narrow in the middle: F + W2 GELU(W1 F). Gives logits; the sigmoid comes after
    the mean over the K highest (eq. 7), once."""

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.ffn = nn.Sequential(nn.Linear(width, width // 4), nn.GELU(), nn.Dropout(dropout), nn.Linear(width // 4, width))
        self.fc = nn.Linear(width, 1)
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, f_BTD: Tensor) -> Tensor:
        """Logits (B, T) of features (B, T, D)."""
        f_BTD = self.norm(f_BTD)
        return self.fc(f_BTD + self.ffn(f_BTD)).squeeze(-1)
