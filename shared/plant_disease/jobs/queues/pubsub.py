"""Google Pub/Sub, which pushes its messages to the service.

Spoken to over its REST interface: the SDK brings gRPC, and threads that a frozen process does not run.
"""

import asyncio
import base64
import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field, ValidationError

from plant_disease.errors import QueueUnavailable
from plant_disease.jobs.documents import Message
from plant_disease.jobs.queues import Delivery

if TYPE_CHECKING:
    import requests

_MOST_AT_ONCE = 1000
_ATTEMPTS = 4
_TIMEOUT_S = (3, 10)
_SCOPE = "https://www.googleapis.com/auth/pubsub"


class PubSubQueue:
    """A topic of Pub/Sub.

    Args:
        topic: as `projects/P/topics/T`. Credentials are Google's application default ones; with PUBSUB_EMULATOR_HOST
            set, the emulator there is used without any.
    """

    def __init__(self, topic: str) -> None:
        emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
        base = f"http://{emulator}" if emulator else "https://pubsub.googleapis.com"
        self._url = f"{base}/v1/{topic}:publish"
        self._is_emulated = emulator is not None

    async def send(self, messages: Sequence[Message]) -> None:
        """See `Queue.send`."""
        await asyncio.to_thread(self._send, messages)

    def _send(self, messages: Sequence[Message]) -> None:
        import requests
        import tenacity
        from google.auth.exceptions import GoogleAuthError

        publish = tenacity.retry(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.3, max=5),
            retry=tenacity.retry_if_exception_type(requests.RequestException),
            reraise=True,
        )(self._publish)
        try:
            for start in range(0, len(messages), _MOST_AT_ONCE):
                publish(messages[start : start + _MOST_AT_ONCE])
        except (requests.RequestException, GoogleAuthError) as error:
            raise QueueUnavailable(f"Pub/Sub has not taken the chunks of a job ({type(error).__name__}).") from error

    def _publish(self, messages: Sequence[Message]) -> None:
        data = [{"data": base64.b64encode(each.model_dump_json().encode()).decode()} for each in messages]
        self._session.post(self._url, json={"messages": data}, timeout=_TIMEOUT_S).raise_for_status()

    @cached_property
    def _session(self) -> "requests.Session":
        import google.auth
        import requests
        from google.auth.transport.requests import AuthorizedSession

        if self._is_emulated:
            return requests.Session()
        credentials, _ = google.auth.default(scopes=[_SCOPE])
        session: requests.Session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
        return session


class _Pushed(BaseModel):
    id: str = Field(alias="messageId")
    data: str = ""


class _Push(BaseModel):
    message: _Pushed
    attempt: Annotated[int, Field(alias="deliveryAttempt", ge=1)] = 1


def delivery(body: bytes) -> Delivery:
    """What a push of Pub/Sub delivers.

    Raises:
        ValueError: it is no push.
    """
    push = _Push.model_validate_json(body)
    try:
        message = Message.model_validate_json(base64.b64decode(push.message.data, validate=True))
    except (ValidationError, ValueError):
        message = None
    return Delivery(push.message.id, message, push.attempt)
