"""Inference through ONNX Runtime on the CPU."""

import numpy as np
import onnxruntime

from plant_disease.bundle import Bundle
from plant_disease.errors import BundleError
from plant_disease.images import Pixels
from plant_disease.manifest import ONNX_FILE, ONNX_INT8_FILE, Precision
from plant_disease.runtimes import Output

_OUTPUTS = ["logits", "features"]


class OnnxRuntime:
    """A bundle's `model.onnx` or `model.int8.onnx` in an inference session."""

    def __init__(self, bundle: Bundle, *, threads: int, precision: Precision) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A pool that spins between requests burns the CPU quota that the next request needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        path = bundle.fetch(ONNX_INT8_FILE if precision == "int8" else ONNX_FILE)
        manifest = bundle.manifest
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            self._input = self._session.get_inputs()[0].name
            # A first run shows whether the graph is what the manifest says, and readies its buffers.
            logits, _ = self.run(np.zeros((1, manifest.input.size, manifest.input.size, 3), np.uint8))
        except Exception as error:
            # onnxruntime raises a dozen classes of its own without a common base.
            raise BundleError(f"ONNX Runtime cannot run the model of version {manifest.version}: {error}") from error
        if logits.shape != (1, len(manifest.classes)):
            raise BundleError(
                f"The graph of version {manifest.version} gives {logits.shape[-1]} logits "
                f"for {len(manifest.classes)} classes."
            )

    def run(self, batch: Pixels) -> Output:
        """See `Runtime.run`."""
        logits, features = self._session.run(_OUTPUTS, {self._input: batch})
        return Output(logits, features)
