"""Forward passes joined for a GPU. There is none here: the bundled graph on the CPU stands in for it."""

import gc
import threading
import weakref
from concurrent.futures import Future
from functools import partial

import numpy as np
import pytest

from plant_disease import images
from plant_disease.bundle import open_bundle
from plant_disease.errors import BundleError, RuntimeUnavailable
from plant_disease.images import Pixels
from plant_disease.runtimes import Output, Runtime, open_runtime
from plant_disease.runtimes.joined import JoinedRuntime
from plant_disease.settings import bundled_models
from tests.functions.processes import wait_for
from tests.samples import DRAWN

SIZE = 224
PASSES = (1, 4, 8)


class Device:
    """A device with room for so many photos, which may be kept busy, and counts the photos of each forward pass."""

    def __init__(self, runtime: Runtime, room: int = 100) -> None:
        self._runtime = runtime
        self._room = room
        self.free = threading.Event()
        self.free.set()
        self.passes: list[int] = []
        self.threads: set[int] = set()

    def run(self, batch: Pixels) -> Output:
        self.passes.append(len(batch))
        self.threads.add(threading.get_ident())
        assert self.free.wait(30)
        if len(batch) > self._room:
            raise MemoryError("out of memory")
        return self._runtime.run(batch)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return open_runtime("onnx", open_bundle(bundled_models(), cache=tmp_path_factory.mktemp("cache")), threads=1)


@pytest.fixture(scope="module")
def photos() -> Pixels:
    upright = np.stack([images.load(path.read_bytes(), SIZE).pixels for path in DRAWN])
    return np.concatenate([np.rot90(upright, turns, axes=(1, 2)) for turns in range(4)])


def joined_on(device: Device) -> JoinedRuntime:
    joined = JoinedRuntime(lambda _: device, passes=PASSES, size=SIZE)
    assert device.passes == list(PASSES), "each is run once, to be ready"
    device.passes.clear()
    return joined


def asked_while_busy(joined: JoinedRuntime, device: Device, batches: list[Pixels]) -> list[Future[Output]]:
    """Ask for the first batch, and for the others in this order while the device is busy with it; then let it go on."""
    device.free.clear()
    asked = []
    for count, batch in enumerate(batches):
        output: Future[Output] = Future()
        threading.Thread(target=partial(_tell, joined, batch, output), daemon=True).start()
        asked.append(output)
        wait_for(lambda: device.passes and len(joined._waiting) == count, 30)  # noqa: B023 - at once
    device.free.set()
    return asked


def _tell(joined: JoinedRuntime, batch: Pixels, output: Future[Output]) -> None:
    try:
        output.set_result(joined.run(batch))
    except BaseException as error:
        output.set_exception(error)


def assert_as_alone(output: Output, runtime: Runtime, batch: Pixels) -> None:
    alone = runtime.run(batch)
    assert output.logits.shape == alone.logits.shape
    assert output.features.shape == alone.features.shape
    assert np.abs(output.logits - alone.logits).max() < 1e-3
    assert np.abs(output.features - alone.features).max() < 1e-2


def test_what_comes_while_the_device_is_busy_goes_together(runtime: Runtime, photos: Pixels) -> None:
    device = Device(runtime)
    batches = [photos[:1], photos[1:2], photos[2:4], photos[4:5], photos[5:8]]
    asked = asked_while_busy(joined_on(device), device, batches)
    for batch, output in zip(batches, asked, strict=True):
        assert_as_alone(output.result(30), runtime, batch)
    assert device.passes == [1, 8]
    assert len(device.threads) == 1
    assert threading.get_ident() not in device.threads


def test_passes_have_few_sizes(runtime: Runtime, photos: Pixels) -> None:
    device = Device(runtime)
    joined = joined_on(device)
    batches = [photos[:1], photos[:2], photos[2:4], photos[4:9], photos[:6], photos, photos[9:12]]
    asked = asked_while_busy(joined, device, batches[:4])
    for batch, output in zip(batches, asked, strict=False):
        assert_as_alone(output.result(30), runtime, batch)
    assert device.passes == [1, 4, 8]
    for batch in batches[4:]:
        assert_as_alone(joined.run(batch), runtime, batch)
    assert device.passes[3:] == [8, 8, 4, 4]


def test_who_is_answered_does_not_wait_for_the_next_pass(runtime: Runtime, photos: Pixels) -> None:
    device = Device(runtime)
    joined = joined_on(device)
    first, *others = asked_while_busy(joined, device, [photos[:1], photos[:1]])
    assert len(others[0].result(30).logits) == 1
    held = asked_while_busy(joined, device, [photos[:8]])
    assert len(first.result(0).logits) == 1
    assert len(held[0].result(30).logits) == 8


def test_what_is_too_much_together_is_computed_one_by_one(runtime: Runtime, photos: Pixels) -> None:
    device = Device(runtime)
    joined = joined_on(device)
    device._room = 4
    asked = asked_while_busy(joined, device, [photos[:1], photos[:3], photos[3:4], photos[4:5], photos[:8]])
    for batch, output in zip([photos[:1], photos[:3], photos[3:4], photos[4:5]], asked, strict=False):
        assert_as_alone(output.result(30), runtime, batch)
    with pytest.raises(MemoryError):
        asked[4].result(30)
    assert len(joined.run(photos[:2]).logits) == 2


def test_a_small_device_has_small_passes(runtime: Runtime, photos: Pixels, caplog: pytest.LogCaptureFixture) -> None:
    device = Device(runtime, room=4)
    joined = JoinedRuntime(lambda _: device, passes=PASSES, size=SIZE)
    assert "no more than 4 photos: out of memory" in caplog.text
    assert_as_alone(joined.run(photos[:7]), runtime, photos[:7])
    assert device.passes == [1, 4, 8, 4, 4]


def test_a_device_without_room_is_none(runtime: Runtime) -> None:
    with pytest.raises(RuntimeUnavailable, match="out of memory"):
        JoinedRuntime(lambda _: Device(runtime, room=0), passes=PASSES, size=SIZE)


def test_what_cannot_be_opened_is_said(runtime: Runtime) -> None:
    def opened(_: int) -> Runtime:
        raise BundleError("no such graph")

    with pytest.raises(BundleError, match="no such graph"):
        JoinedRuntime(opened, passes=PASSES, size=SIZE)


def test_each_failure_is_told_to_one(runtime: Runtime, photos: Pixels) -> None:
    device = Device(runtime)
    joined = joined_on(device)
    device._room = 0
    asked = asked_while_busy(joined, device, [photos[:1], photos[:1], photos[:1]])
    errors = [output.exception(30) for output in asked]
    assert len({id(error) for error in errors}) == 3


def test_nothing_is_left_of_a_model_that_was_exchanged(runtime: Runtime, photos: Pixels) -> None:
    device = Device(runtime)
    joined = joined_on(device)
    joined.run(photos)
    gone = weakref.ref(device)
    gc.collect()
    gc.disable()
    try:
        del joined, device
        wait_for(lambda: gone() is None, 10)
        wait_for(lambda: not any(thread.name.startswith("device") for thread in threading.enumerate()), 10)
    finally:
        gc.enable()


def test_a_row_does_not_keep_the_others(runtime: Runtime, photos: Pixels) -> None:
    device = Device(runtime)
    joined = joined_on(device)
    together = asked_while_busy(joined, device, [photos[:1], photos[:1], photos[:2]])
    for output in [*(each.result(30) for each in together), joined.run(photos[:2])]:
        for array in output:
            base = array if array.base is None else array.base
            assert base.nbytes == array.nbytes
    assert device.passes == [1, 4, 4]
