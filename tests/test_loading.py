import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from plant_disease.loading import Loader


def test_fifty_callers_share_one_load() -> None:
    loads = []

    def load() -> str:
        loads.append(1)
        time.sleep(0.2)
        return "model"

    loader = Loader(load)
    with ThreadPoolExecutor(50) as threads:
        results = list(threads.map(lambda _: loader.future().result(5), range(50)))
    assert results == ["model"] * 50
    assert len(loads) == 1


def test_state_follows_and_asking_starts_nothing() -> None:
    go = threading.Event()
    loader = Loader(lambda: go.wait(5))
    assert loader.state == "idle"
    future = loader.future()
    assert loader.state == "loading"
    go.set()
    future.result(5)
    assert loader.state == "ready"


def test_failure_is_remembered_and_then_tried_again() -> None:
    outcomes = iter([OSError("first"), OSError("second"), "model"])
    loads = []

    def load() -> str:
        loads.append(1)
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    loader = Loader(load, retry_after=3600)
    with pytest.raises(OSError, match="first"):
        loader.future().result(5)
    assert loader.state == "failed"
    for _ in range(20):
        with pytest.raises(OSError, match="first"):
            loader.future().result(5)
    assert len(loads) == 1
    loader.retry_after = 0
    with pytest.raises(OSError, match="second"):
        loader.future().result(5)
    assert loader.future().result(5) == "model"
    assert loader.future().result(5) == "model"
    assert len(loads) == 3
