"""Whether S3 and Cloud Storage would accept a presigned request: no emulator looks at that.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
https://cloud.google.com/storage/docs/authentication/signatures
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit

import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256


def put(url: str, headers: Mapping[str, str], data: bytes) -> requests.PreparedRequest:
    """A PUT as it goes out, with all the headers that the client adds."""
    prepared = requests.Request("PUT", url, headers=dict(headers), data=data).prepare()
    prepared.headers["Host"] = urlsplit(url).netloc
    return prepared


def accepted_by_s3(request: requests.PreparedRequest, secret: str, *, at: datetime | None = None) -> bool:
    """Whether the request is the one that was signed with this secret, and in time."""
    query, to_sign = _to_sign(request, "X-Amz", "AWS4-HMAC-SHA256")
    key = b"AWS4" + secret.encode()
    for part in query["X-Amz-Credential"].split("/")[1:]:
        key = hmac.digest(key, part.encode(), "sha256")
    expected = hmac.new(key, to_sign, "sha256").hexdigest()
    return expected == query["X-Amz-Signature"] and _in_time(query, "X-Amz", at)


def accepted_by_gcs(request: requests.PreparedRequest, key: RSAPublicKey, *, at: datetime | None = None) -> bool:
    """Whether the request is the one that was signed with this key, and in time."""
    query, to_sign = _to_sign(request, "X-Goog", "GOOG4-RSA-SHA256")
    try:
        key.verify(bytes.fromhex(query["X-Goog-Signature"]), to_sign, padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return _in_time(query, "X-Goog", at)


def _to_sign(request: requests.PreparedRequest, prefix: str, algorithm: str) -> tuple[dict[str, str], bytes]:
    parts = urlsplit(str(request.url))
    query = dict(parse_qsl(parts.query, strict_parsing=True))
    assert query[f"{prefix}-Algorithm"] == algorithm
    names = query[f"{prefix}-SignedHeaders"].split(";")
    assert names == sorted(names)
    signed_query = sorted((quote(k, "~"), quote(v, "~")) for k, v in query.items() if k != f"{prefix}-Signature")
    canonical = "\n".join(
        [
            str(request.method),
            parts.path,
            "&".join(f"{name}={value}" for name, value in signed_query),
            *(f"{name}:{request.headers.get(name, '').strip()}" for name in names),
            "",
            ";".join(names),
            "UNSIGNED-PAYLOAD",
        ]
    )
    scope = query[f"{prefix}-Credential"].partition("/")[2]
    lines = [algorithm, query[f"{prefix}-Date"], scope, hashlib.sha256(canonical.encode()).hexdigest()]
    return query, "\n".join(lines).encode()


def _in_time(query: Mapping[str, str], prefix: str, at: datetime | None) -> bool:
    signed = datetime.strptime(query[f"{prefix}-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    # Some seconds for clocks that differ, and for the whole seconds of the date.
    return (
        -timedelta(seconds=5) <= (at or datetime.now(UTC)) - signed < timedelta(seconds=int(query[f"{prefix}-Expires"]))
    )
