"""What every store must do, compared with a model of it."""

import itertools
from collections.abc import Callable

import limits
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plant_disease.service.limits.dynamodb import DynamoDBWindows
from plant_disease.service.limits.memory import MemoryWindows
from plant_disease.service.limits.windows import Window
from tests.limits.conftest import PATIENT_S, START, Place

HOUR, DAY = 3600, 86_400
# Hours and more: whatever the machine is busy with meanwhile, Redis's own clock hardly moves.
WINDOWS = [Window("predict/hour", 20, HOUR), Window("batch/day", 64, DAY), Window("quota/day", 50, DAY)]
SLACK_S = 600.0

charges = st.tuples(st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=2, unique=True), st.integers(-10, 30))
pauses = st.sampled_from([HOUR / 2, HOUR + SLACK_S, DAY + SLACK_S])


class Model:
    """Windows as one would explain them: what is in them, and when they opened."""

    def __init__(self) -> None:
        self.opened: dict[str, float] = {}
        self.used: dict[str, int] = {}

    def charge(self, windows: list[Window], photos: int, now: float) -> tuple[bool, list[int]]:
        for window in windows:
            if now >= self.opened.get(window.name, 0) + window.seconds:
                self.opened.pop(window.name, None)
                self.used[window.name] = 0
        before = [self.used[window.name] for window in windows]
        after = [used + photos for used in before]
        if any(used < 0 or used > window.most for used, window in zip(after, windows, strict=True)):
            return False, before
        for window, used in zip(windows, after, strict=True):
            self.used[window.name] = used
            if photos:
                self.opened.setdefault(window.name, now)
        return True, after

    def ends(self, window: Window, now: float) -> float:
        return self.opened.get(window.name, now) + window.seconds


subjects = itertools.count()


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(charges | pauses, min_size=1, max_size=15))
def test_as_the_model(place: Place, steps: list[tuple[list[Window], int] | float]) -> None:
    model, subject = Model(), f"key:{next(subjects)}"
    for step in steps:
        if isinstance(step, float | int):
            place.pass_time(step)
            continue
        windows, photos = step
        now = place.clock.now
        takes, used = model.charge(windows, photos, now)
        charge = place.windows.charge(subject, windows, photos, now)
        assert (charge.fits, [count.used for count in charge.counts]) == (takes, used)
        for window, count in zip(windows, charge.counts, strict=True):
            assert count.ends == pytest.approx(model.ends(window, now), abs=SLACK_S / 2)


def test_a_charge_larger_than_the_window_changes_nothing(place: Place, subject: str) -> None:
    small, large = Window("small/day", 3, DAY), Window("large/day", 1000, DAY)
    assert place.windows.charge(subject, [small, large], 2, START).fits
    assert not place.windows.charge(subject, [small, large], 4, START).fits
    assert not place.windows.charge(subject, [small, large], -3, START).fits
    assert [count.used for count in place.windows.charge(subject, [small, large], 0, START).counts] == [2, 2]


def test_subjects_are_apart(place: Place, subject: str) -> None:
    window = Window("predict/day", 1, DAY)
    assert place.windows.charge(subject, [window], 1, START).fits
    assert place.windows.charge(subject + "0", [window], 1, START).fits
    assert not place.windows.charge(subject, [window], 1, START).fits


def test_what_expires_is_forgotten_by_memory() -> None:
    windows = MemoryWindows()
    for caller in range(10_000):
        now = START + caller
        assert windows.charge(f"address:{caller}", [Window("predict/minute", 60, 60)], 1, now).fits
    assert len(windows.expirations) <= 1000, "every window lasts a minute, and one opens a second"
    assert windows.storage.keys() == windows.expirations.keys()


def test_nothing_but_a_charge_changes_memory(subject: str) -> None:
    windows = MemoryWindows()
    assert not windows.timer.is_alive()
    window = Window("predict/minute", 2, 60)
    # Over long ago by the clock of the wall, which only the thread of the library goes by.
    assert [windows.charge(subject, [window], 1, 1000).counts[0].used for _ in range(2)] == [1, 2]


@pytest.fixture
def table(make_table: Callable[[], str]) -> DynamoDBWindows:
    return DynamoDBWindows(f"dynamodb://{make_table()}", timeout_s=PATIENT_S)


def test_dynamodb_is_asked_once_for_a_request(table: DynamoDBWindows, subject: str) -> None:
    asked: list[str] = []
    table._client.meta.events.register("before-call.dynamodb", lambda model, **_: asked.append(model.name))
    windows = [Window("predict/hour", 3, HOUR), Window("quota/day", 100, DAY)]
    assert [table.charge(subject, windows, 1, START).fits for _ in range(5)] == [True, True, True, False, False]
    assert asked == ["UpdateItem"] * 6, "one more for the first, which opens the windows"


def test_dynamodb_keeps_an_item_until_its_windows_are_over(table: DynamoDBWindows, subject: str) -> None:
    table.charge(subject, [Window("quota/month", 10, 31 * DAY)], 1, START)
    table.charge(subject, [Window("predict/second", 10, 1)], 1, START + DAY)
    assert int(table._item(subject)["expires"]["N"]) > START + 31 * DAY


def test_dynamodb_works_with_the_strategies_of_the_library(make_table: Callable[[], str], subject: str) -> None:
    storage = limits.storage.storage_from_string(f"dynamodb://{make_table()}", timeout_s=PATIENT_S)
    strategy = limits.strategies.FixedWindowRateLimiter(storage)
    rate = limits.parse("3/day")
    assert [strategy.test(rate, subject), *(strategy.hit(rate, subject) for _ in range(4))] == [True] * 4 + [False]
    stats = strategy.get_window_stats(rate, subject)
    assert stats.remaining == 0
    assert strategy.hit(rate, subject + "0", cost=3)
    strategy.clear(rate, subject)
    assert strategy.hit(rate, subject)
    assert isinstance(storage, DynamoDBWindows)
    assert storage.check()
    assert not DynamoDBWindows("dynamodb://nowhere", timeout_s=PATIENT_S).check()
