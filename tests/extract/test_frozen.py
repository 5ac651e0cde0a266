"""Folded and packed layers answer as the plain ones do."""

import copy

import open_clip
import pytest
import torch
from open_clip.model import CLIPVisionCfg, _build_vision_tower
from torch import nn
from torch.nn import functional

from aadc.extract import frozen as frozen_module
from aadc.extract.folding import fold_norms
from aadc.extract.frozen import frozen
from aadc.extract.packed import PackedAttention, PackedConv2d, PackedLinear, can_pack

FP32, BF16 = torch.float32, torch.bfloat16


def still(module: nn.Module) -> nn.Module:
    return module.eval().requires_grad_(False)


def stir_norms(module: nn.Module) -> nn.Module:
    """Statistics and weights of normalisations as training would leave them."""
    torch.manual_seed(1)
    for layer in module.modules():
        if hasattr(layer, "running_var"):
            layer.running_mean.data.uniform_(-3, 3)
            layer.running_var.data.uniform_(0.01, 4)
            layer.weight.data.uniform_(-2, 2)
            layer.bias.data.uniform_(-1, 1)
    return still(module)


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(functional.cosine_similarity(one.float().flatten(1), other.float().flatten(1)).min())


@pytest.mark.parametrize("dtype", [FP32, BF16])
def test_layers_can_be_packed_wherever_the_tests_run_on_x86(dtype):
    assert can_pack("cpu", dtype) == torch.backends.mkldnn.is_available()
    assert not can_pack("cuda", dtype)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("arguments", "options", "sizes"),
    [
        ((3, 16, 7), {"stride": 2, "padding": 3}, [(61, 80), (1, 9), (61, 80)]),
        ((8, 24, 1), {}, [(7, 5)]),
        ((8, 24, 1), {"stride": 2}, [(24, 42), (23, 41)]),
        ((16, 16, 3), {"padding": (0, 1), "dilation": 2, "groups": 4}, [(30, 20)]),
        ((16, 16, 5), {"padding": 2, "groups": 16}, [(30, 20)]),
    ],
)
def test_convolutions(arguments, options, sizes, bias):
    """Of every shape, for pictures and batches of changing size, channels last or not."""
    torch.manual_seed(0)
    conv = still(nn.Conv2d(*arguments, bias=bias, **options))
    packed = PackedConv2d(conv, FP32)
    for batch, size in enumerate(sizes, 1):
        x = torch.randn(batch, arguments[0], *size)
        for form in (torch.contiguous_format, torch.channels_last):
            torch.testing.assert_close(packed(x.contiguous(memory_format=form)), conv(x), atol=1e-5, rtol=1e-5)
    assert torch.equal(packed.weight, conv.weight)


@pytest.mark.parametrize("bias", [True, False])
def test_linear_layers(bias):
    torch.manual_seed(0)
    linear = still(nn.Linear(37, 21, bias=bias))
    packed = PackedLinear(linear, FP32)
    for x in (torch.randn(37), torch.randn(5, 37), torch.randn(2, 3, 37), torch.randn(3, 37, 4).transpose(1, 2)):
        torch.testing.assert_close(packed(x), linear(x), atol=1e-5, rtol=1e-5)
    assert torch.equal(packed.weight, linear.weight)


@pytest.mark.parametrize(("dtype", "tolerance"), [(FP32, 1e-5), (BF16, 0.02)])
def test_attention(dtype, tolerance):
    """Over itself, over something else, and with a mask, against torch's own in fp32."""
    torch.manual_seed(0)
    plain = still(nn.MultiheadAttention(24, 3, batch_first=True))
    nn.init.normal_(plain.in_proj_bias)
    packed = PackedAttention(plain, dtype).to(dtype)
    x, y = torch.randn(2, 5, 24), torch.randn(2, 7, 24)
    mask = torch.zeros(5, 7).index_fill(1, torch.tensor([2]), -torch.inf)
    for arguments, options in (((x, x, x), {}), ((x, y, y), {}), ((x, y, y), {"attn_mask": mask})):
        expected, _ = plain(*arguments, need_weights=False, **options)
        cast = {name: value.to(dtype) for name, value in options.items()}
        got, _ = packed(*(values.to(dtype) for values in arguments), need_weights=False, **cast)
        torch.testing.assert_close(got.float(), expected, atol=tolerance, rtol=tolerance)


class PartlyFoldable(nn.Module):
    """Normalisations that may and may not be folded, each in the order of its name."""

    def __init__(self):
        super().__init__()
        from timm.layers import BatchNormAct2d

        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, bias=False), BatchNormAct2d(8)  # with a ReLU in it
        self.bn3, self.conv3 = nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1)  # before its convolution
        self.conv4, self.bn4 = nn.Conv2d(4, 8, 1), nn.BatchNorm2d(4)  # of other channels: it stands before too

    def forward(self, x):
        x = self.bn2(self.conv2(self.bn1(self.conv1(x))))
        return self.conv4(self.bn4(self.conv3(self.bn3(x))))


def test_only_what_may_be_folded_is():
    model = stir_norms(PartlyFoldable())
    folded = copy.deepcopy(model)
    fold_norms(folded)
    assert isinstance(folded.bn1, nn.Identity) and not any(
        isinstance(folded.get_submodule(f"bn{n}"), nn.Identity) for n in (2, 3, 4)
    )
    x = torch.randn(2, 3, 11, 9)
    torch.testing.assert_close(folded(x), model(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("packable", [True, False])
def test_a_detector_answers_as_before(tiny_detr, monkeypatch, packable):
    """All outputs, with stirred statistics and a padded picture in the batch, packed and where nothing can be packed."""
    from transformers import AutoModelForObjectDetection

    if not packable:
        monkeypatch.setattr(frozen_module, "can_pack", lambda device, dtype: False)
    model = stir_norms(AutoModelForObjectDetection.from_pretrained(tiny_detr))
    fast = frozen(copy.deepcopy(model), "cpu", FP32)
    norms = [name for name, layer in fast.named_modules() if type(layer).__name__.endswith("BatchNorm2d")]
    assert norms == ["model.backbone.model.bn1"]  # behind a stem of several convolutions: left as it is
    assert any(isinstance(layer, PackedConv2d) for layer in fast.modules()) == packable
    for height, width in ((64, 96), (96, 64)):
        mask = torch.ones(2, height, width, dtype=torch.long)
        mask[1, :, 40:] = 0
        inputs = {"pixel_values": torch.randn(2, 3, height, width) * mask[:, None], "pixel_mask": mask}
        ours, theirs = fast(**inputs), model(**inputs)
        for name in ("logits", "pred_boxes", "last_hidden_state", "encoder_last_hidden_state"):
            torch.testing.assert_close(ours[name], theirs[name], atol=2e-4, rtol=2e-4)


VIT = {"layers": 2, "width": 64, "head_width": 16, "patch_size": 8, "image_size": 32}
TOWERS = {
    "ViT": VIT,
    "ViT pooled by attention": {**VIT, "attentional_pool": True},
    "ResNet": {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64},
    "timm's ViT": {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token", "image_size": 224},
    "timm's MobileCLIP": {"timm_model_name": "fastvit_mci0", "timm_pool": "avg", "timm_proj": None, "image_size": 64},
}


@pytest.mark.parametrize(("dtype", "least"), [(FP32, 0.999999), (BF16, 0.995)])
@pytest.mark.parametrize("quick_gelu", [True, False])
@pytest.mark.parametrize("name", TOWERS)
def test_image_towers_of_open_clip_answer_as_before(name, quick_gelu, dtype, least):
    torch.manual_seed(0)
    tower = stir_norms(_build_vision_tower(16, CLIPVisionCfg(**TOWERS[name]), quick_gelu))
    for layer in tower.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 3  # activations are in their bent part
    fast = frozen(copy.deepcopy(tower), "cpu", dtype)
    size = TOWERS[name]["image_size"]
    x = torch.randn(3, 3, size, size)
    assert cosine(fast(x.to(dtype)), tower(x)) > least


def test_the_model_that_is_given_stays_as_it_is(tiny_clip):
    from aadc.extract.clip_model import load_clip
    from aadc.extract.encode import ClipEncoder

    clip = load_clip(str(tiny_clip))
    before = copy.deepcopy(clip.model.state_dict())
    ClipEncoder(clip, dtype=BF16)
    after = clip.model.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[key], before[key]) for key in before)
    assert isinstance(clip.model, open_clip.CLIP) and after["visual.conv1.weight"].dtype == FP32
