"""Inference runtimes: a batch of photos -> logits and the last feature map.

Two of them with one interface: `onnx` serves (quick to start, small), `torch` checks and explains; both
run on GPUs. Neither is imported before it is asked for.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from plant_disease.bundle import Bundle
from plant_disease.images import Pixels
from plant_disease.manifest import ONNX_FP16_FILE, Precision

RuntimeName = Literal["onnx", "torch"]
PrecisionName = Literal["auto", "fp32", "fp16", "int8"]
Floats = npt.NDArray[np.float32]

_PASSES = (1, 8, 32)
"""Photos in a forward pass on a GPU."""


class Output(NamedTuple):
    """What a forward pass gives.

    Attributes:
        logits: float32, shape (N, classes).
        features: the last feature map, float32, shape (N, channels, h, w).
    """

    logits: Floats
    features: Floats


class Runtime(Protocol):
    """A loaded network. Safe to call from several threads at once."""

    def run(self, batch: Pixels) -> Output:
        """One forward pass over a uint8 RGB batch of shape (N, size, size, 3)."""


def open_runtime(
    name: RuntimeName, bundle: Bundle, *, threads: int, device: str = "cpu", precision: PrecisionName = "auto"
) -> Runtime:
    """Load a bundle's network.

    Args:
        name: which runtime.
        bundle: where the network comes from; only the file this runtime needs is fetched.
        threads: for one forward pass.
        device: `cpu`, or a GPU such as `cuda:0`; for torch any torch device. What several threads ask of a GPU at the
            same time goes through it together.
        precision: see `precision_of`.

    Raises:
        RuntimeUnavailable: its package is not installed, or the device is not there.
        BundleError, StorageError: the network could not be fetched; BundleError also if it has no such precision.
    """
    if name == "torch":
        opened = _torch(bundle, threads, device)
    else:
        opened = _onnx(bundle, threads, precision_of(name, bundle, device=device, precision=precision), device)
    if device == "cpu":
        return opened(1)
    from plant_disease.runtimes.joined import JoinedRuntime

    return JoinedRuntime(opened, passes=_PASSES, size=bundle.manifest.input.size)


def precision_of(name: RuntimeName, bundle: Bundle, *, device: str, precision: PrecisionName) -> Precision:
    """What a runtime computes in.

    torch in fp32, and on CUDA in fp16. ONNX Runtime in what is asked for; `auto` is what the bundle was calibrated
    with, and on a GPU fp16 if the bundle has it, or else fp32.
    """
    if name == "torch":
        return "fp16" if device.startswith("cuda") else "fp32"
    if precision != "auto":
        return precision
    if device == "cpu":
        return bundle.manifest.precision
    return "fp16" if ONNX_FP16_FILE in bundle.manifest.files else "fp32"


def _torch(bundle: Bundle, threads: int, device: str) -> Callable[[int], Runtime]:
    from plant_disease.runtimes.torch import TorchRuntime

    runtime = TorchRuntime(bundle, threads=threads, device=device)
    return lambda _: runtime


def _onnx(bundle: Bundle, threads: int, graph: Precision, device: str) -> Callable[[int], Runtime]:
    from plant_disease.runtimes.onnx import OnnxRuntime

    # One for each number of photos: on a GPU a session plans anew whenever that changes.
    return partial(OnnxRuntime, bundle, threads, graph, device)
