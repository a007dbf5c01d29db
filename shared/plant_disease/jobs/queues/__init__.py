"""What carries the chunks of a job to a worker.

    local                          this process                         local.py
    sqs:https://…/queue            Amazon SQS                           sqs.py
    pubsub:projects/P/topics/T     Google Pub/Sub                       pubsub.py

Here messages are sent, and read when a platform delivers them: a Lambda event source, a push of Pub/Sub. What it
does again, and when, is the platform's to decide. An SDK is imported when the first message is sent.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from plant_disease.jobs.documents import Message


class Queue(Protocol):
    """Takes messages, each of which is delivered at least once."""

    async def send(self, messages: Sequence[Message]) -> None:
        """Send.

        Raises:
            QueueUnavailable: some may have been taken. To send them all again is harmless.
        """
        ...


class Delivery(NamedTuple):
    """A message that has arrived.

    Attributes:
        id: by which the platform knows it.
        message: None if it is none of ours.
        attempt: how often it was delivered, from 1.
    """

    id: str
    message: Message | None
    attempt: int


def open_queue(place: str) -> Queue:
    """The queue that `PLANT_JOBS_QUEUE` names, unless that is `local`."""
    kind, _, address = place.partition(":")
    if kind == "sqs":
        from plant_disease.jobs.queues.sqs import SqsQueue

        return SqsQueue(address)
    from plant_disease.jobs.queues.pubsub import PubSubQueue

    return PubSubQueue(address)
