"""Leave to upload one photo to this process: what a presigned URL is to a bucket, for a folder."""

import base64
import binascii
import hashlib
import hmac
import secrets
import time

from pydantic import BaseModel, ConfigDict

_MAC_BYTES = hashlib.sha256().digest_size


class Ticket(BaseModel):
    """What may be uploaded.

    Attributes:
        place: the store.
        name: of the object.
        content_type: the only one accepted.
        size: in bytes, exactly.
        expires: when the ticket is worth nothing any more, in seconds since 1970.
    """

    model_config = ConfigDict(frozen=True)

    place: str
    name: str
    content_type: str
    size: int
    expires: float


class Tickets:
    """Signs tickets with a secret that this process alone knows, and that ends with it."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def sign(self, ticket: Ticket) -> str:
        """The ticket, for a query."""
        document = ticket.model_dump_json().encode()
        return base64.urlsafe_b64encode(self._mac(document) + document).decode()

    def check(self, signed: str) -> Ticket:
        """The ticket that was signed.

        Raises:
            ValueError: it was not signed here, or has expired.
        """
        try:
            raw = base64.b64decode(signed, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        mac, document = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(document)):
            raise ValueError("is none that this server has given")
        ticket = Ticket.model_validate_json(document)
        if time.time() >= ticket.expires:
            raise ValueError("has expired")
        return ticket

    def _mac(self, document: bytes) -> bytes:
        return hmac.digest(self._secret, document, "sha256")
