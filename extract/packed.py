"""Frozen layers with their weights in the order in which oneDNN reads them, brought into it once instead of at every call.

torch hands fp32 products to MKL, which reaches on AMD's processors half of what oneDNN does there; in bf16 the packing itself
pays (`docs/decisions.md` has the figures). The operators are those of torch's own compiler for processors; they need no
C++ compiler. They have no public name, so every use of them is in this file, behind `can_pack`.
"""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

Activation = tuple[str, list[float], str]  # what follows a product: a name, its numbers, its variant
_PLAIN: Activation = ("none", [], "")


class PackedLinear(nn.Module):
    """An `nn.Linear` in `dtype`, with what comes after it: (..., in) -> (..., out)."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype, then: Activation = _PLAIN):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach().to(dtype).contiguous())
        self.bias, self.then = linear.bias, then

    @property
    def weight(self) -> Tensor:
        """As the plain layer has it, for code that looks at more than the layer's answer."""
        return self.packed.to_dense()

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, *self.then)


class PackedConv2d(nn.Module):
    """An `nn.Conv2d` in `dtype`: (B, in, H, W) -> (B, out, H', W').

    The best order depends on the size of the picture, and another one can be ten times slower: the weights are packed again
    when pictures of another size come, which takes less than one of them.
    """

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype):
        super().__init__()
        self.in_channels, self.out_channels = conv.in_channels, conv.out_channels
        self.window = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.bias = conv.bias
        self.packed: tuple[torch.Size | None, Tensor] = (None, conv.weight.detach().to(dtype))

    @property
    def weight(self) -> Tensor:
        """As the plain layer has it."""
        _, packed = self.packed
        return packed.to_dense() if packed.is_mkldnn else packed

    def forward(self, x: Tensor) -> Tensor:
        size, packed = self.packed  # both at once: another thread may be packing for another size
        if x.shape[2:] != size:
            size = x.shape[2:]  # and never the batch's: what came before must not decide how sums are rounded
            shape = [1, self.in_channels, *size]
            packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *self.window, shape)
            self.packed = size, packed
        return torch.ops.mkldnn._convolution_pointwise(x, packed, self.bias, *self.window, *_PLAIN)


class PackedAttention(nn.Module):
    """An `nn.MultiheadAttention` with the batch first, as an image tower calls it: (B, L, C) each -> ((B, L, C), None)."""

    def __init__(self, attention: nn.MultiheadAttention, dtype: torch.dtype):
        super().__init__()
        self.heads = attention.num_heads
        weights = *attention.in_proj_weight.chunk(3), attention.out_proj.weight
        biases = *attention.in_proj_bias.chunk(3), attention.out_proj.bias
        self.query, self.key, self.value, self.out = (
            PackedLinear(_linear(weight, bias), dtype) for weight, bias in zip(weights, biases, strict=True)
        )
        self.mix = functional.scaled_dot_product_attention if dtype == torch.float32 else _attention

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool = False, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        parts = (self.query(query), self.key(key), self.value(value))
        q_BHLE, k_BHLE, v_BHLE = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        return self.out(self.mix(q_BHLE, k_BHLE, v_BHLE, attn_mask).transpose(1, 2).flatten(2)), None


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    linear.weight, linear.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias.clone(), requires_grad=False)
    return linear


def _attention(q_BHLE: Tensor, k_BHLE: Tensor, v_BHLE: Tensor, mask: Tensor | None) -> Tensor:
    # torch's fused attention took 2.4 times as long in bf16 as its own parts one by one; in fp32 the fused one is faster.
    weights_BHLL = q_BHLE * q_BHLE.shape[-1] ** -0.5 @ k_BHLE.transpose(-1, -2)
    if mask is not None:
        weights_BHLL = weights_BHLL + mask
    return weights_BHLL.softmax(-1) @ v_BHLE


@cache
def can_pack(device: str, dtype: torch.dtype) -> bool:
    """Whether layers on this device in this precision can be packed, and answer as without."""
    if device != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    layers = nn.Linear(32, 48).requires_grad_(False), nn.Conv2d(8, 16, 3).requires_grad_(False)
    inputs = torch.ones(5, 32), torch.ones(1, 8, 9, 9)
    expected = [layer(x) for layer, x in zip(layers, inputs, strict=True)]
    try:
        packed = PackedLinear(layers[0], dtype).to(dtype), PackedConv2d(layers[1], dtype).to(dtype)
        answers = [layer(x.to(dtype)).float() for layer, x in zip(packed, inputs, strict=True)]
    except (RuntimeError, AttributeError):  # another torch or another processor: plain layers do as well
        return False
    return all(torch.allclose(*pair, 0.02, 0.02) for pair in zip(answers, expected, strict=True))


def pack(model: nn.Module, dtype: torch.dtype) -> None:
    """Pack the layers of a frozen fp32 model on the CPU, in place; the rest is left to be cast.

    Linear layers, convolutions, and attentions as open_clip's image towers call them. Layers are let go one by one, so that
    the model is never in memory twice.
    """
    if isinstance(model, nn.Sequential):
        _pack_activation(model, dtype)
    for name, layer in list(model.named_children()):
        if type(layer) is nn.Linear:
            setattr(model, name, PackedLinear(layer, dtype))
        elif type(layer) is nn.Conv2d and layer.padding_mode == "zeros" and not isinstance(layer.padding, str):
            setattr(model, name, PackedConv2d(layer, dtype))
        elif type(layer) is nn.MultiheadAttention and _is_common(layer):
            setattr(model, name, PackedAttention(layer, dtype))
        else:
            pack(layer, dtype)


def _is_common(attention: nn.MultiheadAttention) -> bool:
    whole = attention.in_proj_weight is not None and attention.in_proj_bias is not None
    return whole and attention.batch_first and attention.bias_k is None and not attention.add_zero_attn


_SLOPE = 1.702  # of OpenAI's quick GELU, x * sigmoid(1.702 x)


def _pack_activation(block: nn.Sequential, dtype: torch.dtype) -> None:
    """Of linear, activation, linear, the first two become one layer.

    The quick GELU is a SiLU between scaled layers: its slope goes into the first one's weights and out of the second's.
    """
    if [type(layer) for layer in block][::2] != [nn.Linear, nn.Linear] or len(block) != 3:
        return
    (first, one), (middle, activation), (_, other) = block.named_children()
    assert isinstance(one, nn.Linear) and isinstance(other, nn.Linear)  # as was asked
    then: Activation
    if type(activation) is nn.GELU:
        then = ("gelu", [], activation.approximate)
    elif type(activation).__name__ == "QuickGELU":
        one.weight.data, one.bias.data = one.weight * _SLOPE, one.bias * _SLOPE
        other.weight.data = other.weight / _SLOPE
        then = ("swish", [], "")
    else:
        return
    setattr(block, first, PackedLinear(one, dtype, then))
    setattr(block, middle, nn.Identity())
