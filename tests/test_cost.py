"""The cost of a month: by hand, in its properties, on the command line, in the documentation."""

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant_disease.cost import PLATFORMS, aws, break_even, estimate, google
from plant_disease.cost.aws import aws_lambda, lambda_ms
from plant_disease.cost.google import busy_instances, cloud_run, cloud_run_instances
from plant_disease.cost.kubernetes import nodes
from plant_disease.cost.prices import price_list
from plant_disease.cost.workload import (
    MINUTES_PER_MONTH,
    PAGE_KB,
    PAGE_REQUESTS,
    SECONDS_PER_MONTH,
    Bill,
    Line,
    Workload,
    total_usd,
)
from tests.test_cli import run
from tools import cost as tool

BARE = Workload(requests=0, memory_mb=512, min_instances=0, regions=1, request_kb=0, answer_kb=0, log_kb=0)

work = st.builds(
    Workload,
    requests=st.floats(0, 1e9),
    ms=st.floats(200, 5_000),
    cpu_ms=st.floats(0, 200),
    memory_mb=st.floats(128, 8_192),
    cpus=st.sampled_from([1, 2, 4]),
    concurrency=st.floats(1, 80),
    min_instances=st.integers(0, 20),
    regions=st.sampled_from([1, 2]),
    peak=st.floats(1, 10),
    request_kb=st.floats(0, 10_000),
    answer_kb=st.floats(0, 1_000),
    upload_share=st.floats(0, 1),
    log_kb=st.floats(0, 10),
    limits=st.booleans(),
)
platforms = st.sampled_from(sorted(PLATFORMS))


def usd(bill: Bill, work: Workload) -> dict[str, float]:
    return {line.price: line.usd for line in bill(work)}


def monthly(platform: str, work: Workload) -> float:
    return estimate(platform, work).monthly_usd


def test_lambda_as_in_example_1_of_its_pricing_page() -> None:
    # 512 MB, 3 million times, a second: 1.5 million GB-seconds. After the free 400,000 GB-seconds and million requests
    # the page has 18.34 and 0.40 (it rounds the price up to 0.00001667).
    lines = {line.price: line for line in aws_lambda(replace(BARE, requests=3e6, ms=1_000, cpu_ms=0))}
    assert lines["lambda_duration"].quantity == pytest.approx(1_500_000)
    assert replace(lines["lambda_duration"], quantity=1_100_000).usd == pytest.approx(18.34, abs=0.01)
    assert replace(lines["lambda_requests"], quantity=lines["lambda_requests"].quantity - 1).usd == pytest.approx(0.40)


def test_cloud_run_by_hand() -> None:
    # 10 million of 200 ms with 1 CPU and 512 MiB: two million seconds.
    lines = usd(cloud_run, replace(BARE, requests=1e7, ms=200))
    assert lines["cloud_run_cpu"] == pytest.approx(48.00)
    assert lines["cloud_run_memory"] == pytest.approx(2.50)
    assert lines["cloud_run_requests"] == pytest.approx(4.00)


def test_cloud_run_rounds_up_to_100_ms() -> None:
    at = [usd(cloud_run, replace(BARE, requests=1e6, ms=ms))["cloud_run_cpu"] for ms in (99, 100, 101, 200)]
    assert at == pytest.approx([2.4, 2.4, 4.8, 4.8])


def test_requests_at_once_share_an_instance() -> None:
    alone, shared = (usd(cloud_run, replace(BARE, requests=1e6, concurrency=each)) for each in (1, 4))
    assert shared["cloud_run_cpu"] == pytest.approx(alone["cloud_run_cpu"] / 4)
    assert shared["cloud_run_requests"] == alone["cloud_run_requests"]


def test_a_warm_instance_is_idle_or_busy_but_not_both() -> None:
    # One CPU and half a GiB, idle for a month, of each of three functions: 3 * 2,628,000 * 0.0000025 * 1.5.
    idle = usd(cloud_run, replace(BARE, min_instances=1))
    assert idle["cloud_run_idle_cpu"] + idle["cloud_run_idle_memory"] == pytest.approx(29.565)
    busy = replace(BARE, min_instances=1, requests=SECONDS_PER_MONTH * 10, ms=100)
    assert {line.price: line.quantity for line in cloud_run(busy)}["cloud_run_idle_cpu"] == pytest.approx(
        2 * SECONDS_PER_MONTH
    )


def test_instances_for_the_busiest_minutes() -> None:
    # 100 requests a second, 300 in the busiest, 29 ms each: 8.7 CPUs, of which 70 % may be used.
    assert busy_instances(replace(BARE, requests=100 * SECONDS_PER_MONTH, peak=3)) == 13
    # A month of one instance of each function, 1 CPU: 47.304 each.
    assert usd(cloud_run_instances, BARE)["cloud_run_instance_cpu"] == pytest.approx(3 * 47.304)


@pytest.mark.parametrize(("memory_mb", "ms"), [(1_769, 100), (3_000, 100), (512, 172), (884.5, 129)])
def test_less_memory_makes_lambda_slower(memory_mb: float, ms: int) -> None:
    assert lambda_ms(replace(BARE, ms=100, cpu_ms=29, memory_mb=memory_mb)) == ms


def test_provisioned_concurrency_by_hand() -> None:
    # One of each function, half a GB, 2,628,000 s: 3,942,000 GB-seconds.
    assert usd(aws_lambda, replace(BARE, min_instances=1))["lambda_provisioned"] == pytest.approx(16.425, abs=0.001)


def test_the_dearest_dimension_of_an_lcu_counts() -> None:
    small = usd(aws_lambda, replace(BARE, requests=90_000 * 730))["alb_lcu"]
    assert small == pytest.approx(730 * 0.008), "25 new connections a second, all month"
    large = usd(aws_lambda, replace(BARE, requests=1e6, request_kb=400))["alb_lcu"]
    assert large == pytest.approx(400 / 0.4 * 0.008), "400 GB at 0.4 GB an hour"


def test_nodes_hold_the_pods() -> None:
    # 3 CPUs of predict and 9.2 of the rest, over 1.8: 7 nodes.
    assert nodes(BARE) == 7
    assert nodes(replace(BARE, regions=2)) == 14
    # 3 pods of 8 GiB and 4.4375 GiB over 6.5 are 5 nodes; of 16 GiB they are 9.
    assert nodes(replace(BARE, memory_mb=16_384)) == 9


def test_uploads_pass_the_load_balancer_by() -> None:
    without, with_uploads = (
        usd(aws_lambda, replace(BARE, requests=1e6, request_kb=400, upload_share=share)) for share in (0, 1)
    )
    assert with_uploads["alb_lcu"] < without["alb_lcu"] / 10
    assert with_uploads["s3_writes"] == pytest.approx(5)
    assert "s3_writes" not in without


def test_limits_are_counted_somewhere() -> None:
    counted = replace(BARE, requests=1e6, regions=2, limits=True)
    assert usd(aws_lambda, counted)["dynamodb_writes"] == pytest.approx(1.25)
    assert usd(cloud_run, counted)["memorystore"] == pytest.approx(2 * 46.72)
    assert {"dynamodb_writes", "memorystore"}.isdisjoint(
        line.price for bill in ("gke", "eks") for line in PLATFORMS[bill](counted)
    )


@given(work, platforms)
def test_an_estimate_is_the_sum_of_its_lines(work: Workload, platform: str) -> None:
    made = estimate(platform, work)
    assert made.monthly_usd == pytest.approx(
        sum(line.quantity * price_list().prices[line.price].usd for line in made.lines)
    )
    assert made.monthly_usd == pytest.approx(made.fixed_usd + made.variable_usd)
    assert all(line.quantity >= 0 for line in made.lines)


@given(work, platforms, st.floats(1, 10))
def test_more_work_never_costs_less(work: Workload, platform: str, factor: float) -> None:
    assert monthly(platform, replace(work, requests=work.requests * factor)) >= monthly(platform, work) - 1e-6
    assert monthly(platform, replace(work, ms=work.ms * factor)) >= monthly(platform, work) - 1e-6
    assert monthly(platform, replace(work, peak=work.peak * factor)) >= monthly(platform, work) - 1e-6
    assert monthly(platform, replace(work, request_kb=work.request_kb * factor)) >= monthly(platform, work) - 1e-6


@given(work, platforms, st.floats(1, 10))
def test_more_memory_never_costs_less(work: Workload, platform: str, factor: float) -> None:
    # On Lambda it also buys CPU, so a request can take a whole millisecond less.
    rounding = work.requests / 1000 * work.memory_gib(0) * factor * price_list().prices["lambda_duration"].usd
    slack = rounding if platform == "lambda" else 1e-6
    assert work.memory_mb
    assert monthly(platform, replace(work, memory_mb=work.memory_mb * factor)) >= monthly(platform, work) - slack


@given(work, platforms)
def test_without_requests_only_the_fixed_part_is_left(work: Workload, platform: str) -> None:
    idle = estimate(platform, replace(work, requests=0))
    assert idle.monthly_usd == idle.fixed_usd == estimate(platform, work).fixed_usd
    assert idle.usd_per_1000 is None


@given(work, work)
def test_what_is_paid_by_the_request_adds_up(one: Workload, other: Workload) -> None:
    one, other = (
        replace(each, min_instances=0, requests=other_requests)
        for each, other_requests in ((one, one.requests), (one, other.requests))
    )
    both = replace(one, requests=one.requests + other.requests)
    for platform in ("cloud-run", "lambda"):
        parts = estimate(platform, one).variable_usd + estimate(platform, other).variable_usd
        assert estimate(platform, both).variable_usd == pytest.approx(parts, rel=1e-6, abs=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests": -1},
        {"regions": 3},
        {"regions": 0},
        {"upload_share": 1.1},
        {"ms": 10, "cpu_ms": 11},
        {"concurrency": 0.5},
        {"memory_mb": 0},
    ],
)
def test_what_cannot_be_is_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(reversed(wrong))):
        replace(BARE, **wrong)


def test_platforms_change_places_where_it_says() -> None:
    changes = list(break_even(tool.WORK, PLATFORMS))
    assert changes
    for change in changes:
        below, there = (tool.WORK.with_per_minute(change.per_minute - step) for step in (1, 0))
        assert monthly(change.before, below) <= monthly(change.then, below)
        assert monthly(change.then, there) < monthly(change.before, there) or monthly(
            change.before, there
        ) == pytest.approx(monthly(change.then, there))


def test_every_price_is_used_and_has_a_source() -> None:
    everything = replace(BARE, requests=1e6, upload_share=0.5, limits=True)
    used = {line.price for bill in PLATFORMS.values() for line in bill(everything)}
    assert used == set(price_list().prices)


def test_a_line_names_a_price_that_is_there() -> None:
    with pytest.raises(KeyError):
        _ = Line("x", "no_such_price", 1).usd
    assert total_usd([Line("x", "lambda_requests", 5)]) == pytest.approx(1)


def test_instances_are_those_of_terraform() -> None:
    for cloud, memory in (("gcp", google.MEMORY_MB), ("aws", aws.MEMORY_MB)):
        text = "".join(path.read_text() for path in (tool.ROOT / "terraform" / cloud).glob("*.tf"))
        for function, megabytes in memory.items():
            own = re.search(rf"\b{function} += {{[^}}]*\bmemory_mb += (\d+)", text)
            found = own or re.search(r"\bmemory_mb += optional\(number, (\d+)\)", text)
            assert found, f"{cloud}: {function}"
            assert int(found[1]) == megabytes, f"{cloud}: {function}"


def test_a_visit_of_the_page_is_as_large_as_it_is_counted() -> None:
    page = tool.ROOT / "static_ui"
    text = (page / "index.html").read_text()
    worker = (page / "sw.js").read_text()
    # What a browser was seen to ask for: what the page names, what it loads by itself, and the shell once more.
    visit = ["index.html", "sw.js", "config.json", "locales/en.json", "js/store.js"]
    visit += re.findall(r'(?:href|src)="((?:css|js)/[^"]+)"', text)
    visit += [f"examples/{path.name}" for path in (page / "examples").iterdir()]
    visit += json.loads(re.search(r"SHELL = (\[.*?\]);", worker, re.DOTALL)[1])  # type: ignore[index]
    size = sum(
        len(data) if path.endswith(".jpg") else len(gzip.compress(data))
        for path, data in ((path, (page / path).read_bytes()) for path in visit)
    )
    # Two more are answered with "not modified".
    assert len(visit) + 2 == PAGE_REQUESTS
    assert size / 1000 == pytest.approx(PAGE_KB, rel=0.05)


def test_the_document_is_what_the_command_prints(tmp_path: Path) -> None:
    text = tool.DOCUMENT.read_text()
    assert text == tool.with_tables(text), "run: python tools/cost.py"
    tool.draw(tmp_path / "cost.svg")
    assert "cloud-run-instances" in (tmp_path / "cost.svg").read_text()
    assert tool.CHART.stat().st_size < 60_000


def test_the_command_for_machines() -> None:
    done = run("cost", "--requests", "1000000", "--platform", "lambda", "--platform", "gke", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    expected = estimate("lambda", Workload(requests=1_000_000))
    assert [each["platform"] for each in answer["estimates"]] == ["lambda", "gke"]
    assert answer["estimates"][0]["monthly_usd"] == pytest.approx(expected.monthly_usd, abs=0.01)
    assert answer["workload"]["requests"] == 1_000_000
    assert {(each["before"], each["then"]) for each in answer["break_even"]} == {("lambda", "gke")}


def test_the_bills_for_people() -> None:
    done = run("cost", "--per-minute", "10", "--platform", "lambda", "--lines")
    assert done.returncode == 0, done.stderr
    assert f"{10 * MINUTES_PER_MONTH:,} requests a month" in done.stdout
    assert "provisioned concurrency" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--per-minute", "1", "--requests", "1"), "only one"),
        (("--platform", "azure"), "cloud-run"),
        (("--regions", "3"), "regions"),
        (("--ms", "5"), "cpu_ms"),
    ],
)
def test_misuse(arguments: tuple[str, ...], said: str) -> None:
    done = run("cost", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
