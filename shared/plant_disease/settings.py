"""Configuration from the environment: every variable starts with PLANT_ (docs/configuration.md)."""

import base64
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from plant_disease import images
from plant_disease.bundle import DEFAULT_CACHE
from plant_disease.cpu import available_cpus
from plant_disease.errors import ConfigurationError
from plant_disease.manifest import CHANNEL_PATTERN, Version
from plant_disease.runtimes import PrecisionName, RuntimeName

_PACKAGE = Path(__file__).parent


def bundled(folder: str) -> Path:
    """A folder that is shipped along: inside an installed package, or at the root of a checkout."""
    installed = _PACKAGE / folder
    return installed if installed.is_dir() else _PACKAGE.parent.parent / folder


def bundled_models() -> str:
    """The folder of the bundled default model."""
    return str(bundled("models"))


Networks = tuple[IPv4Network | IPv6Network, ...]

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in text.split(","))
    if origins != ("*",) and not all(map(_ORIGIN.fullmatch, origins)):
        raise ValueError("must be * or origins such as https://leaves.example, in lower case, with commas between")
    return origins


def _proxies(text: str) -> int | Networks:
    if re.fullmatch("[0-9]", text):
        return int(text)
    try:
        return tuple(ip_network(network.strip()) for network in text.split(","))
    except ValueError:
        raise ValueError("must be a number from 0 to 9, or networks such as 10.0.0.0/8 with commas between") from None


_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(host.strip() for host in text.split(","))
    if not all(map(_HOST.fullmatch, hosts)):
        raise ValueError("must be hosts such as hooks.example.com, in lower case, with commas between")
    return hosts


def _webhook_secret(text: str) -> SecretStr:
    try:
        secret = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        secret = b""
    if not (text.startswith("whsec_") and 24 <= len(secret) <= 64):
        raise ValueError("must be whsec_ and 24 to 64 random bytes in base64")
    return SecretStr(text)


class Settings(BaseSettings):
    """Everything that can be configured."""

    # Defaults are what text is made into; they are not text themselves.
    model_config = SettingsConfigDict(env_prefix="PLANT_", frozen=True, env_ignore_empty=True, validate_default=False)

    model_uri: str = Field(
        default_factory=bundled_models,
        description="Folder, `gs://` or `s3://` with the model versions.",
    )
    model_version: Version | None = Field(None, description="Serve this version and ignore the channel.")
    model_channel: str = Field(
        "stable", pattern=CHANNEL_PATTERN, description="Serve the version that this channel names."
    )
    model_loading: Literal["lazy", "eager", "background"] = Field(
        "lazy",
        description="Load the model with the first request, before the first request is accepted, or while "
        "the server starts (requests wait for it).",
    )
    model_retry_s: float = Field(
        5.0, ge=0, le=300, description="Seconds for which a failed load is remembered before it is tried again."
    )
    model_refresh_s: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="Seconds after which the channel is read again; if it names another model by then, that one is "
        "loaded beside the old one and takes its place. 0: never.",
    )
    model_cache: Path = Field(DEFAULT_CACHE, description="Folder for downloaded models; must be writable.")
    runtime: RuntimeName = Field("onnx", description="Inference runtime; `torch` needs the extra of that name.")
    precision: PrecisionName = Field(
        "auto",
        description="Of the ONNX graph; `auto` is the one that the model was calibrated with; on a GPU, `fp16` where "
        "the model has it, or else `fp32`.",
    )
    device: str = Field("cpu", description="Where the network is computed: `cpu`, or a GPU such as `cuda:0`.")
    threads: int = Field(
        default_factory=lambda: min(256, available_cpus()),
        ge=1,
        le=256,
        description="Requests that are computed at once, and threads of an explanation through torch. Default: the CPU "
        "quota of the container, rounded down, at least 1.",
    )
    forward_threads: int = Field(
        1,
        ge=1,
        le=256,
        description="Threads for each forward pass. More than 1 answers a lone request sooner if the network is large, "
        "and costs throughput; the bundled one is too small to gain.",
    )
    max_queue: int = Field(
        16,
        ge=0,
        le=10_000,
        description="Requests that may wait for a CPU; one more is answered 503 with `Retry-After`.",
    )
    max_image_bytes: int = Field(images.MAX_BYTES, ge=1024, description="Largest photo accepted, in bytes.")
    max_image_pixels: int = Field(
        images.MAX_PIXELS, ge=1024, description="Largest JPEG accepted, in pixels; a PNG or WebP may have half as many."
    )
    max_batch_images: int = Field(64, ge=1, le=1000, description="Most photos in one batch.")
    max_batch_bytes: int = Field(
        512 * 1024 * 1024,
        ge=1024,
        description="Bytes that the photos of one batch may have together, unpacked where they come in a ZIP.",
    )
    max_batch_pixels: int = Field(
        1_600_000_000, ge=1024, description="Pixels that the photos of one batch may have together."
    )
    batch_chunk: int = Field(
        4,
        ge=1,
        le=256,
        description="Photos of a batch that go through the network at once; `benchmarks/batch.py` shows what is best.",
    )
    batch_timeout_s: float = Field(
        25.0,
        gt=0,
        le=3600,
        description="Seconds that a batch may take once its body is there; what is not done by then is reported as "
        "such. Below what the platform allows (29 s with API Gateway).",
    )
    max_body_bytes: int = Field(
        32 * 1024 * 1024,
        ge=1024,
        description="Largest request body accepted, in bytes (32 MiB is Cloud Run's own limit).",
    )
    max_bodies_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024,
        description="Bytes that the bodies of all requests at hand may have together; one more is answered 503.",
    )
    body_timeout_s: float = Field(
        30.0, gt=0, le=600, description="Seconds that a client has to send its body; after that the answer is 408."
    )
    uploads_uri: str | None = Field(
        None,
        description="Folder, `gs://` or `s3://` for photos that are uploaded first, and the only prefix that "
        "`image_uri` may point into (docs/uploads.md). Without it there are no uploads.",
    )
    uploads_expire_s: int = Field(
        300, ge=1, le=3600, description="Seconds for which the answer of `POST /uploads` lets a photo be uploaded."
    )
    jobs_uri: str | None = Field(
        None,
        description="Folder, `gs://` or `s3://` for jobs and their results ([jobs.md](jobs.md)). Without it there are "
        "none.",
    )
    jobs_queue: str = Field(
        "local",
        pattern=r"^(local|sqs:https?://[^\s]{1,500}|pubsub:projects/[a-z0-9:.-]+/topics/[A-Za-z0-9._~+%-]+)$",
        description="Through what the chunks of a job reach a worker: `local` (threads of this process), `sqs:` and "
        "the URL of a queue of SQS, or `pubsub:projects/P/topics/T`.",
    )
    jobs_chunk: int = Field(
        64, ge=1, le=1000, description="Photos of a job that are done, written down and billed together."
    )
    max_job_images: int = Field(100_000, ge=1, le=100_000, description="Most photos in one job.")
    jobs_push_audience: str | None = Field(
        None, description="Audience of the tokens with which Pub/Sub delivers (`POST /jobs/work`)."
    )
    jobs_push_account: str | None = Field(None, description="Service account whose tokens those are.")
    webhook_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)] = Field(
        (),
        description="Hosts that may be told of the end of a job, such as `hooks.example.com`, with commas between; "
        "with a port only where it is not 443.",
    )
    webhook_secret: Annotated[SecretStr | None, BeforeValidator(_webhook_secret)] = Field(
        None,
        description="What webhooks are signed with: `whsec_` and 24 to 64 random bytes in base64. Without it there are "
        "no webhooks.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = Field(
        (),
        description="Origins whose pages may use the service from a browser, such as `https://leaves.example`, with "
        "commas between; `*`: all.",
    )
    trusted_proxies: Annotated[int | Networks, NoDecode, BeforeValidator(_proxies)] = Field(
        0,
        description="Whose word on where a request comes from is taken (see below): networks of proxies, with "
        "commas between, or how many proxies there are. 0: nobody's.",
    )
    usage_uri: str | None = Field(
        None,
        description="Folder, `gs://` or `s3://` for usage events and for answers kept under an `Idempotency-Key`; "
        "without it events are in the log only.",
    )
    usage_flush_s: float = Field(
        10.0, gt=0, le=3600, description="Seconds after which usage events are written to `PLANT_USAGE_URI`, at most."
    )
    auth: Literal["required", "off"] = Field(
        "required",
        description="Whether a key is asked for. `plant-disease serve` on loopback sets `off` by itself.",
    )
    api_keys_uri: str | None = Field(
        None,
        description="Document of the API keys (docs/keys.md): a file, `gs://bucket/keys.json` or "
        "`s3://bucket/keys.json`. "
        "Without it, nobody gets in where a key is asked for.",
    )
    api_keys_refresh_s: float = Field(
        20.0,
        gt=0,
        le=30,
        description="Seconds after which the API keys are read again; a change is seen within twice this time.",
    )
    api_keys_stale_s: float = Field(
        3600.0,
        ge=0,
        le=604_800,
        description="Seconds for which keys that were known go on working while their document cannot be read.",
    )
    anonymous_plan: str | None = Field(
        None,
        description="Plan, of those in the document of the API keys, for callers without a key. Without it, they do "
        "not get in.",
    )
    limits_uri: str = Field(
        "memory://",
        pattern=r"^(memory://|rediss?://.+|dynamodb://[A-Za-z0-9_.-]{3,255})$",
        repr=False,
        description="Where photos are counted for rates and quotas: `memory://` (each process for itself), "
        "`redis://…`, `rediss://…` or `dynamodb://TABLE`.",
    )
    limits_on_error: Literal["allow", "deny"] = Field(
        "allow",
        description="While nothing can be counted, let requests through uncounted, or answer 503.",
    )
    limits_timeout_s: float = Field(
        0.5, gt=0, le=10, description="Seconds that Redis or DynamoDB has for counting one request."
    )
    page_config: Path | None = Field(
        None,
        description="config.json for the page that `plant-disease serve` serves (docs/page.md). Default: the page's "
        "own, which takes the functions to be where the page is.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe log line written."
    )
    metrics: Literal["on", "off"] = Field(
        "off",
        description="Metrics for Prometheus at `/metrics`, open to whoever reaches it (extra `metrics`). On Lambda "
        "they are in the log lines, for CloudWatch. See [telemetry.md](telemetry.md).",
    )
    traces: Literal["otlp", "off"] = Field(
        "off",
        description="OpenTelemetry spans over OTLP, to where the `OTEL_EXPORTER_OTLP_` variables say (extra `traces`). "
        "See [telemetry.md](telemetry.md).",
    )

    @property
    def torch_device(self) -> str:
        """Where torch computes if it explains: a GPU of ONNX Runtime need not be one of torch's."""
        return self.device if self.runtime == "torch" else "cpu"


def read_settings() -> Settings:
    """The settings of the environment.

    Raises:
        ConfigurationError: a value cannot be used; the message names each variable, not its value.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(f"PLANT_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors())
        raise ConfigurationError(f"{faults}. See docs/configuration.md.") from error
