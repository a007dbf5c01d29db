"""The record of the work at hand, and what sees it."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from plant_disease.service.telemetry import records
from plant_disease.service.telemetry.process import age_s
from plant_disease.service.telemetry.records import Record, Sink, current, record, recorded, task, timed
from plant_disease.service.telemetry.storage import timed_store
from plant_disease.storage import open_store


@pytest.fixture(autouse=True)
def _sinks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_sinks", ())


def test_steps() -> None:
    noted = Record()
    with noted.timed("outer"), noted.timed("inner"):
        time.sleep(0.002)
    with pytest.raises(KeyError), noted.timed("failing"):
        raise KeyError
    assert [(step.name, step.error) for step in noted.steps] == [
        ("inner", None),
        ("outer", None),
        ("failing", "KeyError"),
    ]
    assert noted.started <= noted.steps[1].start <= noted.steps[0].start < noted.steps[0].end <= noted.steps[1].end
    assert 2 <= noted.timings_ms["inner"] <= noted.timings_ms["outer"] <= noted.total_ms()


def test_repeated_steps_are_summed_also_from_several_threads() -> None:
    noted = Record()

    def work() -> None:
        for _ in range(100):
            with noted.timed("step"):
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(noted.steps) == 800
    expected = sum(step.end - step.start for step in noted.steps) * 1000
    assert noted.timings_ms == {"step": pytest.approx(expected)}


def test_without_a_record_nothing_is_noted() -> None:
    assert current() is None
    with timed("step"):
        assert current() is None
    with pytest.raises(LookupError):
        record()


class Diary(Sink):
    def __init__(self, name: str, entries: list[str]) -> None:
        self._name, self._entries = name, entries

    def started(self, noted: Record) -> None:
        self._entries.append(f"{self._name} started {noted.name}")

    def finished(self, noted: Record) -> None:
        assert current() is noted
        self._entries.append(f"{self._name} finished {noted.name} {noted.error}")

    def close(self) -> None:
        self._entries.append(f"{self._name} closed")


def test_sinks_lie_within_each_other() -> None:
    entries: list[str] = []
    records.send_to(Diary("outer", entries), Diary("inner", entries))
    with pytest.raises(KeyError), recorded(Record()):
        raise KeyError
    assert entries == [
        "outer started request",
        "inner started request",
        "inner finished request KeyError",
        "outer finished request KeyError",
    ]
    entries.clear()
    records.close()
    assert entries == ["inner closed", "outer closed"]


def test_a_task_is_a_step_of_the_work_that_it_lies_in() -> None:
    with recorded(Record()) as outer:
        with task("inner") as noted:
            assert record() is noted
            with timed("part"):
                pass
        assert record() is outer
    assert [step.name for step in noted.steps] == ["part"]
    assert [step.name for step in outer.steps] == ["inner"]
    assert current() is None


def test_reads_of_a_store_are_steps(tmp_path: Path) -> None:
    store = timed_store(open_store(str(tmp_path)))
    store.write("a", b"1")
    with recorded(Record()) as noted:
        assert store.read("a").data == b"1"
        store.download("a", tmp_path / "copy")
        with pytest.raises(Exception, match="no"):
            store.read("b")
        assert [entry.name for entry in store.list()] == ["a", "copy"]
    assert [(step.name, step.error) for step in noted.steps] == [
        ("storage_read", None),
        ("storage_download", None),
        ("storage_read", "NotFound"),
    ]
    assert store.uri == open_store(str(tmp_path)).uri


def test_the_age_of_a_process() -> None:
    before = time.time()
    program = "import time; from plant_disease.service.telemetry.process import age_s; print(time.time() - age_s())"
    began = float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)
    # The system counts in ticks of 10 ms.
    assert before - 0.05 <= began <= time.time()
    assert age_s() > time.time() - before


@pytest.mark.parametrize(
    ("settings", "missing", "extra"),
    [
        ({"PLANT_METRICS": "on"}, "prometheus_client", "metrics"),
        ({"PLANT_TRACES": "otlp"}, "opentelemetry.sdk", "traces"),
        ({"PLANT_TRACES": "otlp"}, "opentelemetry.exporter", "traces"),
    ],
)
def test_an_extra_that_is_not_installed(settings: dict[str, str], missing: str, extra: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; import functions.predict.main"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **settings}, capture_output=True, text=True
    )
    assert done.returncode == 1
    *_, last = done.stderr.strip().splitlines()
    assert f"PLANT_{extra.upper()} is on" in last
    assert f'pip install "plant-disease-detector[{extra}]"' in last


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, set()),
        ({"PLANT_METRICS": "on"}, {"prometheus_client"}),
        ({"PLANT_METRICS": "on", "AWS_LAMBDA_FUNCTION_NAME": "leaves"}, set()),
        ({"PLANT_TRACES": "otlp"}, {"opentelemetry.sdk", "opentelemetry.exporter"}),
    ],
)
def test_only_what_is_on_is_imported(settings: dict[str, str], expected: set[str]) -> None:
    program = "import sys, functions.predict.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **settings}, check=True, capture_output=True, text=True
    )
    assert {"prometheus_client", "opentelemetry.sdk", "opentelemetry.exporter"} & {*done.stdout.split()} == expected
