"""Memory and CPU time that requests and larger networks take, for the sizes in docs/kubernetes.md.

Each kind of request meets a service of its own, with one thread. The networks (float32, random weights) run alone in
ONNX Runtime; what they take comes on top of what the service takes.

Usage: python benchmarks/resources.py
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from serving import served

PHOTOS = Path(__file__).parent.parent / "tests/photos"
LEAF = (PHOTOS / "apple-cedar-rust-3.jpg").read_bytes()
PHONE = (PHOTOS / "phone-12mp.jpg").read_bytes()
AT_ONCE = 17
"""One request at work, and PLANT_MAX_QUEUE waiting."""

NETWORKS = {"resnet18": 224, "efficientnet_b0": 224, "efficientnet_b2": 260, "efficientnet_b4": 380}

Ask = Callable[[httpx.Client], object]


def large() -> bytes:
    """A JPEG of 48 megapixels and 8 MB: near the most that is accepted."""
    pixels = np.random.default_rng(0).integers(0, 255, (750, 1000, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).resize((8000, 6000)).save(file, "JPEG", quality=60)
    return file.getvalue()


def post(path: str, photo: bytes) -> Ask:
    return lambda client: client.post(path, content=photo, headers={"content-type": "image/jpeg"}).raise_for_status()


def batch(client: httpx.Client) -> None:
    files = [("images", (f"{index}.jpg", PHONE)) for index in range(64)]
    client.post("/batch", files=files, headers={"accept": "text/csv"}).raise_for_status()


def peak_mb(pid: int | str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(what: str, ask: Ask, *, times: int = 1, photos: int = 1) -> None:
    """Print what a service takes for so many requests, at most AT_ONCE of them at once."""
    with served(PLANT_THREADS="1", PLANT_METRICS="on") as (client, pid), ThreadPoolExecutor(AT_ONCE) as pool:
        # The first one readies buffers.
        post("/predict", LEAF)(client)
        began = cpu_s(pid)
        list(pool.map(lambda _: ask(client), range(times)))
        per_photo = (cpu_s(pid) - began) / times / photos * 1000
        print(f"{what:48} {peak_mb(pid):8.0f} MB {per_photo:8.0f} ms", flush=True)


def export(name: str, size: int, path: Path) -> None:
    import torch
    from torch import nn

    from plant_disease.architectures.vision import vision_model

    backbone, channels = vision_model(name)
    network = nn.Sequential(backbone, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 38)).eval()
    photos = torch.zeros(2, 3, size, size)
    torch.onnx.export(
        network, (photos,), str(path), dynamo=False, input_names=["photos"], dynamic_axes={"photos": {0: "n"}}
    )


def run(name: str, size: int, photos: int, path: Path) -> None:
    import onnxruntime

    before = peak_mb("self")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {"photos": np.random.default_rng(0).random((photos, 3, size, size), np.float32)}
    session.run(None, feed)
    began = time.process_time()
    for _ in range(5):
        session.run(None, feed)
    per_photo = (time.process_time() - began) / 5 / photos * 1000
    what = f"{name}, {size} px, {photos} at once"
    print(f"{what:47} +{peak_mb('self') - before:8.0f} MB {per_photo:8.0f} ms", flush=True)


def main() -> None:
    print(f"{'':48} {'memory':>11} {'CPU/photo':>11}")
    measure("/predict, a photo of 256 px", post("/predict", LEAF), times=100)
    measure("/predict, 12 MP", post("/predict", PHONE), times=100)
    measure("/predict, 48 MP", post("/predict", large()), times=2 * AT_ONCE)
    measure("/explain, cam", post("/explain", LEAF), times=100)
    measure("/explain, gradcam, which loads torch", post("/explain?method=gradcam", LEAF), times=20)
    measure("/batch, 64 photos of 12 MP", batch, photos=64)
    # Each in a process of its own: memory that one has had would hide what the next one takes.
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        for name, size in NETWORKS.items():
            path = Path(folder) / f"{name}.onnx"
            steps = [(export, (name, size, path)), (run, (name, size, 1, path)), (run, (name, size, 4, path))]
            for step, arguments in steps:
                child = context.Process(target=step, args=arguments)
                child.start()
                child.join()


if __name__ == "__main__":
    main()
