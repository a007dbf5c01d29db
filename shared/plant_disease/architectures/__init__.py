"""The networks, as torch modules: batch -> (logits, feature map).

Every one ends in global average pooling and one Linear layer, which makes Grad-CAM on the last
feature map exact from a single forward pass (docs/decisions.md).
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from plant_disease.architectures.efficientnet_lite import efficientnet_lite0
from plant_disease.architectures.vision import VISION_ARCHITECTURES, vision_model


class Network(nn.Module):
    """A backbone, global average pooling and a linear classifier.

    `forward` takes a normalised float32 batch of shape (N, 3, H, W), H and W multiples of 32, and
    returns the logits (N, classes) and the last feature map (N, channels, H/32, W/32).
    """

    def __init__(self, backbone: nn.Module, channels: int, num_classes: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        features = self.backbone(batch)
        pooled = features.mean(dim=(2, 3))
        return self.classifier(self.dropout(pooled)), features


_BUILDERS: dict[str, Callable[[], tuple[nn.Module, int]]] = {
    "efficientnet_lite0": efficientnet_lite0,
    **{name: partial(vision_model, name) for name in VISION_ARCHITECTURES},
}

ARCHITECTURES = tuple(_BUILDERS)


def build(architecture: str, num_classes: int) -> Network:
    """A network with random weights.

    Raises:
        ValueError: the architecture is not one of `ARCHITECTURES`.
    """
    if architecture not in _BUILDERS:
        raise ValueError(f"Unknown architecture {architecture!r}; choose one of {', '.join(ARCHITECTURES)}.")
    backbone, channels = _BUILDERS[architecture]()
    return Network(backbone, channels, num_classes)
