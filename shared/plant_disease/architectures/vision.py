"""ResNet and EfficientNet from torchvision, without their classifiers."""

from collections import OrderedDict
from typing import cast

from torch import nn

from plant_disease.architectures._torchvision import torchvision

VISION_ARCHITECTURES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
)


def vision_model(name: str) -> tuple[nn.Module, int]:
    """The backbone with random weights, (N, 3, H, W) -> (N, channels, H/32, W/32), and its number of channels."""
    model = torchvision().models.get_model(name, weights=None)
    if name.startswith("resnet"):
        children = OrderedDict(model.named_children())
        linear = cast("nn.Linear", children.pop("fc"))
        del children["avgpool"]
        return nn.Sequential(children), linear.in_features
    return model.features, model.classifier[-1].in_features
