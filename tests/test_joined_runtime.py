"""Forward passes joined for a GPU. There is none here: the bundled graph on the CPU stands in for it."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from plant_disease import images
from plant_disease.bundle import open_bundle
from plant_disease.images import Pixels
from plant_disease.runtimes import Output, Runtime, open_runtime
from plant_disease.runtimes.joined import JoinedRuntime
from plant_disease.settings import bundled_models
from tests.samples import DRAWN


class Busy:
    """A device that computes nothing before it is let, and counts the photos of each forward pass."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.begun = threading.Semaphore(0)
        self.let = threading.Semaphore(0)
        self.photos: list[int] = []

    def run(self, batch: Pixels) -> Output:
        self.photos.append(len(batch))
        self.begun.release()
        assert self.let.acquire(timeout=30)
        if (batch == 255).all(axis=(1, 2, 3)).any():
            raise RuntimeError("out of memory")
        return self._runtime.run(batch)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return open_runtime("onnx", open_bundle(bundled_models(), cache=tmp_path_factory.mktemp("cache")), threads=1)


@pytest.fixture(scope="module")
def photos() -> Pixels:
    upright = np.stack([images.load(path.read_bytes(), 224).pixels for path in DRAWN])
    return np.concatenate([np.rot90(upright, turns, axes=(1, 2)) for turns in range(3)])


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def asked_meanwhile(
    joined: JoinedRuntime, busy: Busy, threads: ThreadPoolExecutor, batches: list[Pixels]
) -> list[Future[Output]]:
    """Ask for the first batch, and for the others in this order once the device is busy with it."""
    asked = []
    for count, batch in enumerate(batches):
        asked.append(threads.submit(joined.run, batch))
        if count == 0:
            assert busy.begun.acquire(timeout=30)
        else:
            while len(joined._waiting) < count:
                assert not asked[-1].done()
    return asked


def test_what_comes_while_the_device_is_busy_goes_together(
    runtime: Runtime, photos: Pixels, threads: ThreadPoolExecutor
) -> None:
    busy = Busy(runtime)
    batches = [photos[:1], photos[1:2], photos[2:4], photos[4:5], photos[5:8]]
    asked = asked_meanwhile(JoinedRuntime(busy), busy, threads, batches)
    busy.let.release(2)
    for batch, future in zip(batches, asked, strict=True):
        output, alone = future.result(30), runtime.run(batch)
        assert output.logits.shape == alone.logits.shape
        assert output.features.shape == alone.features.shape
        assert np.abs(output.logits - alone.logits).max() < 1e-3
    assert busy.photos == [1, 7]


def test_no_more_at_once_than_the_bound_but_for_one_that_is_larger(
    runtime: Runtime, photos: Pixels, threads: ThreadPoolExecutor
) -> None:
    busy = Busy(runtime)
    batches = [photos[:1], photos[:2], photos[:2], photos[:1], photos[:6], photos[:3], photos[:1]]
    asked = asked_meanwhile(JoinedRuntime(busy, most=4), busy, threads, batches)
    busy.let.release(5)
    assert [len(future.result(30).logits) for future in asked] == [1, 2, 2, 1, 6, 3, 1]
    assert busy.photos == [1, 4, 1, 6, 4]


def test_who_comes_alone_does_not_wait_for_company(runtime: Runtime, photos: Pixels) -> None:
    joined = JoinedRuntime(runtime)
    assert np.array_equal(joined.run(photos[:1]).logits, runtime.run(photos[:1]).logits)
    assert np.array_equal(joined.run(photos).logits, runtime.run(photos).logits)


def test_a_failed_pass_fails_all_that_were_in_it_and_no_other(
    runtime: Runtime, photos: Pixels, threads: ThreadPoolExecutor
) -> None:
    busy = Busy(runtime)
    joined = JoinedRuntime(busy)
    asked = asked_meanwhile(joined, busy, threads, [photos[:1], photos[:1], np.full_like(photos[:1], 255)])
    busy.let.release(3)
    assert len(asked[0].result(30).logits) == 1
    for future in asked[1:]:
        with pytest.raises(RuntimeError, match="out of memory"):
            future.result(30)
    assert len(joined.run(photos[:2]).logits) == 2
