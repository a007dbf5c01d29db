"""PLANT_DEVICE: there is no GPU here, so torch is told to take the first CPU for a device of its own."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.functions import processes
from tests.samples import LEAVES

PHOTOS = [path.read_bytes() for path in list(LEAVES)[:12]]


def diagnosed(url: str, photo: bytes) -> tuple[str, str]:
    answer = httpx.post(f"{url}/predict", files={"image": photo}, trust_env=False, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["decision"], answer.json()["predictions"][0]["class_id"]


def test_requests_at_the_same_time_get_each_its_own_answer(folder: Path) -> None:
    with processes.uvicorn(folder, PLANT_RUNTIME="torch") as process:
        alone = [diagnosed(process.url, photo) for photo in PHOTOS]
    together = {"PLANT_RUNTIME": "torch", "PLANT_DEVICE": "cpu:0", "PLANT_THREADS": "8", "PLANT_MAX_QUEUE": "64"}
    with processes.uvicorn(folder, **together) as process, ThreadPoolExecutor(12) as pool:
        for _ in range(3):
            assert list(pool.map(lambda photo: diagnosed(process.url, photo), PHOTOS)) == alone


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_a_device_that_is_not_there_is_no_reason_to_use_another(folder: Path, runtime: str) -> None:
    with processes.uvicorn(folder, PLANT_RUNTIME=runtime, PLANT_DEVICE="cuda:0") as process:
        answer = httpx.post(f"{process.url}/predict", files={"image": PHOTOS[0]}, trust_env=False)
        assert answer.status_code == 503
        assert answer.json()["code"] == "model_unavailable"
        assert "'cuda:0'" in answer.json()["detail"]
        assert httpx.get(f"{process.url}/health/ready", trust_env=False).status_code == 503
