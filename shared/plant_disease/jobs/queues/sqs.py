"""Amazon SQS, whose messages a Lambda event source delivers."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from plant_disease.errors import QueueUnavailable
from plant_disease.jobs.documents import Message
from plant_disease.jobs.queues import Delivery

_MOST_AT_ONCE = 10
_CALLS_AT_ONCE = 8
_ATTEMPTS = 4


class SqsQueue:
    """A queue of SQS.

    Args:
        url: of the queue. Credentials and region come from where boto3 looks for them.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def send(self, messages: Sequence[Message]) -> None:
        """See `Queue.send`."""
        await asyncio.to_thread(self._send, messages)

    def _send(self, messages: Sequence[Message]) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        parts = [messages[start : start + _MOST_AT_ONCE] for start in range(0, len(messages), _MOST_AT_ONCE)]
        try:
            with ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="sqs") as threads:
                list(threads.map(self._send_part, parts))
        except (BotoCoreError, ClientError) as error:
            raise QueueUnavailable(f"SQS has not taken the chunks of a job ({type(error).__name__}).") from error

    def _send_part(self, part: Sequence[Message]) -> None:
        left = {str(number): message.model_dump_json() for number, message in enumerate(part)}
        # Of ten messages some may be taken and others not.
        for _ in range(_ATTEMPTS):
            entries = [{"Id": number, "MessageBody": body} for number, body in left.items()]
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            left = {failed["Id"]: left[failed["Id"]] for failed in answer.get("Failed", ())}
            if not left:
                return
        raise QueueUnavailable(f"SQS has not taken {len(left)} of the chunks of a job.")

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": _ATTEMPTS}
        )
        return boto3.session.Session().client("sqs", config=config)


class _Attributes(BaseModel):
    received: int = Field(1, alias="ApproximateReceiveCount")


class _Record(BaseModel):
    id: str = Field(alias="messageId")
    body: str
    attributes: _Attributes = _Attributes()


class _Event(BaseModel):
    records: list[_Record] = Field(alias="Records")


def is_sqs(event: object) -> bool:
    """Whether an event of Lambda comes from SQS."""
    records = event.get("Records") or () if isinstance(event, dict) else ()
    return bool(records) and all(each.get("eventSource") == "aws:sqs" for each in records)


def deliveries(event: object) -> Iterator[Delivery]:
    """What an event of SQS delivers."""
    for record in _Event.model_validate(event).records:
        try:
            message = Message.model_validate_json(record.body)
        except ValidationError:
            message = None
        yield Delivery(record.id, message, record.attributes.received)
