"""Inference through ONNX Runtime, on the CPU or a GPU."""

import sys
from contextlib import redirect_stdout
from functools import cache
from typing import Any

import numpy as np
import onnxruntime

from plant_disease.bundle import Bundle
from plant_disease.errors import BundleError, RuntimeUnavailable
from plant_disease.images import Pixels
from plant_disease.manifest import ONNX_FILE, ONNX_FP16_FILE, ONNX_INT8_FILE, Precision
from plant_disease.runtimes import Output

_OUTPUTS = ["logits", "features"]
_GRAPHS: dict[Precision, str] = {"fp32": ONNX_FILE, "fp16": ONNX_FP16_FILE, "int8": ONNX_INT8_FILE}
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class OnnxRuntime:
    """One of a bundle's graphs in an inference session; on a GPU, for passes of always so many photos."""

    def __init__(self, bundle: Bundle, threads: int, precision: Precision, device: str, photos: int) -> None:
        providers = _providers(device)
        if device != "cpu" and precision == "int8":
            raise RuntimeUnavailable("int8 is for CPUs. On a GPU, set PLANT_PRECISION=auto.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A pool that spins between requests burns the CPU quota that the next request needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        path = bundle.fetch(_GRAPHS[precision])
        manifest = bundle.manifest
        try:
            # Without a fallback: where a GPU fails, it would go on on the CPU, many times slower, and tell nobody.
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
            if self._session.get_providers()[0] != providers[0][0]:
                raise RuntimeError("there is no such GPU, or its driver, CUDA or cuDNN is missing. The log has more.")
            self._input = self._session.get_inputs()[0].name
            # A first run shows whether the graph is what the manifest says, and readies its buffers.
            logits, _ = self.run(np.zeros((photos, manifest.input.size, manifest.input.size, 3), np.uint8))
        except Exception as error:
            # onnxruntime raises a dozen classes of its own without a common base.
            if device != "cpu":
                raise RuntimeUnavailable(f"ONNX Runtime cannot use the device {device!r}: {error}") from error
            raise BundleError(f"ONNX Runtime cannot run the model of version {manifest.version}: {error}") from error
        if logits.shape != (photos, len(manifest.classes)):
            raise BundleError(
                f"The graph of version {manifest.version} gives {logits.shape[-1]} logits "
                f"for {len(manifest.classes)} classes."
            )

    def run(self, batch: Pixels) -> Output:
        """See `Runtime.run`."""
        logits, features = self._session.run(_OUTPUTS, {self._input: batch})
        return Output(logits, features)


def _providers(device: str) -> list[tuple[str, dict[str, Any]]]:
    if device == "cpu":
        return [(_CPU, {})]
    kind, _, index = device.partition(":")
    index = index or "0"
    if kind != "cuda" or not (index.isascii() and index.isdecimal()):
        raise RuntimeUnavailable(f"ONNX Runtime cannot use the device {device!r}: it is cpu, cuda, or such as cuda:1.")
    if _CUDA not in onnxruntime.get_available_providers():
        raise RuntimeUnavailable(
            f"ONNX Runtime cannot use the device {device!r}: its package here is the one for CPUs. Put "
            "onnxruntime-gpu in its place (docs/performance.md#on-a-gpu), or set PLANT_RUNTIME=torch."
        )
    _load_cuda()
    return [(_CUDA, {"device_id": index}), (_CPU, {})]


@cache
def _load_cuda() -> None:
    """From the packages of pip, where they are. Once: meanwhile all of the process writes to standard error."""
    with redirect_stdout(sys.stderr):
        onnxruntime.preload_dlls()
