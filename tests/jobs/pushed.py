"""The function batch, for which Google's certificates are those of a test: GOOGLE_CERTIFICATES."""

import os

from google.oauth2 import id_token

id_token._GOOGLE_OAUTH2_CERTS_URL = os.environ["GOOGLE_CERTIFICATES"]

from functions.batch.main import app  # noqa: E402

__all__ = ["app"]
