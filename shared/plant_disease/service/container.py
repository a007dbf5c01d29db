"""The entry point of the container images: `python -m plant_disease.service.container`.

Serves the function that FUNCTION_TARGET names: over HTTP on $PORT, or through AWS Lambda's runtime interface where
AWS_LAMBDA_RUNTIME_API says that there is one. One process, with as many threads as the container's CPU quota allows.
Also as the first process of a container it ends on SIGTERM, with exit code 0, when what it was asked is answered.
"""

import gc
import os
import random
import signal
import sys
from types import FrameType

from plant_disease.cpu import available_cpus
from plant_disease.errors import ConfigurationError


def main() -> None:
    """Serve until SIGTERM."""
    # What is imported stays. Looking through it again and again takes a tenth of the time to the first answer.
    gc.disable()
    try:
        _serve()
    except ConfigurationError as error:
        sys.exit(f"Error: {error}")


def _serve() -> None:
    module = f"functions.{os.environ['FUNCTION_TARGET']}.main"
    # numpy and torch start threads for every CPU of the machine when they are imported, whatever the quota.
    os.environ.setdefault("OMP_NUM_THREADS", str(available_cpus()))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if api := os.environ.get("AWS_LAMBDA_RUNTIME_API"):
        # Lambda gives the start more CPU than it gives requests, and takes SnapStart's snapshot after it.
        os.environ.setdefault("PLANT_MODEL_LOADING", "eager")
        _run_on_lambda(f"{module}.handler", api)
    else:
        os.environ.setdefault("PLANT_MODEL_LOADING", "background")
        from plant_disease.service.server import prepared

        prepared(
            f"{module}:app",
            host=os.environ.get("HOST", "0.0.0.0"),  # noqa: S104 - the container's own network
            port=int(os.environ.get("PORT", "8080")),
        ).run()


def _run_on_lambda(handler: str, api: str) -> None:
    from awslambdaric.bootstrap import run
    from awslambdaric.lambda_runtime_client import InvocationRequest, LambdaRuntimeClient
    from snapshot_restore_py import register_after_restore

    class Client(LambdaRuntimeClient):  # type: ignore[misc]
        """Stops on SIGTERM, between two invocations.

        Python sees a signal only when the call that waits for the next invocation returns, so that waits in a thread.
        """

        def __init__(self) -> None:
            super().__init__(api, use_thread_for_polling_next=True)
            self._waits = False
            self._stops = False
            signal.signal(signal.SIGTERM, self._stop)

        def wait_next_invocation(self) -> InvocationRequest:
            if self._stops:
                os._exit(0)
            self._waits = True
            gc.enable()
            try:
                return super().wait_next_invocation()
            finally:
                self._waits = False

        def _stop(self, _number: int, _frame: FrameType | None) -> None:
            self._stops = True
            if self._waits:
                # Not sys.exit: it would join the thread that waits.
                os._exit(0)

    # All copies that Lambda starts from one snapshot would go on with the same random numbers, ids of spans among them.
    register_after_restore(random.seed)
    run(handler, Client())


if __name__ == "__main__":
    main()
