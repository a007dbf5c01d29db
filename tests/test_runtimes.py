import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from plant_disease import images
from plant_disease.bundle import Bundle, describe_file, open_bundle
from plant_disease.errors import BundleError, RuntimeUnavailable
from plant_disease.images import Pixels
from plant_disease.manifest import ONNX_FILE, ONNX_FP16_FILE, ONNX_INT8_FILE, WEIGHTS_FILE
from plant_disease.runtimes import PrecisionName, RuntimeName, open_runtime, precision_of
from plant_disease.runtimes.joined import JoinedRuntime
from plant_disease.settings import bundled_models
from tests.bundles import write_bundle
from tests.samples import LEAVES

PHOTOS = list(LEAVES)[:24]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(bundled_models(), cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def batch(bundle: Bundle) -> Pixels:
    return np.stack([images.load(path.read_bytes(), bundle.manifest.input.size).pixels for path in PHOTOS])


def test_both_runtimes_give_the_same_answer_on_real_photos(bundle: Bundle, batch: Pixels) -> None:
    onnx = open_runtime("onnx", bundle, threads=2, precision="fp32").run(batch)
    torch = open_runtime("torch", bundle, threads=2).run(batch)
    assert onnx.logits.shape == torch.logits.shape == (len(PHOTOS), len(bundle.manifest.classes))
    assert onnx.features.shape == torch.features.shape
    assert onnx.logits.dtype == torch.logits.dtype == np.float32
    assert np.abs(onnx.logits - torch.logits).max() < 1e-3
    assert np.abs(onnx.features - torch.features).max() < 1e-2


def test_int8_is_served_and_names_what_fp32_names(bundle: Bundle) -> None:
    size = bundle.manifest.input.size
    photos = np.stack([images.load(path.read_bytes(), size).pixels for path in LEAVES])
    served, int8, fp32 = (
        open_runtime("onnx", bundle, threads=2, precision=precision).run(photos).logits
        for precision in ("auto", "int8", "fp32")
    )
    assert np.array_equal(served, int8)
    assert not np.array_equal(served, fp32)
    assert (served.argmax(axis=1) != fp32.argmax(axis=1)).sum() <= len(photos) // 50 + 1


def test_half_precision_names_what_fp32_names(bundle: Bundle, batch: Pixels, tmp_path: Path) -> None:
    from plant_disease.training.export import write_manifest
    from plant_disease.training.quantise import halve, largest_activation

    assert 200 < largest_activation(bundle.fetch(ONNX_FILE), batch[:2]) < 1000, "the pixels are among them"
    folder = tmp_path / "models" / bundle.manifest.version
    folder.mkdir(parents=True)
    shutil.copy(bundle.fetch(ONNX_FILE), folder / ONNX_FILE)
    halve(folder / ONNX_FILE, folder / ONNX_FP16_FILE)
    assert (folder / ONNX_FP16_FILE).stat().st_size < 0.52 * (folder / ONNX_FILE).stat().st_size
    both = write_manifest(folder, bundle.manifest.model_copy(update={"precision": "fp32"}))
    half, exact = (open_runtime("onnx", both, threads=2, precision=p).run(batch) for p in ("fp16", "fp32"))
    assert half.logits.dtype == half.features.dtype == np.float32
    assert 0 < np.abs(half.logits - exact.logits).max() < 0.1
    assert (half.logits.argmax(axis=1) == exact.logits.argmax(axis=1)).all()


def test_an_activation_beyond_half_precision_is_seen_in_the_exact_graph(tmp_path: Path, batch: Pixels) -> None:
    import torch

    from plant_disease.architectures import build
    from plant_disease.manifest import Input
    from plant_disease.training.export import write_graph
    from plant_disease.training.quantise import largest_activation

    network = build("efficientnet_lite0", 3)
    with torch.no_grad():
        # All below 0: the first layer ends in a clip, and only its size shows.
        next(network.parameters()).abs_().mul_(-1e6)
    write_graph(network, Input(size=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)), tmp_path / ONNX_FILE)
    assert largest_activation(tmp_path / ONNX_FILE, batch[:1] // 2 + 128) > 65_504


@pytest.mark.parametrize(("precision", "file"), [("int8", ONNX_INT8_FILE), ("fp16", ONNX_FP16_FILE)])
def test_a_precision_that_the_bundle_lacks_is_refused(tmp_path: Path, precision: PrecisionName, file: str) -> None:
    write_bundle(tmp_path / "models")
    with pytest.raises(BundleError, match=file):
        open_runtime("onnx", open_bundle(str(tmp_path / "models"), cache=tmp_path), threads=1, precision=precision)


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_a_photo_in_a_batch_is_answered_as_if_alone(bundle: Bundle, batch: Pixels, runtime: str) -> None:
    loaded = open_runtime(runtime, bundle, threads=1)
    together = loaded.run(batch).logits
    alone = np.concatenate([loaded.run(batch[i : i + 1]).logits for i in range(len(batch))])
    assert np.abs(together - alone).max() < 1e-3


def test_the_logits_follow_from_the_pooled_features(bundle: Bundle, batch: Pixels) -> None:
    # Grad-CAM in closed form rests on this: logits are one linear map of the mean feature map.
    from safetensors.numpy import load_file

    weights = load_file(bundle.fetch(WEIGHTS_FILE))
    output = open_runtime("onnx", bundle, threads=1).run(batch)
    pooled = output.features.mean(axis=(2, 3))
    logits = pooled @ weights["classifier.weight"].T + weights["classifier.bias"]
    assert np.abs(logits - output.logits).max() < 1e-3


def test_idle_threads_do_not_spin(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
import numpy as np
from plant_disease.bundle import open_bundle
from plant_disease.runtimes import open_runtime
bundle = open_bundle(sys.argv[1], cache=Path(sys.argv[2]))
runtime = open_runtime("onnx", bundle, threads=4)
runtime.run(np.zeros((1, bundle.manifest.input.size, bundle.manifest.input.size, 3), np.uint8))
time.sleep(0.2)
before = time.process_time()
time.sleep(0.5)
print(time.process_time() - before)
"""
    arguments = [sys.executable, "-c", program, bundled_models(), str(tmp_path)]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    # A single spinning thread would use all of the half second.
    assert float(done.stdout) < 0.1


def test_as_many_threads_as_asked_for(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from plant_disease.bundle import open_bundle
from plant_disease.runtimes import open_runtime
bundle = open_bundle(sys.argv[1], cache=Path(sys.argv[2]))
counts, runtimes = [], []
for threads in (1, 1, 4):
    before = len(os.listdir("/proc/self/task"))
    runtimes.append(open_runtime("onnx", bundle, threads=threads))
    counts.append(len(os.listdir("/proc/self/task")) - before)
print(*counts[1:])
"""
    arguments = [sys.executable, "-c", program, bundled_models(), str(tmp_path)]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["0", "3"]


def test_a_graph_that_cannot_be_loaded_is_a_bundle_error(tmp_path: Path) -> None:
    write_bundle(tmp_path / "models", files={ONNX_FILE: b"not a graph", WEIGHTS_FILE: b"no weights"})
    broken = open_bundle(str(tmp_path / "models"), cache=tmp_path / "cache")
    with pytest.raises(BundleError, match=r"1\.0\.0"):
        open_runtime("onnx", broken, threads=1)
    with pytest.raises(BundleError, match=r"1\.0\.0"):
        open_runtime("torch", broken, threads=1)


def test_a_graph_with_other_classes_than_the_manifest_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    graph = bundle.fetch(ONNX_FILE).read_bytes()
    folder = write_bundle(tmp_path / "models", files={ONNX_FILE: graph, WEIGHTS_FILE: b"weights"})
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"size":64', f'"size":{bundle.manifest.input.size}'))
    wrong = open_bundle(str(tmp_path / "models"), version="1.0.0", cache=tmp_path / "cache")
    with pytest.raises(BundleError, match="34 logits for 6 classes"):
        open_runtime("onnx", wrong, threads=1)


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
@pytest.mark.parametrize("device", ["cuda:99", "cuda:x", "gpu", ""])
def test_a_device_that_is_not_there_is_named(bundle: Bundle, runtime: RuntimeName, device: str) -> None:
    with pytest.raises(RuntimeUnavailable, match=f"'{device}'"):
        open_runtime(runtime, bundle, threads=1, device=device)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_onnx_runtime_does_not_compute_on_the_cpu_instead(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its package for CPUs is told to be the one for GPUs: like that one without a driver, it warns and goes on."""
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(RuntimeUnavailable, match="onnxruntime-gpu"):
            open_runtime("onnx", bundle, threads=1, device="cuda:99")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(RuntimeUnavailable, match=r"'cuda:99'.*no such GPU"):
        open_runtime("onnx", bundle, threads=1, device="cuda:99", precision="fp32")
    with pytest.raises(RuntimeUnavailable, match="int8 is for CPUs"):
        open_runtime("onnx", bundle, threads=1, device="cuda:99", precision="int8")


def test_sessions_on_a_gpu(bundle: Bundle, batch: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none here: the sessions that are asked for are opened on the CPU instead."""
    exact = open_runtime("onnx", bundle, threads=1, precision="fp32").run(batch)
    opened = []

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]
        def __init__(self, path: str, options: object, *, providers: list[object], enable_fallback: int) -> None:
            opened.append((Path(path).name, providers[0], enable_fallback))
            super().__init__(path, options, providers=["CPUExecutionProvider"])

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    runtime = open_runtime("onnx", bundle, threads=1, device="cuda:2")
    assert opened == [(ONNX_FILE, ("CUDAExecutionProvider", {"device_id": "2"}), 0)] * 3
    assert isinstance(runtime, JoinedRuntime)
    assert np.abs(runtime.run(batch).logits - exact.logits).max() < 1e-3


@pytest.mark.parametrize(
    ("name", "device", "asked", "has_fp16", "expected"),
    [
        ("onnx", "cpu", "auto", True, "int8"),
        ("onnx", "cpu", "fp16", True, "fp16"),
        ("onnx", "cuda:0", "auto", True, "fp16"),
        ("onnx", "cuda:0", "auto", False, "fp32"),
        ("onnx", "cuda:0", "fp32", True, "fp32"),
        ("torch", "cpu", "auto", True, "fp32"),
        ("torch", "cuda", "fp32", False, "fp16"),
    ],
)
def test_what_is_computed_in(
    bundle: Bundle, name: RuntimeName, device: str, asked: PrecisionName, has_fp16: bool, expected: str
) -> None:
    files = bundle.manifest.files | ({ONNX_FP16_FILE: bundle.manifest.files[ONNX_FILE]} if has_fp16 else {})
    changed = replace(bundle, manifest=bundle.manifest.model_copy(update={"files": files}))
    assert precision_of(name, changed, device=device, precision=asked) == expected


def test_torch_on_a_device_of_its_own_joins_requests(bundle: Bundle, batch: Pixels) -> None:
    runtime = open_runtime("torch", bundle, threads=1, device="cpu:0")
    assert isinstance(runtime, JoinedRuntime)
    alone = open_runtime("torch", bundle, threads=1)
    assert not isinstance(alone, JoinedRuntime)
    assert np.abs(runtime.run(batch).logits - alone.run(batch).logits).max() < 1e-3


def test_the_bundle_holds_no_pickle(bundle: Bundle) -> None:
    assert set(bundle.manifest.files) == {ONNX_FILE, ONNX_INT8_FILE, WEIGHTS_FILE, "head.safetensors"}
    for name, file in bundle.manifest.files.items():
        path = bundle.fetch(name)
        assert describe_file(path) == file
        assert not path.read_bytes().startswith((b"\x80", b"PK"))


def test_on_cuda_photos_are_pinned_and_computed_in_half_precision(
    bundle: Bundle, batch: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The branch alone: there is no GPU here, so the CPU stands in for it, with the half precision that it has."""
    import torch

    runtime = open_runtime("torch", bundle, threads=1)
    exact = runtime.run(batch[:2])
    asked, autocast = [], torch.autocast

    def pin(pixels: torch.Tensor) -> torch.Tensor:
        asked.append("pinned")
        return pixels

    def half(device: str, dtype: torch.dtype, *, enabled: bool) -> torch.autocast:
        asked.append(str(dtype) if enabled else "float32")
        return autocast(device, torch.bfloat16, enabled=enabled)

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch, "autocast", half)
    monkeypatch.setattr(runtime, "_on_cuda", True)
    coarse = runtime.run(batch[:2])
    assert asked == ["torch.float16", "pinned"]
    assert coarse.logits.dtype == coarse.features.dtype == np.float32
    assert not np.array_equal(coarse.logits, exact.logits)
    assert (coarse.logits.argmax(axis=1) == exact.logits.argmax(axis=1)).all()
