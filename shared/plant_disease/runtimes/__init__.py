"""Inference runtimes: a batch of photos -> logits and the last feature map.

Two of them with one interface: `onnx` serves (quick to start, small), `torch` checks and explains; both
run on GPUs. Neither is imported before it is asked for.
"""

from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from plant_disease.bundle import Bundle
from plant_disease.images import Pixels
from plant_disease.manifest import ONNX_FP16_FILE, Precision

RuntimeName = Literal["onnx", "torch"]
PrecisionName = Literal["auto", "fp32", "fp16", "int8"]
Floats = npt.NDArray[np.float32]


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
        precision: of the ONNX graph; `auto` is what the bundle was calibrated with, and on a GPU fp16 if the bundle has
            it, or else fp32. torch computes in fp32, and on CUDA in fp16.

    Raises:
        RuntimeUnavailable: its package is not installed, or the device is not there.
        BundleError, StorageError: the network could not be fetched; BundleError also if it has no such precision.
    """
    runtime: Runtime
    if name == "torch":
        from plant_disease.runtimes.torch import TorchRuntime

        runtime = TorchRuntime(bundle, threads=threads, device=device)
    else:
        from plant_disease.runtimes.onnx import OnnxRuntime

        graph = _best_precision(bundle, device) if precision == "auto" else precision
        runtime = OnnxRuntime(bundle, threads=threads, precision=graph, device=device)
    if device == "cpu":
        return runtime
    from plant_disease.runtimes.joined import JoinedRuntime

    return JoinedRuntime(runtime)


def _best_precision(bundle: Bundle, device: str) -> Precision:
    if device == "cpu":
        return bundle.manifest.precision
    return "fp16" if ONNX_FP16_FILE in bundle.manifest.files else "fp32"
