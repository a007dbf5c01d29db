"""What Lambda's event source for SQS does: polls a queue, calls the function, deletes what it has done."""

import os
import time
from typing import Any

import boto3


class _Context:
    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def main() -> None:
    from functions.batch.main import handler

    sqs = boto3.client("sqs")
    url = os.environ["PLANT_JOBS_QUEUE"].removeprefix("sqs:")
    while True:
        # Lambda waits in the call; here it would keep everybody else from the one server (`moto_url`).
        got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=2, WaitTimeSeconds=0, AttributeNames=["All"])
        records = [_record(message) for message in got.get("Messages", ())]
        if not records:
            time.sleep(0.3)
            continue
        answer = handler({"Records": records}, _Context())
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for record in records:
            if record["messageId"] not in failed:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=record["receiptHandle"])


def _record(message: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:jobs",
        "awsRegion": "eu-west-1",
    }


if __name__ == "__main__":
    main()
