"""What a busy machine asks of the moto server: calls at once, and the same call again."""

from concurrent.futures import ThreadPoolExecutor

import httpx

CREATE = {
    "X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.CreateRepository",
    "Authorization": "AWS4-HMAC-SHA256 Credential=none/20260101/eu-central-1/ecr/aws4_request",
    "Content-Type": "application/x-amz-json-1.1",
}


def test_a_call_that_is_sent_again_hears_what_it_was_told_first(aws: dict[str, str]) -> None:
    def create(call: str) -> httpx.Response:
        headers = {**CREATE, "amz-sdk-invocation-id": call}
        return httpx.post(aws["AWS_ENDPOINT_URL"], headers=headers, json={"repositoryName": "plants"})

    with ThreadPoolExecutor(4) as pool:
        [first, *again] = pool.map(create, ["one"] * 4)
    assert first.status_code == 200
    assert {answer.text for answer in again} == {first.text}
    refused = create("another")
    assert (refused.status_code, refused.json()["__type"]) == (400, "RepositoryAlreadyExistsException")
