"""From float32 to what computes faster: int8 on CPUs, half precision on GPUs."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from plant_disease.images import Pixels

_EXACT_CONVOLUTIONS = 6
"""The first layers stay float32: thin and near the pixels, they cost the most agreement and gain no speed."""


def quantise(graph: Path, target: Path, photos: Pixels) -> None:
    """Write the int8 graph of a float32 one: static post-training quantisation, one scale for each channel of weights.

    Activations are uint8 with ranges seen on real photos (Jacob et al., CVPR 2018, arXiv:1712.05877). Weights use seven
    of their eight bits: on CPUs without VNNI, products of eight bits overflow the 16 bits they are added up in, and the
    answer would depend on the CPU. The last layer stays float32: it is small, and the logits depend on nothing more.

    Args:
        graph: with one input `image`, as `export.write_graph` writes it.
        target: the file to write.
        photos: uint8 (N, size, size, 3), of every kind that will be served.
    """
    root = logging.getLogger()
    previous = root.level
    root.setLevel(logging.ERROR)  # it warns of preparations that have been made here
    try:
        with tempfile.TemporaryDirectory() as folder:
            prepared = Path(folder) / "prepared.onnx"
            quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(target),
                _Photos(photos),
                quant_format=QuantFormat.QDQ,
                calibrate_method=CalibrationMethod.MinMax,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
                op_types_to_quantize=["Conv", "Add", "Mul", "Clip", "Relu", "Sigmoid", "MaxPool"],
                nodes_to_exclude=_first_nodes(onnx.load(str(prepared))),
            )
    finally:
        root.setLevel(previous)


def halve(graph: Path, target: Path) -> None:
    """Write the float16 graph of a float32 one, half the size, with the same inputs and float32 outputs.

    CPUs compute it in float32, so what they make of it says nothing of its range: see `largest_activation`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one warning for each weight too small for float16
        onnx.save(convert_float_to_float16(onnx.load(str(graph)), keep_io_types=True), str(target))


def largest_activation(graph: Path, photos: Pixels) -> float:
    """The largest absolute value of any layer's output over uint8 photos (N, size, size, 3); float16 ends at 65,504."""
    model = onnx.shape_inference.infer_shapes(onnx.load(str(graph)))
    values = [*model.graph.value_info, *model.graph.output]
    floats = [value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT]
    del model.graph.output[:]
    for name in floats:
        # Inside the graph: all layers of a photo together take a gigabyte where they leave it.
        size, peak = f"{name}/size", f"{name}/peak"
        model.graph.node.append(onnx.helper.make_node("Abs", [name], [size]))
        model.graph.node.append(onnx.helper.make_node("ReduceMax", [size], [peak], keepdims=0))
        model.graph.output.append(onnx.helper.make_tensor_value_info(peak, onnx.TensorProto.FLOAT, []))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return float(np.max([session.run(None, {"image": photo[None]}) for photo in photos]))


def _first_nodes(model: onnx.ModelProto) -> list[str]:
    """The nodes that scale the pixels, and those up to the last of the convolutions that stay float32."""
    names: list[str] = []
    convolutions = 0
    for node in model.graph.node:
        convolutions += node.op_type == "Conv"
        if convolutions > _EXACT_CONVOLUTIONS:
            break
        names.append(node.name)
    return names


class _Photos(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, photos: Pixels) -> None:
        self._batches: Iterator[npt.NDArray[np.uint8]] = iter(photos[:, None])

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        photo = next(self._batches, None)
        return None if photo is None else {"image": photo}
