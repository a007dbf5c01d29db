"""Configuration from the environment: every variable starts with PLANT_ (docs/configuration.md)."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from plant_disease import images
from plant_disease.bundle import DEFAULT_CACHE
from plant_disease.cpu import available_cpus
from plant_disease.errors import ConfigurationError
from plant_disease.manifest import CHANNEL_PATTERN, Version
from plant_disease.runtimes import PrecisionName, RuntimeName

_PACKAGE = Path(__file__).parent


def bundled_models() -> str:
    """The folder of the bundled default model: inside an installed package, or `models/` of a checkout."""
    installed = _PACKAGE / "models"
    return str(installed if installed.is_dir() else _PACKAGE.parent.parent / "models")


class Settings(BaseSettings):
    """Everything that can be configured."""

    model_config = SettingsConfigDict(env_prefix="PLANT_", frozen=True, env_ignore_empty=True)

    model_uri: str = Field(
        default_factory=bundled_models, description="Folder, `gs://` or `s3://` with the model versions."
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
        "auto", description="Of the ONNX graph; `auto` is the one that the model was calibrated with."
    )
    device: str = Field("cpu", description="Device of the torch runtime, such as `cuda:0`.")
    threads: int = Field(
        default_factory=lambda: min(256, available_cpus()),
        ge=1,
        le=256,
        description="Threads for one forward pass, and photos decoded at once. Default: the CPU quota of the "
        "container, rounded down, at least 1.",
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
    body_timeout_s: float = Field(
        30.0, gt=0, le=600, description="Seconds that a client has to send its body; after that the answer is 408."
    )
    uploads_uri: str | None = Field(
        None, description="The only prefix that `image_uri` may point into; without it `image_uri` is refused."
    )
    auth: Literal["required", "off"] = Field(
        "required", description="Whether a key is asked for. `plant-disease serve` on loopback sets `off` by itself."
    )
    page_config: Path | None = Field(
        None,
        description="config.json for the page that `plant-disease serve` serves (docs/page.md). Default: the page's "
        "own, which takes the functions to be where the page is.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe log line written."
    )


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
