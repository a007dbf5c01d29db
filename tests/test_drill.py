"""What docs/disaster-recovery.md promises holds when it is tried: nothing fails that should not."""

import pytest

from tools.drill.__main__ import run
from tools.drill.scenarios import QUICK, SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
def test_drill(name: str) -> None:
    outcome = run(name, QUICK)
    assert outcome.seen
    assert all(outcome.seen.values()), outcome
    if outcome.lost_allowed is not None:
        assert outcome.lost <= outcome.lost_allowed, outcome
    assert outcome.requests > outcome.lost
    assert outcome.passed
