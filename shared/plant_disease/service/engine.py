"""The one place where requests meet the model: loaded once, run in a bounded number of threads."""

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple

from plant_disease import images
from plant_disease.batch import Allowance, Batcher, Outcome, Source
from plant_disease.bundle import Bundle
from plant_disease.classifier import Classifier, Diagnosis
from plant_disease.errors import BundleError, ImageError, PlantDiseaseError, StorageError
from plant_disease.explanation.explainer import Explainer, Explanation, Question
from plant_disease.images import Photo
from plant_disease.loading import State
from plant_disease.service.model import ServedModel
from plant_disease.service.problems import Problem, from_error
from plant_disease.service.telemetry import record, timed
from plant_disease.settings import Settings

_MODEL_WAIT_S = 20.0
"""Seconds that a request waits for the model. Loading goes on; API Gateway would give the request up after 29."""

_READERS = 16
"""Threads that read uploaded photos: a pool of its own, because a read that hangs must not take the place of others."""


class Diagnosed(NamedTuple):
    """A diagnosis, the photos it was made from, the model that made it, and the evidence for it if asked for."""

    bundle: Bundle
    photos: list[Photo]
    diagnosis: Diagnosis
    explanation: Explanation | None


class Engine:
    """The classifier served, and the threads that decode photos and run it.

    `settings.threads` requests compute at once, or one more where there are several CPUs, and `settings.max_queue`
    wait; what comes then is turned away at once, so that the ones inside are answered in time.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._model = ServedModel(settings)
        self._explainer: Explainer | None = None
        # Where there are several, one more: at each moment one of them waits for Python's lock, and its CPU would idle.
        self._threads = ThreadPoolExecutor(settings.threads + (settings.threads > 1), thread_name_prefix="engine")
        self._places = settings.threads + settings.max_queue
        self.readers = ThreadPoolExecutor(_READERS, thread_name_prefix="uploads")
        self._batcher = Batcher(
            self._threads, workers=settings.threads, readers=self.readers, chunk=settings.batch_chunk
        )
        if settings.model_loading != "lazy":
            loading = self._model.future()
            if settings.model_loading == "eager":
                # A failure is not fatal: it is remembered, answered with 503, and tried again.
                loading.exception()

    @property
    def state(self) -> State:
        """What has become of loading the model."""
        return self._model.state

    def retry(self) -> None:
        """Load again what could not be loaded, if its time has come.

        For the readiness probe: while it fails, no request comes that would do so.
        """
        if self.state == "failed":
            self._model.future()

    @property
    def is_full(self) -> bool:
        """Whether as many requests wait as may."""
        return self._places == 0

    def refuse_if_full(self) -> None:
        """Turn a request away before its body is read.

        Raises:
            Problem: 503, as many wait as may.
        """
        if self.is_full:
            raise Problem(503, "overloaded", "Too many requests wait already. Try again shortly.", retry_after=1)

    async def classifier(self) -> Classifier:
        """The loaded classifier; loads it if need be.

        Raises:
            Problem: 503, the model cannot be loaded now.
        """
        waiting = nullcontext() if self.state == "ready" else timed("load")
        try:
            with waiting:
                model = self._model.future()
                if model.done():
                    return model.result()
                async with asyncio.timeout(_MODEL_WAIT_S):
                    # Shielded: a caller that goes away must not cancel what the others wait for.
                    return await asyncio.shield(asyncio.wrap_future(model))
        except TimeoutError as error:
            raise self._unavailable(f"it has not been loaded within {_MODEL_WAIT_S:g} seconds") from error
        except PlantDiseaseError as error:
            raise self._unavailable(str(error)) from error
        except Exception as error:
            raise self._unavailable("the model could not be loaded") from error

    async def diagnose(
        self, encoded: Sequence[bytes], *, top_k: int, crops: Sequence[str] = (), question: Question | None = None
    ) -> Diagnosed:
        """Decode and diagnose the photos of one plant; see `Classifier.diagnose`.

        Args:
            encoded: the photos.
            top_k: see there.
            crops: see there.
            question: what to explain of it; see `Explainer.explain`.

        Raises:
            Problem: a photo cannot be used, the service is overloaded, or the model is not available.
            InvalidQuestion: see `Classifier.check` and `Explainer.explain`.
        """
        self.refuse_if_full()
        self._places -= 1
        try:
            classifier = await self.classifier()
            classifier.check(top_k, crops)
            explainer = self._explainer_of(classifier.bundle)
            if question:
                explainer.check(question)
            noted = record()
            noted.fields["model_version"] = classifier.manifest.version

            def work() -> tuple[list[Photo], Diagnosis, Explanation | None]:
                with noted.timed("decode"):
                    photos = self._decode(encoded, classifier.manifest.input.size)
                with noted.timed("model"):
                    output = classifier.run(photos)
                    diagnosis = classifier.conclude(output, top_k=top_k, crops=crops)
                if question is None:
                    return photos, diagnosis, None
                with noted.timed("explain"):
                    return photos, diagnosis, explainer.explain(classifier, photos, output, diagnosis, question)

            photos, diagnosis, explanation = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (BundleError, StorageError) as error:
            raise self._unavailable(str(error)) from error
        finally:
            self._places += 1
        noted.fields["photos"] = len(photos)
        noted.judged(diagnosis.decision, photos=len(photos))
        return Diagnosed(classifier.bundle, photos, diagnosis, explanation)

    def begin_batch(
        self,
        classifier: Classifier,
        sources: Sequence[Source],
        tell: Callable[[Outcome], None],
        *,
        top_k: int,
        crops: Sequence[str],
        deadline: float,
        is_bounded: bool = True,
    ) -> asyncio.Task[None]:
        """Begin to diagnose each photo as a plant of its own; see `Batcher.run`. Failures are told as a `Problem`.

        Args:
            classifier: see there.
            sources: see there.
            tell: see there.
            top_k: see there.
            crops: see there.
            deadline: see there.
            is_bounded: whether the photos together may have no more than one request may.

        Returns:
            What is done when all outcomes are told. To cancel it stops the work.

        Raises:
            Problem: 503, as many wait as may.
        """

        def tell_problem(outcome: Outcome) -> None:
            if isinstance(outcome.result, PlantDiseaseError):
                outcome = replace(outcome, result=from_error(outcome.result))
            tell(outcome)

        allowance = Allowance(
            max_image_bytes=self.settings.max_image_bytes,
            max_image_pixels=self.settings.max_image_pixels,
            max_bytes=self.settings.max_batch_bytes if is_bounded else math.inf,
            max_pixels=self.settings.max_batch_pixels if is_bounded else math.inf,
        )
        self.refuse_if_full()
        self._places -= 1
        task = asyncio.create_task(
            self._batcher.run(
                classifier, sources, tell_problem, allowance=allowance, top_k=top_k, crops=crops, deadline=deadline
            )
        )
        task.add_done_callback(self._leave)
        return task

    def _leave(self, _: object) -> None:
        self._places += 1

    def _explainer_of(self, bundle: Bundle) -> Explainer:
        if self._explainer is None or self._explainer.bundle is not bundle:
            self._explainer = Explainer(bundle, threads=self.settings.threads, device=self.settings.torch_device)
        return self._explainer

    def _decode(self, encoded: Sequence[bytes], size: int) -> list[Photo]:
        photos = []
        for index, data in enumerate(encoded):
            try:
                photos.append(
                    images.load(
                        data, size, max_bytes=self.settings.max_image_bytes, max_pixels=self.settings.max_image_pixels
                    )
                )
            except ImageError as error:
                which = f"Photo {index + 1} of {len(encoded)}: " if len(encoded) > 1 else ""
                raise from_error(error, which=which) from error
        return photos

    def _unavailable(self, why: str) -> Problem:
        return Problem(
            503, "model_unavailable", f"The model is not available now: {why}", retry_after=self.settings.model_retry_s
        )
