"""The forward pass on a GPU: from photos to logits, both in the memory of the machine.

The networks have random weights: what they compute takes as long as with trained ones.

Usage: python benchmarks/gpu.py [DEVICE]; `cpu` to try it where there is no GPU
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measure import Promise, in_turns, table
from safetensors.torch import save_file

from plant_disease.architectures import Network, build
from plant_disease.bundle import Bundle, open_bundle
from plant_disease.errors import PlantDiseaseError
from plant_disease.images import Pixels
from plant_disease.manifest import ONNX_FILE, ONNX_FP16_FILE, WEIGHTS_FILE
from plant_disease.runtimes import Runtime, open_runtime
from plant_disease.settings import bundled_models
from plant_disease.training.export import write_graph, write_manifest
from plant_disease.training.quantise import halve

SIZES = {"efficientnet_lite0": 224, "efficientnet_b0": 224, "efficientnet_b4": 380}
BATCHES = (1, 8, 32)
LIMIT_S = 20
"""Seconds for one row of turns."""

AT_ONCE = 32
"""Requests of one photo each, from as many threads."""

PROMISE_MS = 50
"""For a photo of EfficientNet-B4, from its bytes as pixels to its logits."""


@contextmanager
def bundled(name: str, network: Network) -> Iterator[Bundle]:
    """A bundle of this network with all that runs on a GPU."""
    manifest = open_bundle(bundled_models()).manifest
    manifest = manifest.model_copy(
        update={
            "architecture": name,
            "input": manifest.input.model_copy(update={"size": SIZES[name]}),
            "precision": "fp32",
        }
    )
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / manifest.version
        folder.mkdir()
        save_file(network.state_dict(), folder / WEIGHTS_FILE)
        write_graph(network, manifest.input, folder / ONNX_FILE)
        halve(folder / ONNX_FILE, folder / ONNX_FP16_FILE)
        yield write_manifest(folder, manifest)


def usual(network: Network, device: str) -> Callable[[Pixels], object]:
    """Eager torch in float32, as most people write it."""
    network.to(device)

    @torch.inference_mode()
    def forward(photos: Pixels) -> object:
        return network(torch.from_numpy(photos).to(device).permute(0, 3, 1, 2).float() / 255)[0].cpu()

    return forward


def runtimes(bundle: Bundle, device: str) -> dict[str, Runtime]:
    """Ours, where their packages are there."""
    found: dict[str, Runtime] = {"torch fp16": open_runtime("torch", bundle, threads=1, device=device)}
    for precision in ("fp32", "fp16"):
        try:
            found[f"ONNX Runtime {precision}"] = open_runtime(
                "onnx", bundle, threads=1, device=device, precision=precision
            )
        except PlantDiseaseError as error:
            print(f"Left out: {error}", file=sys.stderr)
    return found


def measured(device: str, rounds: int) -> tuple[list[list[object]], float]:
    """The rows of the table, and our fastest median for a single photo of EfficientNet-B4, in ms."""
    rows: list[list[object]] = []
    best = float("inf")
    for name, size in SIZES.items():
        network = build(name, len(open_bundle(bundled_models()).manifest.classes)).eval()
        with bundled(name, network) as bundle, ThreadPoolExecutor(AT_ONCE) as threads:
            photos = np.random.default_rng(0).integers(0, 256, (max(*BATCHES, AT_ONCE), size, size, 3), np.uint8)
            ours = runtimes(bundle, device)
            eager = usual(network, device)

            def each_alone(run: Callable[[Pixels], object], photos=photos, threads=threads) -> None:
                list(threads.map(run, photos[:AT_ONCE, None]))

            for batch in BATCHES:
                calls = {"torch eager fp32": partial(eager, photos[:batch])}
                calls |= {what: partial(runtime.run, photos[:batch]) for what, runtime in ours.items()}
                times = in_turns(calls, rounds, limit_s=LIMIT_S)
                for what, spread in times.items():
                    rows.append([name, what, batch, spread, f"{batch / spread.median * 1000:.0f}"])
                    if (name, batch) == ("efficientnet_b4", 1) and what in ours:
                        best = min(best, spread.median)
            calls = {"torch eager fp32": partial(each_alone, eager)}
            calls |= {what: partial(each_alone, runtime.run) for what, runtime in ours.items()}
            for what, spread in in_turns(calls, rounds, limit_s=LIMIT_S).items():
                alone = f"{AT_ONCE} times 1 at once"
                rows.append([name, what, alone, spread, f"{AT_ONCE / spread.median * 1000:.0f}"])
    return rows, best


def run(*, quick: bool, device: str = "cuda") -> tuple[str, list[Promise], dict[str, object]]:
    """The Markdown of this part, its promises, and its figures."""
    head = ["network", "runtime", "photos", "ms (quartiles)", "photos/s"]
    if device == "cuda" and not torch.cuda.is_available():
        nothing: list[list[object]] = [[name, "any", "any", "not measured", "not measured"] for name in SIZES]
        return f"There is no GPU here, or torch is its build for CPUs.\n\n{table(head, nothing)}", [], {}
    rows, best = measured(device, 3 if quick else 40)
    where = torch.cuda.get_device_name() if device == "cuda" else device
    promise = Promise("EfficientNet-B4 on a GPU, ms a photo", best, PROMISE_MS, most=True)
    return f"On {where}.\n\n{table(head, rows)}", [promise], {"rows": [[str(cell) for cell in row] for row in rows]}


if __name__ == "__main__":
    print(run(quick=True, device=sys.argv[1] if len(sys.argv) > 1 else "cuda")[0])
