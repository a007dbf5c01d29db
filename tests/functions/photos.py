"""Photos to send, and the ways to send them."""

import base64
import io
import json
from functools import cache

import numpy as np
from PIL import Image

from tests.functions.processes import ROOT

CLASS_ID = "Apple___Cedar_apple_rust"
"""What the leaf has, and what the model must say."""

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


@cache
def leaf(kind: str = "JPEG") -> bytes:
    """A leaf with cedar apple rust; the same pixels in every format."""
    photo = (ROOT / "tests/photos/apple-cedar-rust-3.jpg").read_bytes()
    if kind == "JPEG":
        return photo
    file = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as image:
        image.save(file, kind, lossless=True)
    return file.getvalue()


@cache
def huge() -> bytes:
    """A photo of 12 megapixels that takes about half a second to decode."""
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 256, (300, 400, 3), np.uint8), np.ones((10, 10, 1), np.uint8))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def form(*photos: bytes, field: str = "image", name: str = "leaf.jpg") -> tuple[bytes, dict[str, str]]:
    """A multipart body and its headers."""
    head = f'--edge\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
    body = b"".join(head + photo + b"\r\n" for photo in photos) + b"--edge--\r\n"
    return body, {"content-type": "multipart/form-data; boundary=edge"}


def as_json(**fields: object) -> tuple[bytes, dict[str, str]]:
    """A JSON body and its headers."""
    return json.dumps(fields).encode(), {"content-type": "application/json"}


def base64_of(photo: bytes) -> str:
    """Base64, in one line."""
    return base64.b64encode(photo).decode()
