"""What is noted about the work at hand. Logs, metrics and traces are all made from it, when the work is over."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from plant_disease.service.telemetry.context import TraceContext

OTHER = "other"
"""The route of what leads to no route, and the verb of a method that nobody knows."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the work.

    Attributes:
        name: one word, so that it can name a field and a metric.
        start: on the clock of `time.perf_counter`.
        end: on the same clock.
        error: the class of what it raised.
    """

    name: str
    start: float
    end: float
    error: str | None


@dataclass
class Http:
    """A request and its answer.

    Attributes:
        method: as sent.
        path: as sent, without the query.
        route: the template of the route that took it, or OTHER: one of few.
        status: of the answer; None if none was begun.
    """

    method: str
    path: str
    route: str = OTHER
    status: int | None = None

    @property
    def verb(self) -> str:
        """The method, or OTHER: one of few."""
        return self.method if self.method in _METHODS else OTHER


@dataclass
class Record:
    """What is noted about a request, or about something done for no request alone.

    Attributes:
        name: what is done: `request`, or the name of a task.
        request_id: the caller's, or a new one.
        http: the request; None for a task.
        trace: where in which trace this is, if in any.
        steps: parts of it that are over.
        decisions: how many plants were judged how.
        diagnosed: how many photos were.
        problems: codes of all that went wrong, of a whole request or of a photo in a batch.
        fields: further fields of the log line, such as the version of the model. Never a photo, a key or a file name.
        error: the class of what it raised.
        started: on the clock of `time.perf_counter`.
        started_ns: the same moment in ns since 1970.
        span: for traces alone.
    """

    name: str = "request"
    request_id: str = ""
    http: Http | None = None
    trace: TraceContext | None = None
    steps: list[Step] = field(default_factory=list)
    decisions: Counter[str] = field(default_factory=Counter)
    diagnosed: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    fields: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    started: float = field(default_factory=time.perf_counter)
    started_ns: int = field(default_factory=time.time_ns)
    span: Any = None

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Note how long the body takes. Steps may lie within each other, repeat, and run in several threads."""
        start = time.perf_counter()
        error = None
        try:
            yield
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            self.steps.append(Step(step, start, time.perf_counter(), error))

    def judged(self, decision: str, *, photos: int = 1) -> None:
        """Note how a plant was judged, from so many photos."""
        self.decisions[decision] += 1
        self.diagnosed += photos

    @property
    def timings_ms(self) -> dict[str, float]:
        """How long each step has taken in ms, in the order of their ends; what was done several times is summed."""
        sums: dict[str, float] = {}
        for step in self.steps:
            sums[step.name] = sums.get(step.name, 0) + (step.end - step.start) * 1000
        return sums

    def total_ms(self) -> float:
        """Milliseconds since it began."""
        return (time.perf_counter() - self.started) * 1000


class Sink:
    """Gets to see every record. This one makes nothing of it."""

    def started(self, noted: Record) -> None:
        """It begins."""

    def finished(self, noted: Record) -> None:
        """It is complete."""

    def close(self) -> None:
        """The process ends."""


_sinks: tuple[Sink, ...] = ()
_current: ContextVar[Record] = ContextVar("record")


def send_to(*sinks: Sink) -> None:
    """Have these see all records from now on. The first is told first of a start, and last of an end."""
    global _sinks
    _sinks = sinks


def close() -> None:
    """Have the sinks write what they still hold."""
    for sink in reversed(_sinks):
        sink.close()


@contextmanager
def recorded(noted: Record) -> Iterator[Record]:
    """Make it the record at hand, complete at the end of the body."""
    sinks = _sinks
    token = _current.set(noted)
    for sink in sinks:
        sink.started(noted)
    try:
        yield noted
    except BaseException as error:
        noted.error = type(error).__name__
        raise
    finally:
        for sink in reversed(sinks):
            sink.finished(noted)
        _current.reset(token)


@contextmanager
def task(name: str) -> Iterator[Record]:
    """Note something that is done for no request alone. Within other work it is also a step of that."""
    with timed(name), recorded(Record(name)) as noted:
        yield noted


def current() -> Record | None:
    """The record at hand; None in threads that work for all."""
    return _current.get(None)


def record() -> Record:
    """The record of the request at hand."""
    return _current.get()


def request_id() -> str:
    """The id of the request at hand."""
    return _current.get().request_id


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Note how long the body takes in the record at hand, if there is one."""
    noted = current()
    if noted is None:
        yield
    else:
        with noted.timed(step):
            yield
