"""DEIMv2 Atto and Femto, trained on COCO, brought from their ONNX files into the layout that transformers loads.

transformers has the family, but not quite these two members: its perceptrons compute ReLU where theirs compute SiLU, it
normalises the encoder's tokens once more before it chooses among them, and it places the queries anew before each layer of the
decoder where they are placed once. `LiteDetector` is its class with the three taken back.
"""

import re
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForObjectDetection,
    Deimv2Config,
    Deimv2ForObjectDetection,
    HGNetV2Config,
    RTDetrImageProcessor,
)
from transformers.models.deimv2.modeling_deimv2 import Deimv2MLP

sys.path.insert(0, str(Path(__file__).parent))
from onnx_file import module_weights

SIDES = {"atto": 320, "femto": 416}  # of the square that pictures are brought to
QUERIES = {"atto": 100, "femto": 150}
LAYERS = 3  # of the decoder
COCO = """person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie,
suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket,
bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut,
cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven,
toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier, toothbrush"""


class LiteConfig(Deimv2Config):
    model_type = "deimv2_lite"


class Once(Deimv2MLP):
    """Answers the decoder's first layer, and those after it with the same."""

    answer: Tensor | None = None

    def forward(self, stat_features: Tensor) -> Tensor:
        if self.answer is None:
            self.answer = super().forward(stat_features)
        return self.answer


class LiteDetector(Deimv2ForObjectDetection):
    """transformers' model, computing what these weights were trained for."""

    config: LiteConfig
    config_class = LiteConfig

    def __init__(self, config: LiteConfig):
        super().__init__(config)
        self.model.enc_output = nn.Identity()
        decoder, width = self.model.decoder, config.d_model
        decoder.query_pos_head = Once(4, width, width, 3)
        decoder.register_forward_pre_hook(lambda *_: setattr(decoder.query_pos_head, "answer", None))
        for module in self.modules():
            if isinstance(module, Deimv2MLP):
                module.act = nn.SiLU()


AutoConfig.register("deimv2_lite", LiteConfig, exist_ok=True)
AutoModelForObjectDetection.register(LiteConfig, LiteDetector, exist_ok=True)

# From the authors' modules to transformers', in order.
_MODULES = [
    (r"^model\.backbone\.stem\.", "model.conv_encoder.model.embedder."),
    (r"^model\.backbone\.", "model.conv_encoder.model.encoder."),
    (r"^model\.decoder\.enc_", "model.enc_"),
    (r"^model\.decoder\.decoder\.", "model.decoder."),
    (r"\.down_sample(\d)\.1$", r".down_conv\1"),
    (r"\.bi_fusion\.cv\b", ".bi_fusion_conv"),
    (r"_block\.cv1\b", "_block.conv1"),
    (r"_block\.cv4\b", "_block.conv2"),
    (r"_block\.cv2\.0\b", "_block.csp_rep1"),
    (r"_block\.cv2\.1\b", "_block.csp_rep1.conv2"),
    (r"_block\.cv3\.0\b", "_block.csp_rep2"),
    (r"_block\.cv3\.1\b", "_block.csp_rep2.conv2"),
    (r"(\.bottlenecks\.\d)\.conv$", r"\1.conv1"),
    (r"(\.conv_bn_fused|\.conv)$", ""),
    (r"\.norm1$", ".self_attn_layer_norm"),
    (r"\.norm2$", ".encoder_attn_layer_norm"),
    (r"\.norm3$", ".final_layer_norm"),
    (r"\.cross_attn\b", ".encoder_attn"),
    (r"\.swish_ffn\.w3$", ".mlp.down_proj"),
    (r"\.swish_ffn\.w12$", ".mlp.gate_proj+up_proj"),
    (r"\.dec_score_head\.2$", ".class_embed.2"),
    (r"\.dec_bbox_head\.0\b", ".bbox_embed.2"),
]
_ATTENTION = {
    "matmul": "q_proj.weight", "matmul_1": "k_proj.weight", "matmul_2": "v_proj.weight",
    "add": "q_proj.bias", "add_1": "k_proj.bias", "add_2": "v_proj.bias",
    "weight": "o_proj.weight", "bias": "o_proj.bias",
}  # fmt: skip
_CONSTANTS = r"decoder\.(mul|add_3|integral)|attn\.mul(_\d)?$|norm1\.add$"  # of the graph, no weights


def in_transformers_names(given: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Weights by their names in transformers' model: products (in, out) turned round, what stands for several set to each."""
    found = {}
    for name, array in given.items():
        if re.search(_CONSTANTS, name):
            continue
        tensor = torch.from_numpy(array.copy())
        module, role = name.rsplit(".", 1)
        if role.startswith("matmul"):
            tensor = tensor.T.contiguous()
        for pattern, instead in _MODULES:
            module = re.sub(pattern, instead, module)
        if module.endswith(".self_attn"):
            role = _ATTENTION[role]
        elif module.endswith(".lab"):
            role = {"mul": "scale", "add": "bias"}[role]
        elif module.startswith("model.conv_encoder."):
            role = {"weight": "convolution.weight", "bias": "normalization.bias"}[role]
        elif module.startswith("model.encoder."):
            role = {"weight": "conv.weight", "bias": "norm.bias"}[role]
        else:
            role = {"matmul": "weight", "mul_1": "weight", "add": "bias"}[role]
        names, parts = [f"{module}.{role}"], [tensor]
        if "+" in module:  # two layers that the authors compute as one
            names, parts = [names[0].replace("gate_proj+up_proj", one) for one in ("gate_proj", "up_proj")], tensor.chunk(2)
        for one, part in zip(names, parts, strict=True):
            # Layers before the last have boxes of the same head; their scores are of training, and nobody reads them.
            layers = range(LAYERS) if re.search(r"(class_embed|bbox_embed|lqe_layers)\.2\.", one) else [2]
            for layer in layers:
                own = re.sub(r"(class_embed|bbox_embed|lqe_layers)\.2\.", rf"\1.{layer}.", one)
                found[own] = part.clone()
                if "_embed." in own:
                    found[own.removeprefix("model.decoder.")] = part.clone()
    return found


def config_of(given: dict[str, np.ndarray], queries: int, kind: type[Deimv2Config] = LiteConfig) -> Deimv2Config:
    """What the architecture is, read from the shapes where they tell it."""
    stage = "model.backbone.stages.2.blocks.0"
    width = len(given["model.decoder.decoder.layers.0.norm1.mul_1"])
    last, kernel = len(given[f"{stage}.aggregation.1.conv.bias"]), given[f"{stage}.layers.0.conv2.conv.weight"].shape[-1]
    backbone = HGNetV2Config(
        stem_channels=[3, 16, 16], stage_in_channels=[16, 64, 256], stage_mid_channels=[16, 32, 64],
        stage_out_channels=[64, 256, last], hidden_sizes=[64, 256, last], stage_num_blocks=[1, 1, 1], depths=[3, 3, 3],
        stage_downsample=[False, True, True], stage_light_block=[False, False, True], stage_kernel_size=[3, 3, kernel],
        stage_numb_of_layers=[3, 3, 3], stem_strides=[2, 1, 1, 2, 1], stage_downsample_strides=[2, 2, 2],
        use_learnable_affine_block=True, out_indices=[3],
    )  # fmt: skip
    inner = len(given["model.encoder.fpn_block.cv2.1.conv_bn_fused.bias"])
    return kind(
        backbone_config=backbone, encoder_type="lite", encoder_hidden_dim=width, encoder_in_channels=[last],
        feat_strides=[16, 32], encoder_layers=0, depth_mult=2 / 3, hidden_expansion=(2 * inner + 0.5) / width,
        d_model=width, decoder_in_channels=[width, width], num_feature_levels=2, decoder_n_points=[4, 2],
        decoder_layers=LAYERS, decoder_ffn_dim=len(given["model.decoder.decoder.layers.0.swish_ffn.w12.add"]),
        decoder_activation_function="silu", use_gateway=False, share_bbox_head=True, num_denoising=0, num_queries=queries,
        id2label=dict(enumerate(" ".join(COCO.split()).split(", "))),
    )  # fmt: skip


def save_as_transformers(file: Path, name: str, folder: Path) -> None:
    """`config.json`, `model.safetensors` and `preprocessor_config.json` in `folder`, from the ONNX file of `atto` or `femto`.

    Raises:
        ValueError: a weight has another shape than transformers' model, is missing there, or is left over.
    """
    given = module_weights(file)
    model = LiteDetector(config_of(given, QUERIES[name]))
    wanted, found = model.state_dict(), in_transformers_names(given)
    for key in wanted.keys() - found.keys():  # what folding into the convolutions has made trivial, and constants
        if key.endswith(("normalization.weight", "norm.weight")):
            found[key] = torch.ones_like(wanted[key])
        elif key.endswith("running_var"):
            found[key] = torch.ones_like(wanted[key]) - 1e-5  # the norm adds so much
        elif key.endswith(("running_mean", "num_batches_tracked")) or re.search(r"bottlenecks\.\d\.conv2\.", key):
            found[key] = torch.zeros_like(wanted[key])
        elif key.endswith((".reg_scale", ".up", "num_points_scale")):
            found[key] = wanted[key]
    if found.keys() != wanted.keys():
        raise ValueError(f"missing {sorted(wanted.keys() - found.keys())}, left over {sorted(found.keys() - wanted.keys())}")
    for key, tensor in found.items():
        if tensor.shape != wanted[key].shape:
            raise ValueError(f"{key}: {tuple(tensor.shape)} in the file, {tuple(wanted[key].shape)} in the model")
    model.load_state_dict(found)
    model.save_pretrained(folder)
    RTDetrImageProcessor(size={"height": SIDES[name], "width": SIDES[name]}).save_pretrained(folder)
