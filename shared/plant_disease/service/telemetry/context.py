"""Where in which trace a request is, as its caller or the platform says it."""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple


class TraceContext(NamedTuple):
    """A place in a trace.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 of them; None if only the trace is known.
        sampled: whether whoever began the trace wants it kept.
    """

    trace_id: str
    span_id: str | None
    sampled: bool


# Later versions may have more fields at the end. https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")

# Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1, in any order and with other parts between.
# https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
_ROOT = re.compile(r"1-(?!0{8}-0{24})([0-9a-f]{8})-([0-9a-f]{24})")
_PARENT = re.compile(r"(?!0{16})[0-9a-f]{16}")


def find_trace(headers: Mapping[bytes, bytes]) -> TraceContext | None:
    """The trace that a request is in: that of W3C's header, or else X-Ray's.

    In this order because that is how the OpenTelemetry specification has it on Lambda: X-Ray, which is always there,
    only where no caller has said more. Lambda tells by a variable, and everyone before it by a header.
    """
    w3c = headers.get(b"traceparent", b"").decode("latin-1")
    xray = os.environ.get("_X_AMZN_TRACE_ID") or headers.get(b"x-amzn-trace-id", b"").decode("latin-1")
    return read_traceparent(w3c) or read_xray(xray)


def read_traceparent(header: str) -> TraceContext | None:
    """What W3C's `traceparent` says; None if it is malformed."""
    match = _TRACEPARENT.fullmatch(header)
    return TraceContext(match[1], match[2], bool(int(match[3], 16) & 1)) if match else None


def read_xray(header: str) -> TraceContext | None:
    """What X-Ray's `X-Amzn-Trace-Id` says; None if it is malformed."""
    parts = dict(part.strip().partition("=")[::2] for part in header.split(";"))
    root, parent = _ROOT.fullmatch(parts.get("Root", "")), _PARENT.fullmatch(parts.get("Parent", ""))
    return TraceContext(root[1] + root[2], parent and parent[0], parts.get("Sampled") == "1") if root else None


def as_xray(trace_id: str) -> str:
    """The same id as X-Ray writes it."""
    return f"1-{trace_id[:8]}-{trace_id[8:]}"
