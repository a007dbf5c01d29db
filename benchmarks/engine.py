"""The forward pass: every architecture by runtime, precision, threads and batch, and how far from the machine's roof.

The networks have random weights, but the default model, whose bundle gives the int8 graph. What they compute takes as
long as with trained ones.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# The pools of all runtimes live in this process. Threads that spin while they wait would take the next one's CPU.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import numpy as np
import onnxruntime
import torch
from measure import Promise, in_turns, table

from plant_disease.architectures import Network, build
from plant_disease.bundle import open_bundle
from plant_disease.manifest import ONNX_FILE, ONNX_INT8_FILE
from plant_disease.settings import bundled_models

SIZES = {
    "efficientnet_lite0": 224,
    "resnet18": 224,
    "efficientnet_b0": 224,
    "efficientnet_b2": 260,
    "efficientnet_b4": 380,
}
CLASSES = 38
LIMIT_S = 8
"""Seconds for one row of turns: the default network gets its 40 rounds in it, the large ones fewer, at least one."""


def peak_gflops(threads: int) -> float:
    """float32 GEMM of 2048 x 2048 through oneDNN: what the machine can do, in 10^9 operations a second."""
    torch.set_num_threads(threads)
    a, b = torch.rand(2048, 2048), torch.rand(2048, 2048)
    best = float("inf")
    for _ in range(8):
        began = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - began)
    return 2 * 2048**3 / best / 1e9


def gflop(network: Network, size: int) -> float:
    """10^9 operations of one photo's forward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, size, size))
    return counter.get_total_flops() / 1e9


def session(path: str, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def openvino(path: str, threads: int, feed: np.ndarray, precision: str) -> Callable[[], object] | None:
    """The ONNX file in OpenVINO, or None where it is not installed."""
    try:
        import openvino
    except ImportError:
        return None
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
    model = openvino.Core().compile_model(path, "CPU", settings)
    request = model.create_infer_request()
    return lambda: request.infer({0: feed})


def compiled(network: Network, photos: torch.Tensor) -> Callable[[], object] | None:
    """The network through torch.compile, or None where there is no C++ compiler for what it writes."""
    call = torch.compile(network)

    def forward() -> object:
        with torch.inference_mode():
            return call(photos)

    try:
        forward()
    except torch._inductor.exc.InvalidCxxCompiler:
        return None
    return forward


def candidates(name: str, network: Network, path: str, threads: int, batch: int) -> dict[str, Callable[[], object]]:
    size = SIZES[name]
    torch.set_num_threads(threads)
    photos = torch.rand(batch, 3, size, size)
    feed = photos.numpy()
    pixels = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), np.uint8)
    fp32 = session(path, threads)

    def eager() -> object:
        with torch.inference_mode():
            return network(photos)

    calls: dict[str, Callable[[], object] | None] = {
        "torch eager fp32": eager,
        "ONNX Runtime fp32": lambda: fp32.run(None, {"photos": feed}),
        "OpenVINO fp32": openvino(path, threads, feed, "f32"),
        "OpenVINO bf16": openvino(path, threads, feed, "bf16"),
    }
    if name == "efficientnet_lite0":
        bundle = open_bundle(bundled_models())
        for precision, file in (("int8", ONNX_INT8_FILE), ("fp32 of the bundle", ONNX_FILE)):
            served = session(str(bundle.fetch(file)), threads)
            calls[f"ONNX Runtime {precision}"] = lambda served=served: served.run(None, {"image": pixels})
        if batch == 1:
            # It takes half a minute.
            calls["torch.compile fp32"] = compiled(network, photos)
        calls["OpenVINO int8"] = openvino(str(bundle.fetch(ONNX_INT8_FILE)), threads, pixels, "f32")
    return {what: call for what, call in calls.items() if call is not None}


def run(*, quick: bool) -> tuple[str, list[Promise], dict[str, object]]:
    """The Markdown of this part, its promises, and its figures."""
    rounds = 3 if quick else 40
    roof = {threads: peak_gflops(threads) for threads in (1, 2)}
    rows: list[list[object]] = []
    promises = []
    for name, size in SIZES.items():
        network = build(name, CLASSES).eval()
        work = gflop(network, size)
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "network.onnx")
            torch.onnx.export(
                network,
                (torch.zeros(2, 3, size, size),),
                path,
                dynamo=False,
                input_names=["photos"],
                output_names=["logits", "features"],
                dynamic_axes={"photos": {0: "n"}},
            )
            for threads in (1, 2):
                for batch in (1, 8) if quick else (1, 8, 32):
                    calls = candidates(name, network, path, threads, batch)
                    torch.set_num_threads(threads)
                    times = in_turns(calls, rounds, warm=1, limit_s=LIMIT_S)
                    base = times["torch eager fp32"].median
                    for what, each in times.items():
                        of_roof = work * batch / (each.median / 1000) / roof[threads]
                        ratio = f"{base / each.median:.1f}"
                        rows.append([name, threads, batch, what, each, ratio, f"{of_roof:.0%}"])
                    if name == "efficientnet_lite0" and threads == batch == 1:
                        figure = base / times["ONNX Runtime int8"].median
                        promises.append(
                            Promise("Forward pass, times as fast as torch eager fp32", figure, 4, most=False)
                        )
    head = ["architecture", "threads", "batch", "runtime", "ms (quartiles)", "x torch eager", "of the roof"]
    text = (
        f"The roof: {roof[1]:.0f} GFLOP/s on one thread, {roof[2]:.0f} on two (float32 GEMM through oneDNN). "
        "bf16 and int8 may pass it. No pool of threads spins while it waits, or it would take the CPU of the next "
        "one's turn: torch on two threads, which waits often, loses by that.\n\n" + table(head, rows)
    )
    return text, promises, {"roof_gflops": roof, "rows": [[str(cell) for cell in row] for row in rows]}
