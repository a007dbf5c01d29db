"""The model that is served: loaded when first needed, and exchanged when its channel names another one."""

import contextlib
import ctypes
import gc
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from plant_disease.bundle import Bundle, open_model_store, open_pointed, open_version, read_channel
from plant_disease.classifier import Classifier
from plant_disease.errors import BundleError, PlantDiseaseError, StorageUnavailable
from plant_disease.loading import Loader, State
from plant_disease.manifest import Channel
from plant_disease.runtimes import open_runtime
from plant_disease.service.periodic import Periodic
from plant_disease.service.telemetry import Record, age_s, logger, task, timed, timed_store
from plant_disease.settings import Settings
from plant_disease.storage import Store

_LONGEST_PAUSE_S = 3600.0
"""A version that was refused is tried again after pauses that double up to this many seconds."""


_FAILED = {"fields": {"model_load_failures": 1}}
"""What log lines can be counted by."""


@dataclass(frozen=True)
class _Refused:
    """A version that could not be served.

    Attributes:
        sha256: of its manifest.
        pause_s: seconds to leave it alone.
    """

    sha256: str
    pause_s: float
    _since: float = field(default_factory=time.monotonic)

    def is_over(self) -> bool:
        return time.monotonic() - self._since >= self.pause_s


class ServedModel:
    """One classifier for all requests. Each request keeps the one it got to its end.

    Once the first is loaded, the channel is read again every `settings.model_refresh_s` seconds, unless a version is
    pinned. What the channel newly names is loaded and tried beside the model served, and takes its place in
    one step. If that fails, the old one goes on serving. The old one is freed with the last request that has it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loader = Loader(self._load_first, settings.model_retry_s)
        self._follower = Periodic(self._follow, settings.model_refresh_s)
        self._store: Store | None = None
        self._refused: _Refused | None = None
        self._is_cut_off = False
        self._has_exchanged = False

    def future(self) -> "Future[Classifier]":
        """The classifier of now, or to come; see `Loader.future`."""
        self._follower.nudge()
        return self._loader.future()

    @property
    def state(self) -> State:
        """What has become of loading the first model."""
        return self._loader.state

    def _load_first(self) -> Classifier:
        settings = self._settings
        # What is there by now stays, mostly code. A full collection would look through it, and all threads would wait.
        gc.freeze()
        with task("model_load") as noted:
            try:
                if settings.model_version is not None:
                    bundle = open_version(self._opened_store(), settings.model_version, cache=settings.model_cache)
                else:
                    bundle = self._named(self._read_channel())
                classifier = self._tried_out(bundle)
            except Exception as error:
                logger.error("the model could not be loaded: %s", error, exc_info=_is_unforeseen(error), extra=_FAILED)
                raise
            _log_loaded(bundle, noted, cold_start_ms=round(age_s() * 1000))
        # So does the model, but not what was left of loading it.
        gc.collect()
        gc.freeze()
        if settings.model_version is None and settings.model_refresh_s:
            self._follower.start()
        return classifier

    def _opened_store(self) -> Store:
        if self._store is None:
            self._store = timed_store(open_model_store(self._settings.model_uri))
        return self._store

    def _read_channel(self) -> Channel:
        name = self._settings.model_channel
        with task("channel_read") as noted:
            noted.fields["channel"] = name
            return read_channel(self._opened_store(), name)

    def _named(self, channel: Channel) -> Bundle:
        settings = self._settings
        return open_pointed(self._opened_store(), settings.model_channel, channel, cache=settings.model_cache)

    def _tried_out(self, bundle: Bundle) -> Classifier:
        """Load a bundle, and let it judge a picture.

        Raises:
            BundleError: it does not give a number for each class.
            RuntimeUnavailable, StorageError: see `open_runtime`.
        """
        settings = self._settings
        with timed("runtime"):
            runtime = open_runtime(
                settings.runtime,
                bundle,
                threads=settings.forward_threads,
                device=settings.device,
                precision=settings.precision,
            )
        size = bundle.manifest.input.size
        output = runtime.run(np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8))
        if output.logits.shape != (1, len(bundle.manifest.classes)) or not np.isfinite(output.logits).all():
            raise BundleError(f"Version {bundle.manifest.version} does not give a number for each of its classes.")
        classifier = Classifier(bundle, runtime)
        classifier.leaf_probability(output)  # a gate of another network would fail every request
        return classifier

    def _follow(self) -> None:
        if self._has_exchanged:
            # Not right after the exchange: requests still had the old model.
            self._has_exchanged = False
            _return_freed_memory()
        try:
            self._catch_up()
        except Exception as error:
            if not self._is_cut_off:
                logger.warning(
                    "the channel cannot be followed, the model goes on serving: %s",
                    error,
                    exc_info=_is_unforeseen(error),
                )
            self._is_cut_off = True
        else:
            if self._is_cut_off:
                logger.info("the channel is followed again")
            self._is_cut_off = False

    def _catch_up(self) -> None:
        """Read the channel once, and do what it says.

        Raises:
            PlantDiseaseError: the store did not give it, or what it names, and there is no knowing whether that is bad.
        """
        channel = self._read_channel()
        # Only the bundle: who holds on to the classifier keeps its memory.
        served = self._loader.future().result().bundle
        if channel.manifest_sha256 == served.sha256:
            self._refused = None
        elif self._may_try(channel):
            try:
                self._exchange(channel, served)
            except StorageUnavailable:
                raise
            except Exception as error:
                self._refuse(channel, served, error)
            else:
                self._refused = None
                # In many containers the cache is memory.
                served.forget()
                self._has_exchanged = True

    def _exchange(self, channel: Channel, served: Bundle) -> None:
        with task("model_load") as noted:
            bundle = self._named(channel)
            try:
                self._loader.replace(self._tried_out(bundle))
            except BaseException:
                bundle.forget()
                raise
            _log_loaded(bundle, noted, instead_of=served.manifest.version)

    def _may_try(self, channel: Channel) -> bool:
        return self._refused is None or self._refused.sha256 != channel.manifest_sha256 or self._refused.is_over()

    def _refuse(self, channel: Channel, served: Bundle, error: Exception) -> None:
        pause_s = self._settings.model_refresh_s
        if self._refused and self._refused.sha256 == channel.manifest_sha256:
            pause_s = max(pause_s, min(2 * self._refused.pause_s, _LONGEST_PAUSE_S))
        else:
            logger.error(
                "version %s is refused, %s goes on serving: %s",
                channel.version,
                served.manifest.version,
                error,
                exc_info=_is_unforeseen(error),
                extra=_FAILED,
            )
        self._refused = _Refused(channel.manifest_sha256, pause_s)


def _is_unforeseen(error: Exception) -> bool:
    return not isinstance(error, PlantDiseaseError)


def _return_freed_memory() -> None:
    """Have the C library give back what was freed; glibc would keep the memory of an old model or two for later."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _log_loaded(bundle: Bundle, noted: Record, **fields: object) -> None:
    noted.fields |= {
        "model": bundle.manifest.name,
        "model_version": bundle.manifest.version,
        "model_sha256": bundle.sha256,
        **fields,
    }
    logger.info("model loaded", extra={"fields": {**noted.fields, "model_load_ms": round(noted.total_ms())}})
