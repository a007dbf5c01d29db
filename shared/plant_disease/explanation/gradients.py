"""Class activation maps from gradients, at any layer of the network. Needs torch.

- `gradcam`: Selvaraju et al., "Grad-CAM", ICCV 2017, arXiv:1610.02391
- `gradcam++`: Chattopadhay et al., "Grad-CAM++", WACV 2018, arXiv:1710.11063
- `layercam`: Jiang et al., "LayerCAM", IEEE TIP 2021, doi:10.1109/TIP.2021.3089943
- `hirescam`: Draelos and Carin, "Use HiResCAM instead of Grad-CAM", 2020, arXiv:2011.08891
"""

import threading
from collections.abc import Callable

import torch
from torch import Tensor, nn

from plant_disease.errors import InvalidQuestion
from plant_disease.images import Pixels
from plant_disease.runtimes import Floats
from plant_disease.runtimes.torch import TorchRuntime

LAST_LAYER = "backbone"
"""Its output is the last feature map."""


class GradientMaps:
    """One explanation at a time, from a network that serves nothing else.

    Hooks on a network that serves would be called by every prediction that runs beside.
    """

    def __init__(self, runtime: TorchRuntime) -> None:
        self._runtime = runtime
        runtime.network.requires_grad_(False)
        self._layers = dict(runtime.network.backbone.named_modules(prefix=LAST_LAYER))
        self._lock = threading.Lock()

    def compute(self, method: str, pixels: Pixels, weights: Floats, layer: str | None = None) -> Floats:
        """A class activation map by a method of METHODS.

        Args:
            method: one of METHODS.
            pixels: one photo, uint8 RGB, shape (size, size, 3).
            weights: of each logit in what is explained: 1 for the class, -1 for one to contrast it with, otherwise 0;
                float32, shape (classes,).
            layer: name of a module whose output is a feature map; LAST_LAYER if None.

        Returns:
            float32, shape (h, w) of the layer's output, nothing cut away.

        Raises:
            InvalidQuestion: there is no such layer, or what it gives is no map.
        """
        layer = layer or LAST_LAYER
        if layer not in self._layers:
            # The first levels: all names would be hundreds.
            known = ", ".join(name for name in self._layers if name.count(".") <= 1)
            raise InvalidQuestion(f"This network has no layer {layer[:100]!r}. It has {known}, and layers inside them.")
        seen: list[Tensor] = []

        def cut(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
            # The gradient is wanted from here on only. A copy goes on: activations often overwrite what they get.
            seen.append(output.detach().requires_grad_())
            return seen[-1].clone()

        with self._lock, torch.enable_grad():
            hook = self._layers[layer].register_forward_hook(cut)
            try:
                logits, _ = self._runtime.network(self._runtime.normalised(pixels[None]))
            finally:
                hook.remove()
            if not seen or seen[-1].ndim != 4 or seen[-1].shape[2:].numel() == 1:
                raise InvalidQuestion(f"What layer {layer!r} gives is no map of the photo. Choose another layer.")
            score = (logits[0] * torch.tensor(weights, device=logits.device)).sum()
            # Not backward(): nothing is left at the parameters.
            (gradients,) = torch.autograd.grad(score, seen[-1])
        grid: Floats = METHODS[method](seen[-1].detach()[0], gradients[0]).cpu().numpy()
        return grid


def _gradcam(activations: Tensor, gradients: Tensor) -> Tensor:
    return (activations * gradients.mean(dim=(1, 2), keepdim=True)).sum(dim=0)


def _gradcam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    # Equation 19 of the paper; the score is the exponential of the logit, whose derivatives are powers of the gradient.
    squared = gradients**2
    curvature = 2 * squared + activations.sum(dim=(1, 2), keepdim=True) * gradients * squared
    alphas = torch.where(gradients != 0, squared / (curvature + 1e-6), 0)
    return (activations * (alphas * gradients.relu()).sum(dim=(1, 2), keepdim=True)).sum(dim=0)


def _layercam(activations: Tensor, gradients: Tensor) -> Tensor:
    return (activations * gradients.relu()).sum(dim=0)


def _hirescam(activations: Tensor, gradients: Tensor) -> Tensor:
    return (activations * gradients).sum(dim=0)


METHODS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gradcam": _gradcam,
    "gradcam++": _gradcam_plus_plus,
    "layercam": _layercam,
    "hirescam": _hirescam,
}
"""By name: activations and gradients, both (channels, h, w) -> (h, w)."""
