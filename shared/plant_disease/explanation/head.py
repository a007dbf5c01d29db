"""The last layer of a network: what a closed-form explanation needs beside the feature map."""

from pathlib import Path
from typing import NamedTuple

from plant_disease.bundle import Bundle
from plant_disease.errors import BundleError
from plant_disease.manifest import WEIGHTS_FILE
from plant_disease.runtimes import Floats

HEAD_FILE = "head.safetensors"
"""Two tensors of `weights.safetensors` under the same names: 0.2 MB to fetch instead of 14."""

_NAMES = ("classifier.weight", "classifier.bias")


class Head(NamedTuple):
    """The linear layer behind global average pooling: logits = weight @ pooled + bias.

    Attributes:
        weight: float32, shape (classes, channels).
        bias: float32, shape (classes,).
    """

    weight: Floats
    bias: Floats


def read_head(bundle: Bundle) -> Head:
    """The last layer of a bundle's network; of an older bundle without HEAD_FILE, from all of its weights.

    Raises:
        BundleError: the bundle has neither file, or what it has is not the last layer of its classes.
        StorageError: the store did not give it.
    """
    from safetensors import SafetensorError, safe_open

    path = bundle.fetch(HEAD_FILE if HEAD_FILE in bundle.manifest.files else WEIGHTS_FILE)
    try:
        with safe_open(path, framework="numpy") as file:
            head = Head(*(file.get_tensor(name) for name in _NAMES))
    except SafetensorError as error:
        raise BundleError(
            f"The last layer of version {bundle.manifest.version} cannot be read from {path.name}: {error}"
        ) from error
    classes = len(bundle.manifest.classes)
    if head.weight.ndim != 2 or head.weight.shape[0] != classes or head.bias.shape != (classes,):
        raise BundleError(f"{path.name} of version {bundle.manifest.version} is not a layer for {classes} classes.")
    return head


def write_head(weights: Path, path: Path) -> None:
    """Write HEAD_FILE from the `weights.safetensors` of a network."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(weights, framework="numpy") as file:
        save_file({name: file.get_tensor(name) for name in _NAMES}, path)
