"""int8 against float32: one photo at a time on one thread, in turns, as a ratio of medians."""

import statistics
import time

import numpy as np

from plant_disease.bundle import open_bundle
from plant_disease.runtimes import PrecisionName, open_runtime
from plant_disease.settings import bundled_models

RUNS = 100


def main() -> None:
    """Print both medians and their ratio."""
    bundle = open_bundle(bundled_models())
    size = bundle.manifest.input.size
    photo = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
    precisions: tuple[PrecisionName, ...] = ("fp32", "int8")
    runtimes = {precision: open_runtime("onnx", bundle, threads=1, precision=precision) for precision in precisions}
    seconds: dict[str, list[float]] = {precision: [] for precision in precisions}
    for _ in range(RUNS):
        for precision, runtime in runtimes.items():
            start = time.perf_counter()
            runtime.run(photo)
            seconds[precision].append(time.perf_counter() - start)
    medians = {precision: statistics.median(times) for precision, times in seconds.items()}
    for precision, median in medians.items():
        print(f"{precision}: {median * 1000:.1f} ms")
    print(f"int8 is {medians['fp32'] / medians['int8']:.2f} times as fast as fp32")


if __name__ == "__main__":
    main()
