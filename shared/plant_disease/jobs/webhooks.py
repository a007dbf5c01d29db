"""Tells a caller that its job has ended, as https://www.standardwebhooks.com has it.

Whoever may name an address that this service then calls could have it call what only this service can reach. So a host
must be on a list, its addresses are looked at when it is called, and the connection goes to the very address that was
looked at. No redirect is followed, and nothing of the answer is read but its status.
"""

import base64
import hmac
import socket
import ssl
import time
from collections.abc import Callable, Collection
from http.client import HTTPException, HTTPSConnection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from plant_disease.errors import WebhookFailed, WebhookRefused

_TIMEOUT_S = 4.0
_ATTEMPTS = 3
_LONGEST_URL = 2000

# What Python may take for the internet: protocol assignments, a metadata server among them; and NAT64 and 6to4, which
# hold an IPv4 address that may be a private one.
_SPECIAL = tuple(map(ip_network, ("192.0.0.0/24", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16")))

Address = IPv4Address | IPv6Address


class _Target(NamedTuple):
    host: str
    port: int
    path: str


def is_public(address: Address) -> bool:
    """Whether an address lies on the internet: not private, loopback, link-local (as metadata servers are) or such."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_global and not address.is_multicast and not any(address in network for network in _SPECIAL)


class Webhooks:
    """Calls receivers, and signs what they are told.

    Args:
        hosts: those that may be called, in lower case; with a port where that is not 443.
        secret: `whsec_` and base64.
        is_allowed: whether an address may be called.
        tls: default: what the machine trusts.
    """

    def __init__(
        self,
        hosts: Collection[str],
        secret: str,
        *,
        is_allowed: Callable[[Address], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts = hosts
        self._secret = base64.b64decode(secret.removeprefix("whsec_"))
        self._is_allowed = is_allowed
        self._tls = tls

    def check(self, url: str) -> None:
        """Refuse a receiver that would not be called; also one whose name leads to a private address now.

        Raises:
            WebhookRefused: see its message.
        """
        self._addresses(self._target(url))

    def send(self, url: str, message_id: str, body: bytes) -> None:
        """Tell a receiver.

        Args:
            url: its address.
            message_id: by which it knows a message that it gets twice.
            body: JSON.

        Raises:
            WebhookRefused: see `check`.
            WebhookFailed: it has not answered with 2xx, however often it was tried.
        """
        import tenacity

        tenacity.Retrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=5),
            retry=tenacity.retry_if_exception_type(WebhookFailed),
            reraise=True,
        )(self._send, url, message_id, body)

    def _send(self, url: str, message_id: str, body: bytes) -> None:
        target = self._target(url)
        at = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "plant-disease-detector",
            "webhook-id": message_id,
            "webhook-timestamp": at,
            "webhook-signature": sign(self._secret, message_id, at, body),
        }
        connection = _Pinned(target, self._addresses(target)[0], self._tls or ssl.create_default_context())
        try:
            connection.request("POST", target.path, body, headers)
            status = connection.getresponse().status
        except (OSError, HTTPException) as error:
            raise WebhookFailed(f"The webhook at {target.host} does not answer ({type(error).__name__}).") from error
        finally:
            connection.close()
        if not 200 <= status < 300:
            raise WebhookFailed(f"The webhook at {target.host} answers with status {status}.")

    def _target(self, url: str) -> _Target:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or 443
        except ValueError:
            raise WebhookRefused("The webhook is no URL.") from None
        if parts.scheme != "https" or not host or not url.isascii() or not url.isprintable() or " " in url:
            raise WebhookRefused("A webhook is an address such as https://hooks.example.com/plants.")
        if parts.username is not None or parts.password is not None or parts.fragment or len(url) > _LONGEST_URL:
            raise WebhookRefused(
                "A webhook has neither a password nor a fragment, and is no longer than 2,000 letters."
            )
        if (host if port == 443 else f"{host}:{port}") not in self._hosts:
            raise WebhookRefused("The host of this webhook is not among those that this service may call.")
        return _Target(host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))

    def _addresses(self, target: _Target) -> list[Address]:
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise WebhookFailed(f"There is no address for the webhook's host {target.host}.") from error
        addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        if not all(map(self._is_allowed, addresses)):
            raise WebhookRefused("The host of this webhook has an address that is not on the internet.")
        return addresses


def sign(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The signature of a message, as its header has it."""
    digest = hmac.digest(secret, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


class _Pinned(HTTPSConnection):
    """A connection to one address, whose certificate is that of a name. No proxy is asked."""

    def __init__(self, target: _Target, address: Address, tls: ssl.SSLContext) -> None:
        super().__init__(target.host, target.port, timeout=_TIMEOUT_S, context=tls)
        self._address = address
        self._tls = tls

    def connect(self) -> None:
        """See `HTTPSConnection.connect`, which would look the name up once more."""
        plain = socket.create_connection((str(self._address), self.port), self.timeout)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
