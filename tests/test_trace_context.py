"""Headers and variables that say which trace a request is in."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant_disease.service.telemetry.context import TraceContext, as_xray, find_trace, read_traceparent, read_xray

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
XRAY = "1-4bf92f35-77b34da6a3ce929d0e0e4736"


def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=digits, max_size=digits).filter(lambda text: text.strip("0"))


@given(hexadecimal(32), hexadecimal(16), st.integers(0, 255), st.sampled_from(["00", "01", "cc"]))
def test_any_traceparent(trace: str, span: str, flags: int, version: str) -> None:
    more = "-of a later version" if version != "00" else ""
    read = read_traceparent(f"{version}-{trace}-{span}-{flags:02x}{more}")
    assert read == TraceContext(trace, span, bool(flags & 1))


@given(hexadecimal(32), hexadecimal(16), st.sampled_from(["0", "1", "?", None]), st.randoms(use_true_random=False))
def test_any_xray_header(trace: str, span: str, sampled: str | None, random: object) -> None:
    parts = [f"Root={as_xray(trace)}", f"Parent={span}", "Lineage=a87bd80c:1|68fd508a:5", f"Self={as_xray(trace)}"]
    parts += [f"Sampled={sampled}"] if sampled else []
    random.shuffle(parts)  # type: ignore[attr-defined]
    assert read_xray(";".join(parts)) == TraceContext(trace, span, sampled == "1")


@given(hexadecimal(32))
def test_the_two_ways_to_write_an_id(trace: str) -> None:
    assert re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{24}", as_xray(trace))
    assert read_xray(f"Root={as_xray(trace)}") == TraceContext(trace, None, False)


@given(st.text() | st.from_regex(r"00-[0-9a-fA-F]{30,34}-[0-9a-f]{14,18}-[0-9a-z]{1,3}"))
def test_what_is_read_is_well_formed(text: str) -> None:
    for read in (read_traceparent(text), read_xray(text), read_xray(f"Root={text};Parent={text}")):
        if read:
            assert re.fullmatch(r"(?!0{32})[0-9a-f]{32}", read.trace_id)
            assert read.span_id is None or re.fullmatch(r"(?!0{16})[0-9a-f]{16}", read.span_id)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Root=",
        f"root={XRAY}",
        f"Root=2-{XRAY[2:]}",
        f"Root={XRAY}0",
        f"Root={XRAY.upper()}",
        "Root=1-00000000-000000000000000000000000",
        f"Parent={SPAN};Sampled=1",
    ],
)
def test_a_malformed_xray_header(header: str) -> None:
    assert read_xray(header) is None


@pytest.mark.parametrize("parent", ["", "0" * 16, SPAN[1:], SPAN.upper()])
def test_a_malformed_parent_leaves_the_trace(parent: str) -> None:
    assert read_xray(f"Root={XRAY};Parent={parent};Sampled=1") == TraceContext(TRACE, None, True)


def test_who_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    w3c = {b"traceparent": f"00-{'a' * 32}-{SPAN}-01".encode()}
    header = {b"x-amzn-trace-id": b"Root=1-bbbbbbbb-" + b"b" * 24}
    assert find_trace({}) is None
    assert find_trace({b"traceparent": b"\xff", b"x-amzn-trace-id": b"\xff"}) is None
    assert find_trace(header) == TraceContext("b" * 32, None, False)
    assert find_trace({**header, **w3c}) == TraceContext("a" * 32, SPAN, True)
    monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Root={XRAY};Parent={SPAN};Sampled=1")
    assert find_trace(header) == find_trace({}) == TraceContext(TRACE, SPAN, True)
    assert find_trace({**header, **w3c}) == TraceContext("a" * 32, SPAN, True)
