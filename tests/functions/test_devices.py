"""PLANT_DEVICE: there is no GPU here, so torch is told to take the first CPU for a device of its own."""

import io
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.functions import processes
from tests.samples import DRAWN, NOT_LEAVES


def turned(path: Path, degrees: int) -> bytes:
    file = io.BytesIO()
    Image.open(path).rotate(degrees).save(file, "PNG")
    return file.getvalue()


PHOTOS = [path.read_bytes() for path in NOT_LEAVES[:2]] + [turned(path, d) for path in DRAWN for d in (0, 90, 180)]


def probabilities(url: str, photo: bytes) -> list[float]:
    """Of the leaf, and of the 10 most probable classes."""
    answer = httpx.post(f"{url}/predict?top_k=10", files={"image": photo}, trust_env=False, timeout=60)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return [told["is_leaf"]["probability"], *(each["probability"] for each in told["predictions"])]


def test_requests_at_the_same_time_get_each_its_own_answer(folder: Path) -> None:
    with processes.uvicorn(folder, PLANT_RUNTIME="torch") as process:
        alone = [probabilities(process.url, photo) for photo in PHOTOS]
    assert min(abs(a - b) for a, b in combinations([leaf for leaf, *_ in alone], 2)) > 1e-6, "they can be told apart"
    joined = {"PLANT_RUNTIME": "torch", "PLANT_DEVICE": "cpu:0", "PLANT_THREADS": "8", "PLANT_MAX_QUEUE": "64"}
    with processes.uvicorn(folder, **joined) as process, ThreadPoolExecutor(12) as pool:
        for _ in range(3):
            together = list(pool.map(lambda photo: probabilities(process.url, photo), PHOTOS))
            assert np.abs(np.array(together) - alone).max() < 1e-4


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_a_device_that_is_not_there_is_no_reason_to_use_another(folder: Path, runtime: str) -> None:
    with processes.uvicorn(folder, PLANT_RUNTIME=runtime, PLANT_DEVICE="cuda:99") as process:
        answer = httpx.post(f"{process.url}/predict", files={"image": PHOTOS[0]}, trust_env=False, timeout=60)
        assert answer.status_code == 503
        assert answer.json()["code"] == "model_unavailable"
        assert "'cuda:99'" in answer.json()["detail"]
        assert httpx.get(f"{process.url}/health/ready", trust_env=False).status_code == 503
