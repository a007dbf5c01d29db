"""Google Cloud Storage.

Credentials are Google's application default credentials; with STORAGE_EMULATOR_HOST set, the server there is used
without any. The generation is that of Cloud Storage.

URLs are signed with the private key of a service account, or where there is none, as on Cloud Run, by IAM, which
keeps one for the service account that the process runs as.
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import google.auth
import requests
import urllib3
from google.api_core.exceptions import GoogleAPICallError
from google.api_core.exceptions import NotFound as NoSuchThing
from google.auth import exceptions
from google.auth.credentials import Signing
from google.auth.transport.requests import Request
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption

from plant_disease.errors import PermissionDenied, StorageError
from plant_disease.storage import ABSENT, Limits, Precondition, SignedPut
from plant_disease.storage.remote import RemoteStore, Sink

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"

_BAD_ENDPOINT = (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema)
_NO_ANSWER = (requests.RequestException, urllib3.exceptions.HTTPError, DataCorruption)


class GcsStore(RemoteStore[storage.Client]):
    """A `Store` in a bucket of Google Cloud Storage."""

    scheme = "gs"
    credentials_hint = (
        "Log in with `gcloud auth application-default login`, or give this service account "
        "roles/storage.objectUser on the bucket (objectViewer is enough to read)."
    )
    generation_form = re.compile(r"[1-9][0-9]{0,18}")

    def __init__(self, bucket: str, prefix: str, limits: Limits) -> None:
        super().__init__(bucket, prefix, limits)
        # Not those of the client: with an emulator it has none, and still there is somebody to sign.
        self._signer: Any = None

    def connect(self) -> storage.Client:
        """See `RemoteStore.connect`."""
        # Objects need no project; without the None the client would look for one, and fail where there is none.
        client = storage.Client(project=None)
        # For its traces, the SDK asks in the background, with its own time limits, where each bucket lies; that
        # needs a permission which reading and writing objects does not. There is no public switch.
        client._bucket_metadata_cache = None
        return client

    def get(self, key: str, sink: Sink) -> str:
        """See `RemoteStore.get`."""
        bucket = self.client().bucket(self.bucket)
        blob = bucket.blob(key)
        try:
            # Raw: the bytes as stored, whatever their Content-Encoding says. A short body is an error of urllib3's.
            blob.download_to_file(sink, raw_download=True, checksum="crc32c", timeout=self._timeout, retry=None)
        except NoSuchThing as error:
            raise (self.no_bucket() if self._bucket_is_missing() else self.no_object(key)) from error
        return str(blob.generation)

    def put(self, key: str, data: bytes, if_generation: Precondition) -> str:
        """See `RemoteStore.put`."""
        # Generation 0 is that of an object that does not exist.
        expected = int(if_generation) if isinstance(if_generation, str) else 0 if if_generation is ABSENT else None
        blob = self.client().bucket(self.bucket).blob(key)
        blob.upload_from_string(
            data,
            content_type="application/octet-stream",
            if_generation_match=expected,
            checksum="crc32c",
            timeout=self._timeout,
            retry=None,
        )
        return str(blob.generation)

    def page(self, prefix: str, token: str | None) -> tuple[Sequence[tuple[str, int]], str | None]:
        """See `RemoteStore.page`."""
        listing = self.client().list_blobs(
            self.bucket,
            prefix=prefix,
            page_token=token,
            fields="items(name,size),nextPageToken",
            timeout=self._timeout,
            retry=None,
        )
        keys = [(blob.name, blob.size) for blob in next(listing.pages, ())]
        return keys, listing.next_page_token

    def sign_put(self, key: str, content_type: str, size: int, expires_s: int) -> SignedPut:
        """See `RemoteStore.sign_put`."""
        headers = {
            "Content-Type": content_type,
            "x-goog-content-length-range": f"{size},{size}",
            "x-goog-if-generation-match": "0",
        }
        return SignedPut(self._sign(key, expires_s, method="PUT", headers=dict(headers)), headers)

    def sign_get(self, key: str, content_type: str, disposition: str, expires_s: int) -> str:
        """See `RemoteStore.sign_get`."""
        return self._sign(key, expires_s, method="GET", response_type=content_type, response_disposition=disposition)

    def _sign(self, key: str, expires_s: int, **what: Any) -> str:
        signer = self._signed_by(key)
        blob = self.client().bucket(self.bucket).blob(key)
        try:
            url: str = blob.generate_signed_url(version="v4", expiration=timedelta(seconds=expires_s), **what, **signer)
        except exceptions.TransportError as error:
            raise self.unavailable(
                key,
                "IAM has not signed; the service account needs roles/iam.serviceAccountTokenCreator on itself",
            ) from error
        return url

    def explain(self, error: Exception, key: str) -> StorageError | None:
        """See `RemoteStore.explain`."""
        if isinstance(error, NoSuchThing):
            # `get` looks at its own; to write into a bucket or to list it fails so only if there is no bucket.
            return self.no_bucket()
        if isinstance(error, GoogleAPICallError) and error.code is not None:
            return self.from_status(int(error.code), key)
        if isinstance(error, _BAD_ENDPOINT):
            return StorageError("STORAGE_EMULATOR_HOST is not a URL such as http://127.0.0.1:4443")
        if isinstance(error, _NO_ANSWER):
            return self.unavailable(key, type(error).__name__)
        if isinstance(error, exceptions.GoogleAuthError):
            reason = type(error).__name__
            return self.unavailable(key, reason) if _may_pass(error) else self.denied(key, reason)
        return None

    @property
    def _timeout(self) -> tuple[float, float]:
        return self.limits.connect_s, self.limits.read_s

    def _signed_by(self, key: str) -> dict[str, Any]:
        """Who signs: a key of our own, or IAM for the service account that we are."""
        if self._signer is None:
            self._signer, _ = google.auth.default(scopes=[_SCOPE])
        if isinstance(self._signer, Signing):
            return {"credentials": self._signer}
        if getattr(self._signer, "service_account_email", None) is None:
            raise PermissionDenied(
                f"These credentials cannot sign for {self.where(key)}. Use those of a service account."
            )
        if not self._signer.valid:
            self._signer.refresh(Request())
        # The metadata server tells the real address together with the token.
        return {"service_account_email": self._signer.service_account_email, "access_token": self._signer.token}

    def _bucket_is_missing(self) -> bool:
        """Whether it is the bucket that a 404 was about: the answer to reading an object does not say."""
        try:
            self.page("", None)
        except NoSuchThing:
            return True
        except GoogleAPICallError:
            # Not allowed to list: then at least there is something to be not allowed to.
            return False
        return False


def _may_pass(error: exceptions.GoogleAuthError) -> bool:
    """Whether getting a token failed for lack of an answer, and not for what the answer was."""
    return error.retryable or isinstance(error, exceptions.TransportError | exceptions.TimeoutError)
