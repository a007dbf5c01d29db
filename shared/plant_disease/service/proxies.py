"""Where a request comes from, when proxies stand between.

Each proxy adds the address that it was called from to the end of X-Forwarded-For; what stands before that came with
the request, and its sender may have made it up. So the header is read from its end, and only as far as it was
written by proxies that are trusted.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from plant_disease.settings import Networks

Trusted = int | Networks
"""The networks in which the trusted proxies are; or how many there are, each of which adds one address."""


class TrustedProxies:
    """ASGI middleware: `request.client.host` is the caller's address, as far as trusted proxies tell it."""

    def __init__(self, app: ASGIApp, trusted: Trusted) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        forwarded = [entry for line in headers.getlist("x-forwarded-for") for entry in line.split(",")]
        peer, port = scope.get("client") or ("", 0)
        if "elb" in scope.get("aws.event", {}).get("requestContext", {}):
            # The event of a load balancer names no peer, and Mangum takes the whole header for it.
            peer = forwarded[-1] if forwarded else ""
        peer = _parsed(peer) or peer
        address = client_address(peer, forwarded, self._trusted)
        scope = {**scope, "client": (address, port if address == peer else 0)}
        scheme = headers.get("x-forwarded-proto")
        if scheme in ("http", "https") and _trusts(peer, self._trusted):
            scope["scheme"] = scheme
        await self._app(scope, receive, send)


def client_address(peer: str, forwarded: Sequence[str], trusted: Trusted) -> str:
    """The address of the caller.

    Args:
        peer: who opened the connection, as `TrustedProxies` spells it.
        forwarded: the entries of X-Forwarded-For.
        trusted: which of them to believe.

    Returns:
        An address in its shortest form; `peer` if nothing better is known.
    """
    if isinstance(trusted, int):
        told = _parsed(forwarded[-trusted]) if 0 < trusted <= len(forwarded) else ""
        return told or peer
    address = peer
    for entry in reversed(forwarded):
        # What is no address was written by a proxy that does not know any better.
        if not _trusts(address, trusted) or not (before := _parsed(entry)):
            break
        address = before
    return address


def _trusts(peer: str, trusted: Trusted) -> bool:
    if isinstance(trusted, int):
        return trusted > 0
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    return any(address in network for network in trusted)


@lru_cache(1000)
def _parsed(entry: str) -> str:
    """An address without its port and in its shortest form, or "" if it is none."""
    entry = entry.strip()
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    try:
        address: IPv4Address | IPv6Address = ip_address(entry)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return ""
        # A server that listens on both kinds of addresses sees IPv4 in this disguise.
        address = address.ipv4_mapped or address
    return str(address)
