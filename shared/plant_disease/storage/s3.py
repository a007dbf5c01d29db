"""Amazon S3, and what speaks its protocol.

Credentials and region come from where boto3 looks for them; AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL points to
another server. The generation is the ETag.
"""

import re
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import boto3
import urllib3
from botocore import exceptions
from botocore.config import Config
from botocore.handlers import add_expect_header
from botocore.parsers import ResponseParserError

from plant_disease.errors import StorageError, WrongRegion
from plant_disease.storage import ABSENT, ANYTHING, Precondition, SignedPut
from plant_disease.storage.remote import RemoteStore, Sink

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK = 64 * 1024

_WRONG_REGION = frozenset(
    {
        "PermanentRedirect",
        "TemporaryRedirect",
        "IllegalLocationConstraintException",
        "AuthorizationHeaderMalformed",
        "301",
        "307",
    }
)
# These come with HTTP 400.
_BAD_CREDENTIALS = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired"})
_PASSING = frozenset({"RequestTimeout", "OperationAborted"})

_NO_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.TokenRetrievalError,
    exceptions.NoAuthTokenError,
    exceptions.ProfileNotFound,
    exceptions.SSOError,
    exceptions.LoginError,
)
_NO_ANSWER = (
    exceptions.ConnectionError,
    exceptions.HTTPClientError,
    exceptions.IncompleteReadError,
    exceptions.ChecksumError,
    exceptions.FlexibleChecksumError,
    ResponseParserError,
    urllib3.exceptions.HTTPError,
)


class S3Store(RemoteStore["S3Client"]):
    """A `Store` in a bucket of S3."""

    scheme = "s3"
    credentials_hint = (
        "Check with `aws sts get-caller-identity` who you are, and that this identity has s3:GetObject, s3:PutObject "
        "and s3:ListBucket there; without the last, missing objects look forbidden."
    )
    generation_form = re.compile(r'"[!#-~]+"')

    def connect(self) -> "S3Client":
        """See `RemoteStore.connect`."""
        # A session of our own: the default one of boto3 must not be used from several threads.
        session = boto3.session.Session()
        config = Config(
            connect_timeout=self.limits.connect_s,
            read_timeout=self.limits.read_s,
            retries={"total_max_attempts": 1, "mode": "standard"},
            # Left to itself, boto3 signs URLs by an older scheme, which binds neither size nor conditions.
            signature_version="s3v4",
            # And for a host that redirects to the bucket's region, where a signature of the first host is worth
            # nothing. No certificate covers a bucket with a dot in its name.
            s3={
                "addressing_style": "path" if "." in self.bucket else "virtual",
                "us_east_1_regional_endpoint": "regional",
            },
        )
        try:
            client = session.client("s3", config=config)
            if not client.meta.endpoint_url.endswith((".amazonaws.com", ".amazonaws.com.cn")):
                # Emulators and other servers have no host name for each bucket.
                client = session.client("s3", config=config.merge(Config(s3={"addressing_style": "path"})))
        except ValueError as error:
            raise StorageError(
                "boto3 refuses the endpoint or the region. "
                "Check AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL and AWS_DEFAULT_REGION."
            ) from error
        # A server that goes away after "HTTP/1.1 100" leaves botocore reading its headers for ever, at full speed.
        client.meta.events.unregister("before-call.s3", add_expect_header)
        return client

    def get(self, key: str, sink: Sink) -> str:
        """See `RemoteStore.get`."""
        answer = self.client().get_object(Bucket=self.bucket, Key=key)
        # Checks the length, and the checksum where S3 has one, at the end.
        with closing(answer["Body"]) as body:
            for chunk in body.iter_chunks(_CHUNK):
                sink.write(chunk)
        return answer["ETag"]

    def put(self, key: str, data: bytes, if_generation: Precondition) -> str:
        """See `RemoteStore.put`."""
        client = self.client()
        try:
            if if_generation is ANYTHING:
                answer = client.put_object(Bucket=self.bucket, Key=key, Body=data)
            elif if_generation is ABSENT:
                answer = client.put_object(Bucket=self.bucket, Key=key, Body=data, IfNoneMatch="*")
            else:
                answer = client.put_object(Bucket=self.bucket, Key=key, Body=data, IfMatch=if_generation)
        except client.exceptions.NoSuchKey as error:
            # The answer to If-Match where there is no object any more.
            raise self.changed(key) from error
        return answer["ETag"]

    def page(self, prefix: str, token: str | None) -> tuple[Sequence[tuple[str, int]], str | None]:
        """See `RemoteStore.page`."""
        client = self.client()
        if token is None:
            answer = client.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        else:
            answer = client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, ContinuationToken=token)
        keys = [(item["Key"], item["Size"]) for item in answer.get("Contents", ())]
        return keys, answer.get("NextContinuationToken")

    def sign_put(self, key: str, content_type: str, size: int, expires_s: int) -> SignedPut:
        """See `RemoteStore.sign_put`."""
        url = self.client().generate_presigned_url(
            "put_object",
            Params={
                "Bucket": self.bucket,
                "Key": key,
                "ContentType": content_type,
                "ContentLength": size,
                "IfNoneMatch": "*",
            },
            ExpiresIn=expires_s,
        )
        return SignedPut(url, {"Content-Type": content_type, "If-None-Match": "*"})

    def sign_get(self, key: str, content_type: str, disposition: str, expires_s: int) -> str:
        """See `RemoteStore.sign_get`."""
        return self.client().generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self.bucket,
                "Key": key,
                "ResponseContentType": content_type,
                "ResponseContentDisposition": disposition,
            },
            ExpiresIn=expires_s,
        )

    def explain(self, error: Exception, key: str) -> StorageError | None:
        """See `RemoteStore.explain`."""
        if isinstance(error, exceptions.ClientError):
            return self._explain_answer(error, key)
        if isinstance(error, _NO_ANSWER):
            return self.unavailable(key, type(error).__name__)
        if isinstance(error, _NO_CREDENTIALS):
            return self.denied(key, type(error).__name__)
        if isinstance(error, exceptions.BotoCoreError):
            return StorageError(
                f"boto3 refuses {self.where(key)} ({type(error).__name__}). Check the AWS configuration."
            )
        return None

    def _explain_answer(self, error: exceptions.ClientError, key: str) -> StorageError:
        details = error.response.get("Error", {})
        code = details.get("Code", "")
        metadata = error.response.get("ResponseMetadata", {})
        status = metadata.get("HTTPStatusCode", 0)
        if code in _WRONG_REGION:
            region = metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region") or details.get("Region")
            return WrongRegion(
                f"The bucket s3://{self.bucket} lies in another region than the one configured. "
                f"Set AWS_DEFAULT_REGION={region or '<the region of the bucket>'}"
            )
        if code == "NoSuchBucket":
            return self.no_bucket()
        if status == 404:
            return self.no_object(key)
        if code == "ConditionalRequestConflict":
            return self.changed(key)
        if code in _BAD_CREDENTIALS:
            return self.denied(key, code)
        if code in _PASSING:
            return self.unavailable(key, code)
        return self.from_status(status, key)
